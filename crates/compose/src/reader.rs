//! What every reader of a section shares: the rules of this load, the complaints so far, and typed look-ups
//! that complain by themselves. A look-up that fails says so once and returns nothing; its caller goes on,
//! so that all errors of a file are found at once.

use crate::build::Build;
use crate::card::Standing;
use crate::complaint::{Log, shown, unprintable};
use crate::files::Files;
use crate::keys::{Section, Verdict, table};
use crate::limits::{ITEMS, LABEL_BYTES, LABELS};
use crate::profiles::Profiles;
use crate::secrets::Contents;
use crate::tree::{Entry, Node, Place, Value};
use crate::words;
use model::{ContentKey, Permit, Power, ServiceName, Share};
use std::collections::{BTreeMap, BTreeSet};

/// Reads a file that a Compose file names: `Ok(None)` when there is none, `Err` with the reason when it cannot
/// be read.
pub type Read<'a> = &'a dyn Fn(&str) -> Result<Option<Vec<u8>>, String>;

/// What becomes of a key that the user agreed to lose.
const IGNORED: (Standing, &str, &str) = (Standing::Harmless, "ignored as asked", "");

/// What this load allows and knows.
pub(crate) struct Rules<'a> {
    /// Keys the user agreed to lose.
    pub(crate) ignore: BTreeSet<String>,
    /// Whether whatever hands over the host is let through.
    pub(crate) allow_host: bool,
    /// What else is, by project.
    pub(crate) granted: BTreeMap<String, BTreeSet<Permit>>,
    /// How many nodes could run a service; `None` stands for several.
    pub(crate) nodes: Option<usize>,
    /// Which profiles are active.
    pub(crate) profiles: Profiles,
    /// What only the deployer's machine knows; `None` for a canonical document.
    pub(crate) deployer: Option<Deployer<'a>>,
}

/// The deployer's machine, as far as a file may refer to it.
pub(crate) struct Deployer<'a> {
    /// Files of the project.
    pub(crate) files: Files<'a>,
    /// Variables: the shell's over those of `.env`.
    pub(crate) variables: BTreeMap<String, String>,
    /// What the images are called that were built, by service.
    pub(crate) built: BTreeMap<String, String>,
}

