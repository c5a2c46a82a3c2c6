//! How a later file changes an earlier one, on trees, before anything has a type: maps merge, lists append,
//! `command`, `entrypoint` and `healthcheck.test` replace, `!reset` takes away, `!override` replaces. What stands
//! for one thing (a port, a mount at a path, a variable) is there once, and the later wins.
//! Source: Compose Specification, 13-merge.

use crate::tree::{Entry, Merge, Node, Value};
use std::collections::BTreeMap;

/// `over` on top of `base`.
pub(crate) fn files(base: Node, over: Node) -> Node {
    merge(base, over, &mut Vec::new())
}

/// A service on top of another one, by the rules of files.
pub(crate) fn service(base: Node, over: Node, name: &str) -> Node {
    merge(base, over, &mut vec!["services".to_owned(), name.to_owned()])
}

/// Takes away what is marked `!reset`, and forgets that something was marked `!override`.
pub(crate) fn without_resets(node: &mut Node) {
    node.merge = Merge::Usual;
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
    if over.merge != Merge::Usual || base.merge == Merge::Reset || replaces(path, &base, &over) {
        return over;
    }
    let (base, over) = (formed(base, path), formed(over, path));
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

/// Appends. What stands for the same thing takes the place of what stood for it before.
fn lists(mut below: Vec<Node>, above: Vec<Node>, path: &[String]) -> Vec<Node> {
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for (i, node) in below.iter().enumerate() {
        if let Some(key) = key(node, path) {
            place.insert(key, i);
        }
    }
    for node in above {
        match key(&node, path) {
            Some(key) => {
                if let Some(&i) = place.get(&key) {
                    below[i] = node;
                } else {
                    place.insert(key, below.len());
                    below.push(node);
                }
            }
            None => below.push(node),
        }
    }
    below
}

/// What an item of a list stands for; nothing when two of them never stand for the same.
fn key(node: &Node, path: &[String]) -> Option<String> {
    let text = |key: &str| node.entry(key).and_then(Node::scalar);
    match in_service(path) {
        Some("volumes" | "devices") => match node.scalar() {
            Some(short) => {
                let mut parts = short.split(':');
                let first = parts.next();
                parts.next().or(first).map(str::to_owned)
            }
            None => text("target").or(text("source")).map(str::to_owned),
        },
        Some("configs") => mounted(node, "/"),
        Some("secrets") => mounted(node, "/run/secrets/"),
        Some("ports") => port(node),
        Some("env_file" | "label_file") => node.scalar().or(text("path")).map(str::to_owned),
        _ => node.scalar().map(str::to_owned),
    }
}

/// Where a secret or a configuration appears.
fn mounted(node: &Node, folder: &str) -> Option<String> {
    let text = |key: &str| node.entry(key).and_then(Node::scalar);
    let target = node.scalar().or(text("target")).or(text("source"))?;
    Some(if target.starts_with('/') { target.to_owned() } else { format!("{folder}{target}") })
}

/// Address, both ports and protocol, whichever form says them.
fn port(node: &Node) -> Option<String> {
    if let Some(short) = node.scalar() {
        let (rest, protocol) = short.split_once('/').unwrap_or((short, "tcp"));
        let mut parts = rest.rsplitn(3, ':');
        let (target, published) = (parts.next()?, parts.next().unwrap_or(""));
        return Some(format!("{}:{published}:{target}/{protocol}", parts.next().unwrap_or("")));
    }
    let text = |key: &str| node.entry(key).and_then(Node::scalar).unwrap_or_default();
    let protocol = node.entry("protocol").and_then(Node::scalar).unwrap_or("tcp");
    let (ip, published, target) = (text("host_ip"), text("published"), text("target"));
    (!target.is_empty()).then(|| format!("{ip}:{published}:{target}/{protocol}"))
}

/// The key of a service that the path ends at.
fn in_service(path: &[String]) -> Option<&str> {
    match path {
        [services, _, key] if services == "services" => Some(key),
        _ => None,
    }
}

fn replaces(path: &[String], base: &Node, over: &Node) -> bool {
    match path {
        [services, _, key] if services == "services" => match key.as_str() {
            "command" | "entrypoint" => true,
            // Options of one driver mean nothing to another.
            "logging" => {
                let driver =
                    |node: &Node| node.entry("driver").and_then(Node::scalar).map(str::to_owned);
                driver(over).is_some_and(|d| driver(base).is_some_and(|b| b != d))
            }
            _ => false,
        },
        [services, _, check, key] if services == "services" => {
            check == "healthcheck" && key == "test"
        }
        _ => false,
    }
}

/// A value in the form in which it can be merged: a list of pairs as a map, a single value as a list, the short
/// form of a key as its long one.
fn formed(node: Node, path: &[String]) -> Node {
    let in_deploy = matches!(path, [services, _, deploy, key]
        if services == "services" && deploy == "deploy" && key == "labels");
    let in_build = matches!(path, [services, _, build, key] if services == "services" && build == "build"
        && matches!(key.as_str(), "args" | "labels" | "additional_contexts"));
    let declared = matches!(path, [what, _, key]
        if matches!(what.as_str(), "networks" | "volumes" | "secrets" | "configs") && key == "labels");
    if in_deploy || in_build || declared {
        return as_map(node);
    }
    match in_service(path) {
        Some(
            "environment" | "labels" | "annotations" | "sysctls" | "depends_on" | "networks"
            | "models",
        ) => as_map(node),
        Some(
            "dns" | "dns_search" | "dns_opt" | "tmpfs" | "env_file" | "label_file" | "profiles",
        ) => as_list(node),
        Some("extra_hosts") => as_pairs(node),
        Some("build") => under(node, "context"),
        Some("extends") => under(node, "service"),
        _ => node,
    }
}

fn as_list(node: Node) -> Node {
    match node.value {
        Value::Scalar(_) => Node::new(node.at, Value::List(vec![node])),
        _ => node,
    }
}

/// A single value as the map that it is short for.
fn under(node: Node, key: &str) -> Node {
    match node.value {
        Value::Scalar(_) => {
            let at = node.at;
            Node::new(at, Value::Map(vec![Entry { key: key.to_owned(), at, node }]))
        }
        _ => node,
    }
}

/// A map as a list of `name=value`: one name may have several values.
fn as_pairs(node: Node) -> Node {
    let Value::Map(entries) = node.value else { return node };
    let mut items = Vec::new();
    for entry in entries {
        let values = match entry.node.value {
            Value::List(values) => values,
            _ => vec![entry.node],
        };
        for value in values {
            let text = format!("{}={}", entry.key, value.scalar().unwrap_or_default());
            items.push(Node::new(entry.at, Value::Scalar(text)));
        }
    }
    Node::new(node.at, Value::List(items))
}

/// `["A=1", "B"]` as `{A: 1, B: }`. What is no such list stays, for the reader of the key to complain.
fn as_map(node: Node) -> Node {
    let items = match node.value {
        Value::List(items) if items.iter().all(|n| n.scalar().is_some()) => items,
        value => return Node { value, ..node },
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for item in &items {
        let text = item.scalar().unwrap_or_default();
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Value::Scalar(value.to_owned())),
            None => (text, Value::Null),
        };
        let entry = Entry { key: key.to_owned(), at: item.at, node: Node::new(item.at, value) };
        if let Some(&i) = place.get(key) {
            entries[i] = entry;
        } else {
            place.insert(key.to_owned(), entries.len());
            entries.push(entry);
        }
    }
    Node::new(node.at, Value::Map(entries))
}
