//! What the engine is known to hold: containers by id and by task, networks, memory in use. Merges
//! observations that may arrive out of order; decides nothing.

use crate::{Container, ContainerId, Observation};
use model::{ClusterId, ProjectName, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// What the engine is known to hold of one cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    cluster: ClusterId,
    by_task: BTreeMap<TaskId, BTreeMap<ContainerId, Container>>,
    tasks: BTreeMap<ContainerId, TaskId>,
    /// Not in the last full list. The list may have been taken before they were made, so each is
    /// looked at before it counts as gone.
    missing: BTreeSet<ContainerId>,
    memory: BTreeMap<ContainerId, u64>,
    networks: BTreeSet<ProjectName>,
}

impl Inventory {
    pub(crate) fn new(cluster: ClusterId) -> Self {
        Self { cluster, ..Self::default() }
    }

    /// Takes a full list.
    pub(crate) fn observe(&mut self, observation: Observation) {
        let listed: BTreeSet<&ContainerId> = observation.containers.iter().map(|c| &c.id).collect();
        let missing = self.tasks.keys().filter(|id| !listed.contains(id));
        self.missing = missing.cloned().collect();
        self.networks = observation.networks.into_iter().collect();
        for container in observation.containers {
            self.merge(container);
        }
    }

    /// Takes an observation of one container, unless a later one is known. A container of another cluster
    /// is not ours to know.
    pub(crate) fn merge(&mut self, container: Container) {
        let known = self.get(&container.id);
        if known.is_none_or(|k| k.age() <= container.age()) {
            self.replace(container);
        }
    }

    /// Takes an observation of one container that was made just now, after an action on it.
    pub(crate) fn replace(&mut self, container: Container) {
        if container.cluster != self.cluster {
            return;
        }
        self.missing.remove(&container.id);
        if !self.networks.contains(&container.project) {
            self.networks.insert(container.project.clone());
        }
        self.tasks.insert(container.id.clone(), container.task);
        let of_task = self.by_task.entry(container.task).or_default();
        of_task.insert(container.id.clone(), container);
    }

    /// A container is gone for good.
    pub(crate) fn remove(&mut self, id: &ContainerId) {
        self.missing.remove(id);
        self.memory.remove(id);
        let Some(task) = self.tasks.remove(id) else { return };
        if let Some(of_task) = self.by_task.get_mut(&task) {
            of_task.remove(id);
            if of_task.is_empty() {
                self.by_task.remove(&task);
            }
        }
    }

    fn get(&self, id: &ContainerId) -> Option<&Container> {
        self.by_task.get(self.tasks.get(id)?)?.get(id)
    }

    pub(crate) fn measured(&mut self, memory: Vec<(ContainerId, u64)>) {
        let known = memory.into_iter().filter(|(id, _)| self.tasks.contains_key(id));
        self.memory = known.collect();
    }

    pub(crate) fn memory(&self, id: &ContainerId) -> u64 {
        self.memory.get(id).copied().unwrap_or(0)
    }

    /// Containers of a task, in order of identity; those of steps before its start are not among them.
    pub(crate) fn of(&self, task: TaskId) -> impl Iterator<Item = &Container> {
        self.all_of(task).filter(|c| c.step.is_none())
    }

    /// Containers of the steps before a task's start.
    pub(crate) fn steps_of(&self, task: TaskId) -> impl Iterator<Item = &Container> {
        self.all_of(task).filter(|c| c.step.is_some())
    }

    /// Both.
    pub(crate) fn all_of(&self, task: TaskId) -> impl Iterator<Item = &Container> {
        self.by_task.get(&task).into_iter().flat_map(BTreeMap::values)
    }

    /// The container that counts as the task's: the oldest that runs, else the oldest.
    pub(crate) fn keeper(&self, task: TaskId) -> Option<&Container> {
        self.of(task).min_by_key(|c| (!c.running(), c.created, &c.id))
    }

    pub(crate) fn is_missing(&self, id: &ContainerId) -> bool {
        self.missing.contains(id)
    }

    /// All containers, in order of their tasks.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Container> {
        self.by_task.values().flat_map(BTreeMap::values)
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = &ProjectName> {
        self.networks.iter()
    }

    pub(crate) fn network_removed(&mut self, project: &ProjectName) {
        self.networks.remove(project);
    }
}
