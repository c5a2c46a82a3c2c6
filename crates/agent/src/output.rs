//! Everything an agent can ask for.

use crate::{Action, ContainerId};
use model::{Report, TaskId};
use std::fmt;

/// Everything an agent can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Do this, and bring back `Input::Done`.
    Do(Action),
    /// Bring this to the leader through any manager, and answer with `Input::Reported`.
    Report {
        /// To be echoed.
        number: u64,
        /// What was observed.
        report: Report,
    },
    /// Write [`crate::Agent::snapshot`] to the disk before anything that follows is done.
    Keep,
    /// Ask the engine for everything, and bring back `Input::Observed`, or `Input::Engine` when it does
    /// not answer.
    Resync,
    /// Worth a line.
    Event(Event),
}

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A view was refused: not ours, or older than the last.
    ViewRefused {
        /// Why.
        reason: String,
    },
    /// No confirmed view for so long that crashed stateless tasks are now restarted in place.
    Isolated,
    /// A view is confirmed again.
    Confirmed,
    /// A crashed task was restarted in place.
    RestartedInPlace {
        /// The task.
        task: TaskId,
        /// How often so far.
        count: u32,
    },
    /// A container of a task that this node does not have is to go.
    Orphan {
        /// The task it says it is.
        task: TaskId,
        /// The container.
        container: ContainerId,
    },
    /// The engine does not answer.
    EngineOut {
        /// What was noticed.
        reason: String,
    },
    /// The engine answers again.
    EngineBack,
    /// A command before the stop of a container failed; the stop goes on.
    HookFailed {
        /// The task.
        task: TaskId,
        /// What became of it.
        reason: String,
    },
    /// An action failed.
    ActionFailed {
        /// What it was about.
        action: String,
        /// Why it failed.
        reason: String,
        /// It will be tried again.
        again: bool,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ViewRefused { reason } => write!(f, "view refused: {reason}"),
            Self::Isolated => f.write_str("no confirmed view; crashed replicas restart in place"),
            Self::Confirmed => f.write_str("a view is confirmed again"),
            Self::RestartedInPlace { task, count } => {
                write!(f, "task {task} restarted in place ({count})")
            }
            Self::Orphan { task, container } => {
                write!(f, "container {container} of task {task}, which is not ours, is to go")
            }
            Self::EngineOut { reason } => write!(f, "the engine does not answer: {reason}"),
            Self::HookFailed { task, reason } => write!(f, "task {task}: {reason}"),
            Self::EngineBack => f.write_str("the engine answers again"),
            Self::ActionFailed { action, reason, again } => {
                write!(f, "{action}: {reason}{}", if *again { "; trying again" } else { "" })
            }
        }
    }
}
