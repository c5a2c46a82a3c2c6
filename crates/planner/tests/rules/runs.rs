//! What is run once beside a service, as a person asked: how long it is kept.

use crate::world::{World, secs, spec};
use model::limits::ENDED_TASK_KEPT;
use model::{Command, EndRun, Outcome, Run, Service, TaskId};

/// A service, and a command run beside it that was given a place.
fn world() -> (World, TaskId) {
    let mut w = World::new(3);
    w.deploy("web", spec(2));
    w.settle();
    let run = Command::Run(Run::of(
        "shop".parse().unwrap(),
        "web".parse().unwrap(),
        "mine".parse().unwrap(),
    ));
    assert!(matches!(w.apply(run), Outcome::Accepted { .. }));
    w.settle();
    let id = of(&w).expect("it was asked for").id;
    let tasks: Vec<TaskId> = w.state.tasks_of(id).map(|t| t.id).collect();
    assert_eq!(tasks.len(), 1);
    (w, tasks[0])
}

fn of(w: &World) -> Option<&Service> {
    w.state.services.values().find(|s| s.name.as_str() == "mine")
}

#[test]
fn it_is_kept_for_a_day_after_its_end_and_then_forgotten_as_a_whole() {
    for code in [0, 3] {
        let (mut w, task) = world();
        w.run(secs(600));
        w.exits(task, code);
        w.run(ENDED_TASK_KEPT.saturating_sub(secs(1)));
        assert!(w.state.tasks.contains_key(&task), "its logs may still be asked for");
        assert!(of(&w).is_some_and(|s| !s.removed));
        w.run(secs(1));
        assert!(of(&w).is_none() && !w.state.tasks.contains_key(&task));
        assert_eq!(w.live("web").len(), 2, "nothing else goes with it");
        // Its name is free again.
        let run = w.state.runs_of(&"shop".parse().unwrap()).count();
        assert_eq!(run, 0);
    }
}

#[test]
fn while_it_runs_it_is_never_too_old() {
    let (mut w, task) = world();
    w.run(ENDED_TASK_KEPT * 3);
    assert!(w.state.tasks[&task].live());
    w.exits(task, 0);
    w.run(ENDED_TASK_KEPT / 2);
    assert!(of(&w).is_some(), "its age counts from its end");
}

#[test]
fn what_is_taken_away_is_forgotten_at_once() {
    let (mut w, task) = world();
    w.exits(task, 0);
    let (project, name) = ("shop".parse().unwrap(), "mine".parse().unwrap());
    w.apply(Command::EndRun(EndRun { project, name }));
    w.settle();
    assert!(of(&w).is_none() && !w.state.tasks.contains_key(&task));
}
