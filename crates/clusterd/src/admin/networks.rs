//! Networks as people are shown them.

use api::v1;
use model::{ListedNetwork, ListedService, State};

/// The networks that services are on: of one project, or of all when no name is given. One that a project joins
/// is another's.
pub(crate) fn of(state: &State, project: &str) -> Vec<v1::Network> {
    let listed = state.listed_networks();
    let concerns = |network: &&ListedNetwork| {
        let mut projects =
            network.services.iter().map(|s| &s.project).chain([&network.key.project]);
        project.is_empty() || projects.any(|name| name.as_str() == project)
    };
    listed.iter().filter(concerns).map(|network| shown(state, network)).collect()
}

fn shown(state: &State, network: &ListedNetwork) -> v1::Network {
    let subnets = network.subnets.iter().map(|(node, subnet)| v1::NetworkSubnet {
        node: state.node_name(*node),
        subnet: subnet.to_string(),
    });
    v1::Network {
        project: network.key.project.to_string(),
        name: network.key.network.clone(),
        called: network.spec.name_of(&network.key),
        internal: network.spec.internal,
        attachable: network.spec.attachable,
        mtu: network.spec.mtu.unwrap_or(0),
        subnets: subnets.collect(),
        services: network.services.iter().map(|s| service(state, s)).collect(),
    }
}

fn service(state: &State, service: &ListedService) -> v1::NetworkService {
    let replicas = service.replicas.iter().map(|replica| v1::NetworkReplica {
        name: format!("{}.{}", service.name, replica.slot),
        node: state.node_name(replica.node),
        address: replica.address.to_string(),
    });
    v1::NetworkService {
        project: service.project.to_string(),
        service: service.name.to_string(),
        aliases: service.aliases.iter().cloned().collect(),
        addresses: service.virtuals.iter().map(ToString::to_string).collect(),
        replicas: replicas.collect(),
    }
}
