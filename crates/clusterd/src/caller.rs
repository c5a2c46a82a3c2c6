//! Who is calling, and whether they may. The one place where a call is tied to a right.
//!
//! A certificate says who somebody is; what they may do is decided by the cluster's own list of nodes, so
//! a removed node is refused at once and a demoted manager is a worker.

use identity::Peer;
use model::{ClusterId, NodeId, Role};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use tonic::{Code, Request, Status};

/// Key, in the metadata of a refusal, of the node that was removed.
const REMOVED: &str = "cluster-removed";

/// The far end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody on this host who may open the Unix socket.
    Local,
    /// The holder of a certificate of this cluster's authority.
    Certified(Peer),
    /// Somebody without a certificate: may ask to join, nothing else.
    Nobody,
}

/// What a connection says of its far end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FarEnd {
    pub(crate) caller: Caller,
    /// Whom its address counts for; `None` on this host.
    pub(crate) source: Option<IpAddr>,
}

/// What a certified node must be for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// A node of the cluster, whatever its role.
    Node,
    /// A manager.
    Manager,
}

/// The cluster's nodes and their roles, as this node last heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    cluster: ClusterId,
    /// Index of the log at which it was so.
    index: u64,
    /// Empty until the first view or state arrived; until then a certificate's own word counts.
    nodes: BTreeMap<NodeId, Role>,
}

impl Known {
    /// Says that `node`, which is not listed, was removed, where that is certain: its number is the index of
    /// the entry that admitted it, so whoever has seen that entry has seen it leave. It never comes back under
    /// that number.
    fn mark(&self, mut status: Status, node: NodeId) -> Status {
        if self.index >= node.0
            && let Ok(whom) = whom(&self.cluster, node).parse()
        {
            status.metadata_mut().insert(REMOVED, whom);
        }
        status
    }
}

/// Whether a member's refusal says that `node` was removed from `cluster`, for certain.
pub(crate) fn says_removed(status: &Status, cluster: &ClusterId, node: NodeId) -> bool {
    let said = status.metadata().get(REMOVED).and_then(|said| said.to_str().ok());
    status.code() == Code::PermissionDenied && said == Some(&whom(cluster, node))
}

fn whom(cluster: &ClusterId, node: NodeId) -> String {
    format!("{cluster}/{node}")
}

impl Roster {
    /// For a node of `cluster` that has heard nothing yet.
    pub(crate) fn new(cluster: ClusterId) -> Self {
        Self(Arc::new(RwLock::new(Known { cluster, index: 0, nodes: BTreeMap::new() })))
    }

    /// Takes over the list of nodes as it was at an index of the log; an older one is ignored.
    pub(crate) fn learn(&self, index: u64, nodes: impl Iterator<Item = (NodeId, Role)>) {
        let nodes: BTreeMap<NodeId, Role> = nodes.collect();
        let mut known = self.0.write().expect("no panic while held");
        if !nodes.is_empty() && index >= known.index {
            (known.index, known.nodes) = (index, nodes);
        }
    }

    /// The calling node, if it has the right.
    pub(crate) fn node(&self, caller: &Caller, right: Right) -> Result<NodeId, Status> {
        let Caller::Certified(Peer::Node { id, cluster, role }) = caller else {
            return Err(Status::permission_denied("only nodes of the cluster may call this"));
        };
        let known = self.0.read().expect("no panic while held");
        if *cluster != known.cluster {
            return Err(Status::permission_denied("the certificate is from another cluster"));
        }
        let role = match known.nodes.get(id) {
            Some(role) => *role,
            None if known.nodes.is_empty() => *role,
            None => {
                let status = Status::permission_denied(format!(
                    "node {id} is not in the cluster (any more)"
                ));
                return Err(known.mark(status, *id));
            }
        };
        match (right, role) {
            (Right::Node, _) | (Right::Manager, Role::Manager) => Ok(*id),
            (Right::Manager, Role::Worker) => {
                Err(Status::permission_denied(format!("node {id} is not a manager")))
            }
        }
    }

    /// Whether the caller may administer the cluster.
    pub(crate) fn admin(&self, caller: &Caller) -> Result<(), Status> {
        match caller {
            Caller::Local => Ok(()),
            Caller::Certified(Peer::Admin { cluster, .. })
                if *cluster == self.0.read().expect("no panic while held").cluster =>
            {
                Ok(())
            }
            _ => Err(Status::permission_denied("only administrators may call this")),
        }
    }

