//! A published port while it is served: its replicas, how busy they are, and what was counted.

use crate::balance::Balancer;
use crate::counters::{Counters, count};
use crate::dial::Miss;
use model::{Backend, NodeId, ProjectName, Route, ServiceName, TaskId, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A published port in service.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) project: ProjectName,
    pub(crate) service: ServiceName,
    pub(crate) counters: Counters,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    balancer: Balancer,
    /// Where each is dialled: its node, address and port there.
    places: BTreeMap<TaskId, (NodeId, IpAddr, u16)>,
}

/// A replica that was picked for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) task: TaskId,
    pub(crate) node: NodeId,
    pub(crate) address: IpAddr,
    /// Port in the container.
    pub(crate) port: u16,
    /// On another node than this one.
    pub(crate) remote: bool,
}

impl Served {
    pub(crate) fn new(route: &Route) -> Self {
        Self::of(route.project.clone(), route.service.clone())
    }

    pub(crate) fn of(project: ProjectName, service: ServiceName) -> Self {
        Self { project, service, counters: Counters::default(), table: Mutex::default() }
    }

    /// Whether it is the same service's, so that its counts go on.
    pub(crate) fn belongs_to(&self, route: &Route) -> bool {
        self.project == route.project && self.service == route.service
    }

    pub(crate) fn set(&self, route: &Route) {
        self.set_backends(&route.backends, route.port.target);
    }

    /// Makes `backends` the list; those that name no port answer at `target`.
    pub(crate) fn set_backends(&self, backends: &[Backend], target: u16) {
        let mut table = self.table();
        let place = |b: &Backend| (b.task, (b.node, b.address, b.target.unwrap_or(target)));
        table.places = backends.iter().map(place).collect();
        table.balancer.set(backends.iter().map(|b| (b.task, b.node, b.serving)));
    }

    /// A replica for a connection to `here`'s edge, counted as busy until the ticket is dropped.
    pub(crate) fn pick(
        self: &Arc<Self>,
        now: Time,
        here: NodeId,
        tried: &[TaskId],
    ) -> Option<(Ticket, Target)> {
        let mut table = self.table();
        let task = table.balancer.pick(now, tried)?;
        let ticket = Ticket { served: Arc::clone(self), task: Some(task) };
        let &(node, address, port) = table.places.get(&task).expect("what serves is listed");
        Some((ticket, Target { task, node, address, port, remote: node != here }))
    }

    pub(crate) fn node_failed(&self, now: Time, node: NodeId) {
        let ejected = self.table().balancer.node_failed(now, node);
        for _ in 0..ejected {
            count(&self.counters.ejections);
        }
    }

    pub(crate) fn node_back(&self, node: NodeId) {
        self.table().balancer.node_back(node);
    }

    /// How many replicas are out at `now`.
    pub(crate) fn ejected(&self, now: Time) -> usize {
        self.table().balancer.ejected(now)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place at a replica.
#[derive(Debug)]
pub(crate) struct Ticket {
    served: Arc<Served>,
    task: Option<TaskId>,
}

impl Ticket {
    /// The replica took the connection.
    pub(crate) fn answered(&self) {
        if let Some(task) = self.task {
            self.served.table().balancer.answered(task);
        }
    }

    /// It did not. Returns whether the replica is newly ejected.
    pub(crate) fn missed(mut self, now: Time, target: &Target, miss: &Miss) -> bool {
        let Some(task) = self.task.take() else { return false };
        count(&self.served.counters.failures);
        let ejected = self.served.table().balancer.failed(now, task);
        if ejected {
            count(&self.served.counters.ejections);
        }
        if matches!(miss, Miss::Node(_)) {
            self.served.node_failed(now, target.node);
        }
        ejected
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.served.table().balancer.finished(task);
        }
    }
}
