//! What the engine is to do, as plain data: every name and number is in it, so that no meaningful choice
//! is left for whoever executes it.

use crate::{ContainerId, HookStage};
use model::{
    ClusterId, ContentId, Hook, Login, MountOptions, Port, ProjectName, ServiceSpec, SharedPart,
    Subnet, TaskId, VolumeKey, VolumeName, VolumeSpec,
};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// One thing for the engine to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Fetch an image from its registry.
    Pull {
        /// For this task.
        task: TaskId,
        /// The reference to fetch.
        image: String,
        /// Login for its registry.
        login: Option<Login>,
    },
    /// Make a container, with the network and the volumes it needs. When a container of that name and
    /// task exists, that one is the result.
    Create(Box<Create>),
    /// Start a container.
    Start {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
    },
    /// Look at a container.
    Inspect {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
    },
    /// Get a command ready to be run inside a container, without running it.
    PrepareHook {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
        /// When it is run.
        stage: HookStage,
        /// The command.
        hook: Arc<Hook>,
    },
    /// Run a command that was got ready, or wait for it where it runs already: it is run once, however
    /// often this is asked.
    RunHook {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
        /// When it is run.
        stage: HookStage,
        /// What the engine calls the command that was got ready.
        exec: String,
        /// How long it may take.
        limit: Duration,
    },
    /// Ask a container's process to end, with the signal the container was made with, and kill it after
    /// the grace.
    Stop {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
        /// How long it may take.
        grace: Duration,
    },
    /// Kill a container's process.
    Kill {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
    },
    /// Remove a container that does not run, and its anonymous volumes.
    Remove {
        /// Its task.
        task: TaskId,
        /// The container.
        container: ContainerId,
    },
    /// Remove a volume and its data, if it was made for this cluster.
    RemoveVolume {
        /// The volume.
        volume: VolumeKey,
        /// What the engine calls it.
        name: String,
        /// The cluster it must have been made for.
        cluster: ClusterId,
    },
    /// Remove a project's networks that were made for this cluster.
    RemoveNetworks {
        /// The project.
        project: ProjectName,
        /// The cluster they must have been made for.
        cluster: ClusterId,
    },
}

/// What an action is about: at most one action per subject is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A task and its container.
    Task(TaskId),
    /// A command inside a task's container.
    Hook(TaskId),
    /// A volume.
    Volume(VolumeKey),
    /// A project's networks.
    Networks(ProjectName),
}

/// An action without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Action::Pull`]
    Pull,
    /// [`Action::Create`]
    Create,
    /// [`Action::Start`]
    Start,
    /// [`Action::Inspect`]
    Inspect,
    /// [`Action::PrepareHook`]
    PrepareHook,
    /// [`Action::RunHook`]
    RunHook,
    /// [`Action::Stop`]
    Stop,
    /// [`Action::Kill`]
    Kill,
    /// [`Action::Remove`]
    Remove,
    /// [`Action::RemoveVolume`]
    RemoveVolume,
    /// [`Action::RemoveNetworks`]
    RemoveNetworks,
}

impl Action {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Create(create) => Subject::Task(create.task),
            Self::Pull { task, .. }
            | Self::Start { task, .. }
            | Self::Inspect { task, .. }
            | Self::Stop { task, .. }
            | Self::Kill { task, .. }
            | Self::Remove { task, .. } => Subject::Task(*task),
            Self::PrepareHook { task, .. } | Self::RunHook { task, .. } => Subject::Hook(*task),
            Self::RemoveVolume { volume, .. } => Subject::Volume(volume.clone()),
            Self::RemoveNetworks { project, .. } => Subject::Networks(project.clone()),
        }
    }

    /// The action without its arguments.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Pull { .. } => Kind::Pull,
            Self::Create(_) => Kind::Create,
            Self::Start { .. } => Kind::Start,
            Self::Inspect { .. } => Kind::Inspect,
            Self::PrepareHook { .. } => Kind::PrepareHook,
            Self::RunHook { .. } => Kind::RunHook,
            Self::Stop { .. } => Kind::Stop,
            Self::Kill { .. } => Kind::Kill,
            Self::Remove { .. } => Kind::Remove,
            Self::RemoveVolume { .. } => Kind::RemoveVolume,
            Self::RemoveNetworks { .. } => Kind::RemoveNetworks,
        }
    }

    /// For a command inside a container: when it is run.
    pub(crate) fn stage(&self) -> Option<HookStage> {
        match self {
            Self::PrepareHook { stage, .. } | Self::RunHook { stage, .. } => Some(*stage),
            _ => None,
        }
    }

    /// The container it is about, where there is one already.
    pub fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::Start { container, .. }
            | Self::Inspect { container, .. }
            | Self::PrepareHook { container, .. }
            | Self::RunHook { container, .. }
            | Self::Stop { container, .. }
            | Self::Kill { container, .. }
            | Self::Remove { container, .. } => Some(container),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { task, image, .. } => write!(f, "pull {image} for task {task}"),
            Self::Create(create) => write!(f, "create {}", create.name),
            Self::Start { task, .. } => write!(f, "start the container of task {task}"),
            Self::Inspect { task, .. } => write!(f, "look at the container of task {task}"),
            Self::PrepareHook { task, stage, .. } => {
                write!(f, "get {stage} of task {task} ready")
            }
            Self::RunHook { task, stage, .. } => write!(f, "run {stage} of task {task}"),
            Self::Stop { task, .. } => write!(f, "stop the container of task {task}"),
            Self::Kill { task, .. } => write!(f, "kill the container of task {task}"),
            Self::Remove { task, .. } => write!(f, "remove the container of task {task}"),
            Self::RemoveVolume { name, .. } => write!(f, "remove volume {name}"),
            Self::RemoveNetworks { project, .. } => write!(f, "remove networks of {project}"),
        }
    }
}

