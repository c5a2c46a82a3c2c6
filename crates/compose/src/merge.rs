//! How a later file changes an earlier one, on trees, before anything has a type: maps merge, lists append
//! (`ports` and `volumes` without repeats), `command`, `entrypoint` and `healthcheck.test` replace, `!reset`
//! takes away, `!override` replaces. Source: Compose Specification, 13-merge.

use crate::tree::{Entry, Merge, Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// `over` on top of `base`.
pub(crate) fn files(base: Node, over: Node) -> Node {
    merge(base, over, &mut Vec::new())
}

/// Takes away what is marked `!reset`, once all files are merged.
pub(crate) fn without_resets(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => {
            items.retain(|n| n.merge != Merge::Reset);
            items.iter_mut().for_each(without_resets);
        }
        Value::Map(entries) => {
            entries.retain(|e| e.node.merge != Merge::Reset);
            for entry in entries {
                without_resets(&mut entry.node);
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

fn merge(base: Node, over: Node, path: &mut Vec<String>) -> Node {
    if over.merge != Merge::Usual || replaces(path) {
        return over;
    }
    let (base, over) = match pairs(path) {
        Some(sign) => (as_map(base, sign), as_map(over, sign)),
        None => (base, over),
    };
    let at = over.at;
    match (base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            Node::new(at, Value::Map(maps(below, above, path)))
        }
        (Value::List(below), Value::List(above)) => {
            Node::new(at, Value::List(lists(below, above, path)))
        }
        // An empty key changes nothing, except a variable: it then takes the deployer's value.
        (below, Value::Null) if !path.iter().any(|p| p == "environment") => {
            Node::new(base.at, below)
        }
        (_, above) => Node::new(at, above),
    }
}

fn maps(mut below: Vec<Entry>, above: Vec<Entry>, path: &mut Vec<String>) -> Vec<Entry> {
    let mut place: BTreeMap<String, usize> =
        below.iter().enumerate().map(|(i, e)| (e.key.clone(), i)).collect();
    for entry in above {
        let Some(&i) = place.get(&entry.key) else {
            place.insert(entry.key.clone(), below.len());
            below.push(entry);
            continue;
        };
        path.push(entry.key.clone());
        let at = below[i].at;
        let old = std::mem::replace(&mut below[i].node, Node::new(at, Value::Null));
        below[i].node = merge(old, entry.node, path);
        below[i].at = entry.at;
        path.pop();
    }
    below
}

/// Appends. Mounts are unique by target, everything else by being the same text.
fn lists(mut below: Vec<Node>, above: Vec<Node>, path: &[String]) -> Vec<Node> {
    let key = |n: &Node| match last(path) {
        "volumes" if path.len() == 3 => mount_target(n),
        _ => n.scalar().map(str::to_owned),
    };
    let new: BTreeSet<Option<String>> = above.iter().map(key).collect();
    below.retain(|n| {
        let key = key(n);
        key.is_none() || !new.contains(&key)
    });
    below.extend(above);
    below
}

fn mount_target(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(short) => {
            let mut parts = short.split(':');
            let first = parts.next();
            parts.next().or(first).map(str::to_owned)
        }
        Value::Map(entries) => entries
            .iter()
            .find(|e| e.key == "target")
            .and_then(|e| e.node.scalar())
            .map(str::to_owned),
        _ => None,
    }
}

fn last(path: &[String]) -> &str {
    path.last().map_or("", String::as_str)
}

fn replaces(path: &[String]) -> bool {
    match path {
        [services, _, key] if services == "services" => key == "command" || key == "entrypoint",
        [services, _, check, key] if services == "services" => {
            check == "healthcheck" && key == "test"
        }
        _ => false,
    }
}

/// Keys of a service that take a map, or a list that means one; with the sign between key and value.
fn pairs(path: &[String]) -> Option<char> {
    match path {
        [services, _, key] if services == "services" => match key.as_str() {
            "environment" | "labels" | "annotations" | "sysctls" | "depends_on" | "networks" => {
                Some('=')
            }
            "extra_hosts" => Some(':'),
            _ => None,
        },
        [services, _, deploy, key] if services == "services" && deploy == "deploy" => {
            (key == "labels").then_some('=')
        }
        _ => None,
    }
}

/// `["A=1", "B"]` as `{A: 1, B: }`. What is no such list stays, for the reader of the key to complain.
fn as_map(node: Node, sign: char) -> Node {
    let items = match node.value {
        Value::List(items) if items.iter().all(|n| n.scalar().is_some()) => items,
        value => return Node { value, ..node },
    };
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for item in &items {
        let text = item.scalar().unwrap_or_default();
        let cut = text.find([sign, '=']);
        let (key, value) = match cut {
            Some(i) => (&text[..i], Value::Scalar(text[i + 1..].to_owned())),
            None => (text, Value::Null),
        };
        let entry = Entry { key: key.to_owned(), at: item.at, node: Node::new(item.at, value) };
        entries.insert(key.to_owned(), entry);
    }
    Node::new(node.at, Value::Map(entries.into_values().collect()))
}
