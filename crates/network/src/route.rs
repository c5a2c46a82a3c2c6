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
    places: BTreeMap<TaskId, Place>,
}

/// Where a replica is dialled, and how.
#[derive(Clone, Copy, Debug)]
struct Place {
    node: NodeId,
    address: IpAddr,
    /// Port in the container.
    port: u16,
    told: bool,
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
    /// It wants a PROXY header before the client's bytes.
    pub(crate) told: bool,
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
        let place = |b: &Backend| {
            let port = b.target.unwrap_or(target);
            (b.task, Place { node: b.node, address: b.address, port, told: b.told })
        };
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
        let place = table.places.get(&task).expect("what serves is listed");
        let &Place { node, address, port, told } = place;
        Some((ticket, Target { task, node, address, port, remote: node != here, told }))
    }

    /// Whether a replica is still among those that hold connections.
    pub(crate) fn holds(&self, task: TaskId) -> bool {
        self.table().places.contains_key(&task)
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
