//! One service: reads its keys by asking the reader of each part, and puts the parts together.

use crate::complaint::shown;
use crate::keys::Section;
use crate::project::Known;
use crate::reader::{Fields, Reader};
use crate::tree::{Entry, Place};
use crate::{attach, build, container, deploy, hooks, http, mounts, ports, secrets, sharing};
use model::{
    Constraint, ConstraintKey, Mode, Mount, Networking, Placement, ServiceName, ServiceSpec,
    SharedPart,
};

/// A service as it was read, and the names that it gives to others.
pub(crate) struct Service {
    pub(crate) spec: ServiceSpec,
    /// Service and alias, of its `links`.
    pub(crate) links: Vec<(String, String)>,
    /// Where the file says whether it is started again once it ended.
    pub(crate) restart: Option<Place>,
}

/// What only one service of a file can have, and those read so far that have it.
#[derive(Default)]
pub(crate) struct Taken {
    ports: ports::Taken,
    http: http::Taken,
}

/// Reads a service. `taken` collects the ports and HTTP rules of all services of the file.
pub(crate) fn read(
    r: &mut Reader<'_>,
    name: &ServiceName,
    entry: &Entry,
    known: &Known,
    taken: &mut Taken,
) -> Service {
    r.scope = format!("services.{name}");
    let fields = r.fields(&entry.node, name.as_str(), Section::Service);
    r.not_canonical(&fields, &["extends", "profiles", "label_file"]);
    let mut deploy = deploy::read(r, &fields);
    let labels = std::mem::take(&mut deploy.labels);
    r.own = crate::templates::Own { service: name.to_string(), labels };
    let pinned = deploy
        .placement
        .constraints
        .iter()
        .any(|c| c.equal && matches!(c.key, ConstraintKey::Hostname | ConstraintKey::Id));
    let mounts: Vec<Mount> = mounts::read(r, &fields, &mounts::Context { known, pinned });
    let attached = attach::read(r, &fields, known);
    let mut container = container::read(r, &fields, mounts);
    container.engine.network_mode = attached.mode;
    let guest = r.shares.iter().any(|share| share.what == SharedPart::Network);
    container.engine.device_requests.append(&mut deploy.devices);
    swap_above_memory(r, &fields, container.engine.memswap_limit, deploy.resources.memory);
    on_platform(container.engine.platform.as_deref(), &mut deploy.placement);
    one_name_one_replica(r, &fields, deploy.mode);
    let published = if container.engine.network_mode.is_some() {
        ports::read(r, &fields, name, &mut ports::Taken::default());
        Vec::new()
    } else {
        ports::read(r, &fields, name, &mut taken.ports)
    };
    sharing::volumes_from(r, &fields);
    container.files = secrets::files(r, &fields, &known.contents, &container.mounts);
    container.hooks = hooks::read(r, &fields);
    if let Some(image) = build::read(r, &fields, name, entry) {
        container.image.reference = image;
    }
    let depends_on = sharing::depends_on(r, &fields, name);
    let links = sharing::links(r, &fields, name);
    let mut spec = ServiceSpec {
        container,
        mode: deploy.mode,
        resources: deploy.resources,
        placement: deploy.placement,
        restart: deploy.restart,
        update: deploy.update,
        rollback: deploy.rollback,
        ports: published,
        networks: attached.networks,
        networking: Networking::default(),
        round_robin: deploy.round_robin,
        refers_to: Vec::new(),
        depends_on,
        shares_with: std::mem::take(&mut r.shares),
        once: None,
        told: [].into(),
        http: Vec::new(),
    };
    spec.told = ports::told(r, &fields, &spec.ports);
    if spec.container.engine.network_mode.is_none() && !guest {
        spec.networking = attached.networking;
        attached.aliases.iter().for_each(|alias| spec.add_alias(alias));
    }
    spec.http = http::read(r, &fields, name, &spec, &known.contents, &mut taken.http);
    Service { spec, links, restart: deploy.restart_at }
}

/// The message about a name that nothing declares.
pub(crate) fn undeclared(what: &str, name: &str, near: Option<&str>, section: &str) -> String {
    let name = shown(name);
    match near {
        Some(near) => format!("{what} `{name}` is not declared; did you mean `{near}`?"),
        None => format!("{what} `{name}` is not declared under the top-level `{section}`"),
    }
}

/// A container's name can be had by one container of a node only.
fn one_name_one_replica(r: &mut Reader<'_>, fields: &Fields<'_>, mode: Mode) {
    let Some(at) = fields.at("container_name") else { return };
    if mode.count().is_some_and(|n| n > 1) {
        let message = "`container_name` names one container, but there are to be several replicas";
        r.log.refuse(at, message, "remove it: replicas are named by service and slot");
    }
}

/// The engine takes a limit of memory and swap together only above one of memory.
fn swap_above_memory(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    swap: Option<i64>,
    memory: Option<u64>,
) {
    let at: Place = fields.at("memswap_limit").unwrap_or(fields.at);
    let Some(swap) = swap.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0) else { return };
    match memory {
        None => r.log.error(
            at,
            "`memswap_limit` is of memory and swap together, and needs a limit of memory",
        ),
        Some(memory) if swap < memory => {
            r.log.error(at, "`memswap_limit` is of memory and swap together, and cannot be below that of memory");
        }
        Some(_) => {}
    }
}

/// A service of a platform runs where that platform is.
fn on_platform(platform: Option<&str>, placement: &mut Placement) {
    let Some(platform) = platform else { return };
    let mut parts = platform.split('/');
    let keys = [ConstraintKey::Os, ConstraintKey::Arch];
    for (key, value) in keys.into_iter().zip(&mut parts) {
        let value = match value {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let constraint = Constraint { key, equal: true, value: value.to_owned() };
        if !placement.constraints.contains(&constraint) {
            placement.constraints.push(constraint);
        }
    }
}
