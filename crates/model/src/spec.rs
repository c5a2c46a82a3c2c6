//! What a user wishes: projects, services and how their containers are made. Written by deploys only.

use crate::{
    ContentKey, ContentSource, Engine, FailureAction, GivenFile, Hooks, HttpRule, NetworkSpec,
    Networking, Once, ProjectName, ServiceName, VolumeName,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What one Compose file, with its overrides, declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSpec {
    /// The project's name.
    pub name: ProjectName,
    /// Its services.
    pub services: BTreeMap<ServiceName, Arc<ServiceSpec>>,
    /// Its named volumes.
    pub volumes: BTreeMap<VolumeName, VolumeSpec>,
    /// Its secrets and configs, those that services use, and where what they hold comes from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<ContentKey, ContentSource>,
    /// Its networks that services are on and that it says something of, by name in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkSpec>,
    /// The canonical Compose document it was read from.
    pub source: String,
}

/// A named volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Volume driver; empty for the engine's default.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels on the volume.
    pub labels: BTreeMap<String, String>,
    /// Use the engine's volume of this very name instead of one named after the project.
    pub external_name: Option<String>,
}

/// One entry under `services:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// How each container is made.
    pub container: ContainerSpec,
    /// How many copies.
    pub mode: Mode,
    /// What each copy needs and may use.
    pub resources: Resources,
    /// Where copies may go.
    pub placement: Placement,
    /// What happens when a copy ends.
    pub restart: RestartPolicy,
    /// How a new generation replaces the old.
    pub update: UpdatePolicy,
    /// How an earlier generation replaces a new one that failed; as `update` where nothing is said.
    #[serde(default, skip_serializing_if = "UpdatePolicy::is_default")]
    pub rollback: UpdatePolicy,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Networks it is on, by name in the file.
    pub networks: Vec<String>,
    /// How it is on them.
    #[serde(default, skip_serializing_if = "Networking::is_default")]
    pub networking: Networking,
    /// Its name stands for its replicas' addresses rather than for one virtual address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub round_robin: bool,
    /// Services of the same project that it refers to by name over a shared network; without a mesh placed
    /// on the same node where they fit, because there names do not resolve across hosts.
    pub refers_to: Vec<ServiceName>,
    /// Services of the same project that have to be in some condition before a copy starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// Containers of other services of the same project that a copy of this one is built upon: its copy
    /// `k` is on the node of their copy `k`, starts after it, and is made anew when that one is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares_with: Vec<Share>,
    /// It is not in the file itself, but is run once before another service, as that one's entry says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// Ports of the container that are told of each client by a PROXY header before its bytes, when they are
    /// published on every node over TCP.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<u16>,
    /// Which requests over HTTP reach it at the ports that all services share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRule>,
}

/// What a copy uses of a container of another service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The other service.
    pub service: ServiceName,
    /// What of its container.
    pub what: SharedPart,
}

/// What of a container another one may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SharedPart {
    /// Its network: the two are one host to others.
    Network,
    /// Its shared memory.
    Ipc,
    /// Its processes.
    Pid,
    /// Its mounts.
    Volumes {
        /// Mounted read-only.
        read_only: bool,
    },
}

/// Another service of the project that has to be in some condition before a copy starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other service.
    pub service: ServiceName,
    /// Its condition.
    pub condition: DependencyCondition,
    /// When it does not exist or cannot start, this service waits. Otherwise it starts without it.
    pub required: bool,
    /// After a deploy that gives the other service a new generation, this one is restarted too.
    pub restart: bool,
}

/// What is asked of a service before one that depends on it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DependencyCondition {
    /// A copy of it was started.
    Started,
    /// Its copies run, and pass their health check where there is one.
    Healthy,
    /// Its copies ended with exit code 0.
    Completed,
}

/// How many copies of a service there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// A number of replicas; `None` when the file does not say, so a scale set by hand is kept.
    Replicated {
        /// The number the file asks for.
        replicas: Option<u32>,
    },
    /// One on each node that admits it.
    Global,
    /// A job: a number of copies, each of which runs until it ends with exit code 0, once per generation.
    ReplicatedJob {
        /// Copies that have to end well; `None` when the file does not say, so a scale set by hand is kept.
        total: Option<u32>,
        /// Copies that run at once; all of them when absent.
        concurrent: Option<u32>,
    },
    /// A job on each node that admits it.
    GlobalJob,
}

impl Mode {
    /// The number of copies that the file asks for.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::Replicated { replicas } => replicas,
            Self::ReplicatedJob { total, .. } => total,
            Self::Global | Self::GlobalJob => None,
        }
    }

    /// Whether there is one copy on each node.
    pub fn global(self) -> bool {
        matches!(self, Self::Global | Self::GlobalJob)
    }

    /// Whether copies are done once they ended with exit code 0.
    pub fn job(self) -> bool {
        matches!(self, Self::ReplicatedJob { .. } | Self::GlobalJob)
    }
}

