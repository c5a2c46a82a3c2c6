//! Addresses of this host that other hosts could use.

use anyhow::Context;
use std::net::IpAddr;

/// Interfaces that lead to containers, not to other hosts.
const CONTAINER_SIDE: [&str; 4] = ["docker", "br-", "veth", "cl_"];

/// Addresses that qualify as the advertised one: not loopback, not link-local, not of a bridge to containers.
pub(crate) fn qualifying() -> anyhow::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs().context("cannot list this host's addresses")?;
    let mut found: Vec<IpAddr> = interfaces
        .into_iter()
        .filter(|i| !CONTAINER_SIDE.iter().any(|prefix| i.name.starts_with(prefix)))
        .map(|i| i.ip())
        .filter(|ip| !ip.is_loopback() && !link_local(*ip))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
