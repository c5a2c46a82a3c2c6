//! Everything that can ever happen to an agent.

use crate::{Action, Container, ContainerId};
use model::{ProjectName, View};
use std::sync::Arc;
use std::time::Duration;

/// Everything that can ever happen to an agent.
#[derive(Clone, Debug)]
pub enum Input {
    /// A session with a manager began. Nothing is confirmed until it has sent a view, and the next report
    /// is a full one.
    Session,
    /// The manager of the session sent a view, `age` after its own last contact with a leader that has
    /// a quorum.
    View {
        /// The view.
        view: Arc<View>,
        /// Age of the manager's last contact with such a leader.
        age: Duration,
    },
    /// The manager of the session says that the last view it sent is still the newest.
    Confirmed {
        /// Age of the manager's last contact with a leader that has a quorum.
        age: Duration,
    },
    /// All containers and networks of this cluster on this node: after a start, after events may have been
    /// lost, and now and then. Also proves that the engine answers.
    Observed(Observation),
    /// One container, after the engine announced a change of it.
    Changed(Container),
    /// The engine announced that this container was removed.
    Gone(ContainerId),
    /// Memory in use by containers, in quantised bytes.
    Memory(Vec<(ContainerId, u64)>),
    /// An action ended.
    Done {
        /// The action.
        action: Action,
        /// How it ended.
        result: ActionResult,
    },
    /// The engine stopped answering, or answers again (an `Observed` is to follow).
    Engine {
        /// Whether it answers.
        ready: bool,
    },
    /// A report was committed, or got lost on the way.
    Reported {
        /// Number of the report.
        number: u64,
        /// It was committed.
        accepted: bool,
    },
    /// The time of [`crate::Agent::wake_at`] has come. An early one does nothing.
    Wake,
}

/// All that an engine holds of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Containers that bear the cluster's label and a legible task.
    pub containers: Vec<Container>,
    /// Projects that have a network of their own here.
    pub networks: Vec<ProjectName>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// It was done. For an action on a container: the container as it is now, `None` when there is none.
    Done(Option<Container>),
    /// A command is ready to be run, under this name: the answer to a `PrepareHook` only.
    Prepared(String),
    /// A command inside a container ended, while the container's own process went on: the answer to a
    /// `RunHook` only.
    Ended {
        /// Exit code; absent when nobody knows it any more, or when it took too long.
        code: Option<i64>,
        /// The end of what it wrote, at most `limits::HOOK_OUTPUT_BYTES`.
        output: String,
    },
    /// The image is not on this node: the answer to a `Create` only.
    NoImage,
    /// It failed, and may succeed later.
    Again(String),
    /// It failed, and would fail again.
    Never(String),
    /// The engine did not answer in time; what became of the action is not known.
    Unanswered(String),
}
