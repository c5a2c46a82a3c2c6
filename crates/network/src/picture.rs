//! The picture: all that an edge serves from. Cut out of a view by the daemon, kept on disk by the edge.
//! Nothing here touches a disk or a socket.

use crate::dns::Names;
use model::{
    Assignment, Backend, ClusterId, MeshKey, MeshView, NodeId, Protocol, Readiness, Route, Site,
    TaskId, View,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What an edge serves from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node whose edge this is for.
    pub node: NodeId,
    /// Log index of the view it was cut from. Within one cluster an edge never goes back.
    pub index: u64,
    /// Published TCP ports of the whole cluster and who answers them.
    pub routes: Arc<Vec<Route>>,
    /// The same of UDP. Absent in what an older daemon sent.
    #[serde(default)]
    pub datagrams: Arc<Vec<Route>>,
    /// What is reached over HTTP in the whole cluster. Absent in what an older daemon sent.
    #[serde(default)]
    pub sites: Arc<Vec<Site>>,
    /// All nodes, itself included.
    pub nodes: Vec<PeerEdge>,
    /// The network that containers share across hosts. Absent without one, and in what an older build wrote.
    #[serde(default)]
    pub mesh: Option<MeshView>,
    /// Name servers of containers here whose service names its own, by address of the container.
    #[serde(default)]
    pub resolvers: BTreeMap<Ipv4Addr, Vec<IpAddr>>,
}

/// What an edge knows of another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEdge {
    /// The node.
    pub id: NodeId,
    /// Where its edge takes connections from other edges.
    pub edge: SocketAddr,
    /// The leader's verdict.
    pub readiness: Readiness,
    /// How it is known on an encrypted mesh. Absent in what an older build wrote.
    #[serde(default)]
    pub mesh_key: Option<MeshKey>,
}

impl From<&View> for Picture {
    fn from(view: &View) -> Self {
        let nodes = view.nodes.iter();
        let nodes = nodes.map(|n| PeerEdge {
            id: n.id,
            edge: n.edge,
            readiness: n.readiness,
            mesh_key: n.mesh_key,
        });
        Self {
            cluster: view.cluster.clone(),
            node: view.node,
            index: view.index,
            routes: Arc::clone(&view.routes),
            datagrams: Arc::clone(&view.datagrams),
            sites: Arc::clone(&view.sites),
            nodes: nodes.collect(),
            mesh: view.mesh.clone(),
            resolvers: view.tasks.iter().filter_map(resolvers).collect(),
        }
    }
}

/// The name servers that a service names for its containers, if it does.
fn resolvers(task: &Assignment) -> Option<(Ipv4Addr, Vec<IpAddr>)> {
    let servers = task.spec.container.engine.dns.iter().filter_map(|s| s.parse().ok());
    let servers: Vec<IpAddr> = servers.collect();
    (!servers.is_empty() && !task.state.ended()).then_some((task.attachment?.address, servers))
}

impl Picture {
    /// Whether this one may take the place of `other`: it is of another cluster (one founded anew from a
    /// survivor, say) or for another node of it, or not older.
    pub fn supersedes(&self, other: &Self) -> bool {
        self.cluster != other.cluster || self.node != other.node || self.index >= other.index
    }

    /// Published ports of both transports.
    pub(crate) fn ports(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().chain(self.datagrams.iter())
    }

    /// The nodes other than its own that hold a replica behind a published port, with their addresses.
    pub(crate) fn remotes(&self) -> BTreeMap<NodeId, SocketAddr> {
        let behind_ports = self.ports().flat_map(|r| &r.backends);
        let behind = behind_ports.chain(self.sites.iter().flat_map(|s| &s.backends));
        let holders: BTreeSet<NodeId> = behind.map(|b| b.node).collect();
        let remote = |n: &&PeerEdge| n.id != self.node && holders.contains(&n.id);
        self.nodes.iter().filter(remote).map(|n| (n.id, n.edge)).collect()
    }
}

