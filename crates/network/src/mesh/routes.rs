//! Which subnets lie behind which hosts, and what to change of the kernel's routes so that they say so. Pure.

use crate::picture::PeerEdge;
use model::{Carrier, MeshView, NodeId, Subnet};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Where packets for a subnet are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To a host of the same segment, as they are.
    Host(Ipv4Addr),
}

/// The way to each subnet of other nodes. A node without an IPv4 address has none.
pub fn hops(mesh: &MeshView, here: NodeId, nodes: &[PeerEdge]) -> BTreeMap<Subnet, Hop> {
    let address = |node: &NodeId| match nodes.iter().find(|n| n.id == *node)?.edge.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let remote = mesh.networks.iter().flat_map(|n| &n.subnets).filter(|(node, _)| **node != here);
    let hop = |(node, subnet): (&NodeId, &Subnet)| match mesh.mesh.carrier {
        Carrier::Direct => Some((*subnet, Hop::Host(address(node)?))),
    };
    remote.filter_map(hop).collect()
}

/// Reads what `ip -4 route show` prints of our own routes. Lines that are none are passed over.
pub(super) fn read(text: &str) -> BTreeMap<Subnet, Hop> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let subnet = words.next()?.parse().ok()?;
        let via = words.skip_while(|w| *w != "via").nth(1)?.parse().ok()?;
        Some((subnet, Hop::Host(via)))
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
    let new = new.map(|(subnet, Hop::Host(host))| {
        format!("route replace {subnet} via {host} proto {PROTOCOL}")
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
        let text = "10.128.2.0/23 via 172.30.0.12 dev eth0 \n10.128.4.0/23 via 172.30.0.13 dev eth0 onlink \n10.9.0.0/16 dev eth1 scope link\n";
        let wanted =
            [hop("10.128.2.0/23", [172, 30, 0, 12]), hop("10.128.4.0/23", [172, 30, 0, 13])];
        assert_eq!(read(text), wanted.into());
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
    }
}
