//! From an assignment to the container that it describes: names, labels, mounts, defaults.

use crate::{
    Create, CreateFile, CreateMount, CreateMountSource, Folders, Network, NetworkPlace, template,
};
use model::{
    Assignment, ClusterId, ContentKind, Mount, MountSource, ProjectName, ServiceSpec, VolumeName,
    bridge_name,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Keys of our labels on containers, networks and volumes. Documented, so that people may filter by them.
pub mod label {
    /// The cluster, as 32 hexadecimal digits.
    pub const CLUSTER: &str = "cluster.id";
    /// The task, as `index-position`.
    pub const TASK: &str = "cluster.task";
    /// The project.
    pub const PROJECT: &str = "cluster.project";
    /// The service.
    pub const SERVICE: &str = "cluster.service";
    /// The slot.
    pub const SLOT: &str = "cluster.slot";
    /// Which step before the start of the task's own container it is; on containers of such steps only.
    pub const STEP: &str = "cluster.step";
    /// Digest of the spec, 16 hexadecimal digits.
    pub const DIGEST: &str = "cluster.digest";
    /// The volume's name in the file; on volumes only.
    pub const VOLUME: &str = "cluster.volume";
}

/// Grace when neither file nor container says: the engine's own default.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Bytes of a host name that Linux takes (`HOST_NAME_MAX`, `sethostname(2)`).
const HOSTNAME_BYTES: usize = 64;

/// The container that an assignment describes, but for those that it is built upon.
pub fn create(cluster: &ClusterId, assignment: &Assignment, folders: &Folders) -> Create {
    let spec = &assignment.spec;
    let container = &spec.container;
    let replica = format!("{}.{}", assignment.service, assignment.slot);
    let (log_driver, log_options) = logging(spec);
    Create {
        task: assignment.task,
        step: None,
        name: template::name(assignment),
        image: image(assignment),
        hostname: match &container.hostname {
            Some(own) if own.contains("{{") => hostname(&template::filled(assignment, own)),
            Some(own) => own.clone(),
            None => hostname(&replica),
        },
        environment: template::environment(assignment),
        labels: labels(cluster, assignment),
        shares: Vec::new(),
        network: network(cluster, assignment, replica),
        mounts: container.mounts.iter().map(|m| mount(cluster, assignment, m)).collect(),
        files: files(assignment, folders),
        ports: spec.host_ports().copied().collect(),
        grace: container.stop_grace.unwrap_or(DEFAULT_GRACE),
        log_driver,
        log_options,
        spec: Arc::clone(spec),
    }
}

/// The engine's network that it is on. Where that is part of the mesh the engine is told no names: it would
/// answer for its own containers only, before the mesh is asked for all.
fn network(cluster: &ClusterId, assignment: &Assignment, replica: String) -> Network {
    let place = assignment.attachment.map(|at| NetworkPlace {
        subnet: at.subnet,
        bridge: bridge_name(at.number),
        address: at.address,
        mtu: at.mtu,
    });
    let number = assignment.attachment.filter(|at| at.apart).map(|at| at.number);
    Network {
        name: network_name(&assignment.project, number),
        labels: owned(cluster, &assignment.project),
        aliases: if place.is_some() { Vec::new() } else { aliases(assignment, replica) },
        place,
    }
}

/// A replica's names on its project's network: the service's, its own, and those that the file gives it.
fn aliases(assignment: &Assignment, replica: String) -> Vec<String> {
    let mut names = vec![assignment.service.to_string(), replica];
    for name in assignment.spec.all_aliases() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The image to run: as resolved when deployed, so that all replicas run the same.
pub(crate) fn image(assignment: &Assignment) -> String {
    let image = &assignment.spec.container.image;
    image.resolved.clone().unwrap_or_else(|| image.reference.clone())
}

/// What the engine calls a volume of a project.
pub fn volume_name(project: &ProjectName, volume: &VolumeName) -> String {
    format!("{project}_{volume}")
}

/// What the engine calls a project's network; one that is not for its default network alone bears the number
/// of its subnet.
fn network_name(project: &ProjectName, number: Option<u32>) -> String {
    // A project's name has no dot.
    let number = number.map(|number| format!(".{number}")).unwrap_or_default();
    format!("cl_{project}{number}")
}

fn hostname(replica: &str) -> String {
    // Names are ASCII, so any byte is a boundary.
    replica[..replica.len().min(HOSTNAME_BYTES)].trim_end_matches(['.', '-', '_']).to_owned()
}

fn owned(cluster: &ClusterId, project: &ProjectName) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::CLUSTER.to_owned(), cluster.to_string()),
        (label::PROJECT.to_owned(), project.to_string()),
    ])
}

