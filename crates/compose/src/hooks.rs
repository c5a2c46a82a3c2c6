//! Commands that are to run when a container starts or stops: `pre_start`, `post_start`, `pre_stop`. Their form is
//! checked here; whether they are run is the table's to say.

use crate::keys::Section;
use crate::reader::{Fields, Reader};
use crate::tree::Node;

/// Checks all hooks of a service.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>) {
    for (key, section) in [
        ("pre_start", Section::PreStart),
        ("post_start", Section::Hook),
        ("pre_stop", Section::Hook),
    ] {
        let Some(list) = fields.get(key) else { continue };
        for item in r.items(list, key, false) {
            hook(r, item, key, section);
        }
    }
}

fn hook(r: &mut Reader<'_>, item: &Node, key: &str, section: Section) {
    let inner = r.fields_within(item, key, section);
    match inner.get("command") {
        Some(command) => {
            crate::container::words_of(r, command, "command");
        }
        None => r.log.error(item.at, format!("`{key}` needs a `command`")),
    }
    for key in ["user", "working_dir", "image"] {
        r.text(&inner, key);
    }
    for key in ["privileged", "per_replica"] {
        r.flag(&inner, key);
    }
    if let Some(environment) = inner.get("environment") {
        r.pairs(environment, "environment");
    }
}
