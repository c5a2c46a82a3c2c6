//! Projects, services, slots and volumes as the cluster holds them.

use crate::{
    NetworkKey, NetworkSpec, NodeId, Permit, ProjectName, Rollout, ServiceId, ServiceName,
    ServiceSpec, Slot, TaskId, Time, VolumeKey, VolumeName, VolumeSpec, WallTime,
};
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A deployed project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// Counter of the user's wishes for it: each deploy, scale and removal adds one.
    pub generation: u64,
    /// Counter of its deploys.
    pub release: u64,
    /// When it was last deployed, for display.
    pub deployed: WallTime,
    /// Its services by name; services being removed are not listed here any more.
    pub services: OrdMap<ServiceName, ServiceId>,
    /// Its named volumes.
    pub volumes: OrdMap<VolumeName, VolumeSpec>,
    /// What it says of its networks, by name in the file.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub networks: OrdMap<String, NetworkSpec>,
    /// Those of them that are other projects', as found when it was deployed.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub joined: OrdMap<String, NetworkKey>,
    /// The canonical Compose document last deployed.
    pub source: Arc<str>,
    /// Registry logins sealed with the cluster key, by registry host.
    pub logins: OrdMap<String, Vec<u8>>,
    /// What its services ask for of their hosts.
    #[serde(default)]
    pub powers: OrdSet<Permit>,
}

/// A service of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its identity.
    pub id: ServiceId,
    /// The project it belongs to.
    pub project: ProjectName,
    /// Its name there.
    pub name: ServiceName,
    /// Counter of its specs; tasks of another generation are replaced.
    pub generation: u64,
    /// When this generation was deployed.
    pub generation_at: Time,
    /// Log index of the entry that deployed it: tasks made later have a greater one.
    #[serde(default)]
    pub generation_index: u64,
    /// The highest generation there ever was: after going back, the current one is lower.
    #[serde(default)]
    pub newest_generation: u64,
    /// The last release of the project in which the current generation was asked for.
    #[serde(default)]
    pub release: u64,
    /// The way to the current generation, where there was one before.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// The specs still in use, by generation; the current one is always there.
    pub specs: OrdMap<u64, Arc<ServiceSpec>>,
    /// Copies asked for; of a job, copies that have to end well; meaningless for a global service.
    pub scale: u32,
    /// Its address on the mesh, which stands for all of its replicas; `None` without a mesh.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// It is being removed: its tasks are stopped, then it is dropped.
    pub removed: bool,
    /// It is run once beside a service of the project, which does not list it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_off: bool,
    /// What is remembered of its slots' failures.
    pub slots: OrdMap<Slot, SlotRecord>,
}

impl Service {
    /// The current spec.
    pub fn spec(&self) -> &Arc<ServiceSpec> {
        self.specs
            .get(&self.generation)
            .expect("the spec of the current generation is never dropped")
    }

    /// The spec of a task's generation; the current one when that was dropped.
    pub fn spec_of(&self, generation: u64) -> &Arc<ServiceSpec> {
        self.specs.get(&generation).unwrap_or_else(|| self.spec())
    }

    /// Whether it runs one copy on each node.
    pub fn global(&self) -> bool {
        self.spec().mode.global()
    }

    /// `project/service`, as people read it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.project, self.name)
    }
}

/// What the planner remembers of a slot, so that a new leader goes on where the old one was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRecord {
    /// The ended task that this record accounts for; a slot whose newest ended task is another one
    /// has a failure or completion still to be accounted.
    pub after: Option<TaskId>,
    /// Failures in a row.
    pub failures: u32,
    /// Restarts in all.
    pub restarts: u32,
    /// No successor before then.
    pub not_before: Time,
    /// No successor at all: it completed, or the policy's attempts are used up.
    pub given_up: bool,
    /// The task that this record accounts for ended with exit code 0.
    #[serde(default)]
    pub completed: bool,
    /// Failures in a row by node; a replica that keeps failing on one node is tried on another.
    pub failed_on: OrdMap<NodeId, u32>,
}

/// A named volume that some replica has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Which one.
    pub key: VolumeKey,
    /// The node that holds its data.
    pub home: NodeId,
    /// A task that uses it has started: it may hold data from now on.
    pub established: bool,
    /// To be deleted with its data, once nothing uses it.
    pub condemned: bool,
}
