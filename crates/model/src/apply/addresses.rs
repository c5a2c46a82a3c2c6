//! Addresses of the mesh: given out by `apply`, so that every manager gives the same, and given back when what
//! had them goes.

use crate::mesh::free_address;
use crate::{NetworkSet, NodeId, ProjectName, ServiceId, State, Subnet};
use imbl::OrdMap;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Subnets by node.
type Subnets = OrdMap<NodeId, Subnet>;

/// No subnet of the pool is free.
pub(super) struct PoolUsedUp;

impl State {
    /// The address for a new task of a service on a node; with the first task on these networks there, a
    /// subnet too. `None` without a mesh.
    pub(super) fn give_address(
        &mut self,
        service: ServiceId,
        node: NodeId,
    ) -> Result<Option<Ipv4Addr>, PoolUsedUp> {
        if self.mesh().is_none() {
            return Ok(None);
        }
        let Some(service) = self.services.get(&service) else { return Ok(None) };
        let set = self.set_of(service);
        let subnet = self.subnet_on(&set, node)?;
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

    fn subnet_on(&mut self, set: &NetworkSet, node: NodeId) -> Result<Subnet, PoolUsedUp> {
        if let Some(subnet) = self.subnets_of_set(set).and_then(|of| of.get(&node)) {
            return Ok(*subnet);
        }
        let mesh = self.mesh().ok_or(PoolUsedUp)?;
        let used: BTreeSet<u32> = self.given_subnets().map(|subnet| mesh.number(subnet)).collect();
        let number = (0..mesh.subnets()).find(|n| !used.contains(n)).ok_or(PoolUsedUp)?;
        let subnet = mesh.subnet(number);
        let of = if set.is_default() {
            self.subnets.entry(set.project.clone()).or_default()
        } else {
            self.network_sets.entry(set.clone()).or_default()
        };
        of.insert(node, subnet);
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
        let sets = self.network_sets.iter().filter(|(set, _)| alive.contains(&set.project));
        let sets = sets.map(|(set, of)| (set.clone(), of.clone())).collect();
        self.subnets = kept.map(|(project, of)| (project.clone(), of.clone())).collect();
        self.network_sets = sets;
    }

    pub(super) fn free_subnets_of(&mut self, node: NodeId) {
        self.move_subnets(|of| of.without(&node));
    }

    fn move_subnets(&mut self, moved: impl Fn(&Subnets) -> Subnets) {
        let plain = self.subnets.iter().map(|(project, of)| (project.clone(), moved(of)));
        self.subnets = plain.collect();
        let sets = self.network_sets.iter().map(|(set, of)| (set.clone(), moved(of)));
        self.network_sets = sets.collect();
    }

    /// The same host under a new identity keeps the networks it has.
    pub(super) fn hand_over_subnets(&mut self, from: NodeId, to: NodeId) {
        self.move_subnets(|of| {
            let mut of = of.clone();
            if let Some(subnet) = of.remove(&from) {
                of.insert(to, subnet);
            }
            of
        });
    }
}
