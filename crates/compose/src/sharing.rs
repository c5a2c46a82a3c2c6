//! What a service wants of other services of its file: `depends_on`, `links`, `volumes_from`, and name spaces of
//! another. Owns the check that whoever is named exists and is wanted, and that nobody waits for itself.

use crate::complaint::shown;
use crate::keys::Section;
use crate::reader::{Fields, Reader};
use crate::service::undeclared;
use crate::tree::{Place, Value};
use model::{Dependency, DependencyCondition, ServiceName, ServiceSpec, Share, SharedPart};
use std::collections::{BTreeMap, BTreeSet};

/// Names of a chain that are shown.
const CHAIN_SHOWN: usize = 12;
/// What is of a network, and not of each container on it.
const OF_THE_NETWORK: [&str; 9] = [
    "ports",
    "hostname",
    "domainname",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
    "mac_address",
    "links",
];

/// Services that `name` waits for. Those that no profile wants are not among them.
pub(crate) fn depends_on(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &ServiceName,
) -> Vec<Dependency> {
    let Some(node) = fields.get("depends_on") else { return Vec::new() };
    let mut found = Vec::new();
    if let Value::Map(entries) = &node.value {
        for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
            let inner = r.fields(&entry.node, "depends_on", Section::DependsOn);
            let conditions = [
                ("service_started", DependencyCondition::Started),
                ("service_healthy", DependencyCondition::Healthy),
                ("service_completed_successfully", DependencyCondition::Completed),
            ];
            let condition = r.word(&inner, "condition", &conditions);
            let required = r.flag(&inner, "required").unwrap_or(true);
            let restart = r.flag(&inner, "restart").unwrap_or(false);
            let condition = condition.unwrap_or(DependencyCondition::Started);
            found.push((entry.key.clone(), entry.at, condition, required, restart));
        }
    } else {
        for item in r.items(node, "depends_on", false) {
            let service = r.scalar(item, "depends_on", |s| Ok(s.to_owned()));
            found.extend(service.map(|s| (s, item.at, DependencyCondition::Started, true, false)));
        }
    }
    let mut on: BTreeMap<ServiceName, Dependency> = BTreeMap::new();
    for (service, at, condition, required, restart) in found {
        if service == name.as_str() {
            r.log.error(at, format!("service `{name}` depends on itself"));
        } else if wanted(r, &service, at, required)
            && let Ok(service) = service.parse::<ServiceName>()
        {
            r.edges.push((name.to_string(), service.to_string(), at));
            let dependency = Dependency { service: service.clone(), condition, required, restart };
            on.insert(service, dependency);
        }
    }
    on.into_values().collect()
}

/// Whether a service is there and a profile wants it; says so when it is missed.
fn wanted(r: &mut Reader<'_>, service: &str, at: Place, required: bool) -> bool {
    match r.services.get(service) {
        Some(true) => true,
        Some(false) if !required || r.inactive => false,
        Some(false) => {
            let message = format!(
                "service `{}` is needed, but none of its profiles is active",
                shown(service)
            );
            r.log.refuse(at, message, "name one of its profiles by `--profile`");
            false
        }
        None if !required => false,
        None => {
            let near = r.near(service, r.services.keys().map(String::as_str));
            let message = undeclared("service", service, near, "services");
            r.log.error(at, message);
            false
        }
    }
}

/// Aliases that `links` give to other services.
pub(crate) fn links(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &ServiceName,
) -> Vec<(String, String)> {
    let Some(node) = fields.get("links") else { return Vec::new() };
    let mut aliases = Vec::new();
    for item in r.items(node, "links", false) {
        let Some(link) = r.scalar(item, "links", |s| Ok(s.to_owned())) else { continue };
        let (service, alias) = link.split_once(':').unwrap_or((&link, &link));
        if !wanted(r, service, item.at, true) {
            continue;
        }
        r.edges.push((name.to_string(), service.to_owned(), item.at));
        if alias != service {
            match crate::container::hostname(alias) {
                Ok(alias) => aliases.push((service.to_owned(), alias)),
                Err(expected) => r.log.error(item.at, format!("`links`: expected {expected}")),
            }
        }
    }
    aliases
}

