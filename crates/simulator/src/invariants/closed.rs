//! Nothing new goes to a node that is drained, paused or lost, nothing is made of an old generation, and nothing
//! comes back before its wait is over.

use super::{Broken, Touched};
use model::{Availability, NodeId, Readiness, State, Task};
use std::collections::BTreeMap;
use std::time::Duration;

/// A plan that was on its way when the node changed may still rest on what was so before, in milliseconds.
const ON_ITS_WAY: u64 = 2_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Closed {
    changed: BTreeMap<NodeId, u64>,
}

impl Closed {
    pub(super) fn check(
        &mut self,
        now: u64,
        was: &State,
        is: &State,
        touched: &[Touched<'_>],
    ) -> Broken {
        if !was.nodes.ptr_eq(&is.nodes) {
            for node in is.nodes.values() {
                let as_before = was.nodes.get(&node.id).is_some_and(|n| {
                    (n.availability, n.readiness) == (node.availability, node.readiness)
                });
                if !as_before {
                    self.changed.insert(node.id, now);
                }
            }
        }
        let mut new = touched.iter().filter(|t| t.before.is_none()).filter_map(|t| t.after);
        new.find_map(|task| {
            let closed = self.closed(now, is, task).or_else(|| early(was, is, task));
            closed.or_else(|| unasked(is, task))
        })
    }

    fn closed(&self, now: u64, state: &State, task: &Task) -> Broken {
        let node = state.nodes.get(&task.node)?;
        let open = node.availability == Availability::Active && node.readiness == Readiness::Ready;
        let moved = self.changed.get(&node.id).is_some_and(|at| now < at + ON_ITS_WAY);
        (!open && !moved).then(|| {
            format!(
                "node {} is {}, {}, and gets a task",
                node.id, node.readiness, node.availability
            )
        })
    }
}

/// A task is made that nobody asks for any more.
fn unasked(state: &State, task: &Task) -> Broken {
    let service = state.service_of(task);
    let asked = !service.removed && service.generation == task.generation;
    (!asked).then(|| format!("{} gets a task of an old generation", service.full_name()))
}

/// Milliseconds by which a leader's clock may differ from that of its entries.
const SLACK: Duration = Duration::from_millis(500);

/// A slot is filled although its last task failed a moment ago.
fn early(was: &State, is: &State, task: &Task) -> Broken {
    let (before, service) = (was.services.get(&task.service)?, is.service_of(task));
    // As it is after what the same plan says of ends.
    let record = service.slots.get(&task.slot)?;
    let again = before.generation == service.generation && record.failures > 0;
    (again && record.not_before > is.now + SLACK)
        .then(|| format!("{} comes back before its wait is over", service.full_name()))
}
