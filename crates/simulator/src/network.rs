//! The network between hosts: latency, loss, cuts. Knows who reaches whom, never what is said.

use crate::random::Random;
use model::NodeId;
use std::collections::BTreeSet;
use std::time::Duration;

/// Between hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// Nothing passes from the first to the second.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Nothing passes to or from these, people included.
    isolated: BTreeSet<NodeId>,
    /// Messages lost, of a thousand.
    pub(crate) loss: u64,
    /// Extra latency, milliseconds.
    pub(crate) slow: u64,
    /// Counts how often it was healed.
    pub(crate) healed: u64,
}

impl Network {
    pub(crate) fn passes(&self, from: NodeId, to: NodeId) -> bool {
        if from == to {
            return true;
        }
        let apart = self.isolated.contains(&from) || self.isolated.contains(&to);
        !apart && !self.cut.contains(&(from, to))
    }

    /// Whether a connection between the two works.
    pub(crate) fn joined(&self, a: NodeId, b: NodeId) -> bool {
        self.passes(a, b) && self.passes(b, a)
    }

    /// Whether people reach this host.
    pub(crate) fn reachable(&self, node: NodeId) -> bool {
        !self.isolated.contains(&node)
    }

    /// How long one message takes; `None` when it is lost.
    pub(crate) fn send(&self, random: &mut Random, from: NodeId, to: NodeId) -> Option<Duration> {
        if from == to {
            return Some(Duration::ZERO);
        }
        let lost = !self.passes(from, to) || random.per_mille(self.loss);
        (!lost).then(|| self.latency(random))
    }

    /// How long a request over a connection takes one way; lost packets are sent again. `None` when the
    /// connection does not work.
    pub(crate) fn call(&self, random: &mut Random, from: NodeId, to: NodeId) -> Option<Duration> {
        if from == to {
            return Some(Duration::ZERO);
        }
        let again = if random.per_mille(self.loss) { 200 } else { 0 };
        self.joined(from, to).then(|| self.latency(random) + Duration::from_millis(again))
    }

    fn latency(&self, random: &mut Random) -> Duration {
        random.millis(1, 3 + self.slow)
    }

    pub(crate) fn isolate(&mut self, node: NodeId) {
        self.isolated.insert(node);
    }

    pub(crate) fn rejoin(&mut self, node: NodeId) {
        self.isolated.remove(&node);
        self.cut.retain(|(a, b)| *a != node && *b != node);
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        *self = Self { healed: self.healed + 1, ..Self::default() };
    }

    /// Cuts all links between the two groups.
    pub(crate) fn partition(&mut self, a: &[NodeId], b: &[NodeId]) {
        for x in a {
            for y in b {
                self.cut(*x, *y);
                self.cut(*y, *x);
            }
        }
    }
}
