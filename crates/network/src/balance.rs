//! Choosing a replica for a connection: fewest connections first, ties in turn, failing ones out for a
//! while. A value: it is handed the time, opens nothing, and knows replicas only by their identity.
//!
//! Every [`Balancer::pick`] must be followed by [`Balancer::failed`] or, in the end, [`Balancer::finished`];
//! [`Balancer::answered`] comes in between when the replica took the connection.

use crate::limits::{EJECT_FIRST, EJECT_MAX};
use model::{NodeId, TaskId, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// The replicas behind one published port, and how each has done.
#[derive(Clone, Debug, Default)]
pub struct Balancer {
    replicas: BTreeMap<TaskId, Replica>,
    turn: u64,
}

#[derive(Clone, Debug)]
struct Replica {
    node: NodeId,
    /// May get new connections. One that is no longer listed is kept, not serving, while it has open ones.
    serving: bool,
    listed: bool,
    open: u32,
    /// Failures in a row.
    failures: u32,
    /// Out until then, because of the failures.
    out_until: Time,
    /// The one connection that tries whether a replica works again is under way.
    on_trial: bool,
    picked: u64,
}

impl Replica {
    fn out(&self, now: Time) -> bool {
        now < self.out_until || self.on_trial
    }
}

impl Balancer {
    /// Makes `wanted` (task, node, serving) the list. Counts and failures of those that stay are kept.
    pub fn set(&mut self, wanted: impl IntoIterator<Item = (TaskId, NodeId, bool)>) {
        for replica in self.replicas.values_mut() {
            replica.listed = false;
            replica.serving = false;
        }
        for (task, node, serving) in wanted {
            let replica = self.replicas.entry(task).or_insert_with(|| Replica::new(node));
            replica.listed = true;
            replica.serving = serving;
        }
        self.replicas.retain(|_, r| r.listed || r.open > 0);
    }

    /// A replica for a new connection, none of those in `tried`: among the serving ones that are not out,
    /// one with the fewest connections, the longest unused of equals. When all are out, the one whose
    /// time is up first: a try is better than a refusal. `None` when none serves.
    pub fn pick(&mut self, now: Time, tried: &[TaskId]) -> Option<TaskId> {
        let candidates =
            || self.replicas.iter().filter(|(task, r)| r.serving && !tried.contains(task));
        let (&task, _) = candidates()
            .filter(|(_, r)| !r.out(now))
            .min_by_key(|(_, r)| (r.open, r.picked))
            .or_else(|| candidates().min_by_key(|(_, r)| (r.out_until, r.open, r.picked)))?;
        self.turn += 1;
        let replica = self.replicas.get_mut(&task)?;
        replica.picked = self.turn;
        replica.open += 1;
        replica.on_trial = replica.failures > 0;
        Some(task)
    }

    /// The picked replica took the connection: what it failed before is forgotten.
    pub fn answered(&mut self, task: TaskId) {
        if let Some(replica) = self.replicas.get_mut(&task) {
            replica.recover();
        }
    }

    /// The picked replica did not take the connection. Returns whether it is newly ejected; failures of
    /// connections that were under way together count once.
    pub fn failed(&mut self, now: Time, task: TaskId) -> bool {
        let ejected = self.replicas.get_mut(&task).is_some_and(|r| r.eject(now));
        self.finished(task);
        ejected
    }

    /// A connection to a replica has ended.
    pub fn finished(&mut self, task: TaskId) {
        let Some(replica) = self.replicas.get_mut(&task) else { return };
        replica.open = replica.open.saturating_sub(1);
        replica.on_trial = false;
        if replica.open == 0 && !replica.listed {
            self.replicas.remove(&task);
        }
    }

    /// A node cannot be reached from here: all its replicas are ejected. Returns how many newly.
    pub fn node_failed(&mut self, now: Time, node: NodeId) -> usize {
        self.replicas
            .values_mut()
            .filter(|r| r.node == node)
            .filter_map(|r| r.eject(now).then_some(()))
            .count()
    }

    /// A node can be reached again: its replicas are tried at once.
    pub fn node_back(&mut self, node: NodeId) {
        self.replicas.values_mut().filter(|r| r.node == node).for_each(Replica::recover);
    }

    /// Open connections to a replica.
    pub fn open(&self, task: TaskId) -> u32 {
        self.replicas.get(&task).map_or(0, |r| r.open)
    }

    /// How many replicas are out at `now`.
    pub fn ejected(&self, now: Time) -> usize {
        self.replicas.values().filter(|r| r.listed && now < r.out_until).count()
    }
}

impl Replica {
    fn new(node: NodeId) -> Self {
        Self {
            node,
            serving: false,
            listed: true,
            open: 0,
            failures: 0,
            out_until: Time::ZERO,
            on_trial: false,
            picked: 0,
        }
    }

    fn eject(&mut self, now: Time) -> bool {
        self.on_trial = false;
        if now < self.out_until {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.out_until = now + ejection(self.failures);
        true
    }

    fn recover(&mut self) {
        self.failures = 0;
        self.out_until = Time::ZERO;
        self.on_trial = false;
    }
}

/// How long a replica is out after so many failures in a row.
fn ejection(failures: u32) -> Duration {
    EJECT_FIRST.saturating_mul(1 << (failures - 1).min(16)).min(EJECT_MAX)
}
