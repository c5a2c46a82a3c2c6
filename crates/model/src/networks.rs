//! Questions about the mesh: who is on which networks, under which names and addresses.

use crate::{
    Attachment, DEFAULT_NETWORK, Mesh, MeshView, NamedReplica, NamedService, NetworkKey,
    NetworkSet, NetworkSpec, NetworkView, NodeId, ProjectName, Readiness, SUBNET_PREFIX, Service,
    ServiceSpec, SharedPart, State, Subnet, Task, TaskState, Wanted,
};
use imbl::OrdMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What is reached from the subnets of each set of networks.
pub(crate) type Networks = Vec<Arc<NetworkView>>;

/// A set of networks with its subnets, by node.
pub(crate) struct Set {
    pub(crate) project: ProjectName,
    pub(crate) networks: BTreeSet<NetworkKey>,
    pub(crate) subnets: BTreeMap<NodeId, Subnet>,
}

/// A service as its neighbours may find it.
pub(crate) struct Found<'a> {
    pub(crate) service: &'a Service,
    /// Its networks, with its name in the file for each.
    pub(crate) on: BTreeMap<NetworkKey, &'a str>,
    pub(crate) replicas: Vec<NamedReplica>,
    /// Addresses of replicas that are being stopped.
    leaving: Vec<Ipv4Addr>,
}

impl State {
    /// The network that containers share across hosts.
    pub fn mesh(&self) -> Option<Mesh> {
        self.cluster.as_ref()?.mesh
    }

    /// The subnet that copies of a service get their addresses of on a node, once there is one.
    pub fn subnet_for(&self, service: &Service, node: NodeId) -> Option<Subnet> {
        self.subnets_of_set(&self.set_of(service))?.get(&node).copied()
    }

    /// Whether all subnets of the mesh are given out.
    pub fn pool_used_up(&self) -> bool {
        let used = || self.given_subnets().count() as u64;
        self.mesh().is_some_and(|mesh| used() >= u64::from(mesh.subnets()))
    }

