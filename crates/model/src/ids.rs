//! Identities and names. Identities come from log indexes and are never reused; names are checked once,
//! when they come in, and are safe to print, to put into a DNS label and to use in a file name ever after.

use crate::limits::NAME_BYTES;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// A node: the index of the log entry that admitted it. Never reused, so a wiped disk cannot come
    /// back under an old vote.
    NodeId
);
number!(
    /// A service: the index of the log entry that created it.
    ServiceId
);

/// A cluster: 32 hexadecimal digits drawn when it is founded.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub String);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A task: the index of the entry that created it, and its position among the tasks of that entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct TaskId {
    /// Log index of the creating entry.
    pub index: u64,
    /// Position among the tasks that the entry created.
    pub position: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.index, self.position)
    }
}

impl FromStr for TaskId {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        let wrong = || InvalidName { kind: "task id", name: s.escape_debug().to_string() };
        let (index, position) = s.split_once('-').ok_or_else(wrong)?;
        Ok(Self {
            index: index.parse().map_err(|_| wrong())?,
            position: position.parse().map_err(|_| wrong())?,
        })
    }
}

/// Identity of a write, drawn by the client: a retried write carries the same one and happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId {
    /// Cluster time at which the client made it; a request stamped too long ago is refused.
    pub stamp: crate::Time,
    /// 128 random bits, as two halves.
    pub high: u64,
    /// The other half.
    pub low: u64,
}

/// A name that breaks the rule: 1 to 63 bytes of `a-z 0-9 - _`, the first one a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    /// What was to be named.
    pub kind: &'static str,
    /// The name, with anything unprintable escaped, cut after 80 characters.
    pub name: String,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not a valid {}: use 1 to {NAME_BYTES} of a-z, 0-9, '-' and '_', starting with a letter or digit",
            self.name, self.kind
        )
    }
}

impl std::error::Error for InvalidName {}

fn valid(name: &str, also: fn(u8) -> bool) -> bool {
    let ok =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_' || also(b);
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && name.bytes().all(ok)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $also:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(s: &str) -> Result<Self, InvalidName> {
                if valid(s, $also) {
                    return Ok(Self(s.into()));
                }
                let shown: String = s.chars().take(80).flat_map(char::escape_default).collect();
                Err(InvalidName { kind: $kind, name: shown })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(s: String) -> Result<Self, InvalidName> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(n: $name) -> Self {
                n.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// Name of a project.
    ProjectName, "project name", |_| false
);
name!(
    /// Name of a service within its project. Compose also allows capitals and dots here.
    ServiceName, "service name", |b| b.is_ascii_uppercase() || b == b'.'
);
name!(
    /// Name of a named volume within its project. Compose also allows capitals and dots here.
    VolumeName, "volume name", |b| b.is_ascii_uppercase() || b == b'.'
);
name!(
    /// Name of a secret or of a config: of one in a Compose file, or of one that no project owns.
    ContentName, "name of a secret or config", |b| b.is_ascii_uppercase() || b == b'.'
);
name!(
    /// Name of a node: what `clusterctl nodes` shows, by default the host's name. Dots are allowed.
    NodeName, "node name", |b| b.is_ascii_uppercase() || b == b'.'
);

/// A named volume of a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VolumeKey {
    /// The project that declares it.
    pub project: ProjectName,
    /// Its name there.
    pub volume: VolumeName,
}

impl fmt::Display for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.project, self.volume)
    }
}

/// One of the copies that a service asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Slot {
    /// Replica number of a replicated service, from 1; stable across restarts.
    Number(u32),
    /// The one copy of a global service on that node.
    Node(NodeId),
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Node(n) => write!(f, "node{n}"),
        }
    }
}
