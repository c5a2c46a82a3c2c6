//! What can happen to a manager, and what it wants done. Nothing else passes between it and its driver.

use model::{Command, NodeId, State, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Everything that can ever happen to a manager.
#[derive(Clone, Debug)]
pub enum Input {
    /// Entries were applied: the state after the whole batch.
    Applied(Arc<State>),
    /// This member leads. To be sent once it has applied an entry of its own term, so that nothing
    /// proposed by an earlier leader can still come.
    Led {
        /// Raft's term.
        term: u64,
        /// Cluster time now.
        cluster_now: Time,
    },
    /// This member leads no more. All its proposals in flight have ended, known or not.
    Followed,
    /// A beat arrived.
    Beat {
        /// Who sent it; from its certificate.
        from: NodeId,
        /// What a manager says of the others: how long each has been silent, as its
        /// [`Manager::testimony`](crate::Manager::testimony) said. Workers say nothing.
        heard: Vec<(NodeId, Duration)>,
    },
    /// A proposal ended.
    Proposed {
        /// Which one.
        id: ProposalId,
        /// How.
        ended: Ended,
    },
    /// A host was probed.
    Probed {
        /// Whose host.
        node: NodeId,
        /// It answered; a refused connection is an answer.
        answers: bool,
    },
    /// The time that [`Manager::wake_at`](crate::Manager::wake_at) named has come.
    Wake,
}

/// Identity of a proposal, for as long as its manager lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProposalId(pub u64);

/// How a proposal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was committed and applied at this index of the log.
    Applied {
        /// The index.
        index: u64,
    },
    /// It was not accepted. It will not be applied later.
    Failed,
}

/// Everything a manager can want done.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few at a time, consumed at once")]
pub enum Output {
    /// Append this command to the log, and say how that ended.
    Propose {
        /// To be named in the answer.
        id: ProposalId,
        /// `Command::Judge` or `Command::Plan`.
        command: Command,
    },
    /// Make the log's membership this one. Said again every few seconds: doing what is done already
    /// costs nothing, and a crash half-way heals.
    Reconcile {
        /// Who is to vote.
        voters: BTreeSet<NodeId>,
        /// Who is to hold the log without a vote.
        learners: BTreeSet<NodeId>,
    },
    /// Find out whether this node's host answers, and say so. Its daemon announced a planned stop.
    Probe {
        /// Whose host.
        node: NodeId,
    },
    /// Hand leadership to this voter: it hears all nodes, which this member does not.
    HandOver {
        /// The better leader.
        to: NodeId,
    },
    /// Tell whoever watches.
    Event(Event),
}

/// Something worth a line that is not in the log: what this manager sees from where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This manager does not hear a node that another manager hears.
    LinkBroken {
        /// The node.
        node: NodeId,
    },
    /// This manager hears a node again that it had lost the link to.
    LinkHealed {
        /// The node.
        node: NodeId,
    },
    /// This manager's own clock of duties stood still for so long; silence meanwhile proves nothing.
    Stalled {
        /// How long.
        paused: Duration,
    },
}
