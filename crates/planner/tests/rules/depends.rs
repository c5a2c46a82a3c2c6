//! After whom services start: at first, after a loss, in an update.

use crate::world::{World, after, creates, image, secs, spec, stops, with_volume};
use model::DependencyCondition::{Completed, Healthy, Started};
use model::{
    Cause, DependencyCondition, Readiness, RestartCondition, RestartPolicy, ServiceSpec, TaskState,
};

/// What runs once and does not come back.
fn once() -> ServiceSpec {
    let restart = RestartPolicy { condition: RestartCondition::Never, ..RestartPolicy::default() };
    ServiceSpec { restart, ..spec(1) }
}

fn optional(mut spec: ServiceSpec) -> ServiceSpec {
    spec.depends_on[0].required = false;
    spec
}

fn restarting(mut spec: ServiceSpec) -> ServiceSpec {
    spec.depends_on[0].restart = true;
    spec
}

/// `shop` with a service `db`, and a service `web` after it.
fn two(managers: usize, db: ServiceSpec, web: ServiceSpec) -> World {
    let mut w = World::new(managers);
    w.declare("db", db);
    w.deploy("web", web);
    w
}

#[test]
fn the_first_copy_waits_for_the_condition_asked_for() {
    let table: [(DependencyCondition, TaskState, bool, bool); 9] = [
        (Started, TaskState::Preparing, false, false),
        (Started, TaskState::Starting, false, true),
        (Started, TaskState::Exited { code: 0 }, false, true),
        (Started, TaskState::Exited { code: 1 }, false, false),
        (Healthy, TaskState::Starting, false, false),
        (Healthy, TaskState::Running, true, true),
        (Completed, TaskState::Running, true, false),
        (Completed, TaskState::Exited { code: 1 }, false, false),
        (Completed, TaskState::Exited { code: 0 }, false, true),
    ];
    for (condition, state, healthy, starts) in table {
        let mut w = two(1, once(), after("db", condition, spec(2)));
        w.step();
        assert!(w.live("web").is_empty(), "{condition:?}: before anything is known of db");
        let db = w.live("db")[0].id;
        w.report(db, state.clone(), healthy);
        w.step();
        w.step();
        assert_eq!(w.live("web").len(), if starts { 2 } else { 0 }, "{condition:?} {state:?}");
    }
}

#[test]
fn the_reason_names_the_service_and_its_condition() {
    for (condition, words) in [
        (Started, "waits for db to start"),
        (Healthy, "waits for db to be healthy"),
        (Completed, "waits for db to complete"),
    ] {
        let mut w = two(1, once(), after("db", condition, spec(1)));
        w.step();
        assert_eq!(w.waits(), [format!("1: {words}")]);
    }
}

