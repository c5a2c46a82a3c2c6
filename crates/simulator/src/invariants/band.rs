//! A roll-out stays within its band: no more slots are between two generations than its file allows, and no copy that
//! serves is stopped for one that does not.

use super::{Broken, Touched};
use crate::log::Commit;
use model::{
    Availability, Cause, Change, Command, Node, Readiness, RestartCondition, Service, ServiceId,
    State, Task, Time, UpdateOrder, Wanted,
};
use std::collections::BTreeSet;

/// Slots that are between two generations at once, unless the file says otherwise.
const PARALLELISM: u32 = 1;

pub(super) fn check(was: &State, is: &State, touched: &[Touched<'_>], commit: &Commit) -> Broken {
    let Some(Command::Plan(changes)) = commit.entry.as_ref().map(|e| &e.command) else {
        return None;
    };
    let new = touched.iter().filter(|t| t.before.is_none()).filter_map(|t| t.after);
    let services: BTreeSet<ServiceId> = new.map(|t| t.service).collect();
    let many = services.iter().find_map(|id| many(is, is.services.get(id)?));
    many.or_else(|| changes.iter().find_map(|change| bare(was, is, change)))
}

/// Whether what is on a node was there all the time. One that took another's place brought what that had.
fn steady(node: &Node) -> bool {
    node.readiness == Readiness::Ready
        && node.joined == Time::ZERO
        && node.flaps == 0
        && node.availability == Availability::Active
        && node.engine_out_since.is_none()
}

/// More slots hold copies of two generations than there are seats.
fn many(state: &State, service: &Service) -> Broken {
    let spec = service.spec();
    // What ends by itself makes room for the next by that.
    let stays = spec.restart_condition() == RestartCondition::Any;
    if spec.mode.job() || !stays || service.rollout.is_none() {
        return None;
    }
    let back = service.rollout.as_ref().and_then(|r| r.back.as_ref());
    let policy = back.map_or(&spec.update, |back| &back.policy);
    let seats = match policy.parallelism.unwrap_or(PARALLELISM) {
        0 => return None,
        seats => seats as usize,
    };
    let within_reach = |t: &&Task| t.live() && state.nodes.get(&t.node).is_some_and(steady);
    let live: Vec<&Task> = state.tasks_of(service.id).filter(within_reach).collect();
    let old = |t: &&&Task| t.generation != service.generation && t.wanted == Wanted::Run;
    let both = live.iter().filter(old).filter(|old| {
        live.iter().any(|t| t.slot == old.slot && t.generation == service.generation)
    });
    let slots: BTreeSet<_> = both.map(|t| t.slot).collect();
    (slots.len() > seats).then(|| {
        format!("{} has {} slots between two generations", service.full_name(), slots.len())
    })
}

/// A copy that serves is stopped for an update, and none serves in its place.
fn bare(was: &State, is: &State, change: &Change) -> Broken {
    let Change::Stop { task, cause: Cause::Update { .. } } = change else { return None };
    let stopped = was.tasks.get(task).filter(|t| t.serving() && t.wanted == Wanted::Run)?;
    let service = is.services.get(&stopped.service)?;
    let spec = service.spec();
    let policy = service.rollout.as_ref().and_then(|r| r.back.as_ref()).map(|b| &b.policy);
    let order = policy.unwrap_or(&spec.update).order.unwrap_or(UpdateOrder::StartFirst);
    let alone = |g| service.spec_of(g).runs_alone();
    let built_upon = is.services.values().any(|s| {
        let shares = &s.spec().shares_with;
        s.project == service.project && shares.iter().any(|share| share.service == service.name)
    });
    let waits = order == UpdateOrder::StartFirst
        && !alone(service.generation)
        && !alone(stopped.generation)
        && !built_upon
        && !spec.mode.job()
        && is.nodes.get(&stopped.node).is_some_and(steady);
    let serves = |t: &Task| t.id != stopped.id && t.serving() && t.wanted == Wanted::Run;
    let served = was.tasks_in(stopped.service, stopped.slot).any(serves);
    (waits && !served).then(|| format!("{} is stopped for nothing", service.full_name()))
}
