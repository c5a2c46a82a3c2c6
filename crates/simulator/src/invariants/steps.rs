//! What runs before a container (`pre_start`): one after the other, each to its end and once, all before the
//! container itself; and what runs once for all copies never beside another of its kind, nor after it is done.

use super::{Broken, Touched};
use crate::engine::Held;
use crate::host::Hosts;
use agent::Create;
use model::{NodeId, State, TaskId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// How many steps a task has before its start.
    asked: BTreeMap<TaskId, usize>,
    /// Which of them were started.
    begun: BTreeMap<TaskId, BTreeSet<usize>>,
}

impl Steps {
    /// A container was made.
    pub(super) fn made(&mut self, create: &Create) {
        if create.step.is_none() {
            let steps = create.spec.container.hooks.pre_start.iter().filter(|s| !s.once);
            self.asked.insert(create.task, steps.count());
        }
    }

    /// A container of a task was started.
    pub(super) fn started(&mut self, hosts: &Hosts, node: NodeId, task: TaskId) -> Broken {
        let asked = self.asked.get(&task).copied().filter(|asked| *asked > 0)?;
        let of_task = |c: &&Held| c.shown.task == task;
        let all: Vec<&Held> = hosts[&node].engine.containers.values().filter(of_task).collect();
        let steps: Vec<&&Held> = all.iter().filter(|c| c.shown.step.is_some()).collect();
        if steps.iter().any(|c| c.run > 1) {
            return Some(format!("a step before task {task} runs twice"));
        }
        if steps.iter().filter(|c| c.shown.running()).count() > 1 {
            return Some(format!("two steps before task {task} run at once"));
        }
        let begun = self.begun.entry(task).or_default();
        begun.extend(steps.iter().filter(|c| c.run > 0).filter_map(|c| c.shown.step));
        let own_runs = all.iter().any(|c| c.shown.step.is_none() && c.shown.running());
        // Somebody may have removed what is left of one that ended.
        let over = begun.len() - steps.iter().filter(|c| c.shown.running()).count();
        (own_runs && over < asked)
            .then(|| format!("task {task} starts after {over} of {asked} steps"))
    }
}

/// What is run once gets no second copy while there is one anywhere, and none after it ended well.
pub(super) fn once(was: &State, is: &State, touched: &[Touched<'_>]) -> Broken {
    let new = touched.iter().filter(|t| t.before.is_none()).filter_map(|t| t.after);
    new.into_iter().find_map(|task| {
        let service = is.service_of(task);
        let job = service.spec().mode.job();
        let record = was.services.get(&task.service).and_then(|s| s.slots.get(&task.slot));
        let before = was.services.get(&task.service).map(|s| s.generation);
        let done = record.is_some_and(|r| r.completed) && before == Some(service.generation);
        let name = service.full_name();
        if job && done {
            return Some(format!("{name} is done, and done again"));
        }
        let beside = is.tasks_in(task.service, task.slot).any(|t| t.id != task.id && t.holds());
        let once = service.spec().once.is_some();
        (once && beside).then(|| format!("{name} is run once, and has two tasks"))
    })
}
