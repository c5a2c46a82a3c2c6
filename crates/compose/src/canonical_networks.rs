//! Networks in the canonical document: those that services are on, and how.

use crate::networks::MTU;
use crate::writer::{Map, Out, flag, text, words};
use model::{DEFAULT_NETWORK, Joined, NetworkSpec, ProjectSpec, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};

/// The networks of the project. The one that services are on anyhow is declared only if something is said of it.
pub(crate) fn declared(project: &ProjectSpec) -> Option<Out> {
    let on = project.services.values().flat_map(|s| &s.networks);
    let on = on.filter(|name| *name != DEFAULT_NETWORK).chain(project.networks.keys());
    let names: BTreeSet<&String> = on.collect();
    let plain = NetworkSpec::default();
    let spec = |name: &String| network(project.networks.get(name).unwrap_or(&plain));
    Map(names.into_iter().map(|name| (name.clone(), spec(name))).collect()).done()
}

fn network(spec: &NetworkSpec) -> Out {
    let mut out = Map::default();
    out.put("name", spec.name.as_deref().map(text));
    out.put("external", flag(spec.external));
    out.put("internal", flag(spec.internal));
    out.put("attachable", flag(spec.attachable));
    let mtu: BTreeMap<String, String> =
        spec.mtu.iter().map(|mtu| (MTU.to_owned(), mtu.to_string())).collect();
    out.put("driver_opts", crate::writer::pairs(&mtu));
    Out::Map(out.0)
}

/// A service's networks: a list where nothing but names is to be said.
pub(crate) fn of_service(spec: &ServiceSpec) -> Option<Out> {
    let plain = Joined::default();
    let joined = |name: &String| spec.networking.networks.get(name).unwrap_or(&plain);
    let said = |name: &String| !spec.aliases_on(name).is_empty() || joined(name).address.is_some();
    if spec.networks.iter().any(said) {
        let attached = spec.networks.iter().map(|name| {
            let mut out = Map::default();
            let aliases: Vec<String> = spec.aliases_on(name).into_iter().collect();
            out.put("aliases", (!aliases.is_empty()).then(|| words(&aliases)));
            out.put("ipv4_address", joined(name).address.map(|a| text(a.to_string())));
            (name.clone(), Out::Map(out.0))
        });
        return Some(Out::Map(attached.collect()));
    }
    let only = spec.networks.len() == 1 && spec.networks[0] == DEFAULT_NETWORK;
    (!only && spec.container.engine.network_mode.is_none()).then(|| words(&spec.networks))
}
