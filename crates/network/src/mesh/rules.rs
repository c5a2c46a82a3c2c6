//! The rules of one node, as text for `nft -f`: a pure function of its part of the mesh. The table is replaced
//! whole, in one transaction.
//!
//! A packet between containers passes the `forward` chain of its sender's node and, on another node, that of its
//! receiver's. From a bridge it may bear no other source than one of that bridge's subnet, and go to no other
//! subnets of the pool than those that have a network in common with it. From outside it may come only from such
//! subnets of other nodes, and only where the way back leads. All containers of a subnet are on the same networks,
//! so an address of it gives away all that its owner may reach, and nothing more. What passes is marked, because the engine's own rules, which
//! come later, drop all that they do not know; one rule in the engine's chain for users accepts the mark.

use model::{MeshView, NamedService, NetworkView, NodeId, Subnet, bridge_name};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Name of our table.
pub(super) const TABLE: &str = "cluster";
/// Bit of the packet mark that says "let through by the mesh".
pub(super) const MARK: &str = "0x10000000";

/// A set of networks with its bridge on this node.
struct Here<'a> {
    network: &'a NetworkView,
    bridge: String,
    subnet: Subnet,
}

/// The rules of `node`.
pub fn ruleset(mesh: &MeshView, node: NodeId) -> String {
    let networks = mesh.networks.iter().filter_map(|network| {
        let subnet = *network.subnets.get(&node)?;
        Some(Here { network, bridge: bridge_name(mesh.mesh.number(subnet)), subnet })
    });
    let networks: Vec<Here<'_>> = networks.collect();
    let pool = mesh.mesh.pool;
    let mut chains: Vec<Chain> = Vec::new();
    for here in &networks {
        chains.extend(virtuals(here, node));
        chains.extend([from(here, pool), to(here, pool, node), enter(here)]);
    }
    chains.push(translate(&networks));
    chains.push(leave(&networks, pool));
    chains.push(arrive(&networks, pool));
    chains.push(forward(&networks, pool));
    chains.push(input(&networks));
    let mut text = format!("table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n");
    for chain in chains {
        chain.write(&mut text);
    }
    text.push_str("}\n");
    text
}

struct Chain {
    name: String,
    rules: Vec<String>,
}

impl Chain {
    fn new(name: impl Into<String>, rules: Vec<String>) -> Self {
        Self { name: name.into(), rules }
    }

