//! At most one container of a task runs, and at most one that writes to a volume, at any instant, on any
//! host, heard or not.

use super::Broken;
use crate::host::{Host, Hosts};
use agent::{Create, CreateMountSource};
use model::{NodeId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Where containers were ever made, so that not every host is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Once {
    by_task: BTreeMap<TaskId, BTreeSet<NodeId>>,
    by_volume: BTreeMap<String, BTreeSet<NodeId>>,
}

impl Once {
    /// A container was made.
    pub(super) fn made(&mut self, node: NodeId, create: &Create) {
        self.by_task.entry(create.task).or_default().insert(node);
        for mount in create.mounts.iter().filter(|m| !m.read_only) {
            if let CreateMountSource::Volume { name, .. } = &mount.source {
                self.by_volume.entry(name.clone()).or_default().insert(node);
            }
        }
    }

    /// A container was started.
    pub(super) fn check(&self, hosts: &Hosts, node: NodeId, task: TaskId) -> Broken {
        let at = |nodes: Option<&BTreeSet<NodeId>>| -> Vec<&Host> {
            nodes.into_iter().flatten().filter_map(|n| hosts.get(n)).collect()
        };
        let of_task = |h: &&Host| h.engine.running().filter(|c| c.shown.task == task).count();
        if at(self.by_task.get(&task)).iter().map(of_task).sum::<usize>() > 1 {
            return Some(format!("task {task} runs twice"));
        }
        let own = hosts[&node].engine.running().find(|c| c.shown.task == task)?;
        own.writes.iter().find_map(|volume| {
            let writing =
                |h: &&Host| h.engine.running().filter(|c| c.writes.contains(volume)).count();
            let writers = at(self.by_volume.get(volume)).iter().map(writing).sum::<usize>();
            (writers > 1).then(|| format!("{writers} containers write to volume {volume}"))
        })
    }
}
