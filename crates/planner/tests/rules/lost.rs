//! Nodes that are silent, away, drained, out of their engine, or back again.

use crate::world::{World, creates, global, secs, spec, stops, with_volume};
use model::{Availability, Cause, Change, Constraint, ConstraintKey, Readiness, TaskState};

#[test]
fn a_suspect_node_moves_nothing_and_gets_nothing() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    w.judge(2, Readiness::Suspect);
    assert!(w.step().is_empty());
    w.scale("web", 6);
    w.settle();
    assert_eq!(w.per_node("web")[1], 1);
}

#[test]
fn fault_13_a_lost_node_is_replaced_at_once_and_its_task_may_come_back() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    let lost = w.live("web").into_iter().find(|t| t.node == w.node(2)).unwrap();
    w.judge(2, Readiness::Lost);
    let changes = w.step();
    assert_eq!(creates(&changes), [Cause::NodeLost(w.node(2))]);
    assert!(stops(&changes).is_empty());
    assert!(w.state.tasks[&lost.id].live(), "it keeps its wish");
    w.settle();
    assert_eq!(w.live("web").len(), 4);
}

#[test]
fn fault_15_back_after_replacement_the_longest_healthy_wins_once_it_is_believed() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.run(secs(10));
    let old = w.live("web").into_iter().find(|t| t.node == w.node(2)).unwrap();
    w.judge(2, Readiness::Lost);
    w.run(secs(10));
    let new = w.live("web").into_iter().find(|t| t.slot == old.slot && t.id != old.id).unwrap();
    w.judge(2, Readiness::Ready);
    w.settle();
    assert_eq!(w.live("web").len(), 4, "nothing is stopped on the word of a node just back");
    w.run(secs(6));
    let live = w.live("web");
    assert_eq!(live.len(), 3);
    assert!(live.iter().any(|t| t.id == old.id) && !live.iter().any(|t| t.id == new.id));
}

#[test]
fn back_after_replacement_but_dead_the_replacement_stays() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.run(secs(10));
    let old = w.live("web").into_iter().find(|t| t.node == w.node(2)).unwrap();
    w.judge(2, Readiness::Lost);
    w.run(secs(10));
    w.judge(2, Readiness::Ready);
    w.settle();
    w.exits(old.id, 137);
    w.run(secs(60));
    assert_eq!(w.live("web").len(), 3);
    assert!(!w.nodes_of("web").contains(&"node2".to_owned()), "{:?}", w.nodes_of("web"));
}

#[test]
fn back_after_replacement_with_an_old_generation_the_newer_wins() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.run(secs(10));
    w.judge(2, Readiness::Lost);
    w.settle();
    w.deploy("web", crate::world::image("web:2", spec(3)));
    w.run(secs(60));
    w.judge(2, Readiness::Ready);
    w.run(secs(60));
    let live = w.live("web");
    assert_eq!(live.len(), 3);
    assert!(live.iter().all(|t| t.generation == 2));
}

#[test]
fn back_before_replacement_nothing_moves() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    w.judge(2, Readiness::Suspect);
    w.settle();
    w.judge(2, Readiness::Ready);
    assert!(w.step().is_empty());
}

#[test]
fn fault_14_data_is_never_started_elsewhere() {
    let mut w = World::new(3);
    w.deploy("db", with_volume(spec(1), "data"));
    w.settle();
    let home = w.home("data").unwrap();
    let n = (1..=3).find(|n| w.node(*n) == home).unwrap();
    w.judge(n, Readiness::Lost);
    w.run(secs(1_000));
    assert_eq!(w.live("db").len(), 1);
    assert_eq!(w.waits(), [format!("1: volume shop_data lives on node{n}, which is lost")]);
    w.judge(n, Readiness::Ready);
    w.run(secs(10));
    assert_eq!(w.live("db").len(), 1);
    assert!(w.waits().is_empty());
}

#[test]
fn fault_17_an_announced_stop_moves_nothing_and_gets_nothing() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    w.away(2, secs(60));
    assert!(w.step().is_empty());
    w.scale("web", 6);
    w.settle();
    assert_eq!(w.per_node("web")[1], 1);
    w.run(secs(60));
    w.scale("web", 9);
    w.settle();
    assert_eq!(w.per_node("web")[1], 3, "the announced time is over");
}

#[test]
fn draining_starts_first_and_empties_the_node() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.run(secs(10));
    w.set(2, Availability::Drain);
    let changes = w.step();
    assert_eq!(creates(&changes), [Cause::Drained(w.node(2))]);
    assert!(stops(&changes).is_empty(), "not before the replacement is healthy");
    w.run(secs(10));
    assert_eq!(w.per_node("web")[1], 0);
    assert_eq!(w.live("web").len(), 3);
}

#[test]
fn draining_with_no_other_place_keeps_the_copy_and_says_why() {
    let mut w = World::new(1);
    w.deploy("web", spec(1));
    w.run(secs(10));
    w.set(1, Availability::Drain);
    w.run(secs(10));
    assert_eq!(w.live("web").len(), 1);
    assert_eq!(w.waits(), ["1: 1 node is draining"]);
}

#[test]
fn draining_stops_what_holds_data_and_says_where_it_lives() {
    let mut w = World::new(3);
    w.deploy("db", with_volume(spec(1), "data"));
    w.run(secs(10));
    let home = w.home("data").unwrap();
    let n = (1..=3).find(|n| w.node(*n) == home).unwrap();
    w.set(n, Availability::Drain);
    w.run(secs(10));
    assert!(w.live("db").is_empty());
    assert_eq!(w.waits(), [format!("1: volume shop_data lives on node{n}, which is draining")]);
    w.set(n, Availability::Active);
    w.run(secs(10));
    assert_eq!(w.live("db").len(), 1);
}

