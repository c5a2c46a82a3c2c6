//! A node: what the user wishes of it, what the cluster thinks of it, what it says of itself. Three
//! writers, three groups of fields, never one enum.

use crate::{MeshKey, NodeId, NodeName, Time};
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Holds the log; may vote and lead. Runs containers too.
    Manager,
    /// Runs containers only.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Manager => "manager",
            Self::Worker => "worker",
        })
    }
}

/// The user's wish for a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Availability {
    /// Gets replicas.
    #[default]
    Active,
    /// Keeps what it has, gets nothing new.
    Pause,
    /// Is emptied.
    Drain,
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        })
    }
}

/// The verdict of the leader's failure detector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Readiness {
    /// Heard.
    #[default]
    Ready,
    /// Silent for a while: out of ingress, nothing restarts.
    Suspect,
    /// Silent for longer: its stateless replicas are replaced.
    Lost,
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
        })
    }
}

/// What a node says of itself, when it joins and whenever it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Processor time, in thousandths of a core.
    pub milli_cpus: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Processor time kept for the system itself.
    pub kept_milli_cpus: u64,
    /// Memory kept for the system itself.
    pub kept_memory: u64,
    /// Operating system, as the engine names it (`linux`).
    pub os: String,
    /// Architecture, as Go and the engine name it (`amd64`, `arm64`).
    pub arch: String,
    /// Version of the engine; empty when it never answered.
    pub engine: String,
    /// Version of the daemon.
    pub version: String,
    /// Highest feature level it understands.
    pub level: u32,
    /// Memory that is really left, quantised, reported at most once in 30 s.
    pub memory_free: u64,
    /// The disk under the engine is nearly full: nothing new is placed.
    pub disk_pressure: bool,
    /// The engine answers. When it does not, nothing new is placed.
    pub engine_ready: bool,
    /// Published ports that a foreign process holds here.
    pub busy_ports: OrdSet<u16>,
    /// Ports on which it answers requests over HTTP for all services. Empty in what an older build says: then
    /// the usual ones.
    #[serde(default, skip_serializing_if = "OrdSet::is_empty")]
    pub shared_ports: OrdSet<u16>,
    /// Index of the newest view the agent has seen.
    pub view_index: u64,
    /// How it is known on an encrypted mesh. Absent in what an older build says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh_key: Option<MeshKey>,
}

/// A machine that runs the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its identity.
    pub id: NodeId,
    /// Its name, unique in the cluster.
    pub name: NodeName,
    /// Manager or worker.
    pub role: Role,
    /// Where the others reach it.
    pub address: IpAddr,
    /// Port of its control plane.
    pub control_port: u16,
    /// Port of its edge.
    pub edge_port: u16,
    /// SHA-256 of the public key it joined with, in hexadecimal: joining again with it is the same join.
    pub key_digest: String,
    /// When it joined.
    pub joined: Time,

    /// The user's wish.
    pub availability: Availability,
    /// Set by the user.
    pub labels: OrdMap<String, String>,

    /// The leader's verdict.
    pub readiness: Readiness,
    /// Since when.
    pub readiness_since: Time,
    /// How often it was lost lately; a returning node must be heard steadily for the longer.
    pub flaps: u32,

    /// What it says of itself.
    pub facts: Facts,
    /// When it last said how much memory is left.
    pub facts_at: Time,
    /// Since when its engine does not answer.
    pub engine_out_since: Option<Time>,
    /// A planned stop: not lost before then while its host answers.
    pub away_until: Option<Time>,
}

impl Node {
    /// Where its control plane listens.
    pub fn control(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.control_port)
    }

    /// Where its edge listens.
    pub fn edge(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.edge_port)
    }

    /// Memory that replicas may use, in bytes.
    pub fn usable_memory(&self) -> u64 {
        self.facts.memory.saturating_sub(self.facts.kept_memory)
    }

    /// Processor time that replicas may use, in thousandths of a core.
    pub fn usable_milli_cpus(&self) -> u64 {
        self.facts.milli_cpus.saturating_sub(self.facts.kept_milli_cpus)
    }

    /// Whether it announced a planned stop that is not over.
    pub fn away(&self, now: Time) -> bool {
        self.away_until.is_some_and(|until| now < until)
    }
}
