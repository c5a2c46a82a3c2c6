//! How fast the copies of a service are exchanged for those of another generation, when that has failed, and what
//! follows then. The position is a record in the state (`Rollout`), so a new leader goes on from it; which slots
//! have had their turn follows from the tasks.
//!
//! Where the file gives no `max_failure_ratio`, a circuit breaker scaled to the number of replicas decides: a
//! failed copy is tried again, and no turn is given meanwhile, until one replica has failed [`TRIES`] times or
//! half as many copies failed as there are replicas, never fewer than three.

use crate::draft::Draft;
use crate::lost::watched_until;
use crate::rollout::Progress;
use crate::tables::{Group, Held, Tables};
use model::{
    Change, Dependency, DependencyCondition, FailureAction, Phase, RestartCondition, Rollout,
    RolloutStep, Service, ServiceName, Slot, Task, Time, UpdatePolicy,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Slots that are between two generations at once, unless the file says otherwise.
const PARALLELISM: u32 = 1;
/// Failures of one replica after which the circuit breaker opens.
const TRIES: u32 = 3;
/// Fewest and most failed copies at which the circuit breaker opens.
const FAILURES: (usize, usize) = (3, 200);
/// Within which time after it began to run the end of a new copy counts as a failure, unless the file says
/// otherwise (`update_config.monitor`). Longer than copies are watched, because the first of them are watched
/// while the others have their turn.
const YOUNG: Duration = Duration::from_secs(30);

/// How the copies of a service are exchanged now.
pub(crate) fn policy<'g>(g: &'g Group<'_>) -> &'g UpdatePolicy {
    let back = g.service.rollout.as_ref().and_then(|r| r.back.as_ref());
    back.map_or(&g.spec.update, |back| &back.policy)
}

/// The roll-out of a service, while replicas get their turn.
pub(crate) fn running<'a>(g: &Group<'a>) -> Option<&'a Rollout> {
    g.service.rollout.as_ref().filter(|r| r.phase == Phase::Running)
}

/// How many slots may be between two generations at once.
pub(crate) fn seats(g: &Group<'_>) -> usize {
    if g.service.rollout.as_ref().is_some_and(|r| r.phase == Phase::Paused) {
        return 0;
    }
    match policy(g).parallelism.unwrap_or(PARALLELISM) {
        0 => usize::MAX,
        seats => seats as usize,
    }
}

/// Whether a slot's copy failed, now or before, and the file says that others may have their turn nevertheless.
pub(crate) fn let_go(g: &Group<'_>, slot: Slot, now: bool) -> bool {
    let Some(rollout) = &g.service.rollout else { return false };
    (now || rollout.failed.contains_key(&slot)) && is_lenient(policy(g))
}

fn is_lenient(policy: &UpdatePolicy) -> bool {
    policy.max_failure_ratio.is_some() || policy.failure_action == Some(FailureAction::Continue)
}

/// Until when no other slot gets the seat of one whose new copy is well; `None` where it may at once.
pub(crate) fn rests_until(g: &Group<'_>, held: &Held<'_>) -> Option<Time> {
    let delay = policy(g).delay.filter(|delay| !delay.is_zero())?;
    running(g)?;
    is_new(g, held.task).then(|| watched_until(g.spec_of(held.task), held.task) + delay)
}

/// Whether a task was made on the way to the current generation.
fn is_new(g: &Group<'_>, task: &Task) -> bool {
    g.current(task) && task.id.index > g.service.generation_index
}

/// Whether the end, or the failing health, of a task counts against the roll-out: it is a new copy, and had not
/// run for long.
pub(crate) fn counts(g: &Group<'_>, task: &Task, at: Time) -> bool {
    let young = policy(g).monitor.unwrap_or(YOUNG);
    let is_young = || task.running_since.is_none_or(|since| at.since(since) < young);
    running(g).is_some() && is_new(g, task) && is_young()
}

