//! The verdict on a node: the rules of liveness (ARCHITECTURE.md), as one function of a table and a state.
//!
//! Worse verdicts need two witnesses, the leader and one other ready manager, none of whom may have
//! heard the node within the limit; without another ready manager the leader alone suffices. Better
//! ones need somebody who really heard it.

use crate::table::Table;
use model::{Node, NodeId, Readiness, Role, State, Time, Timers, Verdict};
use std::time::Duration;

/// Where a leader stands when it judges.
pub(crate) struct Bench<'a> {
    pub(crate) now: Time,
    pub(crate) own: NodeId,
    pub(crate) timers: &'a Timers,
    pub(crate) table: &'a Table,
    pub(crate) state: &'a State,
    /// Ready managers but this one.
    witnesses: Vec<NodeId>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(
        now: Time,
        own: NodeId,
        timers: &'a Timers,
        table: &'a Table,
        state: &'a State,
    ) -> Self {
        let counts = |n: &&Node| n.readiness == Readiness::Ready && n.id != own;
        let witnesses = state.managers().filter(counts).map(|n| n.id).collect();
        Self { now, own, timers, table, state, witnesses }
    }

    /// The verdicts that differ from those in the state. `excused` is asked of nodes that would be lost:
    /// whether a planned stop still excuses their silence.
    pub(crate) fn verdicts(&self, excused: impl Fn(&Node) -> bool) -> Vec<Verdict> {
        let changed = |node: &Node| {
            let readiness = match self.judge(node) {
                Readiness::Lost if excused(node) => node.readiness.max(Readiness::Suspect),
                other => other,
            };
            let verdict = Verdict { node: node.id, readiness };
            (readiness != node.readiness).then_some(verdict)
        };
        self.state.nodes.values().filter_map(changed).collect()
    }

    fn judge(&self, node: &Node) -> Readiness {
        if node.id == self.own {
            return Readiness::Ready;
        }
        if node.readiness != Readiness::Ready && self.heard(node.id) {
            return Readiness::Ready;
        }
        let worst = if self.silent(node.id, self.timers.lost) {
            Readiness::Lost
        } else if self.silent(node.id, self.timers.suspect) {
            Readiness::Suspect
        } else {
            Readiness::Ready
        };
        node.readiness.max(worst)
    }

    /// Whether enough witnesses have missed the node for `limit`.
    fn silent(&self, node: NodeId, limit: Duration) -> bool {
        if self.table.silence(self.now, node) < limit {
            return false;
        }
        let mut others = self.other_managers(node).peekable();
        if others.peek().is_none() {
            return true;
        }
        let mut confirmed = false;
        for witness in others {
            match self.table.word(self.now, self.timers, witness, node) {
                Some(silence) if silence < limit => return false,
                Some(_) => confirmed = true,
                None => {}
            }
        }
        confirmed
    }

    /// Whether the leader or another ready manager really hears the node.
    fn heard(&self, node: NodeId) -> bool {
        let limit = self.timers.suspect;
        let told = |w| self.table.word(self.now, self.timers, w, node).is_some_and(|s| s < limit);
        self.table.hears(self.now, node, limit) || self.other_managers(node).any(told)
    }

    fn other_managers(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.witnesses.iter().copied().filter(move |w| *w != node)
    }

    /// Whether the node is a manager.
    pub(crate) fn is_manager(&self, node: NodeId) -> bool {
        self.state.nodes.get(&node).is_some_and(|n| n.role == Role::Manager)
    }
}
