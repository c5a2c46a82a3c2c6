//! What every reader of a section shares: the rules of this load, the complaints so far, and typed look-ups
//! that complain by themselves. A look-up that fails says so once and returns nothing; its caller goes on,
//! so that all errors of a file are found at once.

use crate::complaint::{Log, shown, unprintable};
use crate::keys::{Section, Verdict, table};
use crate::tree::{Entry, Node, Place, Value};
use crate::words;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the name of a variable or label. YAML reads a key of at most 1,024 characters, escapes included.
pub(crate) const KEY_BYTES: usize = 255;

/// Entries of one list of a service.
const ITEMS: usize = 1_024;

/// Reads a file that a Compose file names: `Ok(None)` when there is none, `Err` with the reason when it cannot
/// be read.
pub type Read<'a> = &'a dyn Fn(&str) -> Result<Option<Vec<u8>>, String>;

/// What this load allows and knows.
pub(crate) struct Rules<'a> {
    /// Keys the user agreed to lose.
    pub(crate) ignore: BTreeSet<String>,
    /// Whether mounts may hand over the host and files may come from outside the project.
    pub(crate) allow_host: bool,
    /// How many nodes could run a service.
    pub(crate) nodes: Option<usize>,
    /// What only the deployer's machine knows; `None` for a canonical document.
    pub(crate) deployer: Option<Deployer<'a>>,
}

/// The deployer's machine, as far as a file may refer to it.
pub(crate) struct Deployer<'a> {
    /// Absolute path of the project folder.
    pub(crate) folder: &'a str,
    /// Variables: the shell's over those of `.env`.
    pub(crate) variables: BTreeMap<String, String>,
    /// Files of the project.
    pub(crate) read: Read<'a>,
}

/// The rules and the complaints of one load.
pub(crate) struct Reader<'a> {
    pub(crate) rules: Rules<'a>,
    pub(crate) log: Log,
}

/// The honoured keys of one map.
pub(crate) struct Fields<'n> {
    entries: BTreeMap<&'n str, &'n Entry>,
    /// The map.
    pub(crate) at: Place,
}

impl<'n> Fields<'n> {
    /// The value of a key, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.get(key).map(|e| &e.node).filter(|n| !n.is_null())
    }

    /// Where the key stands.
    pub(crate) fn at(&self, key: &str) -> Option<Place> {
        self.entries.get(key).filter(|e| !e.node.is_null()).map(|e| e.at)
    }
}

