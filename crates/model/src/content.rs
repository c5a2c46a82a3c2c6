//! What services are handed as files: secrets and configurations, in versions that are named after what they
//! hold. A secret is in the state sealed only; nothing here can open one.

use crate::{ContentName, InvalidName, NodeId, State, WallTime, Wanted};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which of the two a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ContentKind {
    /// Confidential: sealed in the state, and only in the memory of the nodes that run its users.
    Secret,
    /// Not confidential.
    Config,
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "secret",
            Self::Config => "config",
        })
    }
}

impl FromStr for ContentKind {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        match s {
            "secret" => Ok(Self::Secret),
            "config" => Ok(Self::Config),
            _ => Err(InvalidName { kind: "kind of content", name: s.escape_debug().to_string() }),
        }
    }
}

/// A secret or config by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContentKey {
    /// Which of the two.
    pub kind: ContentKind,
    /// Its name.
    pub name: ContentName,
}

impl fmt::Display for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// One version of a content: equal contents of a kind have equal versions, in one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContentId {
    /// Of a secret or of a config.
    pub kind: ContentKind,
    /// Digest of the content, hexadecimal. That of a secret is made with the cluster key, so that it cannot be
    /// used to try guesses.
    pub version: String,
}

/// Where what is in a secret or config comes from, as a project says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentSource {
    /// A file of the deployer: its path, as the Compose file says it.
    File(String),
    /// A variable of the deployer: its name.
    Environment(String),
    /// The Compose file itself.
    Written(String),
    /// A secret or config that no project owns: its name.
    External(ContentName),
}

/// A secret or config as a file in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFile {
    /// Which, by its name in the Compose file.
    pub content: ContentKey,
    /// Its name in the cluster, when no project owns it.
    pub external: Option<ContentName>,
    /// Its version; empty until it is deployed.
    pub version: String,
    /// Absolute path inside the container.
    pub target: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, those for writing never among them.
    pub mode: u32,
}

impl GivenFile {
    /// The version that it shows.
    pub fn id(&self) -> ContentId {
        ContentId { kind: self.content.kind, version: self.version.clone() }
    }

    /// The one that no project owns, if it is one.
    pub fn external(&self) -> Option<ContentKey> {
        let name = self.external.clone()?;
        Some(ContentKey { kind: self.content.kind, name })
    }
}

/// A secret that the cluster itself uses on behalf of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GivenSecret {
    /// Its name in the Compose file.
    pub name: ContentName,
    /// Its name in the cluster, when no project owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ContentName>,
    /// Its version; empty until it is deployed.
    pub version: String,
}

impl GivenSecret {
    /// Which it is, in its project.
    pub fn key(&self) -> ContentKey {
        ContentKey { kind: ContentKind::Secret, name: self.name.clone() }
    }

    /// The version that it shows.
    pub fn id(&self) -> ContentId {
        ContentId { kind: ContentKind::Secret, version: self.version.clone() }
    }
}

/// What a service refers to of secrets and configs, in whatever way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referred {
    /// Which, by its name in the Compose file.
    pub key: ContentKey,
    /// The one that no project owns, if it is one.
    pub external: Option<ContentKey>,
    /// The version that it shows.
    pub id: ContentId,
}

impl crate::ServiceSpec {
    /// The secrets and configs that it refers to: as files of its containers, and as certificates.
    pub fn contents(&self) -> impl Iterator<Item = Referred> {
        let file =
            |f: &GivenFile| Referred { key: f.content.clone(), external: f.external(), id: f.id() };
        let external = |name: ContentName| ContentKey { kind: ContentKind::Secret, name };
        let secret = move |s: &GivenSecret| Referred {
            key: s.key(),
            external: s.external.clone().map(external),
            id: s.id(),
        };
        self.container.files.iter().map(file).chain(self.tls_secrets().map(secret))
    }

    /// The secrets of its certificates.
    pub fn tls_secrets(&self) -> impl Iterator<Item = &GivenSecret> {
        self.http.iter().filter_map(|rule| rule.tls.as_ref()).flat_map(|t| [&t.certificate, &t.key])
    }

