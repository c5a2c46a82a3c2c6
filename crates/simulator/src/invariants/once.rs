//! At most one container of a task runs, and at most one that writes to a volume, at any instant, on any
//! host, heard or not.

use super::Broken;
use crate::host::Hosts;
use model::{NodeId, TaskId};

pub(super) fn check(hosts: &Hosts, node: NodeId, task: TaskId) -> Broken {
    let of_task = |n: &NodeId| hosts[n].engine.running().filter(|c| c.shown.task == task).count();
    if hosts.keys().map(of_task).sum::<usize>() > 1 {
        return Some(format!("task {task} runs twice"));
    }
    let own = hosts[&node].engine.running().find(|c| c.shown.task == task)?;
    own.writes.iter().find_map(|volume| {
        let writers = |n: &NodeId| {
            let engine = &hosts[n].engine;
            engine.running().filter(|c| c.writes.contains(volume)).count()
        };
        let writers = hosts.keys().map(writers).sum::<usize>();
        (writers > 1).then(|| format!("{writers} containers write to volume {volume}"))
    })
}