#[test]
fn draining_moves_host_ports_one_by_one_stop_first() {
    let mut w = World::new(3);
    let mut fixed = spec(2);
    fixed.ports.push(model::Port {
        published: 9000,
        target: 90,
        protocol: model::Protocol::Tcp,
        mode: model::PortMode::Host,
        host_ip: None,
    });
    w.deploy("fixed", fixed);
    w.run(secs(10));
    let n = (1..=3).find(|n| w.live("fixed")[0].node == w.node(*n)).unwrap();
    w.set(n, Availability::Drain);
    let changes = w.step();
    assert_eq!(stops(&changes), [Cause::Drained(w.node(n))]);
    assert!(creates(&changes).is_empty());
    assert!(w.step().is_empty(), "not before it has stopped");
    w.run(secs(10));
    assert_eq!(w.live("fixed").len(), 2);
    assert_eq!(w.per_node("fixed")[n - 1], 0);
}

#[test]
fn pausing_keeps_what_there_is() {
    let mut w = World::new(2);
    w.deploy("web", spec(2));
    w.settle();
    w.set(2, Availability::Pause);
    assert!(w.step().is_empty());
    w.scale("web", 4);
    w.settle();
    assert_eq!(w.per_node("web"), [3, 1]);
}

#[test]
fn fault_19_an_engine_out_for_long_loses_what_holds_no_data() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.deploy("db", with_volume(spec(1), "data"));
    w.run(secs(10));
    let home = w.home("data").unwrap();
    let n = (1..=3).find(|n| w.node(*n) == home).unwrap();
    w.refresh(n, |f| f.engine_ready = false);
    assert!(w.step().is_empty(), "not at once");
    assert_eq!(w.plan().wake_at, Some(w.now + secs(30)));
    w.now = w.now + secs(30);
    assert_eq!(creates(&w.step()), [Cause::EngineOut(w.node(n))]);
    w.run(secs(100));
    assert_eq!(w.live("db").len(), 1);
    let reason =
        format!("volume shop_data lives on node{n}, which has an engine that does not answer");
    assert_eq!(w.waits(), [format!("1: {reason}")]);
    // Its end is confirmed: now it may start again, but only at home.
    let task = w.live("db")[0].id;
    w.exits(task, 137);
    w.run(secs(100));
    assert!(w.live("db").is_empty());
    w.refresh(n, |f| f.engine_ready = true);
    w.run(secs(100));
    assert_eq!(w.live("db")[0].node, home);
    assert_eq!(w.live("web").len(), 3);
}

#[test]
fn a_returning_node_gets_nothing_until_it_is_steady() {
    let mut w = World::new(2);
    w.judge(2, Readiness::Lost);
    w.settle();
    w.judge(2, Readiness::Ready);
    w.deploy("web", spec(2));
    w.settle();
    assert_eq!(w.per_node("web"), [2, 0]);
    w.run(secs(5));
    w.scale("web", 4);
    w.settle();
    assert_eq!(w.per_node("web"), [2, 2]);
}

#[test]
fn a_broken_constraint_moves_the_copy_start_first() {
    let mut w = World::new(2);
    w.label(1, "disk", "ssd");
    let mut fast = spec(1);
    fast.placement.constraints.push(Constraint {
        key: ConstraintKey::Label("disk".into()),
        equal: true,
        value: "ssd".into(),
    });
    w.deploy("web", fast);
    w.run(secs(10));
    assert_eq!(w.nodes_of("web"), ["node1"]);
    w.label(1, "disk", "hdd");
    w.run(secs(10));
    assert_eq!(w.nodes_of("web"), ["node1"], "there is no better place");
    assert_eq!(w.waits(), ["1: 2 nodes do not satisfy node.labels.disk == ssd"]);
    w.label(2, "disk", "ssd");
    let changes = w.step();
    assert_eq!(creates(&changes), [Cause::Constraint(w.node(1))]);
    assert!(stops(&changes).is_empty());
    w.run(secs(10));
    assert_eq!(w.nodes_of("web"), ["node2"]);
}

#[test]
fn a_replacement_lost_in_its_turn_is_replaced_again() {
    let mut w = World::new(4);
    w.deploy("web", spec(1));
    w.settle();
    for _ in 0..2 {
        let at = w.live("web").last().unwrap().node;
        let n = (1..=4).find(|n| w.node(*n) == at).unwrap();
        w.judge(n, Readiness::Lost);
        w.settle();
    }
    let ready = w.live("web").into_iter().filter(|t| t.state == TaskState::Running).count();
    assert_eq!(ready, 3);
    assert_eq!(w.step(), Vec::<Change>::new());
}

#[test]
fn what_can_go_nowhere_else_does_not_wait_out_the_penalty_of_its_node() {
    let mut w = World::new(3);
    w.deploy("db", with_volume(spec(1), "data"));
    w.deploy("each", global());
    w.run(secs(5));
    let home = w.live("db")[0].node;
    let n = (1..=3).find(|n| w.node(*n) == home).unwrap();
    for _ in 0..4 {
        w.judge(n, Readiness::Lost);
        w.run(secs(1));
        w.judge(n, Readiness::Ready);
    }
    for task in w.state.tasks_on(home).map(|t| t.id).collect::<Vec<_>>() {
        w.exits(task, 255);
    }
    w.run(secs(4));
    assert!(w.live("db").is_empty(), "the node has not been heard for long enough");
    w.run(secs(2));
    assert_eq!((w.live("db").len(), w.live("each").len()), (1, 3));
    w.deploy("web", spec(3));
    w.settle();
    assert!(w.live("web").iter().all(|t| t.node != home), "what can go elsewhere does");
}
