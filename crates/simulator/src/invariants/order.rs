//! No service starts for the first time before those that it cannot do without did: each has been started,
//! has been healthy, or has completed once.

use super::{Broken, Touched};
use model::{Dependency, DependencyCondition, Service, State, Task, TaskState};

pub(super) fn check(was: &State, is: &State, touched: &[Touched<'_>]) -> Broken {
    let mut new = touched.iter().filter(|t| t.before.is_none()).filter_map(|t| t.after);
    new.find_map(|task| first_start(was, is, task))
}

fn first_start(was: &State, is: &State, task: &Task) -> Broken {
    let service = is.service_of(task);
    if service.spec().depends_on.is_empty() || was.tasks_of(service.id).next().is_some() {
        return None;
    }
    let mut required = service.spec().depends_on.iter().filter(|d| d.required);
    required.find_map(|dependency| {
        let other = is.service(&service.project, &dependency.service)?;
        let asked = other.global() || other.scale > 0;
        let early = asked && !met(is, other, dependency);
        early.then(|| format!("{} starts before {}", service.full_name(), other.full_name()))
    })
}

fn met(state: &State, other: &Service, dependency: &Dependency) -> bool {
    let mut tasks = state.tasks_of(other.id);
    match dependency.condition {
        DependencyCondition::Started => tasks.any(|t| t.state.rank() >= TaskState::Starting.rank()),
        DependencyCondition::Healthy => tasks.any(|t| t.running_since.is_some()),
        DependencyCondition::Completed => {
            tasks.any(Task::completed) || other.slots.values().any(|record| record.completed)
        }
    }
}
