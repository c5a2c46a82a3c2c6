//! The planner's few timers and its limit.

use model::{Timers, limits};
use std::time::Duration;

/// Longer than a node takes to boot, or a colleague to add one; the same as others allow a deployment to make no
/// progress (Kubernetes: `progressDeadlineSeconds`, 600 s).
const STANDSTILL: Duration = Duration::from_secs(600);

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
    /// How long a roll-out may stand still because a replica of it waits, before it fails.
    pub standstill: Duration,
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
            standstill: STANDSTILL,
            changes_per_plan: limits::CHANGES_PER_PLAN,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::from(&Timers::LAN)
    }
}
