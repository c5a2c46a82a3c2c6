//! Running something once beside a service, as a person asked.

use crate::{ContainerSpec, ProjectName, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The user runs something once, in a container as a service's. Its `Debug` form shows no environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The project.
    pub project: ProjectName,
    /// The service whose spec it has.
    pub service: ServiceName,
    /// Its own name, which no service of the project has.
    pub name: ServiceName,
    /// Replaces the service's command.
    pub command: Option<Vec<String>>,
    /// Replaces the service's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Environment beyond the service's. Values may be confidential.
    pub environment: BTreeMap<String, String>,
    /// As this user instead of the service's.
    pub user: Option<String>,
    /// In this folder instead of the service's.
    pub working_dir: Option<String>,
    /// It waits for what the service depends on.
    pub depends: bool,
    /// With a terminal.
    #[serde(default)]
    pub tty: bool,
    /// With a standard input.
    #[serde(default)]
    pub interactive: bool,
}

impl Run {
    /// The service's own command as the service runs it, with nothing attached.
    pub fn of(project: ProjectName, service: ServiceName, name: ServiceName) -> Self {
        Self {
            project,
            service,
            name,
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            user: None,
            working_dir: None,
            depends: true,
            tty: false,
            interactive: false,
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("service", &self.service)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The user takes away what was run once, ended or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRun {
    /// The project.
    pub project: ProjectName,
    /// Its name.
    pub name: ServiceName,
}

impl Run {
    /// The container that it asks for, given the service's. It takes no name and no check of that one, and
    /// nothing is run around it.
    pub(crate) fn container(&self, of: &ContainerSpec) -> ContainerSpec {
        let mut container = of.clone();
        if self.entrypoint.is_some() {
            // As with `docker run`: the command was for the other entry point.
            container.entrypoint.clone_from(&self.entrypoint);
            container.command = None;
        }
        if self.command.is_some() {
            container.command.clone_from(&self.command);
        }
        container.environment.extend(self.environment.clone());
        container.user = self.user.clone().or(container.user);
        container.working_dir = self.working_dir.clone().or(container.working_dir);
        container.tty = self.tty;
        container.stdin_open = self.interactive;
        container.hostname = None;
        container.healthcheck = Some(crate::HealthCheck::none());
        container.hooks = crate::Hooks::default();
        container.engine.aliases.clear();
        container.engine.mac_address = None;
        container
    }
}

/// Words of the refusal of a service that is built upon others.
pub(crate) fn beside(f: &mut fmt::Formatter<'_>, service: &ServiceName) -> fmt::Result {
    write!(
        f,
        "{service} is built upon the containers of another service, and runs beside those only; use `clusterctl exec {service}`"
    )
}