    /// One that the kernel calls at a hook.
    fn at(name: &str, hook: &str, rules: Vec<String>) -> Self {
        let mut all = vec![format!("type {hook}; policy accept;")];
        all.extend(rules);
        Self::new(name, all)
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\tchain {} {{", self.name);
        for rule in &self.rules {
            let _ = writeln!(text, "\t\t{rule}");
        }
        text.push_str("\t}\n");
    }
}

/// `key vmap { a : goto b, ... }`; nothing without entries, which nft does not take.
fn dispatch(key: &str, entries: Vec<(String, String)>) -> Vec<String> {
    if entries.is_empty() {
        return Vec::new();
    }
    let entries: Vec<String> =
        entries.into_iter().map(|(is, chain)| format!("{is} : goto {chain}")).collect();
    vec![format!("{key} vmap {{ {} }}", entries.join(", "))]
}

fn by_bridge(networks: &[Here<'_>], chain: &str) -> Vec<String> {
    let entry = |h: &Here<'_>| (format!("\"{}\"", h.bridge), format!("{chain}_{}", h.bridge));
    dispatch("iifname", networks.iter().map(entry).collect())
}

/// What stands for the replicas of services as seen from a bridge, with the services: each address once.
fn addresses<'a>(here: &Here<'a>) -> BTreeMap<Ipv4Addr, &'a NamedService> {
    let mut all: BTreeMap<Ipv4Addr, &NamedService> = BTreeMap::new();
    for service in &here.network.services {
        for address in service.virtuals() {
            all.entry(address).or_insert(service);
        }
    }
    all
}

fn virtual_chain(here: &Here<'_>, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("virtual_{}_{a}_{b}_{c}_{d}", here.bridge)
}

/// For each service that has replicas: to one of them, by chance.
fn virtuals<'a>(here: &'a Here<'_>, node: NodeId) -> impl Iterator<Item = Chain> + 'a {
    addresses(here).into_iter().filter_map(move |(address, service)| {
        let rule = match service.chosen_from(node).as_slice() {
            [] => return None,
            [one] => format!("dnat to {}", one.address),
            many => {
                let to = many.iter().enumerate().map(|(n, r)| format!("{n} : {}", r.address));
                let to: Vec<String> = to.collect();
                format!("dnat to numgen random mod {} map {{ {} }}", many.len(), to.join(", "))
            }
        };
        Some(Chain::new(virtual_chain(here, address), vec![rule]))
    })
}

/// Virtual addresses mean something to containers of the service's networks only.
fn translate(networks: &[Here<'_>]) -> Chain {
    let entries = networks.iter().flat_map(|here| {
        let served = addresses(here).into_iter().filter(|(_, s)| !s.replicas.is_empty());
        served.map(|(address, _)| {
            (format!("\"{}\" . {address}", here.bridge), virtual_chain(here, address))
        })
    });
    let rules = dispatch("iifname . ip daddr", entries.collect());
    Chain::at("translate", "nat hook prerouting priority dstnat", rules)
}

/// A replica on the bridge of its client would answer past this host, and not be understood: it is made to see
/// the host as its client. All that leaves the pool leaves under the host's own address.
fn leave(networks: &[Here<'_>], pool: Subnet) -> Chain {
    let back = networks.iter().map(|Here { subnet, .. }| {
        format!("ip saddr {subnet} ip daddr {subnet} ct status dnat masquerade")
    });
    let out = format!("ip saddr {pool} ip daddr != {pool} masquerade");
    let rules = back.chain([out]).collect();
    Chain::at("leave", "nat hook postrouting priority srcnat", rules)
}

fn from(here: &Here<'_>, pool: Subnet) -> Chain {
    let Here { network, bridge, subnet } = here;
    let reached: Vec<String> = network.reached().map(|(_, s)| s.to_string()).collect();
    let mut rules = vec![
        format!("ip saddr != {subnet} drop"),
        format!("ip daddr {{ {} }} {}", reached.join(", "), pass()),
    ];
    let prohibited = "reject with icmp type admin-prohibited";
    rules.push(format!("ip daddr {pool} {prohibited}"));
    let fixed = network.services.iter().flat_map(|s| &s.fixed);
    let fixed: BTreeSet<String> = fixed.map(ToString::to_string).collect();
    if !fixed.is_empty() {
        // One that nothing answers now is not somebody else's of the same number outside.
        let fixed: Vec<String> = fixed.into_iter().collect();
        rules.push(format!("ip daddr {{ {} }} reject", fixed.join(", ")));
    }
    if network.internal {
        // Answers to what came in by a port of this host still leave.
        rules.push(format!("ct direction original {prohibited}"));
    }
    Chain::new(format!("from_{bridge}"), rules)
}

fn to(here: &Here<'_>, pool: Subnet, node: NodeId) -> Chain {
    let Here { network, bridge, .. } = here;
    let others = network.reached().filter(|(of, _)| *of != node).map(|(_, s)| s.to_string());
    let others: Vec<String> = others.collect();
    let mut rules = Vec::new();
    if !others.is_empty() {
        rules.push(format!("ip saddr {{ {} }} {}", others.join(", "), pass()));
    }
    rules.extend([
        format!("ip saddr {pool} drop"),
        "ct state established,related accept".to_owned(),
        // Ports that the engine publishes on this host.
        "ct status dnat accept".to_owned(),
        "drop".to_owned(),
    ]);
    Chain::new(format!("to_{bridge}"), rules)
}

fn pass() -> String {
    format!("meta mark set meta mark or {MARK} accept")
}

fn arrive(networks: &[Here<'_>], pool: Subnet) -> Chain {
    let entry = |h: &Here<'_>| (h.subnet.to_string(), format!("to_{}", h.bridge));
    let mut rules = vec![format!("ip saddr {pool} fib saddr . iif oif missing drop")];
    rules.extend(dispatch("ip daddr", networks.iter().map(entry).collect()));
    rules.push("drop".to_owned());
    Chain::new("arrive", rules)
}

fn forward(networks: &[Here<'_>], pool: Subnet) -> Chain {
    let mut rules = by_bridge(networks, "from");
    rules.push(format!("ip daddr {pool} goto arrive"));
    rules.push(format!("ip saddr {pool} drop"));
    Chain::at("forward", "filter hook forward priority filter - 10", rules)
}

fn enter(here: &Here<'_>) -> Chain {
    let mut rules = vec![format!("ip saddr != {} drop", here.subnet)];
    if here.network.internal {
        // Names are asked for at the gateway; what the host has at its other addresses is outside.
        let gateway = here.subnet.gateway();
        rules.push(format!("ip daddr != {gateway} ct direction original reject"));
    }
    Chain::new(format!("enter_{}", here.bridge), rules)
}

fn input(networks: &[Here<'_>]) -> Chain {
    let rules = by_bridge(networks, "enter");
    Chain::at("input", "filter hook input priority filter - 10", rules)
}
