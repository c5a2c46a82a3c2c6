//! What nodes have left, counted from the tasks they hold and kept while one plan places.

use super::filters::closed;
use crate::Why;
use crate::tables::{Group, Held, Tables};
use model::limits::UNOBSERVED_MEMORY;
use model::{Protocol, ServiceSpec, VolumeKey};
use std::collections::BTreeMap;

/// What one node has given away.
#[derive(Clone, Default)]
pub(crate) struct Row {
    /// Tasks that have not ended.
    pub(crate) tasks: usize,
    /// Reserved thousandths of a core.
    pub(crate) milli_cpus: u64,
    /// Reserved bytes.
    pub(crate) memory: u64,
    /// Bytes that tasks which its last word does not include yet are expected to use.
    pub(crate) charged: u64,
    /// Host ports taken.
    pub(crate) ports: Vec<(u16, Protocol)>,
    /// Why it takes nothing at all.
    pub(crate) closed: Option<Why>,
}

/// What nodes have left, by index of node; and what this plan has placed.
pub(crate) struct Room<'a> {
    pub(crate) nodes: Vec<&'a model::Node>,
    pub(crate) rows: Vec<Row>,
    /// Memory charged for one more copy, by service.
    pub(crate) charges: Vec<u64>,
    /// Nodes that this plan gave to a service.
    pub(crate) placed: BTreeMap<usize, Vec<usize>>,
    /// Homes that this plan gave to volumes.
    pub(crate) homes: BTreeMap<VolumeKey, usize>,
}

impl<'a> Room<'a> {
    pub(crate) fn new(t: &Tables<'a>) -> Self {
        let row = |node: &&model::Node| Row { closed: closed(t, node), ..Row::default() };
        let mut room = Self {
            nodes: t.nodes.clone(),
            rows: t.nodes.iter().map(row).collect(),
            charges: t.groups.iter().map(charge).collect(),
            placed: BTreeMap::new(),
            homes: BTreeMap::new(),
        };
        for (index, group) in t.groups.iter().enumerate() {
            for held in group.tasks.iter().filter(|h| h.task.holds()) {
                room.count(index, group.spec_of(held.task), held);
            }
        }
        room
    }

    fn count(&mut self, group: usize, spec: &ServiceSpec, held: &Held<'_>) {
        let read_at = self.nodes[held.node].facts_at;
        if held.task.running_since.is_none_or(|since| since >= read_at) {
            self.rows[held.node].charged += self.charges[group];
        }
        self.rows[held.node].add(spec);
    }

    /// A copy of a service goes to a node.
    pub(crate) fn take(&mut self, group: usize, spec: &ServiceSpec, node: usize) {
        self.rows[node].charged += self.charges[group];
        self.rows[node].add(spec);
        self.placed.entry(group).or_default().push(node);
    }

    /// Memory that is really left on a node, in bytes.
    pub(crate) fn memory_left(&self, node: usize) -> u64 {
        self.nodes[node].facts.memory_free.saturating_sub(self.rows[node].charged)
    }

    /// Memory that is not reserved on a node, in bytes.
    pub(crate) fn memory_unreserved(&self, node: usize) -> u64 {
        self.nodes[node].usable_memory().saturating_sub(self.rows[node].memory)
    }

    /// Processor time that is not reserved on a node, in thousandths of a core.
    pub(crate) fn cpus_unreserved(&self, node: usize) -> u64 {
        self.nodes[node].usable_milli_cpus().saturating_sub(self.rows[node].milli_cpus)
    }
}

impl Row {
    fn add(&mut self, spec: &ServiceSpec) {
        self.tasks += 1;
        self.milli_cpus += spec.resources.reserved_milli_cpus;
        self.memory += spec.resources.reserved_memory;
        self.ports.extend(spec.host_ports().map(|p| (p.published, p.protocol)));
    }
}

/// Memory that one more copy of a service is expected to use: the mean of what its copies are observed
/// to use, else what it reserves; never less than a floor.
fn charge(group: &Group<'_>) -> u64 {
    let (mut sum, mut count) = (0u64, 0u64);
    for used in group.tasks.iter().filter(|h| h.task.holds()).map(|h| h.task.memory) {
        sum = sum.saturating_add(used);
        count += u64::from(used > 0);
    }
    let mean = sum.checked_div(count).unwrap_or(group.spec.resources.reserved_memory);
    mean.max(UNOBSERVED_MEMORY)
}