    /// Managers and administrators: those who may use a node's engine from outside.
    pub(crate) fn operator(&self, caller: &Caller) -> Result<(), Status> {
        self.admin(caller).or_else(|_| self.node(caller, Right::Manager).map(drop))
    }
}

/// Who is at the far end of a request's connection.
pub(crate) fn of<T>(request: &Request<T>) -> Caller {
    far_end(request).map_or(Caller::Nobody, |far| far.caller.clone())
}

/// Where a request came from; `None` when from this host.
pub(crate) fn source<T>(request: &Request<T>) -> Option<IpAddr> {
    far_end(request)?.source
}

fn far_end<T>(request: &Request<T>) -> Option<&FarEnd> {
    request.extensions().get::<FarEnd>()
}

/// Only whoever may open the Unix socket.
pub(crate) fn local<T>(request: &Request<T>) -> Result<(), Status> {
    match of(request) {
        Caller::Local => Ok(()),
        _ => Err(Status::permission_denied("run this on the node itself")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, cluster: &str, role: Role) -> Caller {
        Caller::Certified(Peer::Node { id: NodeId(id), cluster: ClusterId(cluster.into()), role })
    }

    fn roster() -> Roster {
        let roster = Roster::new(ClusterId("ours".into()));
        roster.learn(7, [(NodeId(1), Role::Manager), (NodeId(2), Role::Worker)].into_iter());
        roster.learn(6, [(NodeId(3), Role::Manager)].into_iter());
        roster
    }

    #[test]
    fn attack_01_03_the_list_decides_and_not_the_certificate() {
        let roster = roster();
        let allowed = |caller: &Caller, right| roster.node(caller, right).is_ok();
        assert!(allowed(&node(1, "ours", Role::Manager), Right::Manager));
        assert!(allowed(&node(2, "ours", Role::Worker), Right::Node));
        assert!(!allowed(&node(2, "ours", Role::Manager), Right::Manager), "demoted");
        assert!(!allowed(&node(3, "ours", Role::Manager), Right::Node), "removed");
        assert!(!allowed(&node(1, "theirs", Role::Manager), Right::Node), "foreign");
        assert!(!allowed(&Caller::Nobody, Right::Node));
        assert!(!allowed(&Caller::Local, Right::Node));
    }

    #[test]
    fn a_removal_is_told_from_a_node_that_is_not_known_yet() {
        let roster = roster();
        let refusal = |id| roster.node(&node(id, "ours", Role::Worker), Right::Node).unwrap_err();
        let ours = ClusterId("ours".into());
        assert!(says_removed(&refusal(3), &ours, NodeId(3)), "admitted by entry 3, of 7 seen");
        assert!(!says_removed(&refusal(8), &ours, NodeId(8)), "admitted by an entry not seen yet");
        assert!(!says_removed(&refusal(3), &ours, NodeId(4)), "somebody else");
        assert!(!says_removed(&refusal(3), &ClusterId("new".into()), NodeId(3)));
        let foreign = roster.node(&node(3, "theirs", Role::Worker), Right::Node).unwrap_err();
        assert!(!says_removed(&foreign, &ClusterId("theirs".into()), NodeId(3)));
        assert!(!says_removed(&Status::permission_denied("no"), &ours, NodeId(3)));
    }

    #[test]
    fn attack_01_nodes_are_no_administrators() {
        let roster = roster();
        let admin = |cluster: &str| {
            Caller::Certified(Peer::Admin {
                name: "anna".into(),
                cluster: ClusterId(cluster.into()),
            })
        };
        assert!(roster.admin(&Caller::Local).is_ok());
        assert!(roster.admin(&admin("ours")).is_ok());
        assert!(roster.admin(&admin("theirs")).is_err());
        assert!(roster.admin(&node(1, "ours", Role::Manager)).is_err());
        assert!(roster.operator(&node(1, "ours", Role::Manager)).is_ok());
        assert!(roster.operator(&node(2, "ours", Role::Worker)).is_err());
        assert!(roster.admin(&Caller::Nobody).is_err());
    }
}
