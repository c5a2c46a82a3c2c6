//! A container as the engine shows it. Facts only: what to think of them is decided in `task.rs`.

use model::{ClusterId, ProjectName, TaskId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A container's identity, drawn by the engine and never reused.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container that bears our labels. One without a legible task label is nobody's and is never shown
/// to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its identity.
    pub id: ContainerId,
    /// The cluster it says it belongs to.
    pub cluster: ClusterId,
    /// The task it says it is.
    pub task: TaskId,
    /// The project it says it belongs to.
    pub project: ProjectName,
    /// Which step before the start of the task's own container it is, counted from 1 as in the file; the
    /// task's own container where absent.
    pub step: Option<usize>,
    /// Digest of the spec it was made from.
    pub digest: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// What its health check says.
    pub health: Health,
    /// When it was made, in milliseconds of the engine's own clock. Compared with other containers of
    /// the same engine only.
    pub created: u64,
    /// When it was last started, in the same milliseconds; zero when never.
    pub started: u64,
    /// Its address on its project's network.
    pub address: Option<IpAddr>,
    /// How long it may take to stop, as it was told when made.
    pub grace: Duration,
    /// The end of what a step wrote that ended badly, at most `limits::HOOK_OUTPUT_BYTES`; else empty.
    pub output: String,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Its process lives (a paused one, too).
    Running,
    /// Its process ended.
    Exited {
        /// Exit code.
        code: i64,
        /// The kernel killed something in it for want of memory.
        out_of_memory: bool,
    },
    /// The engine could not clean up after it; it cannot be started again.
    Dead,
}

/// What a health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There is no check.
    #[default]
    Unchecked,
    /// It has not passed yet, and has not failed often enough either.
    Starting,
    /// It passed.
    Healthy,
    /// It failed as often in a row as its retries allow.
    Unhealthy,
}

impl Container {
    /// Whether its process lives.
    pub fn running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Of two observations of one container the greater is the later: a new start outranks all that came
    /// before, and within one run the process only ever ends.
    pub(crate) fn age(&self) -> (u64, u8) {
        let rank = match self.phase {
            Phase::Created => 0,
            Phase::Running => 1,
            Phase::Exited { .. } => 2,
            Phase::Dead => 3,
        };
        (self.started, rank)
    }
}
