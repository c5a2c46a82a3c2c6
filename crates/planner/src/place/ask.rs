//! What one service asks of nodes, and how its copies lie so far.

use super::filters::rule;
use super::refers::Refers;
use super::room::Room;
use crate::draft::Opening;
use crate::lost::out_of_reach;
use crate::restart::{FAILURES_PER_NODE, tries};
use crate::tables::{Group, Held, Tables};
use model::{Node, SlotRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one service asks of nodes.
pub(crate) struct Ask<'r, 'a> {
    pub(crate) g: &'r Group<'a>,
    pub(crate) nodes: &'r [&'a Node],
    /// Memory charged for one copy.
    pub(crate) charge: u64,
    /// The constraints as people write them.
    pub(crate) rules: Vec<Arc<str>>,
    /// Live copies by index of node.
    own: Vec<u32>,
    /// By node: services referred to that have no copy there.
    pub(crate) apart: Vec<u32>,
    /// By node: a service that refers to this one has a copy there.
    pub(crate) referrer: Vec<bool>,
    /// By node: there are no addresses for copies. Empty while the pool has some.
    pub(crate) unaddressed: Vec<bool>,
    /// For each spread label and each path of values down to it: live copies.
    spread: BTreeMap<Vec<String>, u32>,
    /// The node whose copy the opening at hand replaces.
    replaces: Option<usize>,
    /// What is remembered of the slot at hand.
    record: Option<&'r SlotRecord>,
}

impl<'r, 'a> Ask<'r, 'a> {
    pub(crate) fn new(t: &'r Tables<'a>, room: &Room<'a>, refers: &Refers, group: usize) -> Self {
        let g = &t.groups[group];
        let mut ask = Self {
            g,
            nodes: &t.nodes,
            charge: room.charges[group],
            rules: g.spec.placement.constraints.iter().map(rule).collect(),
            own: vec![0; t.nodes.len()],
            apart: vec![0; t.nodes.len()],
            referrer: vec![false; t.nodes.len()],
            unaddressed: unaddressed(t, g),
            spread: BTreeMap::new(),
            replaces: None,
            record: None,
        };
        let counts = |h: &&Held<'_>| h.live() && out_of_reach(t, t.nodes[h.node]).is_none();
        for held in g.tasks.iter().filter(|h| h.calm() || counts(h)) {
            ask.took(held.node);
        }
        ask.look_for_neighbours(t, room, refers, group);
        ask
    }

    /// Marks where services that this one refers to, or that refer to it, have copies.
    fn look_for_neighbours(
        &mut self,
        t: &Tables<'_>,
        room: &Room<'_>,
        refers: &Refers,
        group: usize,
    ) {
        for other in refers.to(group) {
            for (apart, there) in self.apart.iter_mut().zip(copies(t, room, *other)) {
                *apart += u32::from(!there);
            }
        }
        for other in refers.from(group) {
            for (referrer, there) in self.referrer.iter_mut().zip(copies(t, room, *other)) {
                *referrer |= there;
            }
        }
    }

    /// Turns to one opening.
    pub(crate) fn turn_to(&mut self, opening: &Opening) {
        self.replaces = opening.replaces;
        self.record = self.g.service.slots.get(&opening.slot);
    }

    /// Whether the opening at hand ranks nodes as every other one of its service does.
    pub(crate) fn is_ordinary(&self) -> bool {
        let failed = |r: &SlotRecord| r.failed_on.values().any(|n| *n >= FAILURES_PER_NODE);
        self.replaces.is_none() && !self.record.is_some_and(failed)
    }

    /// Live copies on a node, without the one that is replaced.
    pub(crate) fn own(&self, node: usize) -> u32 {
        self.own[node].saturating_sub(u32::from(self.replaces == Some(node)))
    }

    /// How often the slot at hand was tried in vain on a node.
    pub(crate) fn tries(&self, node: usize) -> u32 {
        tries(self.record, self.nodes[node].id)
    }

    /// A node's values of the spread labels, outermost first.
    pub(crate) fn path(&self, node: usize) -> Vec<String> {
        let value =
            |label: &String| self.nodes[node].labels.get(label).cloned().unwrap_or_default();
        self.g.spec.placement.spread.iter().map(value).collect()
    }

    /// Live copies per level of a path of values, outermost first.
    pub(crate) fn spread(&self, path: &[String]) -> Vec<u32> {
        let copies = |depth: usize| self.spread.get(&path[..depth]).copied().unwrap_or(0);
        (1..=path.len()).map(copies).collect()
    }

    /// A copy lies on a node.
    pub(crate) fn took(&mut self, node: usize) {
        self.own[node] += 1;
        if self.g.spec.placement.spread.is_empty() {
            return;
        }
        let path = self.path(node);
        for depth in 1..=path.len() {
            *self.spread.entry(path[..depth].to_vec()).or_default() += 1;
        }
    }
}

/// By node: whether it lacks a subnet for a service's networks, when none is left in the pool.
fn unaddressed(t: &Tables<'_>, g: &Group<'_>) -> Vec<bool> {
    if !t.state.pool_used_up() {
        return Vec::new();
    }
    t.nodes.iter().map(|node| t.state.subnet_for(g.service, node.id).is_none()).collect()
}

/// By node: whether a service has a live copy there, or this plan has given it one.
fn copies(t: &Tables<'_>, room: &Room<'_>, group: usize) -> Vec<bool> {
    let mut there = vec![false; t.nodes.len()];
    for held in t.groups[group].tasks.iter().filter(|h| h.live()) {
        there[held.node] = true;
    }
    for node in room.placed.get(&group).into_iter().flatten() {
        there[*node] = true;
    }
    there
}
