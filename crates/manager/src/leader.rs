//! What a manager holds only while it leads, and what may die with its leadership: the proposals in
//! flight, the wish of the log's membership last said, and the probes of absent hosts.

use crate::input::{Ended, ProposalId};
use crate::probes::Probes;
use model::{NodeId, State, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the wish of the log's membership is repeated.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);

/// At most one command of a kind on its way through the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flight {
    /// None.
    #[default]
    Landed,
    /// Proposed, not known to have ended.
    Proposed(ProposalId),
    /// Applied at this index, which this manager's state has not reached.
    Applied(u64),
}

impl Flight {
    /// Takes in how a proposal ended, when it is this one.
    pub(crate) fn ended(&mut self, id: ProposalId, ended: Ended) {
        if *self != Self::Proposed(id) {
            return;
        }
        *self = match ended {
            Ended::Applied { index } => Self::Applied(index),
            Ended::Failed => Self::Landed,
        };
    }

    /// Takes in that the state reached `index`.
    pub(crate) fn reached(&mut self, index: u64) {
        if matches!(self, Self::Applied(at) if *at <= index) {
            *self = Self::Landed;
        }
    }

    pub(crate) fn landed(self) -> bool {
        self == Self::Landed
    }
}

/// The voters and the learners.
type Membership = (BTreeSet<NodeId>, BTreeSet<NodeId>);

/// What a manager holds only while it leads.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) term: u64,
    led_at: Time,
    cluster_then: Time,
    pub(crate) judging: Flight,
    pub(crate) planning: Flight,
    /// The state moved, or a plan failed, since the planner last looked.
    pub(crate) unplanned: bool,
    /// Cluster time at which the planner wants to look again.
    pub(crate) replan_at: Option<Time>,
    pub(crate) probes: Probes,
    pub(crate) handed_over: bool,
    said: Option<(Time, Membership)>,
}

impl Leader {
    pub(crate) fn new(now: Time, term: u64, cluster_now: Time) -> Self {
        Self {
            term,
            led_at: now,
            cluster_then: cluster_now,
            judging: Flight::Landed,
            planning: Flight::Landed,
            unplanned: true,
            replan_at: None,
            probes: Probes::default(),
            handed_over: false,
            said: None,
        }
    }

    /// Cluster time: what it was at the election, plus this manager's own clock since.
    pub(crate) fn cluster_time(&self, now: Time) -> Time {
        self.cluster_then + now.since(self.led_at)
    }

    /// When, on this manager's clock, the planner wants to look again.
    pub(crate) fn replan_wake(&self) -> Option<Time> {
        self.replan_at.map(|at| self.led_at + at.since(self.cluster_then))
    }

    /// The membership to be said now: a new one at once, the old one every few seconds.
    pub(crate) fn membership(&mut self, now: Time, state: &State) -> Option<Membership> {
        let voters: BTreeSet<NodeId> = state.voters.iter().copied().collect();
        let managers = state.managers().map(|n| n.id);
        let learners = managers.filter(|n| !voters.contains(n)).collect();
        let wish = (voters, learners);
        if let Some((at, said)) = &self.said
            && *said == wish
            && now.since(*at) < RECONCILE_EVERY
        {
            return None;
        }
        self.said = Some((now, wish.clone()));
        Some(wish)
    }
}
