//! Where connections to published ports may go: the part of a view that the edge serves from.

use crate::{NodeId, Port, ProjectName, ServiceName, TaskId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A published port and who answers it. The same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The project.
    pub project: ProjectName,
    /// The service.
    pub service: ServiceName,
    /// The port.
    pub port: Port,
    /// Replicas that may answer, or still hold connections.
    pub backends: Vec<Backend>,
}

impl Route {
    /// The port at which a replica behind this route answers.
    pub fn target(&self, backend: &Backend) -> u16 {
        backend.target.unwrap_or(self.port.target)
    }
}

/// A replica behind a published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The task.
    pub task: TaskId,
    /// Its node, whose edge dials it.
    pub node: NodeId,
    /// Its address on that node's bridge.
    pub address: IpAddr,
    /// Its port there: that of its own generation, which differs from the route's while a change of it
    /// rolls out. Absent in what an older build wrote; see [`Route::target`].
    #[serde(default)]
    pub target: Option<u16>,
    /// It wants to be told of each client by a PROXY header. Absent in what an older build wrote.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// May get new connections: running, healthy, wanted, on a node that is ready. When it may not,
    /// open connections are left to finish.
    pub serving: bool,
}
