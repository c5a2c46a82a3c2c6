//! A task: one attempt at running one slot on one node. It ends once and never restarts.

use crate::{NodeId, ServiceId, Slot, TaskId, Time, WallTime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Where a task is in its life. The rank only grows: of two observations the greater is the later one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// Given to a node.
    #[default]
    Assigned,
    /// The node fetches what it needs.
    Preparing,
    /// Its container was started; a health check has not passed yet.
    Starting,
    /// Started, and healthy once where there is a check.
    Running,
    /// Told to stop.
    Stopping,
    /// Its process ended.
    Exited {
        /// Exit code.
        code: i64,
    },
    /// It could not be run, or was given up.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

impl TaskState {
    /// Explicit order; both ways to end share the last rank, so the first one reported wins.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Assigned => 0,
            Self::Preparing => 1,
            Self::Starting => 2,
            Self::Running => 3,
            Self::Stopping => 4,
            Self::Exited { .. } | Self::Failed { .. } => 5,
        }
    }

    /// Whether the task is over.
    pub fn ended(&self) -> bool {
        self.rank() == 5
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assigned => f.pad("assigned"),
            Self::Preparing => f.pad("preparing"),
            Self::Starting => f.pad("starting"),
            Self::Running => f.pad("running"),
            Self::Stopping => f.pad("stopping"),
            Self::Exited { code } => write!(f, "exited ({code})"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}

/// The planner's wish for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// To run.
    #[default]
    Run,
    /// To stop, and not to come back.
    Stop,
}

/// One attempt at running one slot on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its identity.
    pub id: TaskId,
    /// The service it is a copy of.
    pub service: ServiceId,
    /// Which copy.
    pub slot: Slot,
    /// Where it runs.
    pub node: NodeId,
    /// The generation of the service's spec that it runs.
    pub generation: u64,
    /// When the planner made it.
    pub created: Time,
    /// The address that it is given on the mesh; `None` without a mesh.
    #[serde(default)]
    pub given: Option<Ipv4Addr>,

    /// The planner's wish.
    pub wanted: Wanted,

    /// Observed: where it is in its life.
    pub state: TaskState,
    /// Observed: running and passing its check, where there is one. May go both ways.
    pub healthy: bool,
    /// Since when it is healthy without a break.
    pub healthy_since: Option<Time>,
    /// Since when it runs.
    pub running_since: Option<Time>,
    /// Wall time when it was made or began to run, whichever came last: for display. Cluster time stands still
    /// while nobody leads.
    pub since: WallTime,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Observed: its address on its node's bridge.
    pub address: Option<IpAddr>,
    /// Observed: memory in use, quantised; zero when not known.
    pub memory: u64,
    /// How often its node restarted it in place while it had no confirmed view.
    pub restarts_in_place: u32,
}

impl Task {
    /// Whether it should be running and has not ended.
    pub fn live(&self) -> bool {
        self.wanted == Wanted::Run && !self.state.ended()
    }

    /// Whether it holds resources of its node: from its assignment until it has ended.
    pub fn holds(&self) -> bool {
        !self.state.ended()
    }

    /// Whether it ended by itself, and well.
    pub fn completed(&self) -> bool {
        self.wanted == Wanted::Run && self.state == TaskState::Exited { code: 0 }
    }

    /// Whether its container was started and is not known to have ended.
    pub fn begun(&self) -> bool {
        matches!(self.state, TaskState::Starting | TaskState::Running)
    }

    /// Whether it may be given new connections, as far as the task itself can say.
    pub fn serving(&self) -> bool {
        self.live() && self.healthy && matches!(self.state, TaskState::Running)
    }
}

/// What a node observed of one of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// Where it is in its life.
    pub state: TaskState,
    /// Running and passing its check, where there is one.
    pub healthy: bool,
    /// Address on the node's bridge.
    pub address: Option<IpAddr>,
    /// Memory in use, quantised; zero when not known.
    pub memory: u64,
    /// Restarts in place so far.
    pub restarts_in_place: u32,
}