fn labels(cluster: &ClusterId, assignment: &Assignment) -> BTreeMap<String, String> {
    let mut labels = assignment.spec.container.labels.clone();
    labels.extend(owned(cluster, &assignment.project));
    labels.extend([
        (label::TASK.to_owned(), assignment.task.to_string()),
        (label::SERVICE.to_owned(), assignment.service.to_string()),
        (label::SLOT.to_owned(), assignment.slot.to_string()),
        (label::DIGEST.to_owned(), digest(&assignment.spec)),
    ]);
    labels
}

/// Digest of a spec: equal specs have equal digests, on every node and in every release that knows the
/// same fields.
fn digest(spec: &ServiceSpec) -> String {
    let bytes = serde_json::to_vec(spec).expect("a spec has text keys and no failing serializer");
    Sha256::digest(&bytes).iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// Logs without limits fill disks: a container whose file says nothing gets 3 files of 10 MB.
fn logging(spec: &ServiceSpec) -> (String, BTreeMap<String, String>) {
    match &spec.container.logging {
        Some(logging) => (logging.driver.clone(), logging.options.clone()),
        None => (
            "json-file".to_owned(),
            [("max-size", "10m"), ("max-file", "3")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        ),
    }
}

fn mount(cluster: &ClusterId, assignment: &Assignment, mount: &Mount) -> CreateMount {
    let source = match &mount.source {
        MountSource::Volume(volume) => named_volume(cluster, assignment, volume),
        MountSource::Anonymous => CreateMountSource::Anonymous,
        MountSource::Bind(path) => {
            CreateMountSource::Bind { path: template::filled(assignment, path) }
        }
        MountSource::Tmpfs { size } => CreateMountSource::Tmpfs { size: *size },
    };
    CreateMount {
        source,
        target: mount.target.clone(),
        read_only: mount.read_only,
        options: mount.options.clone(),
    }
}

/// The files of a task, by their number in the spec.
fn files(assignment: &Assignment, folders: &Folders) -> Vec<CreateFile> {
    let task = assignment.task;
    let files = assignment.spec.container.files.iter().enumerate();
    let file = files.map(|(number, file)| {
        let folder = match file.content.kind {
            ContentKind::Secret => &folders.secrets,
            ContentKind::Config => &folders.configs,
        };
        CreateFile {
            path: format!("{folder}/{task}/{number}"),
            content: file.id(),
            target: file.target.clone(),
            uid: file.uid,
            gid: file.gid,
            mode: file.mode,
        }
    });
    file.collect()
}

fn named_volume(
    cluster: &ClusterId,
    assignment: &Assignment,
    volume: &VolumeName,
) -> CreateMountSource {
    let spec = assignment.volumes.get(volume).cloned().unwrap_or_default();
    let mut labels = spec.labels.clone();
    labels.extend(owned(cluster, &assignment.project));
    labels.insert(label::VOLUME.to_owned(), volume.to_string());
    let ours = volume_name(&assignment.project, volume);
    CreateMountSource::Volume {
        volume: volume.clone(),
        name: spec.external_name.clone().unwrap_or(ours),
        must_exist: spec.external_name.is_some() || assignment.established.contains(volume),
        labels,
        spec,
    }
}
