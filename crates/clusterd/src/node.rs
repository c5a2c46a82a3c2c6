//! What the parts of a running member share. Made once a node belongs to a cluster.

use crate::caller::Roster;
use crate::config::Config;
use crate::dial::Dialer;
use crate::folder::{Folder, NodeFile};
use crate::managing::Managing;
use crate::tasks::Tasks;
use identity::Tls;
use model::{NodeId, Peer, Role};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::watch;
use tonic::Status;

/// A member of a cluster, as its parts see it.
pub(crate) struct Node {
    pub(crate) config: Arc<Config>,
    pub(crate) folder: Folder,
    pub(crate) tls: Arc<Tls>,
    pub(crate) authority: String,
    pub(crate) roster: Roster,
    pub(crate) dialer: Dialer,
    pub(crate) engine: docker::Engine,
    pub(crate) tasks: Tasks,
    /// Those that last as long as this node is a manager.
    pub(crate) managing_tasks: Tasks,
    /// What it last said of itself.
    pub(crate) told: Mutex<Option<model::Facts>>,
    /// Whether the cluster has removed this node, for certain.
    removed: watch::Sender<bool>,
    file: Mutex<NodeFile>,
    peers: RwLock<Arc<Vec<Peer>>>,
    managing: RwLock<Option<Arc<Managing>>>,
}

impl Node {
    pub(crate) fn new(
        config: Arc<Config>,
        folder: Folder,
        file: NodeFile,
        tls: Arc<Tls>,
        authority: String,
        engine: docker::Engine,
    ) -> Self {
        Self {
            roster: Roster::new(file.cluster.clone()),
            dialer: Dialer::new(Arc::clone(&tls)),
            config,
            folder,
            tls,
            authority,
            engine,
            tasks: Tasks::default(),
            managing_tasks: Tasks::default(),
            told: Mutex::default(),
            removed: watch::Sender::new(false),
            file: Mutex::new(file),
            peers: RwLock::default(),
            managing: RwLock::default(),
        }
    }

    /// Who this node is.
    pub(crate) fn file(&self) -> NodeFile {
        self.file.lock().expect("no panic while held").clone()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.file.lock().expect("no panic while held").node
    }

    /// A member has said that this node was removed.
    pub(crate) fn set_removed(&self) {
        self.removed.send_replace(true);
    }

    /// Completes once this node was removed from the cluster.
    pub(crate) async fn removed(&self) {
        // It cannot be closed: this node holds the sending end.
        let _ = self.removed.subscribe().wait_for(|removed| *removed).await;
    }

    /// The authority's certificate, PEM.
    pub(crate) fn tls_authority(&self) -> String {
        self.authority.clone()
    }

    /// What this node does as a manager; an error a person can act on when it is none.
    pub(crate) fn managing(&self) -> Result<Arc<Managing>, Status> {
        self.managing.read().expect("no panic while held").clone().ok_or_else(|| {
            let managers = managers_of(&self.peers());
            Status::failed_precondition(format!(
                "this node is a worker; ask a manager{managers} (`clusterctl` there, or from here with --context)"
            ))
        })
    }

    pub(crate) fn set_managing(&self, managing: Option<Arc<Managing>>) {
        *self.managing.write().expect("no panic while held") = managing;
    }

    /// The nodes of the cluster, as last heard.
    pub(crate) fn peers(&self) -> Arc<Vec<Peer>> {
        Arc::clone(&self.peers.read().expect("no panic while held"))
    }

    /// Takes over the list of nodes, and keeps the managers' addresses for the next start.
    pub(crate) fn learn(&self, index: u64, peers: &Arc<Vec<Peer>>) -> anyhow::Result<()> {
        self.roster.learn(index, peers.iter().map(|p| (p.id, p.role)));
        if peers.is_empty() || self.peers() == *peers {
            return Ok(());
        }
        *self.peers.write().expect("no panic while held") = Arc::clone(peers);
        let mut file = self.file.lock().expect("no panic while held");
        let mut fresh = file.clone();
        fresh.managers =
            peers.iter().filter(|p| p.role == Role::Manager).map(|p| (p.id, p.control)).collect();
        if let Some(me) = peers.iter().find(|p| p.id == file.node) {
            fresh.role = me.role;
        }
        if fresh != *file {
            self.folder.write_node(&fresh)?;
            *file = fresh;
        }
        Ok(())
    }

    /// Control planes of managers, as last known; this node's own first, when it is one.
    pub(crate) fn managers(&self) -> Vec<(NodeId, SocketAddr)> {
        let file = self.file();
        let mut managers = file.managers.clone();
        managers.sort_by_key(|(id, _)| (*id != file.node, *id));
        managers
    }
}

/// The managers by name and address, as far as they are known: `: host1 (10.0.0.11), ...`.
fn managers_of(peers: &[Peer]) -> String {
    let managers = peers.iter().filter(|p| p.role == Role::Manager);
    let named: Vec<String> = managers.map(|p| format!("{} ({})", p.name, p.control.ip())).collect();
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_names_the_managers() {
        let peer = |n: u64, role| Peer {
            id: NodeId(n),
            name: format!("host{n}").parse().unwrap(),
            role,
            readiness: model::Readiness::Ready,
            control: ([10, 0, 0, 10 + n as u8], 7070).into(),
            edge: ([10, 0, 0, 10 + n as u8], 7071).into(),
            mesh_key: None,
        };
        let peers = [peer(1, Role::Manager), peer(2, Role::Worker), peer(3, Role::Manager)];
        assert_eq!(managers_of(&peers), ": host1 (10.0.0.11), host3 (10.0.0.13)");
        assert_eq!(managers_of(&[]), "");
    }
}
