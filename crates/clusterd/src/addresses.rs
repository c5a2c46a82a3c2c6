//! Addresses of this host that other hosts could use.

use anyhow::{Context, bail};
use std::net::IpAddr;

/// Interfaces that lead to containers, not to other hosts.
const CONTAINER_SIDE: [&str; 4] = ["docker", "br-", "veth", "cl_"];

/// Addresses that qualify as the advertised one: not loopback, not link-local, not of a bridge to containers.
pub(crate) fn qualifying() -> anyhow::Result<Vec<IpAddr>> {
    Ok(qualified(&interfaces()?))
}

/// Refuses an address that is on no interface of this host: nobody would reach this host there. Where the
/// interfaces cannot be listed, the address is believed.
pub(crate) fn own(advertise: IpAddr) -> anyhow::Result<()> {
    interfaces().map_or(Ok(()), |all| among(advertise, &all))
}

/// An interface's name and address.
type Interface = (String, IpAddr);

fn interfaces() -> anyhow::Result<Vec<Interface>> {
    let all = if_addrs::get_if_addrs().context("cannot list this host's addresses")?;
    Ok(all.into_iter().map(|i| (i.name.clone(), i.ip())).collect())
}

fn qualified(interfaces: &[Interface]) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .filter(|(name, _)| !CONTAINER_SIDE.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(_, ip)| *ip)
        .filter(|ip| !ip.is_loopback() && !link_local(*ip))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn among(advertise: IpAddr, interfaces: &[Interface]) -> anyhow::Result<()> {
    if interfaces.is_empty() || interfaces.iter().any(|(_, ip)| *ip == advertise) {
        return Ok(());
    }
    let own: Vec<String> = qualified(interfaces).iter().map(ToString::to_string).collect();
    let own = if own.is_empty() { "none that others could use".into() } else { own.join(", ") };
    bail!("--advertise {advertise}: this host does not have that address; it has {own}")
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_host_is_refused_with_those_of_this_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let interface = |name: &str, address: &str| (name.to_owned(), ip(address));
        let all = [
            interface("lo", "127.0.0.1"),
            interface("eth0", "10.0.0.11"),
            interface("eth1", "192.168.1.7"),
            interface("docker0", "172.17.0.1"),
        ];
        let refused = among(ip("10.0.0.12"), &all).unwrap_err().to_string();
        assert!(refused.contains("10.0.0.12"), "{refused}");
        assert!(refused.ends_with("it has 10.0.0.11, 192.168.1.7"), "{refused}");
        assert!(among(ip("192.168.1.7"), &all).is_ok());
        assert!(among(ip("127.0.0.1"), &all).is_ok(), "a cluster of one host may say so");
        assert!(among(ip("10.0.0.12"), &[]).is_ok(), "it cannot be told");
    }
}
