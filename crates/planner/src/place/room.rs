//! What nodes have left, counted from the tasks they hold and kept while one plan places.

use super::filters::closed;
use crate::Why;
use crate::tables::{Group, Tables};
use model::limits::UNOBSERVED_MEMORY;
use model::{Node, Protocol, ServiceSpec, Slot, VolumeKey};
use std::collections::BTreeMap;

/// What one node has left.
#[derive(Clone, Default)]
pub(crate) struct Row {
    /// Why it takes nothing at all.
    pub(crate) closed: Option<Why>,
    /// Tasks that have not ended.
    pub(crate) tasks: usize,
    /// Thousandths of a core that are not reserved.
    pub(crate) milli_cpus: u64,
    /// Bytes that are not reserved.
    pub(crate) memory: u64,
    /// Bytes that are really left, after what tasks that its last word does not include yet are expected
    /// to use.
    pub(crate) memory_left: u64,
    /// Host ports taken by tasks.
    pub(crate) ports: Vec<(u16, Protocol)>,
}

/// What nodes have left, by index of node; and what this plan has placed.
pub(crate) struct Room<'a> {
    pub(crate) nodes: Vec<&'a Node>,
    pub(crate) rows: Vec<Row>,
    /// Memory charged for one more copy, by service.
    pub(crate) charges: Vec<u64>,
    /// Nodes that this plan gave to a service.
    pub(crate) placed: BTreeMap<usize, Vec<usize>>,
    /// Nodes that this plan gave to slots of services that belong together with others.
    pub(crate) slots: BTreeMap<(usize, Slot), usize>,
    /// Homes that this plan gave to volumes.
    pub(crate) homes: BTreeMap<VolumeKey, usize>,
}

impl<'a> Room<'a> {
    pub(crate) fn new(t: &Tables<'a>) -> Self {
        let mut room = Self {
            nodes: t.nodes.clone(),
            rows: t.nodes.iter().map(|node| Row::empty(t, node)).collect(),
            charges: t.groups.iter().map(charge).collect(),
            placed: BTreeMap::new(),
            slots: BTreeMap::new(),
            homes: BTreeMap::new(),
        };
        for (index, group) in t.groups.iter().enumerate() {
            for held in group.tasks.iter().filter(|h| h.holds()) {
                let spec = if held.calm() || held.starting() {
                    group.spec
                } else {
                    group.spec_of(held.task)
                };
                let charge = if held.unread { room.charges[index] } else { 0 };
                room.rows[held.node].give(spec, charge);
            }
        }
        room
    }

    /// A copy of a service goes to a node.
    pub(crate) fn take(&mut self, group: usize, spec: &ServiceSpec, node: usize) {
        self.rows[node].give(spec, self.charges[group]);
        self.placed.entry(group).or_default().push(node);
    }
}

impl Row {
    fn empty(t: &Tables<'_>, node: &Node) -> Self {
        Self {
            closed: closed(t, node),
            milli_cpus: node.usable_milli_cpus(),
            memory: node.usable_memory(),
            memory_left: node.facts.memory_free,
            ..Self::default()
        }
    }

    fn give(&mut self, spec: &ServiceSpec, charge: u64) {
        self.tasks += 1;
        self.milli_cpus = self.milli_cpus.saturating_sub(spec.resources.reserved_milli_cpus);
        self.memory = self.memory.saturating_sub(spec.resources.reserved_memory);
        self.memory_left = self.memory_left.saturating_sub(charge);
        self.ports.extend(spec.host_ports().map(|p| (p.published, p.protocol)));
    }
}

/// Memory that one more copy of a service is expected to use: the mean of what its copies are observed
/// to use, else what it reserves; never less than a floor.
fn charge(group: &Group<'_>) -> u64 {
    let (sum, count) = group.observed;
    let mean = sum.checked_div(count).unwrap_or(group.spec.resources.reserved_memory);
    mean.max(UNOBSERVED_MEMORY)
}