/// How a container is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The image.
    pub image: Image,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Replaces the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Environment. Values may be confidential: never shown, never logged.
    pub environment: BTreeMap<String, String>,
    /// Labels on the container.
    pub labels: BTreeMap<String, String>,
    /// User and group, as the engine takes them.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Host name inside; the replica's name by default.
    pub hostname: Option<String>,
    /// Mounts, in the file's order.
    pub mounts: Vec<Mount>,
    /// Secrets and configs that it is handed as files, in the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<GivenFile>,
    /// Health check; `None` leaves the image's in force.
    pub healthcheck: Option<HealthCheck>,
    /// Signal that asks it to stop; the image's by default.
    pub stop_signal: Option<String>,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Option<Duration>,
    /// Run an init process as process 1.
    pub init: Option<bool>,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Extra `/etc/hosts` lines, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Log driver and its options; the daemon's default where absent.
    pub logging: Option<Logging>,
    /// What else the engine is told.
    #[serde(default, skip_serializing_if = "Engine::is_default")]
    pub engine: Engine,
    /// Commands around its life.
    #[serde(default, skip_serializing_if = "Hooks::is_default")]
    pub hooks: Hooks,
}

/// Log driver of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Driver name.
    pub driver: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// An image, as named and as resolved when deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// As written in the file.
    pub reference: String,
    /// `repository@sha256:...`, or `sha256:...` (an image id) when no registry knows it.
    pub resolved: Option<String>,
    /// When to ask a registry.
    pub pull: Pull,
}

/// When to ask a registry for an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pull {
    /// When the node lacks it.
    #[default]
    Missing,
    /// Before each start.
    Always,
    /// Never: it must be there.
    Never,
}

/// One mount of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// How else it is mounted.
    #[serde(default, skip_serializing_if = "MountOptions::is_default")]
    pub options: MountOptions,
}

/// Finer points of a mount; each means something for one kind of source only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// Binds: how later mounts spread, `rprivate` by default.
    pub propagation: Option<String>,
    /// Binds: without what is mounted below the path.
    pub not_recursive: bool,
    /// Volumes: a new one is not filled from the image.
    pub no_copy: bool,
    /// Volumes: only this folder of it.
    pub subpath: Option<String>,
    /// Memory: options of its file system, such as `noexec` or `mode=1777`.
    pub tmpfs: Vec<String>,
}

impl MountOptions {
    /// Whether there is nothing to say.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A named volume of the project.
    Volume(VolumeName),
    /// A volume without a name, gone with the container.
    Anonymous,
    /// A path of the host.
    Bind(String),
    /// Memory.
    Tmpfs {
        /// Bytes; the engine's default where absent.
        size: Option<u64>,
    },
}

/// How the engine finds out whether a container is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// As the engine takes it: `["NONE"]`, `["CMD", ...]`, `["CMD-SHELL", "..."]`; empty: the image's.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: Option<Duration>,
    /// For one check.
    pub timeout: Option<Duration>,
    /// Failures in a row until it is unhealthy.
    pub retries: Option<u32>,
    /// Failures that do not count after the start.
    pub start_period: Option<Duration>,
    /// Between two checks during that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
}

impl HealthCheck {
    /// No check at all, whatever the image says.
    pub fn none() -> Self {
        Self {
            test: vec!["NONE".to_owned()],
            interval: None,
            timeout: None,
            retries: None,
            start_period: None,
            start_interval: None,
        }
    }
}

/// What each copy needs (reservation) and may use (limit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Reserved processor time, in thousandths of a core.
    pub reserved_milli_cpus: u64,
    /// Reserved memory, in bytes.
    pub reserved_memory: u64,
    /// Limit of processor time, in thousandths of a core.
    pub milli_cpus: Option<u64>,
    /// Limit of memory, in bytes.
    pub memory: Option<u64>,
    /// Limit of processes.
    pub pids: Option<u32>,
}

/// Where copies may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// All must hold.
    pub constraints: Vec<Constraint>,
    /// Node labels over whose values to spread, outermost first.
    pub spread: Vec<String>,
    /// Most copies on one node.
    pub max_replicas_per_node: Option<u32>,
}

/// A rule on the node, `key == value` or `key != value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// What of the node is compared.
    pub key: ConstraintKey,
    /// `true` for `==`, `false` for `!=`.
    pub equal: bool,
    /// What it is compared with.
    pub value: String,
}

/// What of a node a constraint compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKey {
    /// `node.id`
    Id,
    /// `node.hostname`: the node's name here.
    Hostname,
    /// `node.role`: `manager` or `worker`.
    Role,
    /// `node.platform.os`
    Os,
    /// `node.platform.arch`
    Arch,
    /// `node.labels.KEY`
    Label(String),
}

