//! Questions about the mesh: who is on which network, under which names and addresses.

use crate::{
    Attachment, Mesh, MeshView, NamedReplica, NamedService, NetworkView, NodeId, ProjectName,
    Readiness, Service, ServiceSpec, SharedPart, State, Subnet, Task,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The networks of all projects, by project.
pub(crate) type Networks = BTreeMap<ProjectName, Arc<NetworkView>>;

impl State {
    /// The network that containers share across hosts.
    pub fn mesh(&self) -> Option<Mesh> {
        self.cluster.as_ref()?.mesh
    }

    /// The subnet of a project on a node, once the node has had a task of it.
    pub fn subnet_of(&self, project: &ProjectName, node: NodeId) -> Option<Subnet> {
        self.subnets.get(project)?.get(&node).copied()
    }

    /// Whether all subnets of the mesh are given out.
    pub fn pool_used_up(&self) -> bool {
        let used = || self.subnets.values().map(|of| of.len() as u64).sum::<u64>();
        self.mesh().is_some_and(|mesh| used() >= u64::from(mesh.subnets()))
    }

    /// Where a task is on its project's network; `None` when it is on none, or there is no mesh.
    pub(crate) fn attachment(&self, task: &Task) -> Option<Attachment> {
        let service = self.service_of(task);
        let subnet = self.subnet_of(&service.project, task.node)?;
        let address = task.given.filter(|_| service.spec_of(task.generation).on_network())?;
        Some(Attachment { subnet, number: self.mesh()?.number(subnet), address })
    }

    /// The networks of all projects. Cost: one pass over all tasks; none without a mesh.
    pub(crate) fn networks(&self) -> Networks {
        let mut networks = BTreeMap::new();
        for (project, subnets) in &self.subnets {
            let subnets = subnets.iter().map(|(node, subnet)| (*node, *subnet)).collect();
            let network = NetworkView { project: project.clone(), subnets, services: Vec::new() };
            networks.insert(project.clone(), network);
        }
        for service in self.services.values().filter(|s| !s.removed && s.spec().on_network()) {
            if let Some(network) = networks.get_mut(&service.project) {
                network.services.push(self.named_service(service));
            }
        }
        networks.into_iter().map(|(project, network)| (project, Arc::new(network))).collect()
    }

    fn named_service(&self, service: &Service) -> NamedService {
        let spec = service.spec();
        NamedService {
            name: service.name.clone(),
            aliases: spec.container.engine.aliases.iter().cloned().collect(),
            address: service.address.filter(|_| !spec.round_robin),
            replicas: self.tasks_of(service.id).filter_map(|task| self.replica(task)).collect(),
        }
    }

    /// A replica that may be given connections; `None` for any other.
    fn replica(&self, task: &Task) -> Option<NamedReplica> {
        let node = self.nodes.get(&task.node)?;
        let serves = task.serving() && node.readiness == Readiness::Ready;
        let address = self.attachment(task).filter(|_| serves)?.address;
        Some(NamedReplica { task: task.id, slot: task.slot, node: task.node, address })
    }

    /// What a node needs to know of the mesh, of the networks of all projects.
    pub(crate) fn mesh_view(&self, node: NodeId, networks: &Networks) -> Option<MeshView> {
        let here = networks.values().filter(|n| n.subnets.contains_key(&node));
        Some(MeshView { mesh: self.mesh()?, networks: here.cloned().collect() })
    }
}

impl ServiceSpec {
    /// Whether a copy is on its project's network with an address of its own: not on none, the host's or
    /// another container's.
    pub fn on_network(&self) -> bool {
        let borrowed = self.shares_with.iter().any(|s| s.what == SharedPart::Network);
        self.container.engine.network_mode.is_none() && !borrowed
    }
}
