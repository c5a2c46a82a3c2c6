//! What one pass works with: nodes by index, and tasks grouped by service and slot. Built in one pass
//! over the state; never changed afterwards.

use crate::Settings;
use model::{Node, NodeId, Service, ServiceId, ServiceSpec, State, Task, Time};

/// A task and the index of its node.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) task: &'a Task,
    pub(crate) node: usize,
}

/// The task that has the last word on a slot in which none is live: the one that ended last, one that
/// is still stopping before all others.
pub(crate) fn last_word<'s, 'a>(copies: &'s [Held<'a>]) -> Option<&'s Held<'a>> {
    let ended = |h: &&Held<'_>| (h.task.ended_at.unwrap_or(Time(u64::MAX)), h.task.id);
    copies.iter().max_by_key(ended)
}

/// A service and its tasks, by slot, oldest first within a slot.
pub(crate) struct Group<'a> {
    pub(crate) service: &'a Service,
    /// The current spec.
    pub(crate) spec: &'a ServiceSpec,
    pub(crate) tasks: Vec<Held<'a>>,
}

impl<'a> Group<'a> {
    /// The tasks of each slot that has any, in order of slots.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &[Held<'a>]> {
        self.tasks.chunk_by(|a, b| a.task.slot == b.task.slot)
    }

    /// The spec that a task runs.
    pub(crate) fn spec_of(&self, task: &Task) -> &'a ServiceSpec {
        if task.generation == self.service.generation {
            return self.spec;
        }
        self.service.spec_of(task.generation)
    }

    /// Whether the task runs the current generation.
    pub(crate) fn current(&self, task: &Task) -> bool {
        task.generation == self.service.generation
    }
}

/// What one pass works with.
pub(crate) struct Tables<'a> {
    pub(crate) state: &'a State,
    pub(crate) now: Time,
    pub(crate) settings: &'a Settings,
    /// In order of identity.
    pub(crate) nodes: Vec<&'a Node>,
    /// In order of identity.
    pub(crate) groups: Vec<Group<'a>>,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(state: &'a State, now: Time, settings: &'a Settings) -> Self {
        let nodes: Vec<&Node> = state.nodes.values().collect();
        let group =
            |service: &'a Service| Group { service, spec: service.spec(), tasks: Vec::new() };
        let mut tables = Self {
            state,
            now,
            settings,
            nodes,
            groups: state.services.values().map(group).collect(),
        };
        tables.sort_in_tasks();
        tables
    }

    /// Tasks come in order of identity, so those made together come together: the last service and node
    /// are tried before they are searched for.
    fn sort_in_tasks(&mut self) {
        let mut at = 0;
        for task in self.state.tasks.values() {
            if self.groups.get(at).is_none_or(|g| g.service.id != task.service) {
                let Some(found) = self.group_of(task.service) else { continue };
                at = found;
            }
            let Some(node) = self.node_of(task.node) else { continue };
            self.groups[at].tasks.push(Held { task, node });
        }
        for group in &mut self.groups {
            group.tasks.sort_by_key(|h| (h.task.slot, h.task.id));
        }
    }

    /// Index of a service.
    pub(crate) fn group_of(&self, id: ServiceId) -> Option<usize> {
        self.groups.binary_search_by_key(&id, |g| g.service.id).ok()
    }

    /// Index of a node.
    pub(crate) fn node_of(&self, id: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |n| n.id).ok()
    }
}
