//! `healthcheck`, every form.

use crate::container;
use crate::keys::Section;
use crate::reader::{Fields, Reader};
use crate::scalar;
use crate::tree::{Node, Value};
use model::HealthCheck;

/// The check of a service; `None` leaves the image's in force.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<HealthCheck> {
    let node = fields.get("healthcheck")?;
    let inner = r.fields(node, "healthcheck", Section::Healthcheck);
    let disabled = r.flag(&inner, "disable").unwrap_or(false);
    let test = match inner.get("test") {
        _ if disabled => vec!["NONE".to_owned()],
        Some(test) => self::test(r, test),
        None => Vec::new(),
    };
    let check = HealthCheck {
        test,
        interval: r.value(&inner, "interval", scalar::duration),
        timeout: r.value(&inner, "timeout", scalar::duration),
        retries: r.value(&inner, "retries", scalar::count(10_000)),
        start_period: r.value(&inner, "start_period", scalar::duration),
        start_interval: r.value(&inner, "start_interval", scalar::duration),
    };
    let nothing = check.test.is_empty()
        && check
            .interval
            .or(check.timeout)
            .or(check.start_period)
            .or(check.start_interval)
            .is_none()
        && check.retries.is_none();
    (!nothing).then_some(check)
}

/// A text runs in the image's shell; a list says how it is run in its first word.
fn test(r: &mut Reader<'_>, node: &Node) -> Vec<String> {
    if let Value::Scalar(line) = &node.value {
        return match line.trim() {
            "" => Vec::new(),
            "NONE" => vec!["NONE".to_owned()],
            _ => vec!["CMD-SHELL".to_owned(), line.clone()],
        };
    }
    let words = container::strings(r, node, "test");
    let help = "start the list with `CMD`, `CMD-SHELL` or `NONE`";
    match words.first().map(String::as_str) {
        None | Some("NONE") => {}
        Some("CMD") if words.len() > 1 => {}
        Some("CMD-SHELL") if words.len() == 2 => {}
        Some("CMD") => r.log.error(node.at, "`test`: `CMD` is followed by no command"),
        Some("CMD-SHELL") => r.log.error(node.at, "`test`: `CMD-SHELL` takes exactly one text"),
        Some(_) => {
            r.log.refuse(node.at, "`test`: the list does not say how the check is run", help);
        }
    }
    words
}
