//! The planner's few timers and its limit.

use model::{Timers, limits};
use std::time::Duration;

/// What an operator may set of the planner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a node that was lost must be heard steadily before it gets placements; doubled per flap.
    pub steady: Duration,
    /// Most that doubling can make of it.
    pub steady_max: Duration,
    /// How long an engine may be out before its stateless replicas are replaced.
    pub engine_out: Duration,
    /// How long a voter may be lost before a ready manager takes its place.
    pub voter_lost: Duration,
    /// Changes in one plan. `limits::CHANGES_PER_PLAN`, except in benches.
    pub changes_per_plan: usize,
}

impl From<&Timers> for Settings {
    fn from(timers: &Timers) -> Self {
        Self {
            steady: timers.steady,
            steady_max: timers.steady_max,
            engine_out: timers.engine_out,
            voter_lost: timers.voter_lost,
            changes_per_plan: limits::CHANGES_PER_PLAN,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::from(&Timers::LAN)
    }
}