    /// All subnets that are given out.
    pub(crate) fn given_subnets(&self) -> impl Iterator<Item = Subnet> + '_ {
        let all = self.subnets.values().chain(self.network_sets.values());
        all.flat_map(|of| of.values().copied())
    }

    /// The networks that copies of a service are on, as it is now.
    pub(crate) fn set_of(&self, service: &Service) -> NetworkSet {
        let networks = &service.spec().networking.networks;
        let keys = networks.keys().map(|name| self.network_key(&service.project, name));
        let mut networks: BTreeSet<NetworkKey> = keys.collect();
        if networks.is_empty() {
            networks.insert(NetworkKey::new(&service.project, DEFAULT_NETWORK));
        }
        NetworkSet { project: service.project.clone(), networks }
    }

    pub(crate) fn subnets_of_set(&self, set: &NetworkSet) -> Option<&OrdMap<NodeId, Subnet>> {
        if set.is_default() {
            return self.subnets.get(&set.project);
        }
        self.network_sets.get(set)
    }

    /// Which network a name in a project's file stands for.
    pub fn network_key(&self, project: &ProjectName, name: &str) -> NetworkKey {
        let joined = self.projects.get(project).and_then(|p| p.joined.get(name));
        joined.cloned().unwrap_or_else(|| NetworkKey::new(project, name))
    }

    /// What its project says of a network.
    pub fn network_spec(&self, key: &NetworkKey) -> NetworkSpec {
        let project = self.projects.get(&key.project);
        project.and_then(|p| p.networks.get(&key.network).cloned()).unwrap_or_default()
    }

    /// Where a task is on the mesh; `None` when it is on no network of its own, or there is no mesh.
    pub(crate) fn attachment(&self, task: &Task) -> Option<Attachment> {
        let service = self.service_of(task);
        let address = task.given.filter(|_| service.spec_of(task.generation).on_network())?;
        let subnet = Subnet::around(address, SUBNET_PREFIX);
        let number = self.mesh()?.number(subnet);
        let on = |of: &OrdMap<NodeId, Subnet>| of.get(&task.node) == Some(&subnet);
        if self.subnets.get(&service.project).is_some_and(on) {
            let mtu = self.network_spec(&NetworkKey::new(&service.project, DEFAULT_NETWORK)).mtu;
            return Some(Attachment { subnet, number, address, apart: false, mtu });
        }
        let (set, _) = self.sets_of(&service.project).find(|(_, of)| on(of))?;
        let mtu = set.networks.iter().filter_map(|key| self.network_spec(key).mtu).min();
        Some(Attachment { subnet, number, address, apart: true, mtu })
    }

    /// The sets of networks of a project's containers, but for its default one alone.
    fn sets_of(
        &self,
        project: &ProjectName,
    ) -> impl Iterator<Item = (&NetworkSet, &OrdMap<NodeId, Subnet>)> {
        let first = NetworkSet { project: project.clone(), networks: BTreeSet::new() };
        let project = project.clone();
        self.network_sets.range(first..).take_while(move |(set, _)| set.project == project)
    }

    /// What is reached from the subnets of each set of networks. Cost: one pass over all tasks, and for each
    /// set over the services of its networks; none without a mesh.
    pub(crate) fn networks(&self) -> Networks {
        let sets = self.sets();
        let by_subnet: BTreeMap<Subnet, usize> = sets
            .iter()
            .enumerate()
            .flat_map(|(i, set)| set.subnets.values().map(move |subnet| (*subnet, i)))
            .collect();
        let mut near: BTreeMap<&NetworkKey, Vec<usize>> = BTreeMap::new();
        for (i, set) in sets.iter().enumerate() {
            set.networks.iter().for_each(|key| near.entry(key).or_default().push(i));
        }
        let found = if sets.is_empty() { Vec::new() } else { self.findable() };
        let mut on: BTreeMap<&NetworkKey, Vec<usize>> = BTreeMap::new();
        for (i, service) in found.iter().enumerate() {
            service.on.keys().for_each(|key| on.entry(key).or_default().push(i));
        }
        let members = |of: &BTreeMap<&NetworkKey, Vec<usize>>, set: &Set| -> BTreeSet<usize> {
            set.networks.iter().filter_map(|key| of.get(key)).flatten().copied().collect()
        };
        let views = sets.iter().enumerate().map(|(i, set)| {
            let reached = members(&near, set);
            let others = reached.iter().filter(|other| **other != i);
            let others = others.flat_map(|other| &sets[*other].subnets);
            let seen = |address: Ipv4Addr| {
                let subnet = Subnet::around(address, SUBNET_PREFIX);
                by_subnet.get(&subnet).is_some_and(|set| reached.contains(set))
            };
            let named = members(&on, set).into_iter().map(|i| found[i].seen_from(set, seen));
            let mut services: Vec<NamedService> = named.collect();
            services.sort_by_key(|service| service.foreign);
            Arc::new(NetworkView {
                project: set.project.clone(),
                subnets: set.subnets.clone(),
                services,
                networks: set.networks.clone(),
                others: others.map(|(node, subnet)| (*node, *subnet)).collect(),
                internal: set.networks.iter().all(|key| self.network_spec(key).internal),
            })
        });
        views.collect()
    }

    /// All sets of networks that have subnets. What was deployed while a project had one network only is on
    /// that one, whatever networks it names: while such a copy is left, that one counts as all of these.
    pub(crate) fn sets(&self) -> Vec<Set> {
        let subnets = |of: &OrdMap<NodeId, Subnet>| of.iter().map(|(n, s)| (*n, *s)).collect();
        let mut first: BTreeMap<&ProjectName, BTreeSet<NetworkKey>> = BTreeMap::new();
        for project in self.subnets.keys() {
            first.insert(project, [NetworkKey::new(project, DEFAULT_NETWORK)].into());
        }
        for service in self.services.values().filter(|s| self.subnets.contains_key(&s.project)) {
            for (generation, spec) in service.specs.iter().filter(|(_, spec)| spec.names_others()) {
                let used = service.generation == *generation
                    || self.tasks_of(service.id).any(|t| t.generation == *generation && t.holds());
                let Some(networks) = first.get_mut(&service.project).filter(|_| used) else {
                    continue;
                };
                networks.extend(spec.networks.iter().map(|n| NetworkKey::new(&service.project, n)));
            }
        }
        let first = first.into_iter().map(|(project, networks)| Set {
            project: project.clone(),
            networks,
            subnets: subnets(&self.subnets[project]),
        });
        let others = self.network_sets.iter().map(|(set, of)| Set {
            project: set.project.clone(),
            networks: set.networks.clone(),
            subnets: subnets(of),
        });
        first.chain(others).collect()
    }

    pub(crate) fn findable(&self) -> Vec<Found<'_>> {
        let services = self.services.values().filter(|s| !s.removed && s.spec().on_network());
        let found = services.map(|service| {
            let names = service.spec().network_names().into_iter();
            Found {
                service,
                on: names.map(|name| (self.network_key(&service.project, name), name)).collect(),
                replicas: self.tasks_of(service.id).filter_map(|task| self.replica(task)).collect(),
                leaving: self.tasks_of(service.id).filter_map(|task| self.leaving(task)).collect(),
            }
        });
        found.collect()
    }

    /// A replica that may be given connections; `None` for any other.
    fn replica(&self, task: &Task) -> Option<NamedReplica> {
        let node = self.nodes.get(&task.node)?;
        let serves = task.serving() && node.readiness == Readiness::Ready;
        let address: Ipv4Addr = self.attachment(task).filter(|_| serves)?.address;
        Some(NamedReplica { task: task.id, slot: task.slot, node: task.node, address })
    }

    /// The address of a task that is being stopped, but still runs where it is heard of.
    fn leaving(&self, task: &Task) -> Option<Ipv4Addr> {
        let node = self.nodes.get(&task.node)?;
        let runs = matches!(task.state, TaskState::Running | TaskState::Stopping);
        let leaves = runs && task.wanted == Wanted::Stop && node.readiness == Readiness::Ready;
        self.attachment(task).filter(|_| leaves).map(|at| at.address)
    }

    /// What a node needs to know of the mesh, of all networks.
    pub(crate) fn mesh_view(&self, node: NodeId, networks: &Networks) -> Option<MeshView> {
        let here = networks.iter().filter(|n| n.subnets.contains_key(&node));
        Some(MeshView { mesh: self.mesh()?, networks: here.cloned().collect() })
    }
}

