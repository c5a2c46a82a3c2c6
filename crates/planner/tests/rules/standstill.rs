//! Roll-outs of which nothing moves: when they are over, and when they have failed.

use crate::world::{GIB, World, after, image, reserving, secs, spec};
use model::{
    Command, DependencyCondition, FailureAction, Phase, Readiness, RolloutWish, ServiceSpec,
    SetRollout, UpdateOrder,
};
use std::collections::BTreeSet;

/// Three replicas of which each node has room for one.
fn web(version: &str, gib: u64) -> ServiceSpec {
    reserving(gib * GIB, image(version, spec(3)))
}

/// Three replicas, one on each node.
fn apart(version: &str) -> ServiceSpec {
    let mut spec = image(version, spec(3));
    spec.placement.max_replicas_per_node = Some(1);
    spec
}

/// `v1` runs, a host is lost, and `v2` is asked for.
fn without_a_host() -> World {
    let mut w = World::new(3);
    w.deploy("web", apart("v1"));
    w.run(secs(10));
    w.judge(3, Readiness::Lost);
    w.deploy("web", apart("v2"));
    w
}

/// `v1` runs, and `next` is asked for.
fn changing(next: ServiceSpec) -> World {
    let mut w = World::new(3);
    w.deploy("web", web("v1", 2));
    w.run(secs(10));
    w.deploy("web", next);
    w
}

fn phase(w: &World) -> (Phase, bool) {
    let rollout = w.service("web").rollout.as_ref().expect("it is rolled out");
    (rollout.phase, rollout.back.is_some())
}

fn reason(w: &World) -> &str {
    &w.service("web").rollout.as_ref().expect("it is rolled out").reason
}

fn wish(w: &mut World, wish: RolloutWish) {
    let project = "shop".parse().unwrap();
    w.apply(Command::SetRollout(SetRollout { project, services: BTreeSet::new(), wish }));
}

#[test]
fn a_roll_out_is_not_over_while_the_only_copy_is_lost_and_the_new_one_waits() {
    let mut w = without_a_host();
    w.run(secs(300));
    assert_eq!(phase(&w), (Phase::Running, false), "{:?}", w.waits());
    assert_eq!(w.waits().len(), 1);
    w.judge(3, Readiness::Ready);
    w.run(secs(60));
    assert_eq!(phase(&w), (Phase::Completed, false), "{:?}", w.waits());
    assert!(w.live("web").iter().all(|t| t.generation == 2));
}

#[test]
fn a_roll_out_goes_on_by_itself_however_long_the_host_was_lost() {
    let mut w = without_a_host();
    w.run(secs(24 * 3600));
    assert_eq!(phase(&w), (Phase::Running, false), "the release before would wait as well");
    assert_eq!(w.live("web").iter().filter(|t| t.generation == 2).count(), 2, "it stays there");
    w.judge(3, Readiness::Ready);
    w.run(secs(60));
    assert_eq!(phase(&w), (Phase::Completed, false), "{:?}", w.waits());
    assert!(w.live("web").iter().all(|t| t.generation == 2));
}

#[test]
fn a_release_without_room_goes_back_after_ten_minutes() {
    let mut w = changing(web("v2", 100));
    w.run(secs(590));
    assert_eq!(phase(&w), (Phase::Running, false));
    w.run(secs(20));
    assert_eq!(phase(&w), (Phase::Completed, true));
    let told = "1 of 3 replicas has waited for 10 min: 3 nodes lack memory (need 100 GiB";
    assert!(reason(&w).starts_with(told), "{}", reason(&w));
    assert_eq!(w.live("web").len(), 3);
    assert!(w.live("web").iter().all(|t| t.generation == 1), "who ran was left alone");
}

#[test]
fn what_stopped_first_is_brought_back() {
    let mut next = web("v2", 100);
    next.update.order = Some(UpdateOrder::StopFirst);
    let mut w = changing(next);
    w.run(secs(700));
    assert_eq!(phase(&w), (Phase::Completed, true), "{}", reason(&w));
    assert_eq!(w.live("web").len(), 3);
}

#[test]
fn the_file_says_what_follows() {
    let mut next = web("v2", 100);
    next.update.failure_action = Some(FailureAction::Pause);
    let mut w = changing(next.clone());
    w.run(secs(700));
    assert_eq!(phase(&w), (Phase::Paused, false));
    wish(&mut w, RolloutWish::Resume);
    w.run(secs(590));
    assert_eq!(phase(&w), (Phase::Running, false), "it has ten minutes again");
    w.run(secs(20));
    assert_eq!(phase(&w), (Phase::Paused, false));
    next.update.failure_action = Some(FailureAction::Continue);
    let mut w = changing(next);
    w.run(secs(24 * 3600));
    assert_eq!(phase(&w), (Phase::Running, false));
}

#[test]
fn room_that_comes_in_time_is_used() {
    let mut w = changing(web("v2", 20));
    w.run(secs(500));
    (1..=3).for_each(|n| {
        w.refresh(n, |f| (f.memory, f.memory_free) = (60 * GIB, 60 * GIB));
    });
    w.run(secs(60));
    assert_eq!(phase(&w), (Phase::Completed, false), "{:?}", w.waits());
}

#[test]
fn who_waits_for_a_service_that_is_on_its_way_has_not_failed() {
    let mut w = World::new(3);
    w.deploy("db", spec(1));
    w.deploy("web", web("v1", 1));
    w.run(secs(10));
    w.mute = (1..=3).map(|n| w.node(n)).collect();
    w.declare("db", image("v2", spec(1)));
    w.deploy("web", after("db", DependencyCondition::Healthy, web("v2", 1)));
    w.run(secs(3600));
    assert_eq!(phase(&w), (Phase::Running, false), "its image may be large");
    assert_eq!(w.live("web").len(), 3);
}

#[test]
fn a_replica_that_never_ran_keeps_no_roll_out_from_its_end() {
    let mut w = World::new(3);
    w.deploy("web", apart("v1"));
    w.run(secs(10));
    let mut next = apart("v2");
    next.mode = model::Mode::Replicated { replicas: Some(4) };
    w.deploy("web", next);
    w.run(secs(60));
    assert_eq!(phase(&w), (Phase::Completed, false), "{:?}", w.waits());
    assert_eq!(w.waits().len(), 1);
}
