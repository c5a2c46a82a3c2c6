//! Hosts that come and go: joined, removed, wiped. A number is never used again: a host whose disk was lost, or that
//! was removed, comes back as another node.

use crate::cluster::{Cluster, Happening};
use crate::engine::{Engine, Mode};
use crate::host::{Host, Standing};
use crate::log::{Commit, Replica};
use agent::ContainerId;
use model::{NodeId, Outcome, Role};

/// How long a host takes from the answer to its request to its first start, in milliseconds.
const ARRIVES: u64 = 500;

impl Cluster {
    /// Whoever was admitted just now is about to come.
    pub(crate) fn admitted(&mut self, commit: &Commit) {
        let Some(Outcome::Joined { node }) = commit.outcome else { return };
        let Some(role) = self.log.state.nodes.get(&node).map(|n| n.role) else { return };
        if self.hosts.contains_key(&node) {
            return;
        }
        self.hosts.insert(node, Host::new(node, role));
        if role == Role::Manager {
            self.log.replicas.insert(node, Replica::empty(self.now));
        }
        self.queue.push(self.now + ARRIVES, Happening::Starts { node });
    }

    /// A host loses its power, its disk and all that was on it.
    pub(crate) fn wipe(&mut self, node: NodeId) {
        self.crash(node);
        self.log.replicas.remove(&node);
        self.invariants.wiped(node);
        if let Some(host) = self.hosts.get_mut(&node) {
            host.standing = Standing::Wiped;
            host.snapshot = None;
            host.engine = Engine::new(node);
            host.engine.mode = Mode::Stopped;
        }
    }

    /// Whether a manager that this node reaches knows for certain that it was removed.
    pub(crate) fn is_told_of_its_removal(&self, node: NodeId) -> bool {
        self.log.replicas.iter().any(|(manager, replica)| {
            let knows = replica.state.index >= node.0 && !replica.state.nodes.contains_key(&node);
            knows && self.lives(*manager) && self.network.joined(*manager, node)
        })
    }

    /// A node that was removed stops its containers and ends.
    pub(crate) fn go(&mut self, node: NodeId) {
        self.kill_daemon(node);
        let Some(host) = self.hosts.get_mut(&node) else { return };
        host.standing = Standing::Gone;
        let ids: Vec<ContainerId> = host.engine.containers.keys().cloned().collect();
        for id in ids {
            host.engine.end(&id, 0);
            host.engine.containers.remove(&id);
        }
        self.note(&format_args!("{node} has left"));
    }
}
