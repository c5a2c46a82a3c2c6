//! What is run once before a service.

use crate::world::{World, after, image, job, secs, spec};
use model::{
    Availability, Command, DependencyCondition, OnUnknown, Once, Outcome, Readiness, Refusal,
    RemoveNode, RestartCondition, Scale, ServiceSpec, TaskId,
};

fn step(on_unknown: OnUnknown) -> ServiceSpec {
    let mut step = job(1, None);
    step.restart.condition = RestartCondition::Never;
    step.once = Some(Once { before: "web".parse().unwrap(), on_unknown });
    step
}

fn web(version: &str) -> ServiceSpec {
    let web = image(version, spec(2));
    after("web-pre-start", DependencyCondition::Completed, web)
}

/// Three nodes, and the step under way on one of them.
fn world(on_unknown: OnUnknown) -> (World, TaskId, usize) {
    let mut w = World::new(3);
    w.declare("web-pre-start", step(on_unknown));
    w.deploy("web", web("one"));
    w.settle();
    let task = w.live("web-pre-start")[0].id;
    let node = w.state.tasks[&task].node;
    let n = (1..=3).find(|n| w.node(*n) == node).unwrap();
    (w, task, n)
}

fn steps(w: &World) -> Vec<TaskId> {
    w.live("web-pre-start").iter().map(|t| t.id).collect()
}

#[test]
fn the_service_starts_when_the_step_ended_well_and_the_step_never_again() {
    let (mut w, task, _) = world(OnUnknown::Wait);
    assert_eq!(w.live("web").len(), 0);
    w.exits(task, 0);
    w.run(secs(60));
    assert_eq!((w.live("web").len(), steps(&w).len()), (2, 0));
    w.deploy("web", web("one"));
    w.scale("web", 4);
    w.run(secs(60));
    assert_eq!((w.live("web").len(), steps(&w).len()), (4, 0));
}

#[test]
fn a_new_generation_of_the_service_runs_it_anew_and_first() {
    let (mut w, task, _) = world(OnUnknown::Wait);
    w.exits(task, 0);
    w.run(secs(60));
    w.deploy("web", web("two"));
    w.run(secs(60));
    assert_eq!(steps(&w).len(), 1);
    assert!(w.live("web").iter().all(|t| t.generation == 1), "it did not wait");
    let again = steps(&w)[0];
    w.exits(again, 0);
    w.run(secs(120));
    assert!(w.live("web").iter().all(|t| t.generation == 2));
    assert_eq!(steps(&w).len(), 0);
}

#[test]
fn one_that_failed_is_not_tried_again_until_it_is_deployed_again() {
    let (mut w, task, _) = world(OnUnknown::Wait);
    w.exits(task, 1);
    w.run(secs(3600));
    assert_eq!((w.live("web").len(), steps(&w).len()), (0, 0));
    w.deploy("web", web("one"));
    w.settle();
    assert_eq!(steps(&w).len(), 1);
}

#[test]
fn while_nobody_knows_how_it_ended_all_waits() {
    let (mut w, task, n) = world(OnUnknown::Wait);
    w.judge(n, Readiness::Lost);
    w.run(secs(3600));
    assert_eq!(steps(&w), [task]);
    assert_eq!(w.live("web").len(), 0);
    let why = w.waits();
    let reason = format!("nobody knows whether it ended on node{n}");
    assert!(why.iter().any(|w| w.contains(&reason)), "{why:?}");
    // It had ended well: what was observed then counts.
    w.judge(n, Readiness::Ready);
    w.exits(task, 0);
    w.run(secs(60));
    assert_eq!((w.live("web").len(), steps(&w).len()), (2, 0));
}

#[test]
fn a_new_release_waits_for_an_old_one_too() {
    let (mut w, task, n) = world(OnUnknown::Wait);
    w.judge(n, Readiness::Lost);
    w.deploy("web", web("two"));
    w.run(secs(600));
    assert_eq!(steps(&w), [], "two at once");
    w.judge(n, Readiness::Ready);
    w.exits(task, 0);
    w.settle();
    assert_eq!(steps(&w).len(), 1, "that was the old release's");
}

#[test]
fn removing_the_node_is_the_word_that_it_will_not_come_back() {
    let (mut w, _, n) = world(OnUnknown::Wait);
    w.judge(n, Readiness::Lost);
    w.settle();
    w.apply(Command::RemoveNode(RemoveNode { node: w.node(n), force: true }));
    w.settle();
    assert_eq!(steps(&w).len(), 1);
}

#[test]
fn where_the_file_says_so_it_is_run_again() {
    let (mut w, task, n) = world(OnUnknown::Rerun);
    w.judge(n, Readiness::Lost);
    w.settle();
    assert_eq!(steps(&w).len(), 2);
    let second = steps(&w).into_iter().find(|id| *id != task).unwrap();
    w.exits(second, 0);
    w.run(secs(60));
    assert_eq!(w.live("web").len(), 2);
}

#[test]
fn it_is_not_taken_off_a_drained_node() {
    let (mut w, task, n) = world(OnUnknown::Wait);
    w.set(n, Availability::Drain);
    w.run(secs(60));
    assert_eq!(steps(&w), [task]);
    assert_eq!(w.state.tasks[&task].wanted, model::Wanted::Run);
}

#[test]
fn it_has_no_count() {
    let (mut w, ..) = world(OnUnknown::Wait);
    let name: model::ServiceName = "web-pre-start".parse().unwrap();
    let project = w.service("web").project.clone();
    let scale = Scale { project, counts: [(name.clone(), 3)].into(), seen: None };
    assert_eq!(w.apply(Command::Scale(scale)), Outcome::Refused(Refusal::OnceHasNoScale(name)));
}

#[test]
fn no_copy_of_a_generation_starts_before_it_wherever_it_goes() {
    let (mut w, task, _) = world(OnUnknown::Wait);
    w.exits(task, 0);
    w.run(secs(60));
    let old = w.live("web")[0].clone();
    let n = (1..=3).find(|n| w.node(*n) == old.node).unwrap();
    w.deploy("web", web("two"));
    w.settle();
    let step = steps(&w)[0];
    w.exits(step, 1);
    w.settle();
    w.judge(n, Readiness::Lost);
    w.set(n % 3 + 1, Availability::Drain);
    w.run(secs(600));
    assert!(w.live("web").iter().all(|t| t.generation == 1));
}
