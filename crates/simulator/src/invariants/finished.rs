//! A task that the cluster knows to have ended has no live container, and gets none.

use super::{Broken, Touched};
use crate::host::Hosts;
use model::{NodeId, State, TaskId};

/// Tasks that ended just now.
pub(super) fn ended(hosts: &Hosts, touched: &[Touched<'_>]) -> Broken {
    let over = touched.iter().filter_map(|t| t.after).filter(|t| t.state.ended());
    over.map(|t| (t.id, t.node)).find_map(|(task, node)| alive(hosts, node, task))
}

/// A container was started just now.
pub(super) fn started(state: &State, hosts: &Hosts, node: NodeId, task: TaskId) -> Broken {
    state.tasks.get(&task).filter(|t| t.state.ended())?;
    alive(hosts, node, task)
}

fn alive(hosts: &Hosts, node: NodeId, task: TaskId) -> Broken {
    let running = hosts.get(&node)?.engine.running().find(|c| c.shown.task == task)?;
    Some(format!("task {task} has ended, and its container {} runs", running.shown.id))
}
