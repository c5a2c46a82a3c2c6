//! What is built upon containers of other services is made only upon containers of the same slot, of tasks that
//! were there before it.

use super::Broken;
use crate::host::Hosts;
use agent::Create;
use model::{NodeId, State, TaskId};

pub(super) fn check(state: &State, hosts: &Hosts, node: NodeId, create: &Create) -> Broken {
    if create.step.is_some() {
        // It has the mounts of its own task's container, which was made before it.
        return None;
    }
    let asked = create.spec.shares_with.len();
    if create.shares.len() != asked {
        return Some(format!("{} is made upon {} of {asked}", create.name, create.shares.len()));
    }
    let slot = |task: TaskId| state.tasks.get(&task).map(|t| t.slot);
    let wrong = |task: TaskId| {
        task >= create.task || slot(task).is_some_and(|s| slot(create.task).is_some_and(|o| o != s))
    };
    let engine = &hosts[&node].engine;
    create.shares.iter().find_map(|share| {
        let other = engine.containers.get(&share.container)?.shown.task;
        wrong(other).then(|| format!("{} is made upon task {other}", create.name))
    })
}
