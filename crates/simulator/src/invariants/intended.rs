//! The planner never wishes for more replicas than the user does: no more slots than copies asked for,
//! and never more than two tasks within reach in one slot (one starting, one to be stopped for it).

use super::{Broken, Touched};
use model::{Node, Readiness, ServiceId, Slot, State, Task};
use std::collections::{BTreeMap, BTreeSet};

/// A plan that was on its way when the count changed, or when a lost node was heard again, may still rest on
/// what was so before, in milliseconds.
const ON_ITS_WAY: u64 = 2_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Intended {
    scaled: BTreeMap<ServiceId, u64>,
}

impl Intended {
    pub(super) fn check(
        &mut self,
        now: u64,
        was: &State,
        is: &State,
        touched: &[Touched<'_>],
    ) -> Broken {
        if !was.services.ptr_eq(&is.services) {
            for service in is.services.values() {
                if was.services.get(&service.id).is_some_and(|s| s.scale != service.scale) {
                    self.scaled.insert(service.id, now);
                }
            }
        }
        let new = touched.iter().filter(|t| t.before.is_none()).filter_map(|t| t.after);
        let new: BTreeSet<(ServiceId, Slot)> = new.map(|t| (t.service, t.slot)).collect();
        new.into_iter().find_map(|(service, slot)| self.look(now, is, service, slot))
    }

    fn look(&self, now: u64, state: &State, id: ServiceId, slot: Slot) -> Broken {
        let just_back = |n: &Node| n.flaps > 0 && state.now.0 < n.readiness_since.0 + ON_ITS_WAY;
        let within_reach = |t: &&Task| {
            let node = state.nodes.get(&t.node).filter(|n| !just_back(n));
            t.live()
                && node
                    .is_some_and(|n| n.readiness != Readiness::Lost && n.engine_out_since.is_none())
        };
        let copies = state.tasks_in(id, slot).filter(within_reach).count();
        let service = state.services.get(&id)?;
        if copies > 2 {
            return Some(format!("{} has {copies} tasks in slot {slot}", service.full_name()));
        }
        let scaled = self.scaled.get(&id).is_some_and(|at| now < at + ON_ITS_WAY);
        if service.global() || scaled {
            return None;
        }
        let slots: BTreeSet<Slot> =
            state.tasks_of(id).filter(within_reach).map(|t| t.slot).collect();
        let (slots, scale) = (slots.len(), service.scale);
        (slots > scale as usize)
            .then(|| format!("{} has {slots} replicas, {scale} are asked for", service.full_name()))
    }
}
