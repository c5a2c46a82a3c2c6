//! Which subnets lie behind which hosts, and what to change of the kernel's routes so that they say so. Pure.

use super::peers::{peers, subnets_of};
use super::vxlan;
use crate::picture::PeerEdge;
use model::{Carrier, MeshView, NodeId, Subnet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Where packets for a subnet are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To a host of the same segment, as they are.
    Host(Ipv4Addr),
    /// To a host of another segment, in a tunnel.
    Tunnel(Ipv4Addr),
    /// To the encrypted carrier.
    Wire,
    /// To nobody: they are dropped.
    Nobody,
}

/// The device of the encrypted carrier.
pub(super) const WIRE: &str = "cl-wire";

/// The way to each subnet of other nodes. Directly there is none to a node without an IPv4 address, encrypted none
/// to one without a key. What is to be encrypted goes nowhere while it cannot be. `apart` are the hosts that are on
/// no segment with this one.
pub fn hops(
    mesh: &MeshView,
    here: NodeId,
    nodes: &[PeerEdge],
    apart: &BTreeSet<Ipv4Addr>,
) -> BTreeMap<Subnet, Hop> {
    match mesh.mesh.carrier {
        Carrier::Direct => direct(mesh, here, nodes, apart),
        Carrier::Encrypted => {
            let peers = peers(mesh, here, nodes);
            let subnets = peers.values().flat_map(|peer| &peer.subnets);
            let ways = subnets.map(|subnet| (*subnet, Hop::Wire));
            ways.chain([(mesh.mesh.pool, Hop::Nobody)]).collect()
        }
    }
}

fn direct(
    mesh: &MeshView,
    here: NodeId,
    nodes: &[PeerEdge],
    apart: &BTreeSet<Ipv4Addr>,
) -> BTreeMap<Subnet, Hop> {
    let others = nodes.iter().filter(|node| node.id != here);
    let ways = others.filter_map(|node| {
        let host = address(node)?;
        let hop = if apart.contains(&host) { Hop::Tunnel(host) } else { Hop::Host(host) };
        Some(subnets_of(mesh, node.id).map(move |subnet| (subnet, hop)))
    });
    ways.flatten().collect()
}

/// The other hosts that this one shares a network with, as far as they have IPv4 addresses.
pub(super) fn hosts(mesh: &MeshView, here: NodeId, nodes: &[PeerEdge]) -> BTreeSet<Ipv4Addr> {
    let others = nodes.iter().filter(|node| node.id != here);
    others.filter(|node| subnets_of(mesh, node.id).next().is_some()).filter_map(address).collect()
}

/// The IPv4 address of a node.
pub(super) fn address(node: &PeerEdge) -> Option<Ipv4Addr> {
    match node.edge.ip().to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The hosts that are reached by way of another, by what `ip -o route get` prints of each.
pub(super) fn apart(text: &str) -> BTreeSet<Ipv4Addr> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let host = words.next()?.parse().ok()?;
        words.any(|word| word == "via").then_some(host)
    };
    text.lines().filter_map(line).collect()
}

/// Reads what `ip -4 route show` prints of our own routes. Lines that are none are passed over.
pub(super) fn read(text: &str) -> BTreeMap<Subnet, Hop> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1]);
        if let ["blackhole", subnet, ..] = words[..] {
            return Some((subnet.parse().ok()?, Hop::Nobody));
        }
        let hop = match (after("via"), after("dev")) {
            (Some(host), Some(vxlan::DEVICE)) => Hop::Tunnel(host.parse().ok()?),
            (Some(host), _) => Hop::Host(host.parse().ok()?),
            (None, Some(WIRE)) => Hop::Wire,
            (None, _) => return None,
        };
        Some((words.first()?.parse().ok()?, hop))
    };
    text.lines().filter_map(line).collect()
}

/// The first of the routes that `ip -4 route show` prints that holds some address of `pool`; the default route,
/// which holds all, aside.
pub(super) fn overlapping(text: &str, pool: Subnet) -> Option<String> {
    let subnet = |line: &&str| {
        let mut words = line.split_whitespace();
        words.find_map(|w| w.parse().or_else(|_| format!("{w}/32").parse::<Subnet>()).ok())
    };
    let other = |line: &&str| {
        let default = line.starts_with("default");
        !default && subnet(line).is_some_and(|s| s.overlaps(pool))
    };
    text.lines().find(other).map(|line| line.trim().to_owned())
}

