//! Paths of a file that lies elsewhere than in the project folder, made to start at that folder. Owns the list of
//! keys whose values are paths of the deployer's machine.

use crate::sources::joined;
use crate::tree::{Entry, Node, Value};

/// Rewrites every relative path of a file whose paths start at `folder`.
pub(crate) fn file(tree: &mut Node, folder: &str) {
    if folder.is_empty() {
        return;
    }
    each(tree, |key, node| match key {
        "services" => each(node, |_, service_node| service(service_node, folder)),
        "secrets" | "configs" => each(node, |_, declared| {
            each(declared, |key, value| {
                if key == "file" {
                    plain(value, folder);
                }
            });
        }),
        _ => {}
    });
}

fn service(node: &mut Node, folder: &str) {
    each(node, |key, value| match key {
        "env_file" | "label_file" => items(value, |item| named(item, "path", folder)),
        "volumes" => items(value, |item| mount(item, folder)),
        "build" => build(value, folder),
        "develop" => each(value, |key, list| {
            if key == "watch" {
                items(list, |item| named(item, "path", folder));
            }
        }),
        _ => {}
    });
}

/// The folder that is built from; everything else of `build` starts there.
fn build(node: &mut Node, folder: &str) {
    if node.scalar().is_some() {
        plain(node, folder);
        return;
    }
    each(node, |key, value| match key {
        "context" => plain(value, folder),
        "additional_contexts" => each(value, |_, context| {
            if context.scalar().is_some_and(|c| c.starts_with('.')) {
                plain(context, folder);
            }
        }),
        _ => {}
    });
}

/// A path of the host in a short form starts with a dot; in the long form the type says what it is.
fn mount(node: &mut Node, folder: &str) {
    match &mut node.value {
        Value::Scalar(text) if text.starts_with('.') => {
            let (source, rest) =
                text.split_once(':').map_or((text.as_str(), None), |(s, r)| (s, Some(r)));
            let source = dotted(&joined(folder, source));
            *text = rest.map_or_else(|| source.clone(), |rest| format!("{source}:{rest}"));
        }
        Value::Map(entries) => {
            let is_bind = |e: &Entry| e.key == "type" && e.node.scalar() == Some("bind");
            if entries.iter().any(is_bind) {
                named(node, "source", folder);
            }
        }
        _ => {}
    }
}

/// A single value that is a path, or the path under a key.
fn named(node: &mut Node, path: &str, folder: &str) {
    if node.scalar().is_some() {
        plain(node, folder);
        return;
    }
    each(node, |key, value| {
        if key == path {
            plain(value, folder);
        }
    });
}

fn plain(node: &mut Node, folder: &str) {
    if let Value::Scalar(text) = &mut node.value {
        *text = joined(folder, text);
    }
}

/// So that nobody takes it for a volume's name.
fn dotted(path: &str) -> String {
    if path.starts_with(['.', '/']) { path.to_owned() } else { format!("./{path}") }
}

fn each(node: &mut Node, mut what: impl FnMut(&str, &mut Node)) {
    if let Value::Map(entries) = &mut node.value {
        for entry in entries {
            what(&entry.key, &mut entry.node);
        }
    }
}

fn items(node: &mut Node, mut what: impl FnMut(&mut Node)) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(what),
        Value::Scalar(_) => what(node),
        _ => {}
    }
}
