//! One host: before it belongs to a cluster, while it does, and after it left.

use crate::config::Config;
use crate::folder::Folder;
use crate::member::Member;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use tokio::sync::Mutex;
use tonic::Status;

/// A host that runs the daemon.
pub(crate) struct Host {
    pub(crate) config: Arc<Config>,
    pub(crate) folder: Folder,
    /// Held while the host founds, joins or leaves a cluster.
    pub(crate) changing: Mutex<()>,
    member: RwLock<Option<Arc<Member>>>,
    absence: RwLock<Option<Absence>>,
}

/// Why a host that was a node is none at the moment.
enum Absence {
    /// It cannot take part under the identity it has, because of this.
    Broken(String),
    /// The cluster removed it.
    Removed,
}

impl Host {
    pub(crate) fn new(config: Arc<Config>, folder: Folder) -> Arc<Self> {
        Arc::new(Self {
            config,
            folder,
            changing: Mutex::default(),
            member: RwLock::default(),
            absence: RwLock::default(),
        })
    }

    /// The member this host is; an error a person can act on when it is none.
    pub(crate) fn member(&self) -> Result<Arc<Member>, Status> {
        self.member.read().expect("no panic while held").clone().ok_or_else(|| self.nobody())
    }

    fn nobody(&self) -> Status {
        Status::failed_precondition(match &*self.absence() {
            Some(Absence::Broken(why)) => why.clone(),
            Some(Absence::Removed) => "this node was removed from the cluster: its containers were stopped, its named volumes are kept; `clusterctl join` brings it back as a new node".into(),
            None => "this host belongs to no cluster yet: found one with `clusterctl init`, or join one with `clusterctl join`".into(),
        })
    }

    fn absence(&self) -> RwLockReadGuard<'_, Option<Absence>> {
        self.absence.read().expect("no panic while held")
    }

    /// Whether this host waits to come back under a new identity.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(*self.absence(), Some(Absence::Broken(_)))
    }

    /// Whether the cluster removed this host, which has belonged to none since.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(*self.absence(), Some(Absence::Removed))
    }

    /// Notes, or forgets, why this host cannot take part.
    pub(crate) fn set_broken(&self, why: Option<String>) {
        *self.absence.write().expect("no panic while held") = why.map(Absence::Broken);
    }

    /// Notes, or forgets, that the cluster removed this host.
    pub(crate) fn set_removed(&self, removed: bool) {
        *self.absence.write().expect("no panic while held") = removed.then_some(Absence::Removed);
    }

    /// Makes this host a member, or none.
    pub(crate) fn set_member(&self, member: Option<Arc<Member>>) {
        if member.is_some() {
            self.set_broken(None);
        }
        *self.member.write().expect("no panic while held") = member;
    }
}
