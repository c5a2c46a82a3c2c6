//! Addresses of the mesh: given out by `apply`, so that every manager gives the same, and given back when what
//! had them goes.

use crate::mesh::free_address;
use crate::{NodeId, ProjectName, ServiceId, State, Subnet};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// No subnet of the pool is free.
pub(super) struct PoolUsedUp;

impl State {
    /// The address for a new task of a service on a node; with the first task of a project there, a subnet
    /// too. `None` without a mesh.
    pub(super) fn give_address(
        &mut self,
        service: ServiceId,
        node: NodeId,
    ) -> Result<Option<Ipv4Addr>, PoolUsedUp> {
        if self.mesh().is_none() {
            return Ok(None);
        }
        let Some(service) = self.services.get(&service) else { return Ok(None) };
        let project = service.project.clone();
        let subnet = self.subnet_for(&project, node)?;
        let (mut held, mut last) = (BTreeSet::new(), None);
        for task in self.tasks_on(node) {
            let Some(given) = task.given.filter(|a| subnet.contains(*a)) else { continue };
            last = Some(given);
            if task.holds() {
                held.insert(given);
            }
        }
        // There are more addresses than one node may have tasks.
        Ok(free_address(subnet, last, &held))
    }

    fn subnet_for(&mut self, project: &ProjectName, node: NodeId) -> Result<Subnet, PoolUsedUp> {
        if let Some(subnet) = self.subnet_of(project, node) {
            return Ok(subnet);
        }
        let mesh = self.mesh().ok_or(PoolUsedUp)?;
        let used = self.subnets.values().flat_map(|of| of.values());
        let used: BTreeSet<u32> = used.map(|subnet| mesh.number(*subnet)).collect();
        let number = (0..mesh.subnets()).find(|n| !used.contains(n)).ok_or(PoolUsedUp)?;
        let subnet = mesh.subnet(number);
        self.subnets.entry(project.clone()).or_default().insert(node, subnet);
        Ok(subnet)
    }

    /// The lowest virtual address that no service has; `None` without a mesh, or when all are in use.
    pub(super) fn free_virtual(&self) -> Option<Ipv4Addr> {
        let mesh = self.mesh()?;
        let used: BTreeSet<Ipv4Addr> = self.services.values().filter_map(|s| s.address).collect();
        (0..mesh.virtuals()).map(|n| mesh.virtual_address(n)).find(|a| !used.contains(a))
    }

    /// Subnets of projects that have no service any more, not even one that is being removed.
    pub(super) fn free_subnets(&mut self) {
        let alive: BTreeSet<&ProjectName> = self.services.values().map(|s| &s.project).collect();
        let kept = self.subnets.iter().filter(|(project, _)| alive.contains(project));
        self.subnets = kept.map(|(project, of)| (project.clone(), of.clone())).collect();
    }

    pub(super) fn free_subnets_of(&mut self, node: NodeId) {
        let kept = self.subnets.iter().map(|(project, of)| (project.clone(), of.without(&node)));
        self.subnets = kept.collect();
    }

    /// The same host under a new identity keeps the networks it has.
    pub(super) fn hand_over_subnets(&mut self, from: NodeId, to: NodeId) {
        let moved = self.subnets.iter().map(|(project, of)| {
            let mut of = of.clone();
            if let Some(subnet) = of.remove(&from) {
                of.insert(to, subnet);
            }
            (project.clone(), of)
        });
        self.subnets = moved.collect();
    }
}