/// What happens when a copy ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// When a successor is made.
    pub condition: RestartCondition,
    /// First wait; doubled per failure in a row up to five minutes.
    pub delay: Duration,
    /// Restarts after which the slot is given up; `None` for no end.
    pub max_attempts: Option<u32>,
    /// How long a copy must run for its failures to be forgotten.
    pub window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            condition: RestartCondition::Any,
            delay: Duration::from_secs(1),
            max_attempts: None,
            window: Duration::from_secs(60),
        }
    }
}

/// When a copy that ended gets a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartCondition {
    /// Never.
    Never,
    /// When it exited with another code than 0, or could not start.
    OnFailure,
    /// Always.
    Any,
}

/// How one generation replaces another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatePolicy {
    /// Order of starting and stopping; by default start-first unless the replica holds something that
    /// two copies cannot share.
    pub order: Option<UpdateOrder>,
    /// How long a new copy must have been well before the next one's turn, and within which time its end counts
    /// as a failure. By default a health check that passed is enough.
    pub monitor: Option<Duration>,
    /// Replicas exchanged at once, zero for all; one by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// How long to wait after a new copy is well before the next one's turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// What happens when too many new copies fail; to go back by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_action: Option<FailureAction>,
    /// Share of the replicas that may fail, in millionths; where absent, what is too many follows from the
    /// number of replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failure_ratio: Option<u32>,
}

impl UpdatePolicy {
    /// Whether there is nothing to say.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which comes first when one copy replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateOrder {
    /// The new copy runs, and is healthy, before the old one is stopped.
    StartFirst,
    /// The old copy has stopped before the new one starts.
    StopFirst,
}

/// A published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Port on the hosts.
    pub published: u16,
    /// Port in the container.
    pub target: u16,
    /// Transport.
    pub protocol: Protocol,
    /// On every node, or on the replica's node only.
    pub mode: PortMode,
    /// Address to listen on; all when absent.
    pub host_ip: Option<IpAddr>,
}

impl Port {
    /// Whether it is answered on every node, not on the replica's node only.
    pub fn on_every_node(&self) -> bool {
        self.mode == PortMode::Ingress
    }
}

/// Transport of a published port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
}

/// Where a published port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PortMode {
    /// On every node, wherever the replicas are.
    Ingress,
    /// On the node of the replica only.
    Host,
}

impl ServiceSpec {
    /// Named volumes that a copy writes to; they tie it to their home node.
    pub fn writable_volumes(&self) -> impl Iterator<Item = &VolumeName> {
        self.container.mounts.iter().filter(|m| !m.read_only).filter_map(|m| match &m.source {
            MountSource::Volume(v) => Some(v),
            _ => None,
        })
    }

    /// Named volumes that a copy uses, written to or not.
    pub fn volumes(&self) -> impl Iterator<Item = &VolumeName> {
        self.container.mounts.iter().filter_map(|m| match &m.source {
            MountSource::Volume(v) => Some(v),
            _ => None,
        })
    }

    /// Whether a copy keeps data of its own: one with a writable named volume.
    pub fn stateful(&self) -> bool {
        self.writable_volumes().next().is_some()
    }

    /// The port of a copy that answers where `wished`, a port of some generation, is published: of two on
    /// several addresses the very same, else one that was as widely published, or that is the same in the
    /// container. So a change of the address shows nothing to others that nobody wished to show.
    pub fn target_behind(&self, wished: &Port) -> Option<u16> {
        let behind = |p: &&Port| {
            p.on_every_node()
                && (p.published, p.protocol) == (wished.published, wished.protocol)
                && (p.host_ip.is_none_or(|ip| Some(ip) == wished.host_ip)
                    || p.target == wished.target)
        };
        let same = |p: &&Port| behind(p) && p.host_ip == wished.host_ip;
        self.ports.iter().find(same).or_else(|| self.ports.iter().find(behind)).map(|p| p.target)
    }

    /// Host ports that a copy takes on its own node.
    pub fn host_ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|p| p.mode == PortMode::Host)
    }

    /// When a copy that ended gets a successor. One of a job that ended well never does.
    pub fn restart_condition(&self) -> RestartCondition {
        match self.restart.condition {
            RestartCondition::Any if self.mode.job() => RestartCondition::OnFailure,
            condition => condition,
        }
    }

    /// Whether two copies of one replica must never run at once, whatever the file says: they would share a
    /// writable volume, a writable bind mount or a host port, what a job does would be done twice, or both would
    /// be built upon one container of another.
    pub fn runs_alone(&self) -> bool {
        let writes_bind = self
            .container
            .mounts
            .iter()
            .any(|m| !m.read_only && matches!(m.source, MountSource::Bind(_)));
        self.mode.job()
            || !self.shares_with.is_empty()
            || self.stateful()
            || writes_bind
            || self.host_ports().next().is_some()
    }
}
