//! Hosts of nodes that announced a planned stop: they are not lost while they answer.

use model::{NodeId, Time, Timers};
use std::collections::BTreeMap;
use std::time::Duration;

/// One host being probed.
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// When the first question was asked.
    since: Time,
    /// When the latest was.
    asked: Time,
    /// When the host last answered.
    answered: Option<Time>,
}

/// The hosts being probed. Dies with leadership; a new leader asks anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes(BTreeMap<NodeId, Probe>);

impl Probes {
    /// Keeps probing exactly `nodes`; returns those due for a question now.
    pub(crate) fn ask(&mut self, now: Time, nodes: &[NodeId], timers: &Timers) -> Vec<NodeId> {
        self.0.retain(|node, _| nodes.contains(node));
        let mut due = Vec::new();
        for node in nodes {
            let known = self.0.get(node).copied();
            if known.is_some_and(|p| now.since(p.asked) < timers.beat) {
                continue;
            }
            let fresh = Probe { since: now, asked: now, answered: None };
            self.0.insert(*node, Probe { asked: now, ..known.unwrap_or(fresh) });
            due.push(*node);
        }
        due
    }

    /// Takes in an answer.
    pub(crate) fn answer(&mut self, now: Time, node: NodeId, answers: bool) {
        if let Some(probe) = self.0.get_mut(&node).filter(|_| answers) {
            probe.answered = Some(now);
        }
    }

    /// How long the host has not answered; zero for one that was not asked yet.
    pub(crate) fn silence(&self, now: Time, node: NodeId) -> Duration {
        let last = self.0.get(&node).map(|p| p.since.max(p.answered.unwrap_or(Time::ZERO)));
        last.map_or(Duration::ZERO, |at| now.since(at))
    }
}
