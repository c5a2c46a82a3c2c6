//! `secrets` and `configs`: declared at the top of a file, used by services. Their form, their files' places and
//! who is referred to are checked; nothing of them is read, so that none can be shown.

use crate::complaint::shown;
use crate::keys::Section;
use crate::project::{Known, external};
use crate::reader::{Fields, Reader, plain};
use crate::scalar;
use crate::service::undeclared;
use crate::tree::{Entry, Value};
use model::VolumeName;
use std::collections::BTreeSet;

/// Reads the declarations under `secrets` or `configs`, and returns their names.
pub(crate) fn declared(
    r: &mut Reader<'_>,
    top: &Fields<'_>,
    what: &'static str,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Some(node) = top.get(what) else { return names };
    for entry in r.map(node, what).iter().filter(|e| !e.key.starts_with("x-")) {
        // They follow the rule of volumes; the message says which was meant.
        match entry.key.parse::<VolumeName>() {
            Ok(_) => {
                declaration(r, entry, what);
                names.insert(entry.key.clone());
            }
            Err(e) => {
                let one = what.trim_end_matches('s');
                r.log.error(
                    entry.at,
                    e.to_string().replacen("volume name", &format!("{one} name"), 1),
                );
            }
        }
    }
    names
}

fn declaration(r: &mut Reader<'_>, entry: &Entry, what: &'static str) {
    r.scope = format!("{what}.{}", entry.key);
    let section = if what == "secrets" { Section::Secret } else { Section::Config };
    let fields = r.fields(&entry.node, what, section);
    let (external, _) = external(r, &fields);
    let mut sources = usize::from(external);
    for key in ["file", "environment", "content"] {
        // A configuration may be of any length, and of several lines.
        let given = match key {
            "content" => r.value(&fields, key, |_| Ok(())).is_some(),
            _ => r.text(&fields, key).is_some(),
        };
        sources += usize::from(given);
    }
    if sources != 1 && !(sources == 0 && fields.get("driver").is_some()) {
        let one = what.trim_end_matches('s');
        let from = if what == "secrets" { "" } else { ", `content`" };
        let message = format!(
            "{one} `{}` is to come from one of `file`, `environment`{from} or `external`",
            shown(&entry.key)
        );
        r.log.error(entry.at, message);
    }
    if let (Some(path), Some(at)) = (r.text(&fields, "file"), fields.at("file")) {
        crate::files::place(r, &path, at);
    }
    for key in ["name", "driver", "template_driver"] {
        r.text(&fields, key);
    }
    for key in ["labels", "driver_opts"] {
        if let Some(node) = fields.get(key) {
            r.labels(node, key);
        }
    }
}

/// Checks what a service refers to.
pub(crate) fn references(r: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) {
    for (key, names) in [("secrets", &known.secrets), ("configs", &known.configs)] {
        let Some(node) = fields.get(key) else { continue };
        for item in r.items(node, key, false) {
            let source = if let Value::Map(_) = item.value {
                let inner = r.fields_within(item, key, Section::Reference);
                if inner.get("source").is_none() {
                    r.log.error(item.at, format!("`{key}` needs a `source`"));
                }
                for key in ["target", "uid", "gid"] {
                    r.text(&inner, key);
                }
                r.value(&inner, "mode", scalar::mode);
                r.text(&inner, "source")
            } else {
                r.scalar(item, key, plain)
            };
            if let Some(source) = source.filter(|s| !names.contains(s)) {
                let near = r.near(&source, names.iter().map(String::as_str));
                let message = undeclared(key.trim_end_matches('s'), &source, near, key);
                r.log.error(item.at, message);
            }
        }
    }
}
