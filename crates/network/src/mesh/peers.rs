//! What lies behind which node, for carriers that keep tunnels to nodes. Pure.

use crate::picture::PeerEdge;
use model::limits::MESH_PORT;
use model::{MeshKey, MeshView, NodeId, Subnet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Another node of an encrypted mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// How it is known.
    pub key: MeshKey,
    /// Where it is by the cluster's knowledge. It may have moved since.
    pub endpoint: SocketAddr,
    /// The addresses that may be behind it: what comes from it must bear one of them.
    pub subnets: Vec<Subnet>,
}

/// All subnets of a node that something here reaches, each once.
pub fn subnets_of(mesh: &MeshView, node: NodeId) -> impl Iterator<Item = Subnet> + '_ {
    let all = mesh.networks.iter().flat_map(|network| network.reached());
    let of: BTreeSet<Subnet> = all.filter(|(at, _)| *at == node).map(|(_, s)| s).collect();
    of.into_iter()
}

/// The nodes that `here` keeps tunnels to: those that share a network with it, and have a key.
pub fn peers(mesh: &MeshView, here: NodeId, nodes: &[PeerEdge]) -> BTreeMap<NodeId, Peer> {
    let peer = |node: &PeerEdge| {
        let subnets: Vec<Subnet> = subnets_of(mesh, node.id).collect();
        let key = node.mesh_key.filter(|_| node.id != here && !subnets.is_empty())?;
        Some((node.id, Peer { key, endpoint: (node.edge.ip(), MESH_PORT).into(), subnets }))
    };
    nodes.iter().filter_map(peer).collect()
}
