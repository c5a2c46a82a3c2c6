//! Networks as people are shown them.

use crate::{
    NamedReplica, NetworkKey, NetworkSpec, NodeId, ProjectName, ServiceName, State, Subnet,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// A network that some service is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNetwork {
    /// Which one.
    pub key: NetworkKey,
    /// What its project says of it.
    pub spec: NetworkSpec,
    /// Subnets whose containers are on it, by node.
    pub subnets: BTreeSet<(NodeId, Subnet)>,
    /// The services on it, those of other projects included.
    pub services: Vec<ListedService>,
}

/// A service on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedService {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub name: ServiceName,
    /// Its further names on the network.
    pub aliases: BTreeSet<String>,
    /// Addresses that stand for all of its replicas.
    pub virtuals: Vec<Ipv4Addr>,
    /// Its replicas that may be given connections.
    pub replicas: Vec<NamedReplica>,
}

impl State {
    /// All networks that services are on, by project and name; none without a mesh. Cost: one pass over all
    /// tasks.
    pub fn listed_networks(&self) -> Vec<ListedNetwork> {
        if self.mesh().is_none() {
            return Vec::new();
        }
        let mut listed: BTreeMap<NetworkKey, ListedNetwork> = BTreeMap::new();
        for found in self.findable() {
            let spec = found.service.spec();
            for (key, name) in &found.on {
                let fixed = spec.networking.networks.get(*name).and_then(|joined| joined.address);
                let own = found.service.address.filter(|_| !spec.round_robin);
                let network = listed.entry(key.clone()).or_insert_with(|| ListedNetwork {
                    key: key.clone(),
                    spec: self.network_spec(key),
                    subnets: BTreeSet::new(),
                    services: Vec::new(),
                });
                network.services.push(ListedService {
                    project: found.service.project.clone(),
                    name: found.service.name.clone(),
                    aliases: spec.aliases_on(name),
                    virtuals: own.into_iter().chain(fixed).collect(),
                    replicas: found.replicas.clone(),
                });
            }
        }
        for set in self.sets() {
            for key in &set.networks {
                let subnets = set.subnets.iter().map(|(node, subnet)| (*node, *subnet));
                if let Some(network) = listed.get_mut(key) {
                    network.subnets.extend(subnets);
                }
            }
        }
        listed.into_values().collect()
    }
}
