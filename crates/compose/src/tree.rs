//! A Compose file as a tree in which every key and value knows its place. Owns the shape and the small
//! look-ups; never reads text (that is `yaml`) and gives no meaning to keys (that is `keys` and the readers).

/// Where something stands, for complaints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the file, as `Log::file` gave it.
    pub(crate) file: u16,
    /// Line, from 1; 0 for the file as a whole.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
    /// Characters to underline.
    pub(crate) length: u32,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn whole(file: u16) -> Self {
        Self { file, ..Self::default() }
    }
}

/// How a value meets the one below it when files are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Merge {
    /// By the rules of its key.
    #[default]
    Usual,
    /// `!reset`: takes the key away.
    Reset,
    /// `!override`: replaces whatever was there.
    Override,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
    pub(crate) merge: Merge,
}

/// What a node holds. A scalar keeps the text as written (`1.10` stays `1.10`, `017` stays `017`):
/// readers know from the key which type is meant, so YAML's guesses surprise nobody.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(at: Place, value: Value) -> Self {
        Self { at, value, merge: Merge::Usual }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The scalar's text.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|e| e.key == key).map(|e| &e.node)
    }

    /// How many values it holds, itself included; a text counts one more per 32 bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Null => 1,
            Value::Scalar(text) => 1 + text.len() / 32,
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|e| e.node.size()).sum::<usize>(),
        }
    }

    /// Whether another node says the same, wherever it stands; the order of keys says nothing.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar(a), Value::Scalar(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                let other: std::collections::BTreeMap<&str, &Self> =
                    b.iter().map(|e| (e.key.as_str(), &e.node)).collect();
                a.len() == b.len()
                    && a.iter().all(|e| other.get(e.key.as_str()).is_some_and(|n| e.node.same(n)))
            }
            _ => false,
        }
    }

    /// What it holds, in words for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
