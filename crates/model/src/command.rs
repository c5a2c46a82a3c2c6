//! Commands: everything that can ever change the state, and what comes back.

use crate::{
    Availability, ClusterId, Content, ContentId, ContentKey, CreateContent, Facts, Mesh, NodeId,
    NodeName, Permit, ProjectName, ProjectSpec, Readiness, Refusal, RequestId, Role, RolloutStep,
    RolloutWish, ServiceId, ServiceName, Slot, TaskId, TaskStatus, Time, VolumeKey, WallTime,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One entry of the log: a command, and what the leader says about when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Cluster time.
    pub at: Time,
    /// Wall time, for display.
    pub wall: WallTime,
    /// Identity of the request, where a client made it.
    pub request: Option<RequestId>,
    /// What to change.
    pub command: Command,
}

/// Everything that can change the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Found the cluster: only as the first command of a log.
    Found(Found),
    /// Admit a node.
    Join(Join),
    /// A node's word about itself.
    Refresh(Refresh),
    /// What a node observed of its tasks.
    Report(Report),
    /// The failure detector's verdicts.
    Judge(Vec<Verdict>),
    /// The planner's changes.
    Plan(Vec<Change>),
    /// The user wishes for a project.
    Deploy(Deploy),
    /// The user wishes for other counts.
    Scale(Scale),
    /// The user wishes a project away.
    Remove(Remove),
    /// The user says what a project may be handed of its hosts.
    SetPolicy(crate::SetPolicy),
    /// The user runs something once.
    Run(crate::Run),
    /// The user takes that away.
    EndRun(crate::EndRun),
    /// The user wishes something of roll-outs.
    SetRollout(SetRollout),
    /// The user wishes something of a node.
    SetNode(SetNode),
    /// The user removes a node.
    RemoveNode(RemoveNode),
    /// The user rotates a join token.
    SetToken {
        /// Of which role.
        role: Role,
        /// The new token.
        token: JoinToken,
    },
    /// The user sets how many voters to keep.
    SetVoters {
        /// An odd number, at most `limits::VOTERS`.
        count: u32,
    },
    /// The user makes a secret or config that no project owns.
    CreateContent(CreateContent),
    /// The user removes a secret or config that no project owns.
    RemoveContent(ContentKey),
}

/// Founding a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its identity.
    pub cluster: ClusterId,
    /// Certificate of its authority, PEM.
    pub authority: String,
    /// Private key of its authority, sealed with the cluster key.
    pub sealed_key: Vec<u8>,
    /// Join token for managers.
    pub manager_token: JoinToken,
    /// Join token for workers.
    pub worker_token: JoinToken,
    /// The first node.
    pub node: Join,
    /// The network that containers share across hosts; `None` when each host keeps to itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,
}

/// A join token as the state keeps it: enough to check one, and sealed, to show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// SHA-256 of its secret, hexadecimal.
    pub digest: String,
    /// Its text, sealed with the cluster key.
    pub sealed: Vec<u8>,
}

/// Admitting a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// Name it wishes for.
    pub name: NodeName,
    /// Role its token gives.
    pub role: Role,
    /// Where the others reach it.
    pub address: IpAddr,
    /// Port of its control plane.
    pub control_port: u16,
    /// Port of its edge.
    pub edge_port: u16,
    /// SHA-256 of its public key, hexadecimal.
    pub key_digest: String,
    /// What it says of itself.
    pub facts: Facts,
    /// It is the reinstalled host that bore this name: the old node is removed in the same step.
    pub replace: bool,
}

/// A node's word about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// The node; from its certificate, never from its message.
    pub node: NodeId,
    /// What it says of itself.
    pub facts: Facts,
    /// Where the others reach it, when that changed.
    pub address: Option<SocketAddr>,
    /// It will be gone for this long at most; `None` takes back an earlier announcement.
    pub away: Option<Duration>,
}

/// What a node observed of its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The node; from its certificate, never from its message.
    pub node: NodeId,
    /// Its tasks.
    pub statuses: Vec<TaskStatus>,
    /// Condemned volumes that it has deleted.
    pub deleted_volumes: Vec<VolumeKey>,
}

/// The failure detector's word on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The node.
    pub node: NodeId,
    /// The verdict.
    pub readiness: Readiness,
}

/// The user wishes for a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// The wish.
    pub spec: ProjectSpec,
    /// The generation the user saw; zero when the project did not exist. `None` skips the check.
    pub seen: Option<u64>,
    /// Registry logins, sealed with the cluster key, by registry host.
    pub logins: BTreeMap<String, Vec<u8>>,
    /// What its secrets and configs hold, secrets sealed with the cluster key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<ContentId, Content>,
    /// What its services ask for of their hosts.
    #[serde(default)]
    pub powers: BTreeSet<Permit>,
    /// The project is granted that, as with [`crate::SetPolicy`].
    #[serde(default)]
    pub grant: bool,
}

/// The user wishes for other counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The project.
    pub project: ProjectName,
    /// Copies by service.
    pub counts: BTreeMap<ServiceName, u32>,
    /// The generation the user saw. `None` skips the check.
    pub seen: Option<u64>,
}

/// The user wishes a project away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remove {
    /// The project.
    pub project: ProjectName,
    /// Its volumes and their data too.
    pub volumes: bool,
}

