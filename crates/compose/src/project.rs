//! The top of a file: the project's name, its volumes and networks, its services, and what only the whole
//! shows: names that are not declared, ports wanted twice, who speaks of whom.

use crate::complaint::shown;
use crate::hostpath;
use crate::keys::Section;
use crate::reader::{Fields, Reader, plain};
use crate::tree::{Node, Place};
use crate::{ports, refers, service};
use model::{NodeName, ProjectName, ProjectSpec, ServiceName, ServiceSpec, VolumeName, VolumeSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a service may refer to.
pub(crate) struct Known {
    pub(crate) networks: BTreeSet<String>,
    pub(crate) volumes: BTreeSet<VolumeName>,
    pub(crate) services: BTreeSet<String>,
}

/// Reads a merged and interpolated tree. What it returns is only good when nothing was logged as an error.
pub(crate) fn read(r: &mut Reader<'_>, root: &Node, name: ProjectName) -> ProjectSpec {
    let top = r.fields(root, "the file", Section::Top);
    let volumes = volumes(r, &top);
    let networks = networks(r, &top);
    let entries = top.get("services").map_or(&[][..], |node| r.map(node, "services"));
    if entries.is_empty() {
        let at = top.at("services").unwrap_or(root.at);
        r.log.refuse(at, "no services", "a Compose file lists what to run under `services:`");
    }
    if entries.len() > model::limits::SERVICES_PER_PROJECT {
        let most = model::limits::SERVICES_PER_PROJECT;
        r.log.error(root.at, format!("{} services; at most {most} in one project", entries.len()));
        return ProjectSpec { name, services: BTreeMap::new(), volumes, source: String::new() };
    }
    let known = Known {
        networks,
        volumes: volumes.keys().cloned().collect(),
        services: entries.iter().map(|e| e.key.clone()).filter(|k| !k.starts_with("x-")).collect(),
    };
    let mut services: BTreeMap<ServiceName, ServiceSpec> = BTreeMap::new();
    let mut published = ports::Taken::default();
    for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
        match entry.key.parse::<ServiceName>() {
            Ok(service) => {
                let spec = service::read(r, &service, entry, &known, &mut published);
                services.insert(service, spec);
            }
            Err(e) => r.log.error(entry.at, e.to_string()),
        }
    }
    refers::fill(&mut services);
    let services = services.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect();
    ProjectSpec { name, services, volumes, source: String::new() }
}

fn volumes(r: &mut Reader<'_>, top: &Fields<'_>) -> BTreeMap<VolumeName, VolumeSpec> {
    let mut volumes = BTreeMap::new();
    let Some(node) = top.get("volumes") else { return volumes };
    for entry in r.map(node, "volumes").iter().filter(|e| !e.key.starts_with("x-")) {
        match entry.key.parse::<VolumeName>() {
            Ok(name) => {
                let spec = volume(r, &entry.node, entry.at, &entry.key);
                volumes.insert(name, spec);
            }
            Err(e) => r.log.error(entry.at, e.to_string()),
        }
    }
    volumes
}

fn volume(r: &mut Reader<'_>, node: &Node, at: Place, key: &str) -> VolumeSpec {
    let fields = r.fields(node, "volumes", Section::Volume);
    let (external, old_name) = external(r, &fields);
    let name = r.value(&fields, "name", plain).or(old_name);
    if let Some(name) = &name {
        // The engine's own rule for names of volumes is that of a node's name here.
        if name.parse::<NodeName>().is_err() {
            r.log.error(at, format!("`{}` is not a valid name of a volume", shown(name)));
        }
    }
    let spec = VolumeSpec {
        driver: r.text(&fields, "driver").filter(|d| d != "local").unwrap_or_default(),
        options: fields.get("driver_opts").map(|n| r.labels(n, "driver_opts")).unwrap_or_default(),
        labels: fields.get("labels").map(|n| r.labels(n, "labels")).unwrap_or_default(),
        external_name: name.or_else(|| external.then(|| key.to_owned())),
    };
    if spec.driver.is_empty()
        && !r.rules.allow_host
        && let Some(why) = hostpath::volume_hands_over(|k| spec.options.get(k).map(String::as_str))
    {
        r.log.refuse(at, format!("volume `{}` {why}", shown(key)), crate::mounts::ALLOW_HOST);
    }
    spec
}

/// `external: true`, or the old form `external: {name: x}`.
fn external(r: &mut Reader<'_>, fields: &Fields<'_>) -> (bool, Option<String>) {
    match fields.get("external") {
        Some(node) if node.scalar().is_none() => {
            let inner = r.fields(node, "external", Section::External);
            (true, r.text(&inner, "name"))
        }
        Some(_) => (r.flag(fields, "external").unwrap_or(false), None),
        None => (false, None),
    }
}

fn networks(r: &mut Reader<'_>, top: &Fields<'_>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["default".to_owned()].into();
    let Some(node) = top.get("networks") else { return names };
    for entry in r.map(node, "networks").iter().filter(|e| !e.key.starts_with("x-")) {
        // Networks follow the rule of volumes; the message says which was meant.
        match entry.key.parse::<VolumeName>() {
            Ok(_) => {
                r.fields(&entry.node, "networks", Section::Network);
                names.insert(entry.key.clone());
            }
            Err(e) => {
                r.log.error(entry.at, e.to_string().replacen("volume name", "network name", 1));
            }
        }
    }
    names
}