impl Reader<'_> {
    /// The entries of a map; an empty value counts as an empty map.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.log.error(node.at, format!("`{what}`: expected a map, found {}", node.kind()));
                &[]
            }
        }
    }

    /// The honoured keys of a map, after a complaint about each of the others that deserves one.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        section: Section,
    ) -> Fields<'n> {
        let mut fields = Fields { entries: BTreeMap::new(), at: node.at };
        for entry in self.map(node, what) {
            let key = entry.key.as_str();
            if key.starts_with("x-") {
                // Only this product's own extension is looked at, by those who know it.
                if key == "x-cluster" {
                    fields.entries.insert(key, entry);
                }
                continue;
            }
            match table(section).iter().find(|(name, _)| *name == key) {
                Some((_, Verdict::Honoured)) => {
                    fields.entries.insert(key, entry);
                }
                Some((_, verdict)) => self.judge(entry, *verdict),
                None => self.unknown(entry, section),
            }
        }
        fields
    }

    fn judge(&mut self, entry: &Entry, verdict: Verdict) {
        let key = &entry.key;
        match verdict {
            // Empty, and switched off, say nothing that could be lost.
            _ if says_nothing(&entry.node) => {}
            Verdict::Warned(why) => {
                self.log.warn(entry.at, format!("`{key}` has no effect: {why}"));
            }
            Verdict::Refused(_) if self.rules.ignore.contains(key) => {
                self.log.warn(entry.at, format!("`{key}` has no effect: ignored as asked"));
            }
            Verdict::Refused(why) => self.log.refuse(
                entry.at,
                format!("`{key}` is not supported yet: {why}"),
                format!("remove it, or go on without it by `--ignore {key}`"),
            ),
            Verdict::Honoured | Verdict::Harmless => {}
        }
    }

    fn unknown(&mut self, entry: &Entry, section: Section) {
        let key = shown(&entry.key);
        match self.near(&entry.key, table(section).iter().map(|(name, _)| *name)) {
            Some(near) => {
                self.log.error(entry.at, format!("unknown key `{key}`; did you mean `{near}`?"));
            }
            None => self.log.error(entry.at, format!("unknown key `{key}`")),
        }
    }

    /// The name that was probably meant; not looked for once nobody would be told.
    pub(crate) fn near<'c>(
        &self,
        word: &str,
        candidates: impl Iterator<Item = &'c str>,
    ) -> Option<&'c str> {
        if self.log.full() { None } else { words::nearest(word, candidates) }
    }

    /// A refusal that the user may ignore by the key's name. True when it stays a refusal.
    pub(crate) fn refuse_key(&mut self, at: Place, key: &str, why: &str) -> bool {
        let refused = !self.rules.ignore.contains(key);
        if refused {
            self.log.refuse(
                at,
                format!("`{key}` is not supported yet: {why}"),
                format!("remove it, or go on without it by `--ignore {key}`"),
            );
        } else {
            self.log.warn(at, format!("`{key}` has no effect: ignored as asked"));
        }
        refused
    }

    /// A scalar read by `parse`, whose error says what it expected.
    pub(crate) fn value<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let node = fields.get(key)?;
        self.scalar(node, key, parse)
    }

    /// The same, of a node that has been found already.
    pub(crate) fn scalar<T>(
        &mut self,
        node: &Node,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(text) = node.scalar() else {
            self.log.error(
                node.at,
                format!("`{what}`: expected a single value, found {}", node.kind()),
            );
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(expected) => {
                let found = shown(text);
                self.log.error(node.at, format!("`{what}`: expected {expected}, found `{found}`"));
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        self.value(fields, key, |text| {
            words
                .iter()
                .find(|(w, _)| *w == text)
                .map(|(_, t)| *t)
                .ok_or_else(|| one_of(text, words))
        })
    }

    /// A short text for people or the engine: no control characters, no more than a label may have.
    pub(crate) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        self.value(fields, key, plain)
    }

    /// Whether a switch is on.
    pub(crate) fn flag(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        self.value(fields, key, crate::scalar::boolean)
    }

    /// The items of a list; a single value counts as a list of one where `single` allows it.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, what: &str, single: bool) -> &'n [Node] {
        match &node.value {
            Value::List(items) if items.len() > ITEMS => {
                self.log.error(node.at, format!("`{what}`: more than {ITEMS} entries"));
                &[]
            }
            Value::List(items) => items,
            Value::Scalar(_) if single => std::slice::from_ref(node),
            Value::Null => &[],
            _ => {
                self.log
                    .error(node.at, format!("`{what}`: expected a list, found {}", node.kind()));
                &[]
            }
        }
    }

    /// Complains when more came together than a list of the canonical document may have.
    pub(crate) fn at_most_items(&mut self, at: Place, what: &str, count: usize) {
        if count > ITEMS {
            self.log.error(at, format!("`{what}`: more than {ITEMS} entries"));
        }
    }

    /// A map, or a list of `key=value`; a key without a value has none.
    pub(crate) fn pairs(&mut self, node: &Node, what: &str) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = Vec::new();
        if let Value::Map(entries) = &node.value {
            for entry in entries {
                let value = match &entry.node.value {
                    Value::Null => None,
                    _ => match self.scalar(&entry.node, what, |s| Ok(s.to_owned())) {
                        Some(value) => Some(value),
                        None => continue,
                    },
                };
                pairs.push(Pair { key: entry.key.clone(), value, at: entry.at });
            }
            return pairs;
        }
        if node.scalar().is_some() {
            self.log.error(node.at, format!("`{what}`: expected a map or a list of `KEY=value`"));
            return pairs;
        }
        for item in self.items(node, what, false) {
            let Some(text) = self.scalar(item, what, |s| Ok(s.to_owned())) else { continue };
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (text, None),
            };
            pairs.push(Pair { key, value, at: item.at });
        }
        pairs
    }

    /// Pairs as labels have them: clean keys, within the limits, an absent value is an empty one.
    pub(crate) fn labels(&mut self, node: &Node, what: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for Pair { key, value, at } in self.pairs(node, what) {
            let value = value.unwrap_or_default();
            if key.is_empty() || key.contains(unprintable) {
                let key = shown(&key);
                self.log.error(at, format!("`{what}`: `{key}` is empty or has control characters"));
            } else if key.len().max(value.len()) > model::limits::LABEL_BYTES {
                let (key, most) = (shown(&key), model::limits::LABEL_BYTES);
                self.log.error(
                    at,
                    format!("`{what}`: `{key}` or its value is longer than {most} bytes"),
                );
            } else {
                labels.insert(key, value);
            }
        }
        if labels.len() > model::limits::LABELS {
            let most = model::limits::LABELS;
            self.log.error(node.at, format!("`{what}`: more than {most} entries"));
        }
        labels
    }
}

/// A key, its value if it has one, and its place.
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) at: Place,
}

/// A text without control characters, of a label's length at most.
pub(crate) fn plain(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(unprintable) {
        return Err("a text without control characters".to_owned());
    }
    if text.len() > model::limits::LABEL_BYTES {
        return Err(format!("at most {} bytes", model::limits::LABEL_BYTES));
    }
    Ok(text.to_owned())
}

fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Scalar(text) => text == "false",
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
    }
}

fn one_of<T>(text: &str, words: &[(&str, T)]) -> String {
    let all: Vec<String> = words.iter().map(|(w, _)| format!("`{w}`")).collect();
    match words::nearest(text, words.iter().map(|(w, _)| *w)) {
        Some(near) => format!("one of {} (did you mean `{near}`?)", all.join(", ")),
        None => format!("one of {}", all.join(", ")),
    }
}