impl Found<'_> {
    /// The service as it is found from what is on the networks of a set: under the names that it has on those
    /// that both are on.
    fn seen_from(&self, set: &Set, seen: impl Fn(Ipv4Addr) -> bool) -> NamedService {
        let spec = self.service.spec();
        let shared = || self.on.iter().filter(|(key, _)| set.networks.contains(key));
        let joined = shared().filter_map(|(_, name)| spec.networking.networks.get(*name));
        NamedService {
            name: self.service.name.clone(),
            aliases: shared().flat_map(|(_, name)| spec.aliases_on(name)).collect(),
            address: self.service.address.filter(|_| !spec.round_robin),
            replicas: self.replicas.iter().filter(|r| seen(r.address)).copied().collect(),
            leaving: self.leaving.iter().filter(|address| seen(**address)).copied().collect(),
            fixed: joined.filter_map(|joined| joined.address).collect(),
            prefer_local: spec.networking.prefer_local,
            foreign: self.service.project != set.project,
        }
    }
}

impl NetworkSet {
    /// Whether it is the network of services that name none, alone.
    pub(crate) fn is_default(&self) -> bool {
        let only = self.networks.iter().next().filter(|_| self.networks.len() == 1);
        only.is_some_and(|key| key.project == self.project && key.network == DEFAULT_NETWORK)
    }
}

impl ServiceSpec {
    /// Whether a copy is on its project's networks with an address of its own: not on none, the host's or
    /// another container's.
    pub fn on_network(&self) -> bool {
        let borrowed = self.shares_with.iter().any(|s| s.what == SharedPart::Network);
        self.container.engine.network_mode.is_none() && !borrowed
    }

    /// Its networks, by name in the file.
    pub fn network_names(&self) -> Vec<&str> {
        let own: Vec<&str> = self.networking.networks.keys().map(String::as_str).collect();
        match (own.is_empty(), self.networks.is_empty()) {
            (false, _) => own,
            (true, false) => self.networks.iter().map(String::as_str).collect(),
            (true, true) => vec![DEFAULT_NETWORK],
        }
    }

    /// Whether it was deployed while a project had one network only, and names others.
    fn names_others(&self) -> bool {
        self.networking.networks.is_empty() && self.networks.iter().any(|n| n != DEFAULT_NETWORK)
    }
}
