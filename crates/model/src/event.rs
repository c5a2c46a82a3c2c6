//! Events: what is worth a line, as a value. `State::apply` makes them, so every manager lists the same.

use crate::{
    Availability, ContentKey, NodeId, NodeName, Permit, Phase, ProjectName, Readiness, Role,
    ServiceName, TaskId, TaskState, Time, VolumeKey, WallTime,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Index of the entry that caused it.
    pub index: u64,
    /// Cluster time of that entry.
    pub at: Time,
    /// Wall time of that entry, for display.
    pub wall: WallTime,
    /// What happened.
    pub event: Event,
}

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The cluster was founded.
    Founded {
        /// By the node of this name.
        node: NodeName,
    },
    /// A node joined.
    Joined {
        /// Its identity.
        node: NodeId,
        /// Its name.
        name: NodeName,
        /// Its role.
        role: Role,
    },
    /// A node was removed.
    NodeRemoved {
        /// Its name.
        name: NodeName,
    },
    /// The verdict on a node changed.
    Judged {
        /// Its name.
        name: NodeName,
        /// Before.
        from: Readiness,
        /// After.
        to: Readiness,
    },
    /// The wish for a node changed.
    AvailabilitySet {
        /// Its name.
        name: NodeName,
        /// The wish.
        to: Availability,
    },
    /// A node announced a planned stop.
    Away {
        /// Its name.
        name: NodeName,
        /// Until then.
        until: Time,
    },
    /// A node's engine stopped or resumed answering.
    Engine {
        /// Its name.
        name: NodeName,
        /// Whether it answers now.
        ready: bool,
    },
    /// A node was promoted or demoted.
    RoleSet {
        /// Its name.
        name: NodeName,
        /// Its new role.
        role: Role,
    },
    /// The planner wishes for another set of voters.
    Voters {
        /// The set.
        voters: Vec<NodeId>,
    },
    /// A project was deployed.
    Deployed {
        /// Its name.
        project: ProjectName,
        /// Its release.
        release: u64,
    },
    /// A service was scaled.
    Scaled {
        /// Its project.
        project: ProjectName,
        /// Its name.
        service: ServiceName,
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// A secret or config that no project owns was made or removed.
    Content {
        /// Which.
        key: ContentKey,
        /// Made, not removed.
        made: bool,
    },
    /// A project's removal began.
    Removed {
        /// Its name.
        project: ProjectName,
    },
    /// What a project may be handed of its hosts changed.
    Policy {
        /// The project.
        project: ProjectName,
        /// All that it may be handed now.
        granted: BTreeSet<Permit>,
    },
    /// A replica got a task.
    Placed {
        /// The task.
        task: TaskId,
        /// The replica, `shop/web.2`.
        replica: String,
        /// On the node of this name.
        node: NodeName,
        /// Why, for people.
        cause: String,
    },
    /// A task is to stop.
    Stopping {
        /// The task.
        task: TaskId,
        /// The replica.
        replica: String,
        /// Its node.
        node: NodeName,
        /// Why, for people.
        cause: String,
    },
    /// A task changed its state.
    Task {
        /// The task.
        task: TaskId,
        /// The replica.
        replica: String,
        /// Its node.
        node: NodeName,
        /// The new state.
        state: TaskState,
    },
    /// A running task's health changed.
    Health {
        /// The task.
        task: TaskId,
        /// The replica.
        replica: String,
        /// Its node.
        node: NodeName,
        /// Whether it passes its check.
        healthy: bool,
    },
    /// A roll-out began, moved on or ended.
    Rollout {
        /// The service, `shop/web`.
        service: String,
        /// What it does now.
        phase: Phase,
        /// It goes back, or has gone back.
        back: bool,
        /// The release that it leads to.
        release: u64,
        /// Why, for people; empty where nobody asks.
        reason: String,
    },
    /// A volume got its home.
    VolumeHome {
        /// The volume.
        volume: VolumeKey,
        /// The node that holds its data from now on.
        node: NodeName,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Founded { node } => write!(f, "cluster founded by {node}"),
            Self::Joined { name, role, .. } => write!(f, "{name} joined as {role}"),
            Self::NodeRemoved { name } => write!(f, "{name} removed from the cluster"),
            Self::Judged { name, from, to } => write!(f, "{name} is {to} (was {from})"),
            Self::AvailabilitySet { name, to } => write!(f, "{name} set to {to}"),
            Self::Away { name, until } => write!(f, "{name} is away until cluster time {until}"),
            Self::Engine { name, ready: true } => write!(f, "the engine on {name} answers again"),
            Self::Engine { name, ready: false } => {
                write!(f, "the engine on {name} does not answer")
            }
            Self::RoleSet { name, role } => write!(f, "{name} is now a {role}"),
            Self::Voters { voters } => {
                let list: Vec<String> = voters.iter().map(ToString::to_string).collect();
                write!(f, "voters are to be nodes {}", list.join(", "))
            }
            Self::Deployed { project, release } => {
                write!(f, "{project} deployed, release {release}")
            }
            Self::Scaled { project, service, from, to } => {
                write!(f, "{project}/{service} scaled from {from} to {to}")
            }
            Self::Content { key, made: true } => write!(f, "{key} made"),
            Self::Content { key, made: false } => write!(f, "{key} removed"),
            Self::Removed { project } => write!(f, "{project} is being removed"),
            Self::Policy { project, granted } if granted.is_empty() => {
                write!(f, "{project} may be handed nothing of its hosts any more")
            }
            Self::Policy { project, granted } => {
                write!(f, "{project} may be handed of its hosts: {}", crate::listed(granted))
            }
            Self::Placed { replica, node, cause, .. } => {
                write!(f, "{replica} placed on {node}: {cause}")
            }
            Self::Stopping { replica, node, cause, .. } => {
                write!(f, "{replica} on {node} is to stop: {cause}")
            }
            Self::Task { replica, node, state, .. } => write!(f, "{replica} on {node} {state}"),
            Self::Health { replica, node, healthy: true, .. } => {
                write!(f, "{replica} on {node} is healthy")
            }
            Self::Health { replica, node, healthy: false, .. } => {
                write!(f, "{replica} on {node} is unhealthy")
            }
            Self::Rollout { service, phase, back, release, reason } => {
                rollout(f, service, *phase, *back, *release)?;
                if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
            }
            Self::VolumeHome { volume, node } => {
                write!(f, "volume {volume} lives on {node} from now on")
            }
        }
    }
}

fn rollout(
    f: &mut fmt::Formatter<'_>,
    service: &str,
    phase: Phase,
    back: bool,
    release: u64,
) -> fmt::Result {
    match (phase, back) {
        (Phase::Running, false) => write!(f, "{service} rolls out release {release}"),
        (Phase::Running, true) => write!(f, "{service} rolls back to release {release}"),
        (Phase::Paused, false) => write!(f, "{service} pauses the roll-out of release {release}"),
        (Phase::Paused, true) => {
            write!(f, "{service} pauses on the way back to release {release}")
        }
        (Phase::Completed, false) => write!(f, "{service} has rolled out release {release}"),
        (Phase::Completed, true) => write!(f, "{service} is rolled back to release {release}"),
    }
}