/// The rules and the complaints of one load.
pub(crate) struct Reader<'a> {
    pub(crate) rules: Rules<'a>,
    pub(crate) log: Log,
    /// What is being read, for the report card: `services.web`.
    pub(crate) scope: String,
    /// It is of a service that no active profile wants: judged, but not refused.
    pub(crate) inactive: bool,
    /// Services of the file, and whether a profile wants each.
    pub(crate) services: BTreeMap<String, bool>,
    /// Which service cannot do without which, and where it says so.
    pub(crate) edges: Vec<(String, String, Place)>,
    /// Which service is built upon which, and where it says so.
    pub(crate) together: Vec<(String, ServiceName, Place)>,
    /// What the service being read can say of itself.
    pub(crate) own: crate::templates::Own,
    /// What the service being read uses of others.
    pub(crate) shares: Vec<Share>,
    /// Name of the project.
    pub(crate) project: String,
    /// Images that are to be made.
    pub(crate) builds: Vec<Build>,
    /// Secrets and configs that services which are wanted use.
    pub(crate) handed: BTreeSet<ContentKey>,
    /// What they hold.
    pub(crate) contents: Contents,
    /// What the services ask for of their hosts.
    pub(crate) powers: BTreeSet<Permit>,
    /// It stands inside of something that has been judged as a whole.
    judged: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rules: Rules<'a>, log: Log) -> Self {
        Self {
            rules,
            log,
            scope: String::new(),
            inactive: false,
            services: BTreeMap::new(),
            edges: Vec::new(),
            together: Vec::new(),
            own: crate::templates::Own::default(),
            shares: Vec::new(),
            project: String::new(),
            builds: Vec::new(),
            handed: BTreeSet::new(),
            contents: Contents::default(),
            powers: BTreeSet::new(),
            judged: false,
        }
    }
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

    /// The keys of a map, after a complaint about each that deserves one. Keys that are refused, and those
    /// without effect, are not among them.
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
                Some((_, verdict)) => {
                    fields.entries.insert(key, entry);
                    self.judge(entry, *verdict, section, what);
                }
                None => self.unknown(entry, section),
            }
        }
        fields
    }

    /// The same for what stands inside of a key that has been judged as a whole already: each key gets its
    /// line in the report, and nothing more is said.
    pub(crate) fn fields_within<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        section: Section,
    ) -> Fields<'n> {
        let outer = std::mem::replace(&mut self.judged, true);
        let fields = self.fields(node, what, section);
        self.judged = outer;
        fields
    }

    fn judge(&mut self, entry: &Entry, verdict: Verdict, section: Section, what: &str) {
        let key = &entry.key;
        let path = crate::keys::path(section, &self.scope, what, key);
        let (standing, why, instead) = match verdict {
            // Empty, and switched off, say nothing that could be lost.
            _ if says_nothing(&entry.node) => (Standing::Honoured, "", ""),
            Verdict::Honoured => (Standing::Honoured, "", ""),
            Verdict::Emulated(how) => (Standing::Emulated, how, ""),
            Verdict::Harmless(why) | Verdict::Warned(why) => (Standing::Harmless, why, ""),
            Verdict::Refused(..) if self.rules.ignore.contains(key) => IGNORED,
            Verdict::Refused(why, instead) => (Standing::Refused, why, instead),
        };
        self.log.find(entry.at, path, standing, why, instead);
        match verdict {
            _ if standing == Standing::Honoured || self.judged => {}
            Verdict::Warned(why) => {
                self.log.warn(entry.at, format!("`{key}` has no effect: {why}"));
            }
            Verdict::Refused(why, instead) => self.refusal(entry.at, key, why, instead),
            _ => {}
        }
    }

    /// A refusal that the user may ignore by the key's name.
    fn refusal(&mut self, at: Place, key: &str, why: &str, instead: &str) {
        if self.inactive {
            return;
        }
        if self.rules.ignore.contains(key) {
            self.log.warn(at, format!("`{key}` has no effect: ignored as asked"));
        } else {
            let help = format!("{instead}; or go on without it by `--ignore {key}`");
            self.log.refuse(at, format!("`{key}` is not supported: {why}"), help);
        }
    }

    /// What a value of a key, at its place, comes to: refused unless the key is ignored by name.
    pub(crate) fn refuse_key(&mut self, at: Place, key: &str, why: &str, instead: &str) {
        let path = self.path(key);
        let ignored = self.rules.ignore.contains(key);
        let (standing, reason, advice) =
            if ignored { IGNORED } else { (Standing::Refused, why, instead) };
        self.log.find(at, path, standing, reason, advice);
        self.refusal(at, key, why, instead);
    }

    /// What a value, by intent and not by mistake, asks for in vain: said in words of its own.
    pub(crate) fn refuse_value(&mut self, at: Place, key: &str, message: &str, instead: &str) {
        let path = self.path(key);
        self.log.find(at, path, Standing::Refused, message, instead);
        if !self.inactive {
            self.log.refuse(at, message, instead);
        }
    }

    /// Keys of a file that are gone once files are put together.
    pub(crate) fn not_canonical(&mut self, fields: &Fields<'_>, keys: &[&str]) {
        for key in keys.iter().filter(|_| self.rules.deployer.is_none()) {
            if let Some(at) = fields.at(key) {
                self.log.error(at, format!("a canonical document has no `{key}`"));
            }
        }
    }

    /// What would hand a container the host: refused unless it is allowed, with the command that grants it.
    pub(crate) fn hands_over(&mut self, at: Place, key: &str, message: &str) {
        self.needs(at, key, Permit::whole(power(key)), message);
    }

    /// The same of a single value of a key, as it can be granted without the others.
    pub(crate) fn hands_over_value(&mut self, at: Place, key: &str, value: &str, message: &str) {
        self.needs(at, key, Permit::of(power(key), value), message);
    }

    fn needs(&mut self, at: Place, key: &str, permit: Permit, message: &str) {
        let (project, words) = (&self.project, model::listed([&permit]));
        let help = format!(
            "whoever uses it rules the host; if that is meant, grant it: `clusterctl policy grant -p {project} {words}`, or deploy with `--allow-host`, which does that too"
        );
        let path = self.path(key);
        self.log.find(at, path, Standing::NeedsFlag, message, &help);
        if self.inactive {
            return;
        }
        let granted = self.rules.granted.get(&self.project).is_some_and(|g| permit.is_among(g));
        self.powers.insert(permit);
        if !self.rules.allow_host && !granted {
            self.log.refuse(at, message, help);
        }
    }

    /// What a value of a key comes to, when it is less than the key's own verdict.
    pub(crate) fn harmless(&mut self, at: Place, key: &str, why: &str) {
        let path = self.path(key);
        self.log.find(at, path, Standing::Harmless, why, "");
        if !self.inactive {
            self.log.warn(at, format!("`{key}` has no effect: {why}"));
        }
    }

    /// What a value of a key comes to, when the same is reached in another way.
    pub(crate) fn emulated(&mut self, at: Place, key: &str, how: &str) {
        let path = self.path(key);
        self.log.find(at, path, Standing::Emulated, how, "");
    }

    /// A key of what is being read.
    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.scope)
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

    /// The items of a list, or a single one, each read by `parse`.
    pub(crate) fn list<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(node) = fields.get(key) else { return Vec::new() };
        let items = self.items(node, key, true);
        items.iter().filter_map(|item| self.scalar(item, key, &parse)).collect()
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
            } else if key.len().max(value.len()) > LABEL_BYTES {
                let (key, most) = (shown(&key), LABEL_BYTES);
                self.log.error(
                    at,
                    format!("`{what}`: `{key}` or its value is longer than {most} bytes"),
                );
            } else {
                labels.insert(key, value);
            }
        }
        if labels.len() > LABELS {
            let most = LABELS;
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
    if text.len() > LABEL_BYTES {
        return Err(format!("at most {LABEL_BYTES} bytes"));
    }
    Ok(text.to_owned())
}

fn power(key: &str) -> Power {
    key.parse().expect("whatever hands over the host is a power by its key")
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
