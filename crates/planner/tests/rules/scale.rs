//! How many copies, and which.

use crate::world::{World, global, secs, spec, stops};
use model::{Availability, Cause, Readiness, Slot, TaskState};

fn slots(w: &World, name: &str) -> Vec<u32> {
    let number = |slot| match slot {
        Slot::Number(n) => n,
        Slot::Node(_) => 0,
    };
    w.live(name).iter().map(|t| number(t.slot)).collect()
}

#[test]
fn first_placement_is_spread_and_numbered_from_one() {
    let mut w = World::new(3);
    w.deploy("web", spec(4));
    w.settle();
    assert_eq!(slots(&w, "web"), [1, 2, 3, 4]);
    assert_eq!(w.per_node("web").iter().max(), Some(&2));
    assert_eq!(w.per_node("web").iter().min(), Some(&1));
    assert!(w.plan().waiting.is_empty());
}

#[test]
fn scaling_up_moves_nothing() {
    let mut w = World::new(3);
    w.deploy("web", spec(2));
    w.settle();
    let before = w.live("web");
    w.scale("web", 4);
    w.settle();
    assert_eq!(w.live("web")[..2], before);
    assert_eq!(slots(&w, "web"), [1, 2, 3, 4]);
}

#[test]
fn scaling_down_takes_what_is_unhealthy_then_what_unbalances_then_the_highest() {
    let mut w = World::new(2);
    w.deploy("web", spec(5));
    w.settle();
    assert_eq!(w.per_node("web"), [3, 2]);
    // A copy on the emptier node does not run well.
    let starting = w.live("web").into_iter().find(|t| t.node == w.node(2)).unwrap();
    w.deploy("other", spec(1));
    w.report(starting.id, TaskState::Running, false);
    w.scale("web", 4);
    let changes = w.step();
    assert!(stops(&changes).contains(&Cause::ScaledDown));
    assert!(!w.live("web").iter().any(|t| t.id == starting.id));
    w.settle();
    assert_eq!(w.per_node("web"), [3, 1]);
    w.scale("web", 2);
    w.settle();
    assert_eq!(w.per_node("web"), [1, 1]);
    assert!(slots(&w, "web").contains(&1));
}

#[test]
fn scaling_down_keeps_racks_level_before_nodes() {
    let mut w = World::new(3);
    w.label(1, "rack", "a");
    w.label(2, "rack", "b");
    w.label(3, "rack", "b");
    let mut spread = spec(8);
    spread.placement.spread = vec!["rack".into()];
    w.deploy("web", spread);
    w.settle();
    assert_eq!(w.per_node("web"), [4, 2, 2]);
    w.scale("web", 4);
    w.settle();
    assert_eq!(w.per_node("web"), [2, 1, 1]);
}

#[test]
fn gaps_are_filled_first() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    let second = w.live("web")[1].clone();
    w.report(second.id, TaskState::Running, false);
    w.scale("web", 2);
    w.settle();
    assert_eq!(slots(&w, "web"), [1, 3]);
    w.scale("web", 3);
    w.run(secs(10));
    assert_eq!(slots(&w, "web"), [1, 2, 3]);
}

#[test]
fn scaling_to_zero_and_removing_leave_nothing() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    w.scale("web", 0);
    w.settle();
    assert!(w.live("web").is_empty());
    w.remove(false);
    w.settle();
    assert!(w.state.services.is_empty() && w.state.tasks.is_empty());
}

#[test]
fn a_scaled_down_copy_that_had_ended_does_not_come_back() {
    let mut w = World::new(1);
    w.deploy("web", spec(2));
    w.settle();
    let second = w.live("web")[1].clone();
    w.exits(second.id, 1);
    w.scale("web", 1);
    w.run(secs(60));
    assert_eq!(slots(&w, "web"), [1]);
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn a_global_service_runs_once_on_each_node_that_admits_it() {
    let mut w = World::new(3);
    w.set(2, Availability::Pause);
    w.deploy("agent", global());
    w.settle();
    assert_eq!(w.nodes_of("agent"), ["node1", "node3"]);
    assert!(w.plan().waiting.is_empty(), "{:?}", w.waits());

    w.set(2, Availability::Active);
    w.settle();
    assert_eq!(w.nodes_of("agent"), ["node1", "node2", "node3"]);

    w.set(2, Availability::Pause);
    w.set(3, Availability::Drain);
    w.settle();
    assert_eq!(w.nodes_of("agent"), ["node1", "node2"]);

    w.judge(1, Readiness::Lost);
    assert!(w.step().is_empty(), "of a lost node nothing is asked");
    assert!(w.plan().waiting.is_empty());
}

#[test]
fn a_change_of_mode_replaces_the_slots() {
    let mut w = World::new(2);
    w.deploy("web", spec(3));
    w.settle();
    w.deploy("web", global());
    w.settle();
    assert_eq!(w.nodes_of("web"), ["node1", "node2"]);
    assert!(w.live("web").iter().all(|t| matches!(t.slot, Slot::Node(_))));
    w.deploy("web", spec(3));
    w.settle();
    assert_eq!(slots(&w, "web"), [1, 2, 3]);
}

#[test]
fn free_numbers_are_given_in_order_around_those_that_are_taken_a_planful_at_a_time() {
    let mut w = World::new(3);
    w.deploy("web", spec(6));
    w.settle();
    for gone in [2, 5] {
        let copy = w.live("web").into_iter().find(|t| t.slot == Slot::Number(gone)).unwrap();
        w.report(copy.id, TaskState::Running, false);
        w.scale("web", w.live("web").len() as u32 - 1);
        w.settle();
    }
    assert_eq!(slots(&w, "web"), [1, 3, 4, 6]);
    w.settings.changes_per_plan = 3;
    w.scale("web", 11);
    w.run(secs(10));
    w.step();
    w.step();
    w.step();
    assert_eq!(slots(&w, "web"), (1..=11).collect::<Vec<u32>>());
}

#[test]
fn each_of_many_copies_without_a_place_waits_with_the_reason() {
    let mut w = World::new(2);
    w.deploy("web", crate::world::reserving(3 * crate::world::GIB, spec(9)));
    w.settle();
    let placed = w.live("web").len();
    assert!(placed > 0 && placed < 9);
    let waiting = w.plan().waiting;
    let waits: Vec<Slot> = waiting.iter().map(|w| w.slot).collect();
    assert_eq!(waits, (placed as u32 + 1..=9).map(Slot::Number).collect::<Vec<_>>());
    assert!(waiting.iter().all(|w| w.reason == waiting[0].reason));
}
