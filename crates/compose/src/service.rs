//! One service: reads its keys by asking the reader of each part, and puts the parts together.

use crate::complaint::shown;
use crate::keys::Section;
use crate::project::Known;
use crate::reader::{Fields, Reader};
use crate::tree::{Entry, Node, Value};
use crate::{container, deploy, mounts, ports};
use model::{ConstraintKey, Mount, ServiceName, ServiceSpec};
use std::collections::BTreeSet;

/// Reads a service. `published` collects the ports of all services of the file.
pub(crate) fn read(
    r: &mut Reader<'_>,
    name: &ServiceName,
    entry: &Entry,
    known: &Known,
    published: &mut ports::Taken,
) -> ServiceSpec {
    let fields = r.fields(&entry.node, name.as_str(), Section::Service);
    let deploy = deploy::read(r, &fields);
    let pinned = deploy
        .placement
        .constraints
        .iter()
        .any(|c| c.equal && matches!(c.key, ConstraintKey::Hostname | ConstraintKey::Id));
    let mounts: Vec<Mount> = mounts::read(r, &fields, &mounts::Context { known, pinned });
    depends_on(r, &fields, name, known);
    links(r, &fields, known);
    build(r, &fields, name, entry);
    ServiceSpec {
        container: container::read(r, &fields, mounts),
        mode: deploy.mode,
        resources: deploy.resources,
        placement: deploy.placement,
        restart: deploy.restart,
        update: deploy.update,
        ports: ports::read(r, &fields, name, published),
        networks: networks(r, &fields, known),
        refers_to: Vec::new(),
        depends_on: Vec::new(),
        shares_with: Vec::new(),
    }
}

fn build(r: &mut Reader<'_>, fields: &Fields<'_>, name: &ServiceName, entry: &Entry) {
    match (fields.at("build"), fields.get("image").is_some()) {
        (Some(at), true) => {
            r.log.warn(at, "`build` has no effect: the image is taken as it is; build it before");
        }
        (Some(at), false) => r.log.refuse(
            at,
            "`build` is not supported yet: nothing is built on deploy",
            "build the image, and name it under `image`",
        ),
        (None, true) => {}
        (None, false) => r.log.error(entry.at, format!("service `{name}` has no `image`")),
    }
}

fn networks(r: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Vec<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut places = Vec::new();
    match fields.get("networks") {
        Some(Node { value: Value::Map(entries), .. }) => {
            for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
                r.fields(&entry.node, "networks", Section::Attachment);
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
            names.insert(name);
        } else {
            let near = r.near(&name, known.networks.iter().map(String::as_str));
            r.log.error(at, undeclared("network", &name, near, "networks"));
        }
    }
    if names.is_empty() {
        names.insert("default".to_owned());
    }
    names.into_iter().collect()
}

/// The message about a name that nothing declares.
pub(crate) fn undeclared(what: &str, name: &str, near: Option<&str>, section: &str) -> String {
    let name = shown(name);
    match near {
        Some(near) => format!("{what} `{name}` is not declared; did you mean `{near}`?"),
        None => format!("{what} `{name}` is not declared under the top-level `{section}`"),
    }
}

fn depends_on(r: &mut Reader<'_>, fields: &Fields<'_>, name: &ServiceName, known: &Known) {
    let Some(node) = fields.get("depends_on") else { return };
    let mut on = Vec::new();
    if let Value::Map(entries) = &node.value {
        for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
            let inner = r.fields(&entry.node, "depends_on", Section::DependsOn);
            r.word(
                &inner,
                "condition",
                &[
                    ("service_started", ()),
                    ("service_healthy", ()),
                    ("service_completed_successfully", ()),
                ],
            );
            if r.flag(&inner, "required") != Some(false) {
                on.push((entry.key.clone(), entry.at));
            }
        }
    } else {
        for item in r.items(node, "depends_on", false) {
            let service = r.scalar(item, "depends_on", |s| Ok(s.to_owned()));
            on.extend(service.map(|s| (s, item.at)));
        }
    }
    for (service, at) in &on {
        if service == name.as_str() {
            r.log.error(*at, format!("service `{name}` depends on itself"));
        } else if !known.services.contains(service) {
            let near = r.near(service, known.services.iter().map(String::as_str));
            r.log.error(*at, undeclared("service", service, near, "services"));
        }
    }
    if let Some(at) = fields.at("depends_on").filter(|_| !on.is_empty()) {
        r.log.warn(at, "`depends_on` has no effect yet: services start together, in no set order");
    }
}

fn links(r: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) {
    let Some(node) = fields.get("links") else { return };
    for item in r.items(node, "links", false) {
        let Some(link) = r.scalar(item, "links", |s| Ok(s.to_owned())) else { continue };
        let (service, alias) = link.split_once(':').unwrap_or((&link, &link));
        if !known.services.contains(service) {
            let near = r.near(service, known.services.iter().map(String::as_str));
            r.log.error(item.at, undeclared("service", service, near, "services"));
        } else if alias != service {
            r.refuse_key(item.at, "links", "a service is found by its own name only");
        }
    }
}
