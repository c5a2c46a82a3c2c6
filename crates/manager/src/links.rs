//! Links between managers and nodes that are broken although both ends live.

use crate::judge::Bench;
use model::{NodeId, Readiness, Time};

/// A manager does not hear a node that another manager hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The manager.
    pub by: NodeId,
    /// The node it does not hear.
    pub node: NodeId,
}

impl Bench<'_> {
    /// All broken links that this manager can know of.
    pub(crate) fn links(&self) -> Vec<Link> {
        let watched: Vec<NodeId> = self.table.nodes().filter(|n| *n != self.own).collect();
        watched.into_iter().flat_map(|node| self.links_to(node)).collect()
    }

    /// Nodes that this manager does not hear and another manager does.
    pub(crate) fn own_links(&self) -> Vec<NodeId> {
        let mine = |n: &NodeId| {
            *n != self.own
                && self.table.silence(self.now, *n) >= self.timers.suspect
                && self.links_to(*n).iter().any(|l| l.by == self.own)
        };
        self.table.nodes().filter(mine).collect()
    }

    /// The managers that miss a node. One does when it has not heard it for `suspect`, and somebody else
    /// heard it later than that by as much: a node that just died was last heard by all at about the
    /// same time.
    fn links_to(&self, node: NodeId) -> Vec<Link> {
        let limit = self.timers.suspect;
        let heard: Vec<(NodeId, Time)> = self.last_heard(node);
        let Some(latest) = heard.iter().map(|(_, at)| *at).max() else { return Vec::new() };
        if self.now.since(latest) >= limit {
            return Vec::new();
        }
        let misses = |at: Time| self.now.since(at) >= limit && latest.since(at) >= limit;
        heard.iter().filter(|(_, at)| misses(*at)).map(|(by, _)| Link { by: *by, node }).collect()
    }

    /// When each manager whose word counts last heard the node, on this manager's clock.
    fn last_heard(&self, node: NodeId) -> Vec<(NodeId, Time)> {
        let silence = self.table.silence(self.now, node);
        let knows =
            silence >= self.timers.suspect || self.table.hears(self.now, node, self.timers.suspect);
        let own = knows.then_some((self.own, self.now - silence));
        let others = self
            .table
            .witnesses(self.now, self.timers)
            .filter(|w| *w != node && *w != self.own && self.is_manager(*w));
        let told = others.filter_map(|w| {
            let silence = self.table.word(self.now, self.timers, w, node)?;
            Some((w, self.now - silence))
        });
        own.into_iter().chain(told).collect()
    }

    /// A voter that hears every ready node, so it would lead better than one who misses a voter.
    pub(crate) fn better_leader(&self, missed: &[NodeId]) -> Option<NodeId> {
        if !missed.iter().any(|n| self.state.voters.contains(n)) {
            return None;
        }
        let ready =
            |n: &NodeId| self.state.nodes.get(n).is_some_and(|n| n.readiness == Readiness::Ready);
        let hears = |w: NodeId, n: NodeId| {
            let word = self.table.word(self.now, self.timers, w, n);
            word.is_some_and(|silence| silence < self.timers.suspect)
        };
        let hears_all = |w: &NodeId| {
            let mut others = self.state.nodes.keys().filter(|n| **n != *w && ready(n));
            others.all(|n| hears(*w, *n))
        };
        let fit = |w: &NodeId| *w != self.own && ready(w) && hears_all(w);
        self.state.voters.iter().copied().find(fit)
    }
}
