//! The top of a file: the project's name, its volumes and networks, its services, and what only the whole
//! shows: names that are not declared, ports wanted twice, who speaks of whom.

use crate::complaint::shown;
use crate::hostpath;
use crate::keys::Section;
use crate::limits::SERVICES_PER_PROJECT;
use crate::reader::{Fields, Reader, plain};
use crate::tree::{Node, Place};
use crate::{ends, networks, once, profiles, refers, secrets, service, sharing};
use model::{NodeName, ProjectName, ProjectSpec, ServiceName, ServiceSpec, VolumeName, VolumeSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a service may refer to.
pub(crate) struct Known {
    pub(crate) networks: BTreeMap<String, networks::Declared>,
    pub(crate) volumes: BTreeSet<VolumeName>,
    pub(crate) contents: secrets::AllDeclared,
}

/// Reads a merged and interpolated tree. What it returns is only good when nothing was logged as an error.
pub(crate) fn read(r: &mut Reader<'_>, root: &Node, name: ProjectName) -> ProjectSpec {
    r.scope = String::new();
    r.project = name.to_string();
    let top = r.fields(root, "the file", Section::Top);
    r.not_canonical(&top, &["include"]);
    let volumes = volumes(r, &top);
    let networks = networks::declared(r, &top);
    let contents = secrets::declared(r, &top);
    models(r, &top);
    let known = Known { networks, volumes: volumes.keys().cloned().collect(), contents };
    let services = services(r, &top, root, &known);
    let contents = secrets::settle(r, known.contents);
    let networks = networks::used(known.networks, &services);
    ProjectSpec { name, services, volumes, contents, networks, source: String::new() }
}

/// The services that are wanted. The others are judged all the same, so that the report is whole.
fn services(
    r: &mut Reader<'_>,
    top: &Fields<'_>,
    root: &Node,
    known: &Known,
) -> BTreeMap<ServiceName, Arc<ServiceSpec>> {
    let entries = top.get("services").map_or(&[][..], |node| r.map(node, "services"));
    if entries.is_empty() {
        let at = top.at("services").unwrap_or(root.at);
        r.log.refuse(at, "no services", "a Compose file lists what to run under `services:`");
    }
    if entries.len() > SERVICES_PER_PROJECT {
        let most = SERVICES_PER_PROJECT;
        r.log.error(root.at, format!("{} services; at most {most} in one project", entries.len()));
        return BTreeMap::new();
    }
    profiles::choose(r, entries);
    let mut services: BTreeMap<ServiceName, ServiceSpec> = BTreeMap::new();
    let (mut links, mut restarts) = (Vec::new(), BTreeMap::new());
    let mut places = BTreeMap::new();
    let (mut published, mut unpublished) = (service::Taken::default(), service::Taken::default());
    for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
        let name = match entry.key.parse::<ServiceName>() {
            Ok(name) => name,
            Err(e) => {
                r.log.error(entry.at, e.to_string());
                continue;
            }
        };
        r.inactive = r.services.get(&entry.key) == Some(&false);
        let taken = if r.inactive { &mut unpublished } else { &mut published };
        let service = service::read(r, &name, entry, known, taken);
        if !r.inactive {
            links.extend(service.links);
            restarts.extend(service.restart.map(|at| (name.clone(), at)));
            places.insert(name.clone(), entry.at);
            services.insert(name, service.spec);
        }
    }
    r.inactive = false;
    sharing::cycles(r);
    sharing::in_step(r, &services);
    ends::settle(r, &mut services, &restarts);
    alias(&mut services, links);
    networks::fixed_once(r, &services, &places);
    refers::fill(&mut services);
    once::derive(r, &mut services, &places);
    services.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect()
}

/// A link's alias is a name of the service that is linked to, or of the one whose network that is on.
fn alias(services: &mut BTreeMap<ServiceName, ServiceSpec>, links: Vec<(String, String)>) {
    for (service, alias) in links {
        let Some(service) = sharing::host(services, &service) else { continue };
        let target = services.iter_mut().find(|(name, _)| **name == service);
        let Some((_, spec)) = target.filter(|(_, s)| s.container.engine.network_mode.is_none())
        else {
            continue;
        };
        spec.add_alias(&alias);
    }
}

fn models(r: &mut Reader<'_>, top: &Fields<'_>) {
    let Some(node) = top.get("models") else { return };
    for entry in r.map(node, "models").iter().filter(|e| !e.key.starts_with("x-")) {
        r.scope = format!("models.{}", entry.key);
        let fields = r.fields(&entry.node, "models", Section::Model);
        r.text(&fields, "model");
    }
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
    r.scope = format!("volumes.{key}");
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
        && let Some(why) = hostpath::volume_hands_over(|k| spec.options.get(k).map(String::as_str))
    {
        let at = fields.at("driver_opts").unwrap_or(at);
        r.hands_over(at, "driver_opts", &format!("volume `{}` {why}", shown(key)));
    }
    spec
}

/// `external: true`, or the old form `external: {name: x}`.
pub(crate) fn external(r: &mut Reader<'_>, fields: &Fields<'_>) -> (bool, Option<String>) {
    match fields.get("external") {
        Some(node) if node.scalar().is_none() => {
            let inner = r.fields(node, "external", Section::External);
            (true, r.text(&inner, "name"))
        }
        Some(_) => (r.flag(fields, "external").unwrap_or(false), None),
        None => (false, None),
    }
}
