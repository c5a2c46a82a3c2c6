//! Which name stands for which addresses, for whom: a pure function of a picture. A caller is known by its
//! address, and sees the names of its own networks only.

use model::{MeshView, NamedService, NetworkView, NodeId, Subnet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands for these addresses; for none, when nothing that has it may be given connections now.
    Addresses(Vec<Ipv4Addr>),
    /// The address asked for is the one of this name.
    Name(String),
    /// It is ours to know, and there is no such name.
    Unknown,
    /// It is not ours to know.
    Elsewhere,
}

/// The names of all networks of one node.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pool: Option<Subnet>,
    zones: BTreeMap<Subnet, Zone>,
}

#[derive(Clone, Debug, Default)]
struct Zone {
    /// In lower case.
    addresses: BTreeMap<String, Vec<Ipv4Addr>>,
    names: BTreeMap<Ipv4Addr, String>,
    /// Names of the outside are not to be had.
    internal: bool,
}

impl Names {
    /// The names as the containers of `node` know them.
    pub fn new(mesh: &MeshView, node: NodeId) -> Self {
        let zone =
            |network: &NetworkView| Some((*network.subnets.get(&node)?, zone(network, node)));
        let zones = mesh.networks.iter().filter_map(|network| zone(network)).collect();
        Self { pool: Some(mesh.mesh.pool), zones }
    }

    /// Where names are asked for: the node's own address in each of its subnets.
    pub fn gateways(&self) -> BTreeSet<Ipv4Addr> {
        self.zones.keys().map(|subnet| subnet.gateway()).collect()
    }

    /// Whether `caller` may ask at `gateway`: containers of that bridge may, and nobody else.
    pub fn admits(&self, gateway: Ipv4Addr, caller: Ipv4Addr) -> bool {
        self.zone_of(caller).is_some_and(|(subnet, _)| subnet.gateway() == gateway)
    }

    /// What `name`, without its final dot, stands for to `caller`.
    pub fn lookup(&self, caller: Ipv4Addr, name: &str) -> Answer {
        let Some((_, zone)) = self.zone_of(caller) else { return Answer::Elsewhere };
        let name = name.to_ascii_lowercase();
        if let Some(addresses) = zone.addresses.get(&name) {
            return Answer::Addresses(addresses.clone());
        }
        let address = reversed(&name);
        match address.and_then(|address| zone.names.get(&address)) {
            Some(name) => Answer::Name(name.clone()),
            None if address.zip(self.pool).is_some_and(|(a, pool)| pool.contains(a)) => {
                Answer::Unknown
            }
            _ if zone.internal => Answer::Unknown,
            _ if name.starts_with("tasks.") || name.starts_with("nearest.") => Answer::Unknown,
            _ => Answer::Elsewhere,
        }
    }

    fn zone_of(&self, caller: Ipv4Addr) -> Option<(&Subnet, &Zone)> {
        let subnet = Subnet::around(caller, model::SUBNET_PREFIX);
        self.zones.get_key_value(&subnet)
    }
}

fn zone(network: &NetworkView, node: NodeId) -> Zone {
    let mut zone = Zone { internal: network.internal, ..Zone::default() };
    // A project's own services come before those of others.
    for service in &network.services {
        let own = of_service(service);
        for (name, addresses) in names(service, node) {
            zone.addresses.entry(name).or_insert(addresses);
        }
        for replica in &service.replicas {
            zone.names.insert(replica.address, format!("{}.{}", service.name, replica.slot));
        }
        for address in service.virtuals() {
            zone.names.entry(address).or_insert_with(|| service.name.to_string());
        }
        for alias in &service.aliases {
            let shared = zone.addresses.entry(alias.to_ascii_lowercase()).or_default();
            shared.extend(own.iter().filter(|a| !shared.contains(a)).copied().collect::<Vec<_>>());
        }
    }
    // A service's own name is never hidden by what another one is called too.
    for service in network.services.iter().rev() {
        let name = service.name.as_str().to_ascii_lowercase();
        zone.addresses.insert(name, of_service(service));
    }
    zone
}

/// What a service's name stands for.
fn of_service(service: &NamedService) -> Vec<Ipv4Addr> {
    match service.address {
        Some(address) => vec![address],
        None => service.replicas.iter().map(|r| r.address).collect(),
    }
}

/// The names of a service's replicas, all and each.
fn names(service: &NamedService, node: NodeId) -> Vec<(String, Vec<Ipv4Addr>)> {
    let name = service.name.as_str().to_ascii_lowercase();
    let all: Vec<Ipv4Addr> = service.replicas.iter().map(|r| r.address).collect();
    let here = service.replicas.iter().filter(|r| r.node == node).map(|r| r.address);
    let here: Vec<Ipv4Addr> = here.collect();
    let nearest = if here.is_empty() { all.clone() } else { here };
    let each = service.replicas.iter().map(|r| (format!("{name}.{}", r.slot), vec![r.address]));
    let mut names: BTreeMap<String, Vec<Ipv4Addr>> = BTreeMap::new();
    // While one copy replaces another, both have the slot.
    for (name, addresses) in each {
        names.entry(name).or_default().extend(addresses);
    }
    names.insert(format!("tasks.{name}"), all);
    names.insert(format!("nearest.{name}"), nearest);
    names.into_iter().collect()
}

/// The address that a name of a reverse lookup is about (RFC 1035 §3.5).
fn reversed(name: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = name.strip_suffix(".in-addr.arpa")?.parse().ok()?;
    let [a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(d, c, b, a))
}