/// `volumes_from`: services whose mounts are shared, `service[:ro]` or `container:name[:ro]`.
pub(crate) fn volumes_from(r: &mut Reader<'_>, fields: &Fields<'_>) {
    let Some(node) = fields.get("volumes_from") else { return };
    for item in r.items(node, "volumes_from", false) {
        let Some(text) = r.scalar(item, "volumes_from", crate::reader::plain) else { continue };
        if text.starts_with("container:") {
            r.log.error(item.at, "`volumes_from`: only containers of the same file can be named");
            continue;
        }
        let text = text.strip_prefix("service:").unwrap_or(&text);
        let (service, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if !matches!(mode, "ro" | "rw") {
            let message = crate::words::choice("volumes_from", mode, ["ro", "rw"].into_iter());
            r.log.error(item.at, message);
        }
        let what = SharedPart::Volumes { read_only: mode == "ro" };
        share(r, service, what, item.at);
    }
}

/// Notes what is used of another service, if that is there.
fn share(r: &mut Reader<'_>, service: &str, what: SharedPart, at: Place) {
    if !wanted(r, service, at, true) {
        return;
    }
    let from = r.scope.strip_prefix("services.").unwrap_or_default().to_owned();
    r.edges.push((from.clone(), service.to_owned(), at));
    if let Ok(service) = service.parse::<ServiceName>() {
        if !r.inactive {
            r.together.push((from, service.clone(), at));
        }
        r.shares.push(Share { service, what });
    }
}

/// The service whose network a service is on: its own, unless that is another's.
pub(crate) fn host(
    services: &BTreeMap<ServiceName, ServiceSpec>,
    service: &str,
) -> Option<ServiceName> {
    let mut host = service.parse::<ServiceName>().ok()?;
    // Whoever uses each other's in a circle is refused, and has none.
    for _ in 0..=services.len() {
        let shares = &services.get(&host)?.shares_with;
        match shares.iter().find(|share| share.what == SharedPart::Network) {
            Some(share) => host = share.service.clone(),
            None => return Some(host),
        }
    }
    None
}

/// Complains about what a service that is on another's network cannot have of its own: the engine refuses it.
pub(crate) fn guest(r: &mut Reader<'_>, fields: &Fields<'_>, mode: &str) {
    for key in OF_THE_NETWORK {
        if let Some(at) = fields.at(key) {
            let owner = mode.strip_prefix("service:").unwrap_or(mode);
            let message =
                format!("`{key}` is of the network, which is that of another service here");
            r.log.refuse(at, message, format!("move it to `{}`", shown(owner)));
        }
    }
}

/// Complains about services that share, but do not come in the same number: copy `k` of the one is built upon
/// copy `k` of the other.
pub(crate) fn in_step(r: &mut Reader<'_>, services: &BTreeMap<ServiceName, ServiceSpec>) {
    for (from, to, at) in std::mem::take(&mut r.together) {
        let one = services.iter().find(|(name, _)| name.as_str() == from);
        let (Some((one, a)), Some(b)) = (one, services.get(&to)) else { continue };
        let unequal = matches!((a.mode.count(), b.mode.count()), (Some(a), Some(b)) if a != b);
        if unequal || a.mode.global() != b.mode.global() {
            let message = format!("`{one}` and `{to}` share, but do not come in the same number");
            let help = "each replica needs one of the other beside it: give both the same `deploy.mode` and `replicas`";
            r.log.refuse(at, message, help);
        }
    }
}

/// Whether a name space is another container's. Says what is to be said about that.
pub(crate) fn shares(r: &mut Reader<'_>, key: &str, mode: &str, at: Place) -> bool {
    if let Some(service) = mode.strip_prefix("service:") {
        let what = match key {
            "network_mode" => Some(SharedPart::Network),
            "ipc" => Some(SharedPart::Ipc),
            "pid" => Some(SharedPart::Pid),
            _ => None,
        };
        // The engine shares no other name space between containers.
        let Some(what) = what else { return false };
        share(r, service, what, at);
        return true;
    }
    if mode.starts_with("container:") {
        let why = "a container outside of the project may be on any node, or on none";
        r.refuse_key(at, key, why, "make it a service of this file");
        return true;
    }
    false
}

/// Complains about services that wait for each other, with the chain.
pub(crate) fn cycles(r: &mut Reader<'_>) {
    let edges = std::mem::take(&mut r.edges);
    let mut next: BTreeMap<&str, Vec<(&str, Place)>> = BTreeMap::new();
    for (from, to, at) in &edges {
        next.entry(from).or_default().push((to, *at));
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in next.keys().copied() {
        // The way from the start, each with the next of its neighbours to be looked at.
        let mut way: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((service, i)) = way.pop() {
            let Some((to, at)) = next.get(service).and_then(|n| n.get(i)).copied() else {
                done.insert(service);
                continue;
            };
            if done.contains(service) {
                continue;
            }
            way.push((service, i + 1));
            if let Some(from) = way.iter().position(|(s, _)| *s == to) {
                if !r.log.full() {
                    let chain = chain(way[from..].iter().map(|(s, _)| *s).chain([to]));
                    r.log.error(at, format!("services wait for each other: {chain}"));
                }
            } else if !done.contains(to) {
                way.push((to, 0));
            }
        }
    }
}

/// Names with arrows between them; of a long chain the beginning and the end.
pub(crate) fn chain<'s>(names: impl Iterator<Item = &'s str>) -> String {
    let mut names: Vec<String> = names.map(shown).collect();
    if names.len() > CHAIN_SHOWN {
        names.splice(CHAIN_SHOWN / 2..names.len() - CHAIN_SHOWN / 2, ["...".to_owned()]);
    }
    names.join(" → ")
}
