//! One host: before it belongs to a cluster, while it does, and after it left.

use crate::config::Config;
use crate::folder::Folder;
use crate::member::Member;
use std::sync::{Arc, RwLock};
use tokio::sync::Mutex;
use tonic::Status;

/// A host that runs the daemon.
pub(crate) struct Host {
    pub(crate) config: Arc<Config>,
    pub(crate) folder: Folder,
    /// Held while the host founds, joins or leaves a cluster.
    pub(crate) changing: Mutex<()>,
    member: RwLock<Option<Arc<Member>>>,
    /// Why this host cannot take part under the identity it has.
    broken: RwLock<Option<String>>,
}

impl Host {
    pub(crate) fn new(config: Arc<Config>, folder: Folder) -> Arc<Self> {
        Arc::new(Self {
            config,
            folder,
            changing: Mutex::default(),
            member: RwLock::default(),
            broken: RwLock::default(),
        })
    }

    /// The member this host is; an error a person can act on when it is none.
    pub(crate) fn member(&self) -> Result<Arc<Member>, Status> {
        self.member.read().expect("no panic while held").clone().ok_or_else(|| self.nobody())
    }

    fn nobody(&self) -> Status {
        match &*self.broken.read().expect("no panic while held") {
            Some(why) => Status::failed_precondition(why.clone()),
            None => Status::failed_precondition(
                "this host belongs to no cluster yet: found one with `clusterctl init`, or join one with `clusterctl join`",
            ),
        }
    }

    /// Whether this host waits to come back under a new identity.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.read().expect("no panic while held").is_some()
    }

    /// Notes, or forgets, why this host cannot take part.
    pub(crate) fn set_broken(&self, why: Option<String>) {
        *self.broken.write().expect("no panic while held") = why;
    }

    pub(crate) fn set_member(&self, member: Option<Arc<Member>>) {
        *self.member.write().expect("no panic while held") = member;
    }
}
