//! With faults off and time to heal, the cluster is exactly what was asked for: every node ready, every
//! service whole or waiting with a reason, every task's container running, and no other.

use crate::cluster::Cluster;
use crate::engine::Held;
use crate::host::Standing;
use model::{Phase, Readiness, Service, Slot, State, Task, TaskId};
use planner::{Plan, Reason};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is not as asked for.
pub(crate) fn healed(cluster: &Cluster) -> Vec<String> {
    let state = &cluster.log.state;
    let mut wrong = Vec::new();
    let nodes = state.nodes.values().filter(|n| n.readiness != Readiness::Ready);
    wrong.extend(nodes.map(|n| format!("{} is {}", n.name, n.readiness)));
    for (member, replica) in &cluster.log.replicas {
        if replica.state.index != state.index {
            wrong.push(format!("member {member} is at {} of {}", replica.state.index, state.index));
        }
    }
    let waiting = waiting(cluster);
    for service in state.services.values() {
        if service.removed {
            wrong.push(format!("{} is removed and still there", service.full_name()));
        }
        if !hopeless(service) {
            wrong.extend(whole(state, service, &waiting));
        }
    }
    wrong.extend(containers(cluster));
    wrong
}

/// Whether a service crashes all the time: it is never whole, nor ever still.
pub(crate) fn hopeless(service: &Service) -> bool {
    matches!(service.spec().container.image.reference.as_str(), "crashes" | "ends-badly")
}

type Waiting = BTreeMap<(model::ServiceId, Slot), String>;

/// What the planner says of replicas that wait for something that does not come by itself.
fn waiting(cluster: &Cluster) -> Waiting {
    let state = &cluster.log.state;
    let now = cluster.log.reign().map_or(state.now, |r| r.cluster_now(cluster.now));
    let plan = planner::plan(state, now, &cluster.settings);
    let waiting = plan.waiting.iter().filter(|w| !passes(state, &plan, w));
    waiting.map(|w| ((w.service, w.slot), w.reason.to_string())).collect()
}

/// Whether what a replica waits for comes by itself. A service that others depend on does, unless it crashes all
/// the time or waits for what does not come.
fn passes(state: &State, plan: &Plan, waiting: &planner::Waiting) -> bool {
    match &waiting.reason {
        Reason::Stopping { .. }
        | Reason::BackingOff { .. }
        | Reason::Turn { .. }
        | Reason::Unknown { .. } => true,
        Reason::Dependency { service, .. } => {
            let project = &state.services[&waiting.service].project;
            let Some(other) = state.service(project, service) else { return true };
            let mut waits = plan.waiting.iter().filter(|w| w.service == other.id);
            !hopeless(other) && !waits.any(|w| !passes(state, plan, w))
        }
        _ => false,
    }
}

fn whole(state: &State, service: &Service, waiting: &Waiting) -> Vec<String> {
    let mut live: BTreeMap<Slot, Vec<&Task>> = BTreeMap::new();
    for task in state.tasks_of(service.id).filter(|t| t.live()) {
        live.entry(task.slot).or_default().push(task);
    }
    let slots: BTreeSet<Slot> = live.keys().copied().collect();
    let asked = if service.global() { None } else { Some(service.scale as usize) };
    let waits = waiting.keys().filter(|(s, slot)| *s == service.id && !slots.contains(slot));
    let have = slots.len() + waits.count();
    let mut wrong = Vec::new();
    if asked.is_some_and(|n| n != have) {
        let ids: Vec<_> = slots.iter().map(ToString::to_string).collect();
        wrong.push(format!(
            "{}: {} asked for, slots {} and {} waiting",
            service.full_name(),
            service.scale,
            ids.join(" "),
            have - slots.len()
        ));
    }
    for (slot, tasks) in &live {
        let name = format!("{}.{slot}", service.full_name());
        match tasks.as_slice() {
            [task] if task.serving() && task.generation == service.generation => {}
            // One that cannot be replaced holds up those after it; and a roll-out that was paused, by somebody or
            // because it failed, goes on when somebody says so.
            [_] if waiting.keys().any(|(s, _)| *s == service.id) => {}
            [_] if service.rollout.as_ref().is_some_and(|r| r.phase == Phase::Paused) => {}
            [task] => wrong.push(format!(
                "{name}: generation {} of {}, {}, healthy: {}",
                task.generation, service.generation, task.state, task.healthy
            )),
            more => wrong.push(format!("{name}: {} tasks", more.len())),
        }
    }
    wrong
}

/// Containers that run and should not, or should and do not.
fn containers(cluster: &Cluster) -> Vec<String> {
    let state = &cluster.log.state;
    let mut wrong = Vec::new();
    let wanted: BTreeSet<TaskId> =
        state.tasks.values().filter(|t| t.live() && t.state.rank() >= 2).map(|t| t.id).collect();
    let mut found = BTreeSet::new();
    for host in cluster.hosts.values() {
        let forgotten = |c: &&Held| !state.tasks.contains_key(&c.shown.task);
        let member = host.standing == Standing::Member;
        let left_over = host.engine.containers.values().find(|c| member && forgotten(c));
        if let Some(held) = left_over {
            wrong.push(format!("container {} of a forgotten task is left", held.shown.id));
        }
        for held in host.engine.running() {
            let task = held.shown.task;
            if !wanted.contains(&task) {
                wrong.push(format!("container {} of task {task} runs unasked", held.shown.id));
            }
            found.insert(task);
        }
    }
    wrong.extend(wanted.difference(&found).map(|t| format!("task {t} has no running container")));
    wrong
}
