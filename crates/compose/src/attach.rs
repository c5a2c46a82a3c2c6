//! Which networks a service is on, under which names, or that it is on none or on the host's.

use crate::complaint::shown;
use crate::container::hostname;
use crate::keys::Section;
use crate::project::Known;
use crate::reader::{Fields, Reader, plain};
use crate::scalar::integer;
use crate::service::undeclared;
use crate::tree::{Node, Place, Value};
use model::{DEFAULT_NETWORK, Joined, Networking, Subnet};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a service says about networks.
#[derive(Default)]
pub(crate) struct Attached {
    /// Names of networks in the file, sorted, at least one.
    pub(crate) networks: Vec<String>,
    /// How it is on them.
    pub(crate) networking: Networking,
    /// Names of the service on all of them.
    pub(crate) aliases: Vec<String>,
    /// `none` or `host`.
    pub(crate) mode: Option<String>,
}

pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Attached {
    let mode = mode(r, fields);
    let mut named: Vec<(String, Place, Joined)> = Vec::new();
    match fields.get("networks") {
        Some(Node { value: Value::Map(entries), .. }) => {
            for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
                let pools = known.networks.get(&entry.key).map_or(&[][..], |n| &n.pools);
                let joined = attachment(r, &entry.node, pools);
                named.push((entry.key.clone(), entry.at, joined));
            }
        }
        Some(node) => {
            for item in r.items(node, "networks", false) {
                let name = r.scalar(item, "networks", |s| Ok(s.to_owned()));
                named.extend(name.map(|n| (n, item.at, Joined::default())));
            }
        }
        None => {}
    }
    let mut networks: BTreeMap<String, Joined> = BTreeMap::new();
    for (name, at, joined) in named {
        if known.networks.contains_key(&name) {
            networks.insert(name, joined);
        } else {
            let near = r.near(&name, known.networks.keys().map(String::as_str));
            r.log.error(at, undeclared("network", &name, near, "networks"));
        }
    }
    if networks.is_empty() {
        networks.insert(DEFAULT_NETWORK.to_owned(), Joined::default());
    }
    for (name, joined) in &mut networks {
        let spec = known.networks.get(name).map(|network| &network.spec).filter(|n| n.external);
        joined.external = spec.map(|spec| spec.name.clone().unwrap_or_else(|| name.clone()));
    }
    let names: usize = networks.values().map(|joined| joined.aliases.len()).sum();
    r.at_most_items(fields.at, "aliases", names);
    let aliases: Vec<String> = container_name(r, fields).into_iter().collect();
    settled(networks, aliases, mode, prefers_local(r, fields))
}

/// What is on the default network alone, with nothing but names to be said of it, is as it was before there
/// were others.
fn settled(
    networks: BTreeMap<String, Joined>,
    mut aliases: Vec<String>,
    mode: Option<String>,
    prefer_local: bool,
) -> Attached {
    let names = networks.keys().cloned().collect();
    let plain = |(name, joined): (&String, &Joined)| {
        name == DEFAULT_NETWORK && joined.external.is_none() && joined.address.is_none()
    };
    let mut networking = Networking { networks: BTreeMap::new(), prefer_local };
    if networks.len() == 1 && networks.iter().all(plain) {
        aliases.extend(networks.into_values().flat_map(|joined| joined.aliases));
    } else {
        networking.networks = networks;
    }
    Attached { networks: names, networking, aliases, mode }
}

fn attachment(r: &mut Reader<'_>, node: &Node, pools: &[Subnet]) -> Joined {
    let inner = r.fields(node, "networks", Section::Attachment);
    let aliases = r.list(&inner, "aliases", hostname);
    let address = r.value(&inner, "ipv4_address", |s| {
        let address = s.parse::<Ipv4Addr>().ok().filter(|a| usable(*a));
        address.ok_or_else(|| "an address such as `172.16.238.10`".to_owned())
    });
    if let Some((address, at)) = address.zip(inner.at("ipv4_address"))
        && !pools.is_empty()
        && !pools.iter().any(|pool| pool.contains(address))
    {
        let pools: Vec<String> = pools.iter().map(ToString::to_string).collect();
        let message = format!(
            "`ipv4_address`: {address} is not of the network, which has {}",
            pools.join(", ")
        );
        r.log.error(at, message);
    }
    r.value(&inner, "ipv6_address", |s| {
        s.parse::<Ipv6Addr>().map_err(|_| "an address such as `2001:db8::10`".to_owned())
    });
    r.list(&inner, "link_local_ips", |s| {
        s.parse::<std::net::IpAddr>().map_err(|_| "an address".to_owned())
    });
    r.value(&inner, "priority", integer::<i64>(i64::MIN, i64::MAX));
    r.value(&inner, "gw_priority", integer::<i64>(i64::MIN, i64::MAX));
    r.text(&inner, "interface_name");
    r.text(&inner, "mac_address");
    if let Some(options) = inner.get("driver_opts") {
        r.labels(options, "driver_opts");
    }
    Joined { aliases: aliases.into_iter().collect(), address, external: None }
}

/// Whether a host may have that address.
fn usable(address: Ipv4Addr) -> bool {
    !(address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_link_local()
        || address.octets()[0] == 0)
}

fn prefers_local(r: &mut Reader<'_>, fields: &Fields<'_>) -> bool {
    let Some(node) = fields.get("x-cluster") else { return false };
    let ours = r.fields(node, "x-cluster", Section::Cluster);
    r.word(&ours, "prefer", &[("local", true), ("any", false)]).unwrap_or(false)
}

/// In Compose a container's name is a name on its networks too.
fn container_name(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    r.value(fields, "container_name", |text| {
        let good = text.len() <= crate::limits::LABEL_BYTES
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if good {
            Ok(text.to_owned())
        } else {
            Err("a name of letters, digits, `_`, `.` and `-`".to_owned())
        }
    })
}

fn mode(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let at = fields.at("network_mode")?;
    let mode = r.value(fields, "network_mode", plain)?;
    if let Some(at) = fields.at("networks") {
        r.log.error(at, "`networks` and `network_mode` exclude each other");
    }
    if crate::sharing::shares(r, "network_mode", &mode, at) {
        crate::sharing::guest(r, fields, &mode);
        return None;
    }
    match mode.as_str() {
        "none" => {}
        "host" => r.hands_over(
            at,
            "network_mode",
            "`network_mode: host` gives the container the host's own network",
        ),
        "bridge" | "default" => {
            r.emulated(
                at,
                "network_mode",
                "it is on the project's default network, where names resolve",
            );
            return None;
        }
        other => {
            let known = ["none", "host", "bridge", "service:"];
            let hint = crate::words::hint(other, known.into_iter());
            let message = format!(
                "`network_mode`: expected `none`, `host`, `bridge` or `service:NAME`, found `{}`{hint}",
                shown(other)
            );
            r.log.error(at, message);
            return None;
        }
    }
    if let Some(at) = fields.at("ports") {
        r.harmless(at, "ports", &format!("with `network_mode: {mode}` nothing is published"));
    }
    Some(mode)
}
