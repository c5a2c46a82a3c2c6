//! What ended, and when it comes back.

use crate::world::{World, creates, secs, spec, stops};
use model::{Cause, Change, RestartCondition, RestartPolicy, ServiceSpec, TaskState, Time};
use std::time::Duration;

fn policy(condition: RestartCondition, max_attempts: Option<u32>) -> ServiceSpec {
    let restart = RestartPolicy { condition, max_attempts, ..RestartPolicy::default() };
    ServiceSpec { restart, ..spec(1) }
}

/// Crashes the one live task, and says how long the planner then waits.
fn crash(w: &mut World, code: i64) -> Duration {
    let task = w.live("web")[0].id;
    w.exits(task, code);
    let crashed = w.now;
    w.step();
    assert!(w.live("web").is_empty(), "no successor at once");
    let due = w.plan().wake_at.expect("a time to try again");
    w.now = due;
    w.settle();
    due.since(crashed)
}

#[test]
fn fault_32_the_wait_doubles_to_five_minutes_and_is_forgotten_after_a_stable_run() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.settle();
    let waits: Vec<u64> = (0..11).map(|_| crash(&mut w, 1).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    w.now = w.now + secs(60);
    assert_eq!(crash(&mut w, 1), secs(1));
}

#[test]
fn a_copy_that_ends_well_at_once_is_held_back_too() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.settle();
    assert_eq!(crash(&mut w, 0), secs(1));
    assert_eq!(crash(&mut w, 0), secs(2));
}

#[test]
fn the_reason_says_how_long_how_often_and_how() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.settle();
    for _ in 0..3 {
        crash(&mut w, 1);
    }
    let task = w.live("web")[0].id;
    w.exits(task, 1);
    w.step();
    assert_eq!(w.waits(), ["1: backing off 8 s after 4 failures (exited (1))"]);
}

#[test]
fn the_policy_decides_who_comes_back() {
    let table = [
        (RestartCondition::Any, 0, None),
        (RestartCondition::Any, 1, None),
        (RestartCondition::OnFailure, 1, None),
        (RestartCondition::OnFailure, 0, Some("1: not restarted: completed")),
        (RestartCondition::Never, 0, Some("1: not restarted: completed")),
        (RestartCondition::Never, 3, Some("1: not restarted: its policy is never to (exited (3))")),
    ];
    for (condition, code, waits) in table {
        let mut w = World::new(1);
        w.deploy("web", policy(condition, None));
        w.settle();
        let task = w.live("web")[0].id;
        w.exits(task, code);
        w.run(secs(5));
        let waits: Vec<String> = waits.into_iter().map(str::to_owned).collect();
        assert_eq!(w.waits(), waits, "{condition:?} {code}");
        assert_eq!(w.live("web").len(), usize::from(waits.is_empty()));
    }
}

#[test]
fn attempts_are_counted() {
    let mut w = World::new(1);
    w.deploy("web", policy(RestartCondition::OnFailure, Some(2)));
    w.settle();
    crash(&mut w, 1);
    crash(&mut w, 1);
    let task = w.live("web")[0].id;
    w.exits(task, 1);
    w.run(secs(1_000));
    assert!(w.live("web").is_empty());
    assert_eq!(w.waits(), ["1: given up after 2 restarts (exited (1))"]);
}

#[test]
fn a_new_generation_starts_afresh() {
    let mut w = World::new(1);
    w.deploy("web", policy(RestartCondition::Never, None));
    w.settle();
    let task = w.live("web")[0].id;
    w.exits(task, 1);
    w.settle();
    assert!(w.live("web").is_empty());
    w.deploy("web", crate::world::image("web:2", policy(RestartCondition::Never, None)));
    assert_eq!(creates(&w.step()), [Cause::Update { generation: 2 }]);
}

#[test]
fn a_completed_job_stays_completed_when_its_history_is_swept() {
    let mut w = World::new(1);
    w.deploy("job", policy(RestartCondition::Never, None));
    w.settle();
    let task = w.live("job")[0].id;
    w.exits(task, 0);
    w.run(secs(3 * 24 * 3600));
    assert!(w.live("job").is_empty());
    assert_eq!(w.waits(), ["1: not restarted: completed"]);
}

#[test]
fn after_three_failures_on_one_node_another_is_tried() {
    let mut w = World::new(2);
    w.deploy("web", spec(1));
    w.settle();
    let first = w.live("web")[0].node;
    let mut nodes = Vec::new();
    for _ in 0..8 {
        nodes.push(w.live("web")[0].node == first);
        crash(&mut w, 1);
    }
    assert_eq!(nodes[..6], [true, true, true, false, false, false]);
    assert_eq!(nodes[6..], [true, true]);
}

#[test]
fn an_unhealthy_copy_is_replaced_and_counts_as_a_failure() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.settle();
    let task = w.live("web")[0].id;
    w.report(task, TaskState::Running, false);
    let changes = w.step();
    assert_eq!(stops(&changes), [Cause::Unhealthy(task)]);
    let failures = changes.iter().find_map(|c| match c {
        Change::Account { failures, .. } => Some(*failures),
        _ => None,
    });
    assert_eq!(failures, Some(1));
    assert_eq!(w.waits(), ["1: backing off 1 s after 1 failure (unhealthy)"]);
    w.now = w.now + secs(1);
    assert_eq!(creates(&w.step()), [Cause::Unhealthy(task)]);
    w.run(secs(10));
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn an_unhealthy_copy_that_would_not_come_back_is_left_alone() {
    let mut w = World::new(1);
    w.deploy("web", policy(RestartCondition::Never, None));
    w.settle();
    let task = w.live("web")[0].id;
    w.report(task, TaskState::Running, false);
    w.run(secs(100));
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn history_is_short_and_not_kept_for_ever() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.settle();
    for _ in 0..6 {
        crash(&mut w, 1);
    }
    let ended = |w: &World| w.state.tasks.values().filter(|t| t.state.ended()).count();
    assert_eq!(ended(&w), 2);
    w.run(secs(25 * 3600));
    assert_eq!(ended(&w), 0);
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn a_wait_in_progress_outlives_a_leader() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.settle();
    crash(&mut w, 1);
    let task = w.live("web")[0].id;
    w.exits(task, 1);
    w.step();
    // Another planner, which has seen nothing of this, sees the same state.
    let due = planner::plan(&w.state.clone().reindexed(), w.now, &w.settings).wake_at;
    assert_eq!(due, Some(w.now + secs(2)));
    assert!(due > Some(Time::ZERO));
}

#[test]
fn a_job_that_ran_twice_for_a_while_completes_once() {
    let mut w = World::new(3);
    w.deploy("job", policy(RestartCondition::Never, None));
    w.run(secs(10));
    let first = w.live("job")[0].clone();
    let n = (1..=3).find(|n| w.node(*n) == first.node).unwrap();
    w.judge(n, model::Readiness::Lost);
    w.run(secs(10));
    w.judge(n, model::Readiness::Ready);
    w.run(secs(10));
    assert_eq!(w.live("job"), [w.state.tasks[&first.id].clone()], "the copy is stopped again");
    w.exits(first.id, 0);
    w.run(secs(1_000));
    assert!(w.live("job").is_empty());
    assert_eq!(w.waits(), ["1: not restarted: completed"]);
}