/// A published port as the edge listens on it. Ordered by port, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bind {
    /// The port.
    pub port: u16,
    /// The address; all of the host when absent.
    pub address: Option<IpAddr>,
    /// Transport.
    #[serde(default)]
    pub protocol: Protocol,
}

impl Bind {
    /// A TCP port.
    pub fn tcp(port: u16, address: Option<IpAddr>) -> Self {
        Self { port, address, protocol: Protocol::Tcp }
    }
}

impl From<model::Port> for Bind {
    fn from(port: model::Port) -> Self {
        Self { port: port.published, address: port.host_ip, protocol: port.protocol }
    }
}

impl std::fmt::Display for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
            None => write!(f, "{}", self.port),
        }?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

/// A picture in force, with what other edges may ask of it.
#[derive(Debug)]
pub(crate) struct Current {
    /// The picture; `None` until there has been one.
    pub(crate) picture: Option<Picture>,
    /// What names stand for on the mesh.
    pub(crate) names: Names,
    local: BTreeMap<(TaskId, u16, Protocol), (IpAddr, bool)>,
    nodes: BTreeMap<NodeId, Readiness>,
}

impl Current {
    pub(crate) fn new(picture: Option<Picture>) -> Self {
        let local = picture.iter().flat_map(local).collect();
        let nodes = picture.iter().flat_map(|p| &p.nodes).map(|n| (n.id, n.readiness)).collect();
        let mesh = picture.as_ref().and_then(|p| Some((p.mesh.as_ref()?, p.node)));
        let names = mesh.map(|(mesh, node)| Names::new(mesh, node)).unwrap_or_default();
        Self { picture, names, local, nodes }
    }

    /// Index of the picture; 0 while there is none.
    pub(crate) fn index(&self) -> u64 {
        self.picture.as_ref().map_or(0, |p| p.index)
    }

    /// The address of a replica of this node that answers a published port with `target`, and whether it
    /// may get new connections. The only addresses that another edge can have dialled.
    pub(crate) fn local(
        &self,
        task: TaskId,
        target: u16,
        protocol: Protocol,
    ) -> Option<(SocketAddr, bool)> {
        let (address, serving) = self.local.get(&(task, target, protocol))?;
        Some((SocketAddr::new(*address, target), *serving))
    }

    /// The address of this host on the network of a container of another one: from there, and from nowhere else
    /// on this host, the container can be reached as it is. `None` where the two share no network.
    pub(crate) fn doorway(&self, node: NodeId, container: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V4(container) = container else { return None };
        let picture = self.picture.as_ref()?;
        picture.mesh.as_ref()?.networks.iter().find_map(|network| {
            let there = network.subnets.get(&node)?.contains(container);
            let here = network.subnets.get(&picture.node).filter(|_| there)?;
            Some(here.gateway())
        })
    }

    /// Whether `node` is one of `cluster`, and `cluster` is ours.
    pub(crate) fn admits(&self, cluster: &ClusterId, node: NodeId) -> bool {
        self.picture.as_ref().is_some_and(|p| p.cluster == *cluster)
            && self.nodes.contains_key(&node)
    }

    /// Whether the cluster has given `node` up, or never had it.
    pub(crate) fn lost(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_none_or(|readiness| *readiness == Readiness::Lost)
    }
}

/// A replica of this node by its port, with its address and whether it may get new connections.
type Here = ((TaskId, u16, Protocol), (IpAddr, bool));

fn local(picture: &Picture) -> impl Iterator<Item = Here> + '_ {
    let here = move |b: &&Backend| b.node == picture.node;
    let place = |port: u16, protocol: Protocol| {
        move |b: &Backend| ((b.task, b.target.unwrap_or(port), protocol), (b.address, b.serving))
    };
    let ports =
        picture.ports().map(|route| (&route.backends, route.port.target, route.port.protocol));
    let sites = picture.sites.iter().map(|site| (&site.backends, site.port, Protocol::Tcp));
    let all = ports.chain(sites);
    all.flat_map(move |(backends, port, protocol)| {
        backends.iter().filter(here).map(place(port, protocol))
    })
}