/// A container to be made. Its `Debug` form shows no environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Create {
    /// The task it is.
    pub task: TaskId,
    /// Which step before the start of the task's own container it is, if it is not that one.
    pub step: Option<usize>,
    /// Name of the container.
    pub name: String,
    /// The image: by digest or id where it was resolved, else as written.
    pub image: String,
    /// Host name inside.
    pub hostname: String,
    /// Environment: ours, and over it the file's.
    pub environment: BTreeMap<String, String>,
    /// All labels: the user's, and over them ours.
    pub labels: BTreeMap<String, String>,
    /// Containers that it is built upon.
    pub shares: Vec<CreateShare>,
    /// The network it is on, unless it uses another's.
    pub network: Network,
    /// Its mounts, in the file's order.
    pub mounts: Vec<CreateMount>,
    /// Files that are to be there before it is made, each mounted read-only.
    pub files: Vec<CreateFile>,
    /// Ports to bind on this node. Ports that the ingress answers are not among them.
    pub ports: Vec<Port>,
    /// How long it may take to stop.
    pub grace: Duration,
    /// Log driver.
    pub log_driver: String,
    /// Options of the log driver.
    pub log_options: BTreeMap<String, String>,
    /// Everything that is passed on as the user wrote it: `container`'s command, entry point,
    /// user, health check, ..., and the limits of `resources`.
    pub spec: Arc<ServiceSpec>,
}

impl fmt::Debug for Create {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Create")
            .field("task", &self.task)
            .field("name", &self.name)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// What of another container it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateShare {
    /// What.
    pub what: SharedPart,
    /// The other container.
    pub container: ContainerId,
}

/// The engine's network that a container is on, and its names there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What the engine calls it. Made as a bridge when missing.
    pub name: String,
    /// Labels for it.
    pub labels: BTreeMap<String, String>,
    /// The container's names on it, as the engine is to answer for them; none where the mesh does.
    pub aliases: Vec<String>,
    /// Its part of the mesh; `None` leaves addresses to the engine.
    pub place: Option<NetworkPlace>,
}

/// The addresses of a network that is part of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlace {
    /// The network's subnet on this node. Its gateway is the node, which answers for names.
    pub subnet: Subnet,
    /// Name of the bridge.
    pub bridge: String,
    /// The container's address.
    pub address: Ipv4Addr,
    /// Bytes of packets there; the engine's default where absent.
    pub mtu: Option<u32>,
}

/// A secret or config as a file: on this node, and in a container to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateFile {
    /// Path on this node.
    pub path: String,
    /// What it is to hold.
    pub content: ContentId,
    /// Path inside the container.
    pub target: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// A mount of a container to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateMount {
    /// What is mounted.
    pub source: CreateMountSource,
    /// Path inside the container.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// How else it is mounted.
    pub options: MountOptions,
}

/// What a mount of a container to be made shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateMountSource {
    /// A volume.
    Volume {
        /// Its name in the file.
        volume: VolumeName,
        /// What the engine calls it.
        name: String,
        /// How to make it.
        spec: VolumeSpec,
        /// Labels for it: the user's, and over them ours.
        labels: BTreeMap<String, String>,
        /// It holds data, or is not ours to make: when it is missing, the container must not be made.
        must_exist: bool,
    },
    /// A volume without a name, gone with the container.
    Anonymous,
    /// A path of the host, which must exist.
    Bind {
        /// The path.
        path: String,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; the engine's default where absent.
        size: Option<u64>,
    },
}
