//! Placeholders as Swarm has them, `{{.Task.Slot}}`, in host names, values of the environment and paths of the
//! host. What the file itself knows (`.Service.Name`, `.Service.Labels.NAME`) is put in here, what is known where
//! a replica runs is put in there; what nobody knows is said with its place.

use crate::complaint::shown;
use crate::reader::Reader;
use crate::tree::{Node, Place};
use model::template::{Placeholder, expanded};
use std::collections::BTreeMap;

const NAME: &str = ".Service.Name";
const LABEL: &str = ".Service.Labels.";

/// What the service being read can say of itself.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) service: String,
    /// Those under `deploy`.
    pub(crate) labels: BTreeMap<String, String>,
}

/// A value of the environment. What is unknown stays: it may be meant for the program in the container.
pub(crate) fn loose(r: &mut Reader<'_>, text: String, what: &str, at: Place) -> String {
    if !text.contains("{{") {
        return text;
    }
    let (filled, unknown) = fill(&r.own, &text);
    for name in unknown {
        let why = unknown_name(&name);
        r.log.warn(at, format!("`{what}`: the container gets braces as they are: {why}"));
    }
    filled
}

/// A text in which only placeholders that are known may stand.
pub(crate) fn strict(r: &mut Reader<'_>, text: &str, what: &str, at: Place) -> Option<String> {
    let (filled, unknown) = fill(&r.own, text);
    let others = sample(&filled).contains("{{").then(String::new).filter(|_| unknown.is_empty());
    let mut whole = true;
    for name in unknown.into_iter().chain(others) {
        r.log.error(at, format!("`{what}`: {}", unknown_name(&name)));
        whole = false;
    }
    whole.then_some(filled)
}

/// The same, of a node whose text is right once the placeholders are filled in.
pub(crate) fn checked(
    r: &mut Reader<'_>,
    node: &Node,
    what: &str,
    check: impl Fn(&str) -> Result<String, String>,
) -> Option<String> {
    let text = r.scalar(node, what, |text| Ok(text.to_owned()))?;
    if !text.contains("{{") {
        return r.scalar(node, what, check);
    }
    let filled = strict(r, &text, what, node.at)?;
    match check(&sample(&filled)) {
        Ok(_) => Some(filled),
        Err(expected) => {
            let found = shown(&text);
            r.log.error(node.at, format!("`{what}`: expected {expected}, found `{found}`"));
            None
        }
    }
}

/// The text with something in place of each placeholder.
pub(crate) fn sample(text: &str) -> String {
    expanded(text, |name| Placeholder::named(name).map(|_| "1".to_owned()))
}

/// The text with what the file knows, and what in it is unknown.
fn fill(own: &Own, text: &str) -> (String, Vec<String>) {
    let mut unknown = Vec::new();
    let filled = expanded(text, |name| {
        let value = known(own, name);
        if value.is_none() && Placeholder::named(name).is_none() {
            unknown.push(name.to_owned());
        }
        value
    });
    // A placeholder made of others would be another one each time it is read.
    if expanded(&filled, |name| known(own, name)) == filled {
        (filled, unknown)
    } else {
        (text.to_owned(), vec![String::new()])
    }
}

fn known(own: &Own, name: &str) -> Option<String> {
    if name == NAME {
        return Some(own.service.clone());
    }
    own.labels.get(name.strip_prefix(LABEL)?).cloned()
}

fn unknown_name(name: &str) -> String {
    if name.is_empty() {
        return "these braces hold no placeholder that is known".to_owned();
    }
    if let Some(label) = name.strip_prefix(LABEL) {
        return format!("there is no `{}` among the labels under `deploy`", shown(label));
    }
    let all = Placeholder::ALL.iter().map(|(known, _)| *known).chain([NAME, LABEL]);
    let hint = match crate::words::nearest(name, all) {
        Some(near) => format!("; did you mean `{{{{{near}}}}}`?"),
        None => String::new(),
    };
    format!("there is no placeholder `{{{{{}}}}}`{hint}", shown(name))
}
