//! Commands around the life of a container (Compose Specification, `services.*.pre_start`, `post_start` and
//! `pre_stop`). Written by deploys only; run by the agent of the container's node.

use crate::{
    ContainerSpec, Dependency, HealthCheck, Image, Mode, RestartCondition, RestartPolicy,
    ServiceName, ServiceSpec, UpdatePolicy,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The commands around the life of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// Run before it is started, in this order, each in a container of its own. One that fails is a failure
    /// of the task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_start: Vec<PreStart>,
    /// Run inside of it once it was started, in this order. One that fails is a failure of the task.
    pub post_start: Vec<Hook>,
    /// Run inside of it before it gets its stop signal, in this order, all within its grace.
    pub pre_stop: Vec<Hook>,
}

impl Hooks {
    /// Whether there is nothing to run.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is run before a container is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreStart {
    /// The command, and what is other than in the service's container.
    pub hook: Hook,
    /// The image, where it is not the service's.
    pub image: Option<Image>,
    /// Once for all copies: a job of its own that the service depends on, and not run by the agent before
    /// each copy.
    pub once: bool,
    /// Of one that is run once.
    pub on_unknown: OnUnknown,
}

/// What becomes of something that is to be run once when the node that runs it is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknown {
    /// Nobody knows whether it ended, so nothing is done until the node is back or removed.
    #[default]
    Wait,
    /// It is run again on another node.
    Rerun,
}

/// A service that is run once before another starts, and once more for each generation of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// The other service, whose file entry this one comes from.
    pub before: ServiceName,
    /// What becomes of it when its node is lost.
    pub on_unknown: OnUnknown,
}

impl ServiceSpec {
    /// What is run once beside a service of this spec, in such a container: a job of one copy, which publishes
    /// nothing, and may be where the service may.
    #[must_use]
    pub fn run_once(
        &self,
        container: ContainerSpec,
        depends_on: Vec<Dependency>,
        once: Once,
    ) -> Self {
        let mut placement = self.placement.clone();
        placement.max_replicas_per_node = None;
        Self {
            container,
            mode: Mode::ReplicatedJob { total: Some(1), concurrent: None },
            resources: self.resources,
            placement,
            restart: RestartPolicy {
                condition: RestartCondition::Never,
                ..RestartPolicy::default()
            },
            update: UpdatePolicy::default(),
            rollback: UpdatePolicy::default(),
            ports: Vec::new(),
            networks: self.networks.clone(),
            refers_to: self.refers_to.clone(),
            depends_on,
            shares_with: Vec::new(),
            told: BTreeSet::new(),
            http: Vec::new(),
            networking: self.networking.nameless(),
            round_robin: false,
            once: Some(once),
        }
    }
}

/// A command to run inside a container. Its `Debug` form shows no environment.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// As this user instead of the container's.
    pub user: Option<String>,
    /// In this folder instead of the container's.
    pub working_dir: Option<String>,
    /// With everything that the host's root may do.
    pub privileged: bool,
    /// Environment beyond the container's. Values may be confidential.
    pub environment: BTreeMap<String, String>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("command", &self.command).finish_non_exhaustive()
    }
}

impl ContainerSpec {
    /// The images that a node needs for it: its own, and those of the steps before its start.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        let steps = self.hooks.pre_start.iter().filter(|step| !step.once);
        steps.filter_map(|step| step.image.as_ref()).chain([&self.image])
    }

    /// The container in which a step before the start is run: as the service's own, with the step's command
    /// and whatever else it says. The entry point is the image's where the step has an image of its own.
    #[must_use]
    pub fn for_step(mut self, step: &PreStart) -> Self {
        if let Some(image) = &step.image {
            self.image = image.clone();
            self.entrypoint = None;
        }
        self.command = Some(step.hook.command.clone());
        self.environment.extend(step.hook.environment.clone());
        self.user = step.hook.user.clone().or(self.user);
        self.working_dir = step.hook.working_dir.clone().or(self.working_dir);
        self.healthcheck = Some(HealthCheck::none());
        self.hostname = None;
        self.tty = false;
        self.stdin_open = false;
        self.hooks = Hooks::default();
        self.engine.privileged = step.hook.privileged;
        self.engine.aliases.clear();
        self.engine.mac_address = None;
        self
    }
}
