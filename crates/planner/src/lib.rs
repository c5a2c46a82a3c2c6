//! What the leader should change now: [`plan`] looks at all of the state and says it.
//!
//! Level-triggered: a plan rests on the state and the time alone, remembers nothing and never fails.
//! What cannot be done is not an error but a [`Waiting`] with a reason for people. This crate never
//! reads a clock, never draws a random number and never changes a state.
//!
//! One file per question, in reading order: `lost` (which tasks no longer count) → `scale` (how many) →
//! `restart` (what ended, and when it may come back) → `jobs` (what is done once it ended well) → `pace` (how
//! fast copies are exchanged, and when that has failed) → `rollout` (which of them, in what order) → `depends` (after whom) → `together` (with whom) → `place` (where) → `sweep` (what may be forgotten) → `voters` (who decides) → `verdict` (what if a node
//! were lost). `service` asks them in that order for one service; `tables` holds what a pass works with.

mod depends;
mod draft;
mod jobs;
mod lost;
mod pace;
mod place;
mod reason;
mod restart;
mod rollout;
mod scale;
mod service;
mod settings;
mod standstill;
mod sweep;
mod tables;
mod together;
mod verdict;
mod voters;

use draft::Draft;
use model::{Change, NodeId, Service, ServiceId, Slot, State, Time};
pub use reason::{Reason, Refused, Why};
pub use settings::Settings;
use tables::Tables;
pub use verdict::{Loss, Problem, Verdict, verdict};

/// What should be changed now, what cannot be, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Changes for one log entry, in order. Each names what it rests on.
    pub changes: Vec<Change>,
    /// Replicas that should run and cannot, with the reason. A replica listed here may still be served
    /// by an older copy that is to be replaced.
    pub waiting: Vec<Waiting>,
    /// Cluster time at which to plan again even if the state has not moved.
    pub wake_at: Option<Time>,
}

/// A replica that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its service.
    pub service: ServiceId,
    /// Which copy.
    pub slot: Slot,
    /// Why.
    pub reason: Reason,
}

/// What should be changed now. Applying the changes and planning again settles: with nothing else
/// happening, a few passes end in an empty plan.
///
/// Cost: one pass over nodes and tasks, plus for each service with something to place one pass over nodes.
pub fn plan(state: &State, now: Time, settings: &Settings) -> Plan {
    let tables = Tables::new(state, now, settings);
    let mut draft = Draft::new(settings.changes_per_plan, now);
    lost::wakes(&tables, &mut draft);
    voters::wish(&tables, &mut draft);
    for group in 0..tables.groups.len() {
        service::decide(&tables, group, &mut draft);
    }
    place::openings(&tables, &mut draft);
    rollout::moves_left(&tables, &mut draft);
    standstill::end(&tables, &mut draft);
    sweep::ended(&tables, &mut draft);
    draft.finish()
}

/// Whether a service's constraints let it run on a node, whatever the node's condition is.
pub fn admits(state: &State, service: &Service, node: NodeId) -> bool {
    state.nodes.get(&node).is_some_and(|n| place::satisfies(n, service.spec()))
}
