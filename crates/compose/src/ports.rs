//! `ports`, short and long, and who wants which. Ranges become single ports, and a port wanted twice is refused
//! naming both.

use crate::complaint::shown;
use crate::keys::Section;
use crate::limits::RANGE;
use crate::reader::{Fields, Reader};
use crate::scalar;
use crate::tree::{Node, Place, Value};
use model::limits::RESERVED_PORTS;
use model::{Port, PortMode, Protocol, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const CHOSEN: &str = "a port that the engine would choose is not known to anybody";
const PUBLISHED: &str = "write the host's port too, such as `8080:80`";

/// The published ports of the services read so far, with who wants them.
#[derive(Default)]
pub(crate) struct Taken(BTreeMap<(u16, Protocol), Vec<(Port, ServiceName)>>);

/// A port entry before its range is taken apart.
struct Wanted {
    host_ip: Option<IpAddr>,
    published: (u16, u16),
    target: (u16, u16),
    protocol: Protocol,
    mode: PortMode,
}

/// The published ports of a service, in order and once each.
pub(crate) fn read(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    service: &ServiceName,
    taken: &mut Taken,
) -> Vec<Port> {
    let Some(node) = fields.get("ports") else { return Vec::new() };
    let mut ports: BTreeSet<Port> = BTreeSet::new();
    for item in r.items(node, "ports", false) {
        let wanted = match &item.value {
            Value::Map(_) => long(r, item),
            _ => r.scalar(item, "ports", |s| Ok(s.to_owned())).and_then(|s| short(r, &s, item.at)),
        };
        let expanded = wanted.map(|w| single(r, &w, item.at)).unwrap_or_default();
        for port in expanded {
            if !ports.contains(&port) && taken.take(r, port, service, item.at) {
                ports.insert(port);
            }
        }
    }
    r.at_most_items(node.at, "ports", ports.len());
    ports.into_iter().collect()
}

/// Ports of the container whose server wants a PROXY header: `x-cluster.proxy_protocol`, each a published one.
pub(crate) fn told(r: &mut Reader<'_>, fields: &Fields<'_>, ports: &[Port]) -> BTreeSet<u16> {
    let Some(ours) = fields.get("x-cluster") else { return BTreeSet::new() };
    let ours = r.fields(ours, "x-cluster", Section::Cluster);
    let Some(node) = ours.get("proxy_protocol") else { return BTreeSet::new() };
    let mut told = BTreeSet::new();
    for item in r.items(node, "proxy_protocol", false) {
        let Some(target) = r.scalar(item, "proxy_protocol", scalar::port) else { continue };
        let published = |p: &Port| {
            p.target == target && p.protocol == Protocol::Tcp && p.mode == PortMode::Ingress
        };
        if ports.iter().any(published) {
            told.insert(target);
        } else {
            let message = format!(
                "`proxy_protocol`: port {target} of the container is not published over TCP on every node"
            );
            r.log.refuse(
                item.at,
                message,
                "name ports of the container, such as 25 of `ports: [\"25:25\"]`",
            );
        }
    }
    told
}

/// `[HOST_IP:]PUBLISHED:TARGET[/PROTOCOL]`, ports or ranges of them.
fn short(r: &mut Reader<'_>, text: &str, at: Place) -> Option<Wanted> {
    let refuse = |r: &mut Reader<'_>, why: &str, help: &str| {
        r.log.refuse(at, format!("`ports`: `{}`: {why}", shown(text)), help);
        None
    };
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return refuse(r, "the protocol is neither `tcp` nor `udp`", "write `8080:80/tcp`"),
    };
    let Some((front, target)) = rest.rsplit_once(':') else {
        r.refuse_value(at, "ports", &format!("`ports`: `{}`: {CHOSEN}", shown(text)), PUBLISHED);
        return None;
    };
    let (ip, published) = match front.rsplit_once(':') {
        Some((ip, published)) => (Some(ip.trim_matches(['[', ']'])), published),
        None => (None, front),
    };
    if published.is_empty() {
        r.refuse_value(at, "ports", &format!("`ports`: `{}`: {CHOSEN}", shown(text)), PUBLISHED);
        return None;
    }
    let host_ip = match ip.map(str::parse::<IpAddr>) {
        Some(Err(_)) => {
            return refuse(
                r,
                "the part before the ports is no address",
                "write `127.0.0.1:8080:80`",
            );
        }
        Some(Ok(ip)) => Some(ip),
        None => None,
    };
    let (Ok(published), Ok(target)) = (range(published), range(target)) else {
        return refuse(r, "ports are numbers from 1 to 65535", "write `8080:80`");
    };
    Some(Wanted { host_ip, published, target, protocol, mode: PortMode::Ingress })
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (scalar::port(first)?, scalar::port(last)?);
    if range.0 <= range.1 { Ok(range) } else { Err("a range that goes up".to_owned()) }
}

