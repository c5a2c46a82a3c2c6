//! What an edge tells its daemon about itself.

use crate::counters::Counts;
use crate::door::PortState;
use crate::http::HttpCounts;
use crate::picture::Bind;
use model::{ClusterId, NodeId, ProjectName, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An edge at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the program that runs it: an edge may be older than the daemon that feeds it.
    pub version: String,
    /// Its process.
    pub process: u32,
    /// The cluster of its picture; `None` while it has none.
    pub cluster: Option<ClusterId>,
    /// Index of its picture; 0 while it has none.
    pub index: u64,
    /// Every published port.
    pub ports: Vec<PublishedPort>,
    /// The ports that services share for HTTP, while they are open.
    pub shared: Vec<SharedPort>,
    /// What is reached over HTTP.
    pub sites: Vec<HttpSite>,
    /// Every other node that holds replicas behind published ports.
    pub links: Vec<Link>,
    /// What is carried to replicas of this node for other edges.
    pub for_others: Counts,
    /// Connections carried now, those for other edges included.
    pub carried: u64,
    /// How many may be.
    pub limit: u64,
    /// How many were refused because of the limit, or because one client had its share of it.
    pub refused: u64,
    /// Connections to the edge port that did not come from a node of the cluster.
    pub strangers: u64,
    /// What keeps the mesh from being as it should; `None` when nothing does.
    pub mesh_trouble: Option<String>,
}

impl Status {
    /// Published and shared ports that a foreign process holds here.
    pub fn busy_ports(&self) -> BTreeSet<u16> {
        let published = self.ports.iter().map(|p| (&p.state, p.bind.port));
        let all = published.chain(self.shared.iter().map(|p| (&p.state, p.bind.port)));
        all.filter(|(state, _)| **state == PortState::Busy).map(|(_, port)| port).collect()
    }
}

/// A published port as it is served on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The port.
    pub bind: Bind,
    /// Whose it is: the project.
    pub project: ProjectName,
    /// Whose it is: the service.
    pub service: ServiceName,
    /// Whether it is listened on.
    pub state: PortState,
    /// Replicas that are out because they failed.
    pub ejected: usize,
    /// What it has carried since the edge started.
    pub counts: Counts,
}

/// A port that services share for HTTP, on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPort {
    /// The port.
    pub bind: Bind,
    /// Over TLS.
    pub secure: bool,
    /// Whether it is listened on.
    pub state: PortState,
}

/// A port of a service's containers that is reached over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSite {
    /// The project.
    pub project: ProjectName,
    /// The service.
    pub service: ServiceName,
    /// Port in the container.
    pub port: u16,
    /// Replicas that are out because they failed.
    pub ejected: usize,
    /// Requests, and what was carried for them, since the edge started.
    pub counts: Counts,
    /// What came of them.
    pub http: HttpCounts,
}

/// Whether another node's edge can be reached from this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The node.
    pub node: NodeId,
    /// Whether its edge answers.
    pub reachable: bool,
}