/// What `ip -batch` is to be told so that the routes that `are` there become those that are `wanted`; empty
/// when they are.
pub(super) fn changes(are: &BTreeMap<Subnet, Hop>, wanted: &BTreeMap<Subnet, Hop>) -> Vec<String> {
    let gone = are.keys().filter(|subnet| !wanted.contains_key(subnet));
    let gone = gone.map(|subnet| format!("route del {subnet} proto {PROTOCOL}"));
    let new = wanted.iter().filter(|(subnet, hop)| are.get(subnet) != Some(hop));
    let new = new.map(|(subnet, hop)| {
        let (kind, way) = match hop {
            Hop::Host(host) => ("", format!(" via {host}")),
            Hop::Tunnel(host) => ("", format!(" via {host} dev {} onlink", vxlan::DEVICE)),
            Hop::Wire => ("", format!(" dev {WIRE}")),
            Hop::Nobody => ("blackhole ", String::new()),
        };
        format!("route replace {kind}{subnet}{way} proto {PROTOCOL}")
    });
    gone.chain(new).collect()
}

/// By this number the kernel tells our routes from others' (`rtm_protocol`, rtnetlink(7); those of known
/// routing programs are in iproute2's `rt_protos`).
pub(super) const PROTOCOL: u8 = 141;

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(subnet: &str, host: [u8; 4]) -> (Subnet, Hop) {
        (subnet.parse().unwrap(), Hop::Host(host.into()))
    }

    #[test]
    fn what_ip_prints_is_read() {
        let text = "10.128.2.0/23 via 172.30.0.12 dev eth0 \n10.128.4.0/23 via 172.30.0.13 dev eth0 onlink \n10.9.0.0/16 dev eth1 scope link\n10.128.6.0/23 dev cl-wire scope link \nblackhole 10.128.0.0/10 \n";
        let wanted = [
            hop("10.128.2.0/23", [172, 30, 0, 12]),
            hop("10.128.4.0/23", [172, 30, 0, 13]),
            ("10.128.6.0/23".parse().unwrap(), Hop::Wire),
            ("10.128.0.0/10".parse().unwrap(), Hop::Nobody),
        ];
        assert_eq!(read(text), wanted.into());
    }

    #[test]
    fn who_is_apart_is_reached_by_another() {
        let text = "172.30.0.12 dev eth0 src 172.30.0.11 uid 0 \\    cache \n172.30.1.13 via 172.30.0.1 dev eth0 src 172.30.0.11 uid 0 \\    cache \n";
        assert_eq!(apart(text), [Ipv4Addr::new(172, 30, 1, 13)].into());
        let there = "10.128.2.0/23 via 172.30.1.13 dev cl-vxlan onlink \n";
        let wanted = ("10.128.2.0/23".parse().unwrap(), Hop::Tunnel([172, 30, 1, 13].into()));
        assert_eq!(read(there), [wanted].into());
        assert_eq!(
            changes(&[].into(), &[wanted].into()),
            ["route replace 10.128.2.0/23 via 172.30.1.13 dev cl-vxlan onlink proto 141"]
        );
    }

    #[test]
    fn a_pool_in_use_is_noticed() {
        let text = "default via 10.0.0.1 dev eth0\n10.0.0.0/24 dev eth0 scope link src 10.0.0.5\nblackhole 10.200.0.0/16\n10.130.0.7 via 10.0.0.9 dev eth0\n";
        let taken = |pool: &str| overlapping(text, pool.parse().unwrap());
        assert_eq!(taken("10.128.0.0/10").as_deref(), Some("10.130.0.7 via 10.0.0.9 dev eth0"));
        assert_eq!(taken("10.192.0.0/10").as_deref(), Some("blackhole 10.200.0.0/16"));
        assert_eq!(taken("172.16.0.0/12"), None);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let are = [hop("10.128.2.0/23", [1, 0, 0, 2]), hop("10.128.4.0/23", [1, 0, 0, 3])].into();
        let wanted =
            [hop("10.128.2.0/23", [1, 0, 0, 9]), hop("10.128.6.0/23", [1, 0, 0, 3])].into();
        assert_eq!(
            changes(&are, &wanted),
            [
                "route del 10.128.4.0/23 proto 141",
                "route replace 10.128.2.0/23 via 1.0.0.9 proto 141",
                "route replace 10.128.6.0/23 via 1.0.0.3 proto 141",
            ]
        );
        assert_eq!(changes(&wanted, &wanted), [""; 0]);
        let sealed = [
            ("10.128.6.0/23".parse().unwrap(), Hop::Wire),
            ("10.128.0.0/10".parse().unwrap(), Hop::Nobody),
        ];
        assert_eq!(
            changes(&[].into(), &sealed.into()),
            [
                "route replace blackhole 10.128.0.0/10 proto 141",
                "route replace 10.128.6.0/23 dev cl-wire proto 141",
            ]
        );
    }
}
