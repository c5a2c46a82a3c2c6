//! What one pass works with: nodes by index, and tasks grouped by service and slot. Built in one pass
//! over the state; never changed afterwards.

use crate::Settings;
use crate::lost::{sound, stays, watched_until};
use model::{
    Node, NodeId, Service, ServiceId, ServiceName, ServiceSpec, Slot, State, Task, TaskState, Time,
};
use std::time::Duration;

/// A node tells what memory it has left when that has changed, at most each 30 s: of one that has said nothing
/// for twice as long since a task began to run, what it said before still holds.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// Where a task stands, as far as most of the pass cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It has ended.
    Ended,
    /// It takes room still, and should not.
    Stopping,
    /// It should be running, and is to be looked at.
    Live,
    /// It should be running, may stay, and does not run yet.
    Starting,
    /// It is live, may stay, and is believed to be well.
    Calm,
}

/// A task, and what most of the pass asks of it: most tasks are calm or starting, and are never looked at
/// again.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) task: &'a Task,
    pub(crate) slot: Slot,
    /// Index of its node.
    pub(crate) node: usize,
    pub(crate) stage: Stage,
    /// The memory that its node has told to be left may not reckon with it.
    pub(crate) unread: bool,
}

impl<'a> Held<'a> {
    /// A task on a node whose last word is of `read_at`.
    fn new(
        now: Time,
        spec: &ServiceSpec,
        node: usize,
        read_at: Time,
        task: &'a Task,
        stays: impl Fn() -> bool,
    ) -> Self {
        let stage = Stage::of(now, spec, task, stays);
        let told = |since: Time| since < read_at || now >= since + TOLD_WITHIN;
        let unread = stage != Stage::Ended && !task.running_since.is_some_and(told);
        Self { task, slot: task.slot, node, stage, unread }
    }

    /// It takes room.
    pub(crate) fn holds(&self) -> bool {
        self.stage > Stage::Ended
    }

    /// It should be running and has not ended.
    pub(crate) fn live(&self) -> bool {
        self.stage >= Stage::Live
    }

    /// It may stay, and there is nothing to do about it but to wait.
    pub(crate) fn starting(&self) -> bool {
        self.stage == Stage::Starting
    }

    /// It may stay, and there is nothing to do about it.
    pub(crate) fn calm(&self) -> bool {
        self.stage == Stage::Calm
    }
}

impl Stage {
    fn of(now: Time, spec: &ServiceSpec, task: &Task, stays: impl Fn() -> bool) -> Self {
        if !task.holds() {
            Self::Ended
        } else if !task.live() {
            Self::Stopping
        } else if !stays() {
            Self::Live
        } else if task.state.rank() < TaskState::Running.rank() {
            Self::Starting
        } else if task.serving() && now >= watched_until(spec, task) {
            Self::Calm
        } else {
            Self::Live
        }
    }
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
    /// Memory that its tasks are observed to use, and how many tasks that is.
    pub(crate) observed: (u64, u64),
    /// Log index at which a service that it restarts with was updated last, and which one.
    pub(crate) renewed: Option<(u64, &'a ServiceName)>,
    /// Services that its copies are built upon, by index.
    pub(crate) upon: Vec<usize>,
    /// Services that belong together with it, by index: what it is built upon, what is built upon it, and
    /// so on.
    pub(crate) mates: Vec<usize>,
}

impl<'a> Group<'a> {
    /// The tasks of each slot that has any, in order of slots.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &[Held<'a>]> {
        self.tasks.chunk_by(|a, b| a.slot == b.slot)
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

    /// Whether the task is of the current generation, and made after the services it restarts with were
    /// updated.
    pub(crate) fn fresh(&self, task: &Task) -> bool {
        self.current(task) && self.renewed.is_none_or(|(at, _)| task.id.index > at)
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
    /// When some node will be taken to have more memory left than now, without another word of it.
    pub(crate) read_at: Option<Time>,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(state: &'a State, now: Time, settings: &'a Settings) -> Self {
        let nodes: Vec<&Node> = state.nodes.values().collect();
        let most = state.tasks.len();
        let group = |service: &'a Service| Group {
            service,
            spec: service.spec(),
            tasks: Vec::with_capacity(most.min(service.scale as usize)),
            observed: (0, 0),
            renewed: None,
            upon: Vec::new(),
            mates: Vec::new(),
        };
        let groups = state.services.values().map(group).collect();
        let mut tables = Self { state, now, settings, nodes, groups, read_at: None };
        crate::depends::note_renewals(&mut tables);
        crate::together::note_mates(&mut tables);
        tables.sort_in_tasks();
        tables
    }

    /// Tasks come in order of identity, so those made together come together, each on the node after the
    /// last one's: what is next is tried before anything is searched for.
    fn sort_in_tasks(&mut self) {
        // The few words about each node that every task needs, close together.
        let brief: Vec<(NodeId, Time, bool)> =
            self.nodes.iter().map(|n| (n.id, n.facts_at, sound(self, n))).collect();
        let (mut at, mut node) = (0, 0);
        for task in self.state.tasks.values() {
            if self.groups.get(at).is_none_or(|g| g.service.id != task.service) {
                let Some(found) = self.group_of(task.service) else { continue };
                at = found;
            }
            node += 1;
            if brief.get(node).is_none_or(|(id, _, _)| *id != task.node) {
                let Some(found) = self.node_of(task.node) else { continue };
                node = found;
            }
            let (_, read_at, sound) = brief[node];
            let group = &mut self.groups[at];
            let stays = || sound && stays(group, self.nodes[node], task);
            let held = Held::new(self.now, group.spec, node, read_at, task, stays);
            if held.holds() && task.memory > 0 {
                let (sum, count) = group.observed;
                group.observed = (sum.saturating_add(task.memory), count + 1);
            }
            if let Some(since) = task.running_since.filter(|_| held.unread) {
                let at = since + TOLD_WITHIN;
                self.read_at = Some(self.read_at.map_or(at, |earliest| earliest.min(at)));
            }
            group.tasks.push(held);
        }
        for tasks in self.groups.iter_mut().map(|g| &mut g.tasks) {
            if !tasks.is_sorted_by_key(|h| h.slot) {
                tasks.sort_by_key(|h| h.slot);
            }
        }
    }

    /// Index of the service of this name in the project of another.
    pub(crate) fn neighbour(&self, of: &Service, name: &ServiceName) -> Option<usize> {
        self.group_of(*self.state.projects.get(&of.project)?.services.get(name)?)
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
