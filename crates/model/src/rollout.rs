//! A roll-out: how far a service is on its way from one generation to the next, or back. Its position is in the
//! state, so a new leader goes on from the recorded step.
//!
//! Which slots have had their turn, and since when a new copy is watched, follows from the tasks themselves.

use crate::{Port, Service, Slot, State, Time, UpdatePolicy};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The way of a service to its current generation. Kept after its end, until the next one begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Log index of the entry that changed its phase last. Changes of the planner rest on it.
    pub moved: u64,
    /// Cluster time of that entry. From then on at the earliest it can be said to stand still.
    #[serde(default)]
    pub since: Time,
    /// How far it is.
    pub phase: Phase,
    /// What it goes back to when it fails; its spec is kept.
    pub earlier: Option<Earlier>,
    /// It goes back, or has gone back, to an earlier generation.
    pub back: Option<Back>,
    /// Why it is paused, or goes back; empty otherwise.
    pub reason: String,
    /// Replicas whose copy of the current generation failed, and how often.
    pub failed: OrdMap<Slot, u32>,
    /// How the copy that failed last ended, for people.
    pub last_failure: String,
}

/// How far a roll-out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Replicas are exchanged.
    Running,
    /// What was begun is finished, and no other replica gets its turn.
    Paused,
    /// Every replica has had its turn.
    Completed,
}

/// A generation that ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its number.
    pub generation: u64,
    /// The last release of the project in which it was asked for.
    pub release: u64,
}

/// What a roll-out goes back from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// The release that is left.
    pub release: u64,
    /// How it is gone back.
    pub policy: UpdatePolicy,
}

/// What happens when too many new copies fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureAction {
    /// No other replica gets its turn until a person says so.
    Pause,
    /// Nothing: the others get their turn.
    Continue,
    /// The generation before is rolled out again.
    Rollback,
}

/// The planner's word on a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutStep {
    /// Every replica has had its turn.
    Complete,
    /// No other replica gets its turn.
    Pause {
        /// Why, for people.
        reason: String,
    },
    /// The generation before is rolled out again.
    Back {
        /// Why, for people.
        reason: String,
    },
}

/// What a person wishes of a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutWish {
    /// No other replica gets its turn.
    Pause,
    /// A paused one goes on, its failures forgotten.
    Resume,
    /// The generation before is rolled out again.
    Undo,
}

impl Rollout {
    /// One that begins with the entry at `index`, applied at `at`.
    pub(crate) fn new(index: u64, at: Time, earlier: Option<Earlier>, back: Option<Back>) -> Self {
        Self {
            moved: index,
            since: at,
            phase: Phase::Running,
            earlier,
            back,
            reason: String::new(),
            failed: OrdMap::new(),
            last_failure: String::new(),
        }
    }

    /// What it does, in a word or two.
    pub fn word(&self) -> &'static str {
        match (self.phase, self.back) {
            (Phase::Running, None) => "rolling out",
            (Phase::Running, Some(_)) => "rolling back",
            (Phase::Paused, None) => "paused",
            (Phase::Paused, Some(_)) => "paused while rolling back",
            (Phase::Completed, None) => "completed",
            (Phase::Completed, Some(_)) => "rolled back",
        }
    }
}

impl State {
    /// Why a service cannot go back to the generation before, if it cannot: what that one needs was given away.
    pub fn no_way_back(&self, service: &Service) -> Option<NoWayBack> {
        let earlier = service.rollout.as_ref().and_then(|r| r.earlier);
        let Some(spec) = earlier.and_then(|e| service.specs.get(&e.generation)) else {
            return Some(NoWayBack::Nothing);
        };
        let project = self.projects.get(&service.project)?;
        if let Some(volume) = spec.volumes().find(|v| !project.volumes.contains_key(*v)) {
            return Some(NoWayBack::Volume(volume.to_string()));
        }
        let (needed, shares) = (spec.depends_on.iter(), spec.shares_with.iter());
        let needed = needed.filter(|d| d.required).map(|d| &d.service);
        let mut named = needed.chain(shares.map(|s| &s.service));
        if let Some(gone) = named.find(|name| !project.services.contains_key(*name)) {
            return Some(NoWayBack::Service(gone.to_string()));
        }
        if spec.ports == service.spec().ports {
            return None;
        }
        let mut others = self.services.values().filter(|s| !s.removed && s.id != service.id);
        others.find_map(|other| {
            let same = |p: &&Port| {
                spec.ports
                    .iter()
                    .any(|own| (own.published, own.protocol) == (p.published, p.protocol))
            };
            let port = other.spec().ports.iter().find(same)?.published;
            Some(NoWayBack::Port { port, taken_by: other.full_name() })
        })
    }
}

/// Why a service cannot go back to the generation before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoWayBack {
    /// No generation ran before.
    Nothing,
    /// No roll-out of the project is under way, and no service was named.
    Finished,
    /// A volume that it used is not declared any more.
    Volume(String),
    /// A service that it needs is gone.
    Service(String),
    /// Another service publishes one of its ports.
    Port {
        /// The port.
        port: u16,
        /// The service that has it.
        taken_by: String,
    },
}

impl fmt::Display for NoWayBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no other release of it is kept"),
            Self::Finished => f.write_str(
                "its roll-outs have ended; name the service whose last one is to be undone",
            ),
            Self::Volume(name) => write!(f, "the volume {name} is not declared any more"),
            Self::Service(name) => write!(f, "the service {name} is gone"),
            Self::Port { port, taken_by } => {
                write!(f, "port {port} is published by {taken_by} now")
            }
        }
    }
}
