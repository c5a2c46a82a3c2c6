//! Addresses of this host that other hosts could use.

use anyhow::{Context, bail};
use std::net::IpAddr;

/// Interfaces that lead to containers, not to other hosts.
const CONTAINER_SIDE: [&str; 5] = ["docker", "br-", "veth", "cl_", "cl-"];

/// Addresses that qualify as the advertised one: not loopback, not link-local, not of a bridge to containers.
pub(crate) fn qualifying() -> anyhow::Result<Vec<IpAddr>> {
    Ok(qualified(&interfaces()?))
}

/// Refuses a private address that is on no interface of this host: nobody would reach this host there. A public
/// one may be translated on the way, and where the interfaces cannot be listed, any address is believed.
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
    let known = interfaces.is_empty() || interfaces.iter().any(|(_, ip)| *ip == advertise);
    if known || public(advertise) {
        return Ok(());
    }
    let own: Vec<String> = qualified(interfaces).iter().map(ToString::to_string).collect();
    let own = if own.is_empty() { "none that others could use".into() } else { own.join(", ") };
    bail!("--advertise {advertise}: this host does not have that address; it has {own}")
}

/// Neither of a private network (RFC 1918, RFC 4193, RFC 6598) nor of this host alone.
fn public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let own = v4.is_loopback() || v4.is_link_local() || v4.is_unspecified();
            !(v4.is_private() || shared || own || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            let own = v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified();
            !(v6.is_unique_local() || own || v6.is_multicast())
        }
    }
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
        assert!(among(ip("198.51.100.7"), &all).is_ok(), "a public address may be translated");
        assert!(among(ip("100.64.0.1"), &all).is_err(), "RFC 6598 is no public one");
        assert!(among(ip("fd00::1"), &all).is_err(), "RFC 4193 is no public one");
    }
}
