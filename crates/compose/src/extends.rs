//! `extends`: a service on top of another one, of the same file or of another. Owns the search for the base, and
//! refuses circles with the way shown.

use crate::card::Standing;
use crate::complaint::shown;
use crate::interpolate::{self, Variables};
use crate::keys::Section;
use crate::limits::CHAIN;
use crate::merge;
use crate::reader::plain;
use crate::rebase;
use crate::sources::{Setting, Sources, joined, missing, parent};
use crate::tree::{Entry, Node, Place, Value};
use std::rc::Rc;

/// A file that services extend from: its services as they are written, variables in place.
pub(crate) struct Base {
    name: String,
    folder: String,
    services: Vec<Entry>,
}

/// A service that another one is on top of, and the way to it.
struct Wanted {
    service: String,
    /// Path and place of the file, when it is another one.
    file: Option<(String, Place)>,
    at: Place,
}

/// Puts under every service of a tree what it extends.
pub(crate) fn put_under(sources: &mut Sources<'_, '_>, tree: &mut Node, setting: &Setting<'_>) {
    let Value::Map(top) = &mut tree.value else { return };
    let Some(services) = top.iter_mut().find(|e| e.key == "services") else { return };
    let Value::Map(entries) = &mut services.node.value else { return };
    if !entries.iter().any(|e| e.node.entry("extends").is_some()) {
        return;
    }
    let base = Rc::new(Base {
        name: setting.name.clone(),
        folder: setting.folder.clone(),
        services: std::mem::take(entries),
    });
    for entry in &base.services {
        let node = match entry.node.entry("extends") {
            Some(_) => whole(sources, &base, entry, setting, &mut Vec::new()),
            None => Some(entry.node.clone()),
        };
        let node = node.unwrap_or_else(|| without_extends(&entry.node));
        entries.push(Entry { key: entry.key.clone(), at: entry.at, node });
    }
}

/// A service with everything that it extends under it. `None` when it was said what is wrong.
fn whole(
    sources: &mut Sources<'_, '_>,
    file: &Rc<Base>,
    entry: &Entry,
    setting: &Setting<'_>,
    way: &mut Vec<String>,
) -> Option<Node> {
    let Some(i) = entries(&entry.node).iter().position(|e| e.key == "extends") else {
        return sources.may_copy(&entry.node, entry.at).then(|| entry.node.clone());
    };
    let step = format!("{} ({})", entry.key, file.name);
    let extends = &entries(&entry.node)[i];
    if sources.circles.contains(&step) {
        return None;
    }
    if way.contains(&step) || way.len() >= CHAIN {
        sources.circles.extend(way.iter().cloned());
        let from = way.iter().position(|s| *s == step).unwrap_or(0);
        let chain = way[from..].iter().map(String::as_str).chain([step.as_str()]);
        let chain = crate::sharing::chain(chain);
        sources.r.log.error(extends.at, format!("services extend each other: {chain}"));
        return None;
    }
    let wanted = wanted(sources, extends, &entry.key)?;
    let other = match &wanted.file {
        Some((path, at)) => base(sources, &joined(&file.folder, path), *at, setting)?,
        None => Rc::clone(file),
    };
    let Some(found) = other.services.iter().find(|e| e.key == wanted.service) else {
        let known = other.services.iter().map(|e| e.key.as_str());
        let message = missing("service", &wanted.service, &other.name, known);
        sources.r.log.error(wanted.at, message);
        return None;
    };
    if !sources.may_copy(&entry.node, entry.at) {
        return None;
    }
    way.push(step);
    let mut below = whole(sources, &other, found, setting, way)?;
    way.pop();
    merge::without_resets(&mut below);
    Some(merge::service(below, without_extends(&entry.node), &entry.key))
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn without_extends(node: &Node) -> Node {
    let mut node = node.clone();
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|e| e.key != "extends");
    }
    node
}

/// `extends: name`, or `extends: {service: name, file: path}`.
fn wanted(sources: &mut Sources<'_, '_>, extends: &Entry, service: &str) -> Option<Wanted> {
    let r = &mut *sources.r;
    r.scope = format!("services.{service}");
    let path = format!("services.{service}.extends");
    r.log.find(extends.at, path, Standing::Honoured, "", "");
    if extends.node.scalar().is_some() {
        let service = r.scalar(&extends.node, "extends", plain)?;
        return Some(Wanted { service, file: None, at: extends.node.at });
    }
    let inner = r.fields(&extends.node, "extends", Section::Extends);
    let file = r.text(&inner, "file");
    let Some(service) = r.text(&inner, "service") else {
        r.log.error(extends.at, "`extends` needs a `service`");
        return None;
    };
    let at = |key: &str| inner.get(key).map_or(extends.at, |n| n.at);
    Some(Wanted { service, at: at("service"), file: file.map(|path| (path, at("file"))) })
}

/// The services of another file. Each file is read once.
fn base(
    sources: &mut Sources<'_, '_>,
    path: &str,
    at: Place,
    setting: &Setting<'_>,
) -> Option<Rc<Base>> {
    if let Some(known) = sources.bases.get(path) {
        return known.clone();
    }
    let read = sources.file(path, at).map(|mut tree| {
        let variables = Variables::Known(setting.variables);
        interpolate::tree(&mut tree, variables, &mut sources.r.log, &mut sources.spent.grown);
        let folder = parent(path);
        rebase::file(&mut tree, &folder);
        let services = tree.entry("services").map(|n| entries(n).to_vec()).unwrap_or_default();
        if services.is_empty() {
            sources.r.log.error(at, format!("there are no services in `{}`", shown(path)));
        }
        Rc::new(Base { name: path.to_owned(), folder, services })
    });
    sources.bases.insert(path.to_owned(), read.clone());
    read
}
