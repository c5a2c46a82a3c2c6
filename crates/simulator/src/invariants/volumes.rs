//! A task with a writable named volume is on the volume's home node.

use super::{Broken, Touched};
use model::{State, VolumeKey};

pub(super) fn check(state: &State, touched: &[Touched<'_>]) -> Broken {
    let new = touched.iter().filter(|t| t.before.is_none()).filter_map(|t| t.after);
    for task in new {
        let service = state.service_of(task);
        for volume in service.spec_of(task.generation).writable_volumes() {
            let key = VolumeKey { project: service.project.clone(), volume: volume.clone() };
            if state.volumes.get(&key).is_none_or(|v| v.home != task.node) {
                return Some(format!("task {} is not at the home of {key}", task.id));
            }
        }
    }
    None
}