/// Moves the roll-out on where that is due, once every end is accounted for. True when it fails in this pass: nothing else of it is decided then.
pub(crate) fn conclude(
    t: &Tables<'_>,
    g: &Group<'_>,
    progress: &Progress<'_, '_>,
    draft: &mut Draft,
) -> bool {
    let Some(rollout) = running(g).filter(|_| !draft.accounts(g.service.id)) else {
        return false;
    };
    let failed = failed(rollout, &progress.stuck);
    let step = if has_failed(policy(g), rollout, progress, &failed) {
        answer(t, g, rollout, told(rollout, failed.len(), progress.slots))
    } else if let Some(needed) = gone_back_before(t, g, rollout) {
        answer(t, g, rollout, format!("{needed}, on which it depends, was rolled back"))
    } else if progress.is_over(g) {
        RolloutStep::Complete
    } else {
        return false;
    };
    let over = step != RolloutStep::Complete;
    draft.push(Change::Rollout { service: g.service.id, moved: rollout.moved, step });
    over
}

/// Replicas whose new copy failed.
fn failed(rollout: &Rollout, stuck: &BTreeSet<Slot>) -> BTreeSet<Slot> {
    rollout.failed.keys().chain(stuck).copied().collect()
}

/// Whether too many new copies have failed.
fn has_failed(
    policy: &UpdatePolicy,
    rollout: &Rollout,
    progress: &Progress<'_, '_>,
    failed: &BTreeSet<Slot>,
) -> bool {
    if failed.is_empty() || policy.failure_action == Some(FailureAction::Continue) {
        return false;
    }
    if let Some(millionths) = policy.max_failure_ratio {
        let allowed = u64::from(millionths) * progress.slots as u64;
        return failed.len() as u64 * 1_000_000 > allowed;
    }
    let copies: usize = rollout.failed.values().map(|n| *n as usize).sum();
    let most = progress.slots.div_ceil(2).clamp(FAILURES.0, FAILURES.1);
    !progress.stuck.is_empty()
        || copies >= most
        || rollout.failed.values().any(|tries| *tries >= TRIES)
}

/// What has failed, for people.
fn told(rollout: &Rollout, failed: usize, total: usize) -> String {
    let how = match rollout.last_failure.as_str() {
        "" => "not restarted",
        how => how,
    };
    match rollout.back {
        None => format!("{failed} of {total} new replicas failed ({how})"),
        Some(_) => format!("{failed} of {total} replicas failed on the way back ({how})"),
    }
}

/// A service on which this one depends, and which has left the release that this one is on its way to.
fn gone_back_before<'a>(
    t: &Tables<'a>,
    g: &Group<'_>,
    rollout: &Rollout,
) -> Option<&'a ServiceName> {
    if rollout.back.is_some() {
        return None;
    }
    let others = g.spec.depends_on.iter().filter_map(|d| t.neighbour(g.service, &d.service));
    let left = |other: &&Service| {
        let back = other.rollout.as_ref().and_then(|r| r.back.as_ref());
        back.is_some_and(|back| back.release == g.service.release)
    };
    others.map(|other| t.groups[other].service).find(left).map(|other| &other.name)
}

/// What follows when a roll-out has failed. On the way back there is nothing to go back to, and what runs once
/// is not undone by running what was before.
pub(crate) fn answer(
    t: &Tables<'_>,
    g: &Group<'_>,
    rollout: &Rollout,
    reason: String,
) -> RolloutStep {
    let pauses = policy(g).failure_action == Some(FailureAction::Pause);
    if rollout.back.is_some() || pauses || runs_once(t, g) {
        return RolloutStep::Pause { reason };
    }
    match t.state.no_way_back(g.service) {
        None => RolloutStep::Back { reason },
        Some(why) => {
            RolloutStep::Pause { reason: format!("{reason}, and it cannot go back: {why}") }
        }
    }
}

/// Whether copies of a service end when they have done their work.
fn runs_once(t: &Tables<'_>, g: &Group<'_>) -> bool {
    let awaited = |other: &Group<'_>| {
        let completed = |d: &Dependency| d.condition == DependencyCondition::Completed;
        let depends = &other.spec.depends_on;
        other.service.project == g.service.project
            && depends.iter().any(|d| d.service == g.service.name && completed(d))
    };
    match g.spec.restart_condition() {
        RestartCondition::Never => true,
        RestartCondition::OnFailure => t.groups.iter().any(awaited),
        RestartCondition::Any => false,
    }
}
