//! Which services are wanted: those without a profile, and those of which a profile is active.

use crate::complaint::shown;
use crate::reader::Reader;
use crate::tree::{Entry, Node, Place};
use std::collections::BTreeSet;

/// Active profiles, and which of them were asked for by name rather than found in the environment.
#[derive(Default)]
pub(crate) struct Profiles {
    /// By `--profile`.
    pub(crate) asked: Vec<String>,
    /// By `COMPOSE_PROFILES`, commas between them.
    pub(crate) environment: String,
}

impl Profiles {
    fn active(&self) -> BTreeSet<&str> {
        let environment = self.environment.split(',').map(str::trim).filter(|p| !p.is_empty());
        self.asked.iter().map(String::as_str).chain(environment).collect()
    }
}

/// Notes of every service whether it is wanted. A profile that no service has is dangling.
pub(crate) fn choose(r: &mut Reader<'_>, entries: &[Entry]) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let profiles = std::mem::take(&mut r.rules.profiles);
    let active = profiles.active();
    for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
        let of = entry.node.entry("profiles").map(|n| names(r, n)).unwrap_or_default();
        let wanted = of.is_empty()
            || active.contains("*")
            || of.iter().any(|profile| active.contains(profile.as_str()));
        r.services.insert(entry.key.clone(), wanted);
        known.extend(of);
    }
    for asked in profiles.asked.iter().filter(|p| *p != "*" && !known.contains(*p)) {
        let hint = crate::words::hint(asked, known.iter().map(String::as_str));
        r.log
            .error(Place::whole(0), format!("no service has the profile `{}`{hint}", shown(asked)));
    }
}

fn names(r: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let valid = |text: &str| {
        let good = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.len() <= crate::limits::NAME_BYTES
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if good {
            Ok(text.to_owned())
        } else {
            Err("a name of letters, digits, `_`, `.` and `-`".to_owned())
        }
    };
    let items = r.items(node, "profiles", true);
    items.iter().filter_map(|item| r.scalar(item, "profiles", valid)).collect()
}