#[test]
fn at_first_all_copies_are_waited_for() {
    let mut w = two(2, spec(2), after("db", Healthy, spec(1)));
    w.step();
    let db = w.live("db");
    w.report(db[0].id, TaskState::Running, true);
    w.step();
    assert!(w.live("web").is_empty());
    w.report(db[1].id, TaskState::Running, true);
    w.step();
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn nothing_is_waited_for_where_nothing_is_wished() {
    for condition in [Started, Healthy, Completed] {
        let mut w = two(1, spec(0), after("db", condition, spec(1)));
        w.step();
        assert_eq!(w.live("web").len(), 1, "{condition:?}");
    }
}

#[test]
fn after_a_loss_a_copy_waits_for_what_is_replaced_itself() {
    let mut w = two(2, spec(1), after("db", Healthy, spec(1)));
    w.settle();
    // Both are on the node that is lost.
    for name in ["db", "web"] {
        let task = w.live(name)[0].clone();
        if task.node != w.node(1) {
            w.set(2, model::Availability::Drain);
        }
    }
    w.run(secs(30));
    w.set(2, model::Availability::Active);
    assert_eq!((w.nodes_of("db"), w.nodes_of("web")), (vec!["node1".into()], vec!["node1".into()]));
    w.judge(1, Readiness::Lost);
    assert_eq!(creates(&w.step()).len(), 1, "db first");
    assert_eq!(w.waits(), ["1: waits for db to be healthy"]);
    w.obey();
    w.step();
    assert_eq!(w.live("web").len(), 2);
}

#[test]
fn after_a_loss_what_waits_in_its_turn_is_not_waited_for() {
    let mut w = two(3, with_volume(spec(1), "data"), after("db", Healthy, spec(3)));
    w.run(secs(10));
    let home = w.live("db")[0].node;
    let n = (1..=3).find(|n| w.node(*n) == home).unwrap();
    w.judge(n, Readiness::Lost);
    let changes = w.step();
    assert_eq!(creates(&changes), [Cause::NodeLost(home)], "web is replaced without db");
    w.scale("web", 5);
    w.step();
    assert_eq!(w.live("web").len(), 6, "and may grow");
}

#[test]
fn what_never_ran_waits_for_what_cannot_start_unless_it_can_do_without() {
    let mut nowhere = spec(1);
    nowhere.resources.reserved_memory = 1 << 50;
    let web = after("db", Healthy, spec(1));
    let mut w = two(1, nowhere.clone(), web.clone());
    w.settle();
    assert!(w.waits().contains(&"1: waits for db to be healthy".to_owned()), "{:?}", w.waits());
    assert!(w.live("web").is_empty());
    let mut w = two(1, nowhere, optional(web.clone()));
    w.settle();
    assert_eq!(w.live("web").len(), 1);
    let mut w = two(1, spec(1), optional(web));
    w.step();
    assert!(w.live("web").is_empty(), "what comes is waited for all the same");
}

#[test]
fn an_optional_service_that_is_not_there_is_not_waited_for() {
    let mut w = World::new(1);
    w.deploy("web", optional(after("db", Healthy, spec(1))));
    w.step();
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn a_chain_starts_link_by_link() {
    let mut w = World::new(3);
    w.declare("a", after("b", Healthy, spec(1)));
    w.declare("b", after("c", Started, spec(1)));
    w.deploy("c", spec(1));
    let mut seen = Vec::new();
    for _ in 0..3 {
        w.step();
        seen.push(["a", "b", "c"].map(|s| w.live(s).len()));
        w.obey();
    }
    assert_eq!(seen, [[0, 0, 1], [0, 1, 1], [1, 1, 1]]);
}

#[test]
fn after_a_loss_a_chain_is_made_link_by_link_too() {
    let mut w = World::new(1);
    w.declare("a", after("b", Healthy, spec(1)));
    w.declare("b", after("c", Healthy, spec(1)));
    w.deploy("c", spec(1));
    w.settle();
    w.join(2, model::Role::Manager, crate::world::facts());
    w.judge(1, Readiness::Lost);
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(creates(&w.step()).len());
        w.obey();
    }
    assert_eq!(made, [1, 1, 1]);
}

#[test]
fn an_update_waits_until_what_comes_before_is_updated() {
    let mut w = two(3, spec(2), after("db", Healthy, spec(2)));
    w.run(secs(10));
    w.declare("db", image("v2", spec(2)));
    w.deploy("web", image("v2", after("db", Healthy, spec(2))));
    let generations = |w: &World, name: &str| -> Vec<u64> {
        w.live(name).iter().filter(|t| t.serving()).map(|t| t.generation).collect()
    };
    for _ in 0..40 {
        let before = generations(&w, "db").iter().filter(|g| **g == 2).count() < 2;
        w.step();
        assert!(!before || w.live("web").iter().all(|t| t.generation == 1), "web went first");
        assert!(generations(&w, "web").len() >= 2, "the old copies serve meanwhile");
        w.obey();
        w.now = w.now + secs(1);
    }
    assert_eq!((generations(&w, "db"), generations(&w, "web")), (vec![2, 2], vec![2, 2]));
}

#[test]
fn an_update_whose_job_before_it_fails_changes_nothing() {
    let mut w = two(2, once(), after("db", Completed, spec(1)));
    w.step();
    let first = w.live("db")[0].id;
    w.exits(first, 0);
    w.run(secs(10));
    let old = w.live("web")[0].id;
    w.declare("db", image("v2", once()));
    w.deploy("web", image("v2", after("db", Completed, spec(1))));
    w.step();
    let second = w.live("db")[0].id;
    w.exits(second, 1);
    w.run(secs(60));
    assert_eq!(w.live("web").iter().map(|t| t.id).collect::<Vec<_>>(), [old]);
    assert!(w.waits().contains(&"1: waits for db to complete".to_owned()), "{:?}", w.waits());
}

#[test]
fn who_restarts_with_another_is_restarted_after_its_update_and_only_then() {
    let restarts = |web: ServiceSpec| {
        let mut w = two(3, spec(1), web.clone());
        w.run(secs(10));
        let before: Vec<_> = w.live("web").iter().map(|t| t.id).collect();
        w.judge(1, Readiness::Lost);
        w.run(secs(1));
        w.judge(1, Readiness::Ready);
        w.run(secs(20));
        assert!(w.live("web").iter().any(|t| before.contains(&t.id)));
        let before: Vec<_> = w.live("web").iter().map(|t| t.id).collect();
        w.declare("db", image("v2", spec(1)));
        w.deploy("web", web);
        let first = w.step();
        assert!(stops(&first).is_empty() && creates(&first).len() == 1, "db first: {first:?}");
        w.run(secs(30));
        assert_eq!(w.live("web").len(), 2);
        w.live("web").iter().filter(|t| !before.contains(&t.id)).count()
    };
    assert_eq!(restarts(after("db", Healthy, spec(2))), 0);
    assert_eq!(restarts(restarting(after("db", Healthy, spec(2)))), 2);
}

#[test]
fn restarts_are_handed_on_and_keep_the_pace_of_an_update() {
    let mut w = World::new(3);
    w.declare("db", spec(1));
    w.declare("api", restarting(after("db", Healthy, spec(1))));
    let web = |s: ServiceSpec| restarting(after("api", Healthy, with_volume(s, "data")));
    w.deploy("web", web(spec(2)));
    w.run(secs(10));
    let old: Vec<_> = ["api", "web"].into_iter().flat_map(|s| w.live(s)).map(|t| t.id).collect();
    w.declare("db", image("v2", spec(1)));
    w.deploy("web", web(spec(2)));
    for _ in 0..60 {
        w.step();
        assert!(!w.live("web").is_empty(), "one after the other");
        w.obey();
        w.now = w.now + secs(1);
    }
    let new: Vec<_> = ["api", "web"].into_iter().flat_map(|s| w.live(s)).map(|t| t.id).collect();
    assert_eq!(new.len(), 3);
    assert!(new.iter().all(|id| !old.contains(id)));
    assert!(w.live("web").iter().all(|t| t.generation == 1), "that takes no new generation");
}
