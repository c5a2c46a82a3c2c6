//! Networks at the top of a file, and what only all services show of them.

use crate::keys::Section;
use crate::project::external;
use crate::reader::{Fields, Reader, plain};
use crate::scalar::integer;
use crate::tree::{Node, Place};
use model::{DEFAULT_NETWORK, NetworkSpec, NodeName, ServiceName, ServiceSpec, Subnet, VolumeName};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The engine's option for the size of packets, in bytes.
pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
/// Sizes that a link may have: RFC 791 has every host take 576, and the field holds no more than 65535.
const MTU_LEAST: i64 = 576;
const MTU_MOST: i64 = 65_535;

/// A network as a file declares it.
#[derive(Default)]
pub(crate) struct Declared {
    /// What of it reaches the cluster.
    pub(crate) spec: NetworkSpec,
    /// Ranges of addresses that it is said to have.
    pub(crate) pools: Vec<Subnet>,
}

/// All networks that services may name.
pub(crate) fn declared(r: &mut Reader<'_>, top: &Fields<'_>) -> BTreeMap<String, Declared> {
    let mut all: BTreeMap<String, Declared> =
        [(DEFAULT_NETWORK.to_owned(), Declared::default())].into();
    let Some(node) = top.get("networks") else { return all };
    for entry in r.map(node, "networks").iter().filter(|e| !e.key.starts_with("x-")) {
        // Networks follow the rule of volumes; the message says which was meant.
        match entry.key.parse::<VolumeName>() {
            Ok(_) => {
                let network = network(r, &entry.node, &entry.key);
                all.insert(entry.key.clone(), network);
            }
            Err(e) => {
                r.log.error(entry.at, e.to_string().replacen("volume name", "network name", 1));
            }
        }
    }
    all
}

fn network(r: &mut Reader<'_>, node: &Node, key: &str) -> Declared {
    r.scope = format!("networks.{key}");
    let fields = r.fields(node, "networks", Section::Network);
    let (external, old_name) = external(r, &fields);
    let named = r.value(&fields, "name", |text| {
        let name = plain(text)?;
        // The engine's own rule for names of networks is that of a node's name here.
        name.parse::<NodeName>().map_err(|_| "a name of letters, digits, `_`, `.` and `-`")?;
        Ok(name)
    });
    r.text(&fields, "driver");
    for key in ["enable_ipv4", "enable_ipv6"] {
        r.flag(&fields, key);
    }
    if let Some(node) = fields.get("labels") {
        r.labels(node, "labels");
    }
    let internal = r.flag(&fields, "internal").unwrap_or(false);
    let attachable = r.flag(&fields, "attachable").unwrap_or(false);
    let mtu = mtu(r, &fields);
    let spec = if external {
        NetworkSpec { external, name: named.or(old_name), ..NetworkSpec::default() }
    } else {
        NetworkSpec { internal, attachable, external, name: named, mtu }
    };
    Declared { spec, pools: pools(r, &fields) }
}

fn mtu(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<u32> {
    let node = fields.get("driver_opts")?;
    let options = r.labels(node, "driver_opts");
    let text = options.get(MTU)?;
    match integer::<u32>(MTU_LEAST, MTU_MOST)(text) {
        Ok(mtu) => Some(mtu),
        Err(expected) => {
            r.log.error(node.at, format!("`{MTU}`: expected {expected}"));
            None
        }
    }
}

fn pools(r: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Subnet> {
    let mut pools = Vec::new();
    let Some(node) = fields.get("ipam") else { return pools };
    let ipam = r.fields(node, "ipam", Section::Ipam);
    r.text(&ipam, "driver");
    let Some(list) = ipam.get("config") else { return pools };
    for item in r.items(list, "config", false) {
        let pool = r.fields(item, "config", Section::IpamPool);
        for key in ["ip_range", "gateway"] {
            r.value(&pool, key, address);
        }
        let subnet = r.value(&pool, "subnet", |text| address(text).map(|()| text.to_owned()));
        pools.extend(subnet.and_then(|text| text.parse::<Subnet>().ok()));
    }
    pools
}

/// `172.16.238.0/24`, or a single address.
fn address(text: &str) -> Result<(), String> {
    let (ip, bits) = text.split_once('/').unwrap_or((text, "0"));
    match (ip.parse::<std::net::IpAddr>(), bits.parse::<u8>()) {
        (Ok(ip), Ok(bits)) if bits <= if ip.is_ipv4() { 32 } else { 128 } => Ok(()),
        _ => Err("an address or a network such as `172.16.238.0/24`".to_owned()),
    }
}

/// The networks that services are on and that something is said of.
pub(crate) fn used(
    declared: BTreeMap<String, Declared>,
    services: &BTreeMap<ServiceName, std::sync::Arc<ServiceSpec>>,
) -> BTreeMap<String, NetworkSpec> {
    let said = declared.into_iter().filter(|(name, network)| {
        let on = |s: &std::sync::Arc<ServiceSpec>| s.networks.contains(name);
        network.spec != NetworkSpec::default() && services.values().any(on)
    });
    said.map(|(name, network)| (name, network.spec)).collect()
}

/// Complains about an address that two services of a network want.
pub(crate) fn fixed_once(
    r: &mut Reader<'_>,
    services: &BTreeMap<ServiceName, ServiceSpec>,
    at: &BTreeMap<ServiceName, Place>,
) {
    let mut taken: BTreeMap<(&str, Ipv4Addr), &ServiceName> = BTreeMap::new();
    for (name, spec) in services {
        for (network, joined) in &spec.networking.networks {
            let Some(address) = joined.address else { continue };
            if let Some(other) = taken.insert((network, address), name) {
                let place = at.get(name).copied().unwrap_or(Place::whole(0));
                let message = format!(
                    "`ipv4_address` {address} on network `{network}` is of service `{other}` already"
                );
                r.log.refuse(place, message, "give one of the two another address");
            }
        }
    }
}