fn long(r: &mut Reader<'_>, node: &Node) -> Option<Wanted> {
    let inner = r.fields(node, "ports", Section::Port);
    let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| "an IP address".to_owned());
    let host_ip = r.value(&inner, "host_ip", ip);
    let protocols = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let protocol = r.word(&inner, "protocol", &protocols).unwrap_or(Protocol::Tcp);
    let modes = [("ingress", PortMode::Ingress), ("host", PortMode::Host)];
    let mode = r.word(&inner, "mode", &modes).unwrap_or(PortMode::Ingress);
    if inner.get("target").is_none() {
        r.log.error(node.at, "`ports` needs a `target`, the port in the container");
        return None;
    }
    if inner.get("published").is_none() {
        let help = "add `published`, the port on the hosts";
        r.refuse_value(node.at, "ports", CHOSEN, help);
        return None;
    }
    let target = r.value(&inner, "target", scalar::port)?;
    let published = r.value(&inner, "published", range)?;
    if published.0 != published.1 {
        let help = "write one entry per port";
        let why = "a range of which the engine would choose one port is not supported";
        r.refuse_value(node.at, "ports", why, help);
        return None;
    }
    Some(Wanted { host_ip, published, target: (target, target), protocol, mode })
}

/// The ports of an entry, after what there is to say about them.
fn single(r: &mut Reader<'_>, wanted: &Wanted, at: Place) -> Vec<Port> {
    let (published, target) = (wanted.published, wanted.target);
    let length = published.1 - published.0;
    if length != target.1 - target.0 {
        let help = "write one entry per port, or two ranges of the same length";
        r.log.refuse(at, "`ports`: the two ranges are not of the same length", help);
        return Vec::new();
    }
    if length >= RANGE {
        r.log.error(at, format!("`ports`: a range of more than {RANGE} ports"));
        return Vec::new();
    }
    let one = |i| Port {
        published: published.0 + i,
        target: target.0 + i,
        protocol: wanted.protocol,
        mode: wanted.mode,
        host_ip: wanted.host_ip,
    };
    (0..=length).map(one).collect()
}

impl Taken {
    /// Notes a port; false, and a complaint, when it is not to be had.
    fn take(&mut self, r: &mut Reader<'_>, port: Port, service: &ServiceName, at: Place) -> bool {
        let number = port.published;
        if RESERVED_PORTS.contains(&number) {
            let message = format!("port {number} is reserved for the host or the cluster");
            r.refuse_value(at, "ports", &message, "publish another port");
            return false;
        }
        let holders = self.0.entry((number, port.protocol)).or_default();
        match holders.iter().find(|(p, s)| clash(p, &port, s == service)) {
            Some((_, other)) if other == service => {
                r.log.error(at, format!("port {number} is published twice by service `{service}`"));
                false
            }
            Some((_, other)) => {
                r.log.error(
                    at,
                    format!("port {number} is wanted by service `{other}` and by `{service}`"),
                );
                false
            }
            None => {
                holders.push((port, service.clone()));
                true
            }
        }
    }
}

/// One service may publish a port on several addresses; two services never share one.
fn clash(a: &Port, b: &Port, same_service: bool) -> bool {
    let any = |p: &Port| p.host_ip.is_none_or(|ip| ip.is_unspecified());
    !same_service || any(a) || any(b) || a.host_ip == b.host_ip
}