    /// Notes the version of each secret and config that it refers to.
    pub fn show(&mut self, version: impl Fn(&ContentKey) -> String) {
        for file in &mut self.container.files {
            file.version = version(&file.content);
        }
        for tls in self.http.iter_mut().filter_map(|rule| rule.tls.as_mut()) {
            for secret in [&mut tls.certificate, &mut tls.key] {
                secret.version = version(&secret.key());
            }
        }
    }
}

/// What one version holds. Its `Debug` form shows the length only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The content of a config; that of a secret, sealed with the cluster key.
    pub bytes: Bytes,
    /// Bytes of the content as it was given.
    pub size: u64,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.size)
    }
}

/// Bytes that are stored as such, not as a list of numbers, and cloned for free.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Arc<[u8]>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Read)
    }
}

/// A secret or config that no project owns. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// The version that it is.
    pub version: String,
    /// When it was made, for display.
    pub created: WallTime,
}

/// Making a secret or config that no project owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateContent {
    /// Its name.
    pub key: ContentKey,
    /// Its version.
    pub version: String,
    /// What it holds.
    pub content: Content,
}

/// Why a command about contents was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentRefusal {
    /// There is one of that name.
    Exists(ContentKey),
    /// There is none of that name.
    Missing(ContentKey),
    /// A service uses one that is not there.
    MissingFor {
        /// Which.
        key: ContentKey,
        /// The service.
        service: String,
    },
    /// What a secret or config of the project holds did not come with it.
    NotSent(ContentKey),
    /// Services use it.
    InUse {
        /// Which.
        key: ContentKey,
        /// The services.
        users: Vec<String>,
    },
    /// It is too large, or all of them together are.
    TooLarge {
        /// What.
        what: String,
        /// Bytes that it may have.
        limit: u64,
    },
}

impl fmt::Display for ContentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(key) => write!(
                f,
                "there is a {key} already, and it never changes; make one of another name, name that in the Compose file and deploy"
            ),
            Self::Missing(key) => {
                write!(f, "there is no {key}; `clusterctl {} ls` lists them", key.kind)
            }
            Self::MissingFor { key, service } => write!(
                f,
                "{service} uses the {key}, which does not exist; make it by `clusterctl {} create {} FILE`",
                key.kind, key.name
            ),
            Self::NotSent(key) => {
                write!(f, "the content of {key} did not come with the project; deploy again")
            }
            Self::InUse { key, users } => write!(
                f,
                "{key} is used by {}; deploy without it, or remove what uses it, first",
                users.join(", ")
            ),
            Self::TooLarge { what, limit } => {
                write!(f, "{what} too large: at most {} KiB", limit >> 10)
            }
        }
    }
}

impl State {
    /// What a node may be handed: a version that a task uses which is to run there and has not ended; and what
    /// any service answers over TLS with, because every node answers for all.
    pub fn content_for(&self, node: NodeId, id: &ContentId) -> Option<&Content> {
        let certifies = || {
            let mut secrets = self.services.values().flat_map(|s| s.spec().tls_secrets());
            self.nodes.contains_key(&node) && secrets.any(|secret| secret.id() == *id)
        };
        let uses = self.tasks_on(node).any(|task| {
            let spec = self.service_of(task).spec_of(task.generation);
            let open = task.wanted == Wanted::Run && !task.state.ended();
            open && spec.container.files.iter().any(|file| file.id() == *id)
        });
        self.contents.get(id).filter(|_| uses || certifies())
    }

    /// Services that use one that no project owns, by full name, also while they are being removed.
    pub fn users_of(&self, key: &ContentKey) -> Vec<String> {
        let uses = |spec: &Arc<crate::ServiceSpec>| {
            spec.contents().any(|referred| referred.external.as_ref() == Some(key))
        };
        let services = self.services.values().filter(|s| s.specs.values().any(uses));
        services.map(crate::Service::full_name).collect()
    }
}
