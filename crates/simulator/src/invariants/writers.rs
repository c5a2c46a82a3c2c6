//! One writer per field: reports move what is observed of tasks, plans what is wished of them, verdicts the
//! readiness of nodes, people everything else; none touches what another writes.

use super::{Broken, Touched};
use crate::log::Commit;
use model::{Command, RolloutStep, State, Task};

pub(super) fn check(was: &State, is: &State, touched: &[Touched<'_>], commit: &Commit) -> Broken {
    let command = &commit.entry.as_ref()?.command;
    let same_nodes = was.nodes.ptr_eq(&is.nodes) || was.nodes == is.nodes;
    let said = match command {
        Command::Report(_) if touched.iter().any(|t| !kept(t, wished)) => "wishes of a task",
        Command::Report(_) if !same_services(was, is) => "services",
        Command::Report(_) | Command::Plan(_) if !same_nodes => "nodes",
        Command::Plan(_) if touched.iter().any(|t| !kept(t, observed)) => "what a task does",
        Command::Plan(changes) if !changes.iter().any(steps) && !same_counts(was, is) => {
            "what is asked for of a service"
        }
        Command::Judge(_) | Command::Refresh(_) if !touched.is_empty() => "tasks",
        Command::Judge(_) | Command::Refresh(_) if !same_services(was, is) => "services",
        Command::Deploy(_) | Command::Scale(_) | Command::SetNode(_) | Command::Remove(_)
            if touched.iter().any(|t| !kept(t, observed)) =>
        {
            "what a task does"
        }
        _ => return None,
    };
    Some(format!("{} changed {said}", name(command)))
}

/// Whether a task that was there before and after kept this.
fn kept<T: PartialEq>(touched: &Touched<'_>, of: fn(&Task) -> T) -> bool {
    let (Some(before), Some(after)) = (touched.before, touched.after) else { return true };
    of(before) == of(after)
}

fn wished(task: &Task) -> impl PartialEq + use<> {
    (task.service, task.slot, task.node, task.generation, task.wanted)
}

fn observed(task: &Task) -> impl PartialEq + use<> {
    (task.state.clone(), task.healthy, task.running_since, task.ended_at)
}

fn same_services(was: &State, is: &State) -> bool {
    was.services.ptr_eq(&is.services) || was.services == is.services
}

/// A roll-out that goes back moves a service to an earlier generation.
fn steps(change: &model::Change) -> bool {
    matches!(change, model::Change::Rollout { step: RolloutStep::Back { .. }, .. })
}

fn same_counts(was: &State, is: &State) -> bool {
    let same = |s: &model::Service| {
        let before = was.services.get(&s.id);
        before.is_some_and(|b| {
            (b.scale, b.generation, b.removed) == (s.scale, s.generation, s.removed)
        })
    };
    was.services.ptr_eq(&is.services) || is.services.values().all(same)
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Report(_) => "a report",
        Command::Plan(_) => "a plan",
        Command::Judge(_) => "a verdict",
        Command::Refresh(_) => "a node's word about itself",
        _ => "somebody",
    }
}
