//! Which networks a service is on, under which names, or that it is on none or on the host's.

use crate::complaint::shown;
use crate::container::hostname;
use crate::keys::Section;
use crate::project::Known;
use crate::reader::{Fields, Reader, plain};
use crate::scalar::integer;
use crate::service::undeclared;
use crate::tree::{Node, Place, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a service says about networks.
#[derive(Default)]
pub(crate) struct Attached {
    /// Names of networks in the file, sorted, at least one.
    pub(crate) networks: Vec<String>,
    /// Names of the service on them.
    pub(crate) aliases: Vec<String>,
    /// `none` or `host`.
    pub(crate) mode: Option<String>,
}

pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Attached {
    let mut attached = Attached { mode: mode(r, fields), ..Attached::default() };
    let mut places: Vec<(String, Place)> = Vec::new();
    match fields.get("networks") {
        Some(Node { value: Value::Map(entries), .. }) => {
            for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
                attachment(r, &entry.node, &mut attached.aliases);
                places.push((entry.key.clone(), entry.at));
            }
        }
        Some(node) => {
            for item in r.items(node, "networks", false) {
                let name = r.scalar(item, "networks", |s| Ok(s.to_owned()));
                places.extend(name.map(|n| (n, item.at)));
            }
        }
        None => {}
    }
    for (name, at) in places {
        if known.networks.contains(&name) {
            attached.networks.push(name);
        } else {
            let near = r.near(&name, known.networks.iter().map(String::as_str));
            r.log.error(at, undeclared("network", &name, near, "networks"));
        }
    }
    attached.networks.sort();
    attached.networks.dedup();
    if attached.networks.is_empty() {
        attached.networks.push("default".to_owned());
    }
    attached.aliases.extend(container_name(r, fields));
    attached.aliases.sort();
    attached.aliases.dedup();
    r.at_most_items(fields.at, "aliases", attached.aliases.len());
    attached
}

fn attachment(r: &mut Reader<'_>, node: &Node, aliases: &mut Vec<String>) {
    let inner = r.fields(node, "networks", Section::Attachment);
    aliases.extend(r.list(&inner, "aliases", hostname));
    r.value(&inner, "ipv4_address", |s| {
        s.parse::<Ipv4Addr>().map_err(|_| "an address such as `172.16.238.10`".to_owned())
    });
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
                "it is on the project's own bridge, where names resolve",
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