/// The user wishes something of roll-outs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRollout {
    /// The project.
    pub project: ProjectName,
    /// The services; all of which it can be wished when empty.
    pub services: BTreeSet<ServiceName>,
    /// The wish.
    pub wish: RolloutWish,
}

/// The user wishes something of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetNode {
    /// The node.
    pub node: NodeId,
    /// Another availability.
    pub availability: Option<Availability>,
    /// Another role.
    pub role: Option<Role>,
    /// Labels to set (`Some`) or to take away (`None`).
    pub labels: BTreeMap<String, Option<String>>,
}

/// The user removes a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveNode {
    /// The node.
    pub node: NodeId,
    /// Even though it is ready and still runs tasks.
    pub force: bool,
}

/// One step of a plan. Each names what it rests on and is dropped alone when that has moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Make a task. Rests on the service's generation, and on the node being there.
    Create {
        /// The service.
        service: ServiceId,
        /// Its generation.
        generation: u64,
        /// The slot.
        slot: Slot,
        /// The node.
        node: NodeId,
        /// The newest task of this slot when the planner looked; `None` when there was none.
        newest: Option<TaskId>,
        /// Why.
        cause: Cause,
    },
    /// Tell a task to stop. Rests on its being wanted.
    Stop {
        /// The task.
        task: TaskId,
        /// Why.
        cause: Cause,
    },
    /// Account for an ended task of a slot. Rests on its not being accounted for yet.
    Account {
        /// The service.
        service: ServiceId,
        /// The slot.
        slot: Slot,
        /// The ended task.
        task: TaskId,
        /// Failures in a row from now on.
        failures: u32,
        /// It counts as a restart.
        restart: bool,
        /// No successor before then.
        not_before: Time,
        /// No successor at all.
        give_up: bool,
        /// Failures in a row on the task's node from now on; zero forgets them.
        failed_here: u32,
        /// It counts against the roll-out of its service.
        #[serde(default)]
        against_rollout: bool,
    },
    /// Move a roll-out on. Rests on its not having moved.
    Rollout {
        /// The service.
        service: ServiceId,
        /// Log index at which it moved last.
        moved: u64,
        /// How.
        step: RolloutStep,
    },
    /// Forget an ended task. Rests on its having ended.
    Forget {
        /// The task.
        task: TaskId,
    },
    /// Give a volume its home. Rests on its having none.
    Home {
        /// The volume.
        volume: VolumeKey,
        /// The node.
        node: NodeId,
    },
    /// Drop a removed service, or one that was run once. Rests on its having no tasks.
    Drop {
        /// The service.
        service: ServiceId,
    },
    /// Wish for another set of voters. Rests on the set that was.
    Voters {
        /// The set that was.
        was: BTreeSet<NodeId>,
        /// The set that is to be.
        to: BTreeSet<NodeId>,
    },
}

/// Why the planner made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The service asks for a copy that there is not.
    Wanted,
    /// The service asks for fewer copies.
    ScaledDown,
    /// The service or its project was removed.
    Removed,
    /// A task of this slot ended.
    Ended(TaskId),
    /// A task of this slot failed its health check.
    Unhealthy(TaskId),
    /// The node that had this slot was lost.
    NodeLost(NodeId),
    /// The engine of the node that had this slot does not answer.
    EngineOut(NodeId),
    /// The node that had this slot is drained.
    Drained(NodeId),
    /// The node does not satisfy the service's constraints any more.
    Constraint(NodeId),
    /// A new generation replaces an older one.
    Update {
        /// The new generation.
        generation: u64,
    },
    /// Another task runs this slot, or has done its job.
    Duplicate(TaskId),
    /// A service that it restarts with was updated.
    RestartedWith(ServiceName),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wanted => f.write_str("the service asks for it"),
            Self::ScaledDown => f.write_str("scaled down"),
            Self::Removed => f.write_str("removed"),
            Self::Ended(t) => write!(f, "task {t} ended"),
            Self::Unhealthy(t) => write!(f, "task {t} was unhealthy"),
            Self::NodeLost(n) => write!(f, "node {n} was lost"),
            Self::EngineOut(n) => write!(f, "the engine of node {n} does not answer"),
            Self::Drained(n) => write!(f, "node {n} is drained"),
            Self::Constraint(n) => write!(f, "node {n} does not satisfy the constraints"),
            Self::Update { generation } => write!(f, "update to generation {generation}"),
            Self::RestartedWith(service) => {
                write!(f, "{service}, which it restarts with, was updated")
            }
            Self::Duplicate(t) => write!(f, "task {t} runs this replica"),
        }
    }
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done.
    Done,
    /// Admitted.
    Joined {
        /// Under this identity.
        node: NodeId,
    },
    /// The wish is recorded.
    Accepted {
        /// The project's generation now.
        generation: u64,
        /// Counts that changed, as (service, before, after).
        scaled: Vec<(ServiceName, u32, u32)>,
        /// Services that are new or have a new generation.
        changed: Vec<ServiceName>,
    },
    /// The planner's changes were applied.
    Planned {
        /// How many.
        applied: u32,
        /// How many were dropped, because what they rested on had moved.
        dropped: u32,
    },
    /// Nothing changed.
    Refused(Refusal),
}
