//! From one generation to the next.

use crate::world::{World, creates, image, secs, spec, stops, with_volume};
use model::{Availability, Cause, HealthCheck, ServiceSpec, TaskState, UpdateOrder};

fn serving(w: &World) -> usize {
    w.live("web").iter().filter(|t| t.serving()).count()
}

fn new_ones(w: &World) -> usize {
    w.live("web").iter().filter(|t| t.generation == 2).count()
}

#[test]
fn one_by_one_start_first_and_never_fewer_than_before() {
    let mut w = World::new(3);
    w.deploy("web", spec(4));
    w.run(secs(10));
    w.deploy("web", image("web:2", spec(4)));
    let (mut steps, mut fewest, mut most) = (0, usize::MAX, 0);
    while w.live("web").len() != 4 || new_ones(&w) != 4 {
        let changes = w.step();
        assert!(creates(&changes).len() <= 1, "{changes:?}");
        fewest = fewest.min(serving(&w));
        most = most.max(w.live("web").len());
        if !w.obey() && changes.is_empty() {
            w.now = w.plan().wake_at.expect("it goes on by itself");
        }
        steps += 1;
        assert!(steps < 100);
    }
    assert_eq!((fewest, most), (4, 5));
    assert_eq!(w.per_node("web").iter().max(), Some(&2), "as balanced as before");
}

#[test]
fn it_does_not_run_ahead_of_a_copy_that_is_not_well() {
    let mut w = World::new(3);
    let mut checked = spec(3);
    checked.container.healthcheck = Some(HealthCheck {
        test: vec!["CMD".into(), "true".into()],
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    });
    w.deploy("web", checked.clone());
    w.settle();
    w.deploy("web", image("web:2", checked));
    assert_eq!(creates(&w.step()), [Cause::Update { generation: 2 }]);
    let new = w.live("web").into_iter().find(|t| t.generation == 2).unwrap();
    w.report(new.id, TaskState::Starting, false);
    w.now = w.now + secs(600);
    assert!(w.step().is_empty());
    w.report(new.id, TaskState::Running, true);
    let changes = w.step();
    assert_eq!(stops(&changes), [Cause::Update { generation: 2 }], "the old one goes");
    assert_eq!(creates(&changes), [Cause::Update { generation: 2 }], "and the next has its turn");
}

#[test]
fn a_new_copy_that_crashes_is_tried_again_and_nothing_else_moves() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.run(secs(10));
    w.deploy("web", image("web:2", spec(3)));
    w.step();
    for round in 1..3u32 {
        let new = w.live("web").into_iter().find(|t| t.generation == 2).unwrap();
        w.exits(new.id, 1);
        w.step();
        assert_eq!(serving(&w), 3);
        let words = format!("backing off {} s after {round} failure", 1 << (round - 1));
        assert!(w.waits()[0].contains(&words), "{:?}", w.waits());
        w.now = w.plan().wake_at.unwrap();
        let changes = w.step();
        assert_eq!((creates(&changes).len(), stops(&changes).len()), (1, 0));
    }
}

#[test]
fn without_a_check_a_copy_must_run_for_a_while() {
    let mut w = World::new(2);
    w.deploy("web", spec(2));
    w.run(secs(10));
    w.deploy("web", image("web:2", spec(2)));
    w.settle();
    assert_eq!(new_ones(&w), 1);
    assert_eq!(w.live("web").len(), 3);
    w.now = w.now + secs(2);
    w.settle();
    assert_eq!(new_ones(&w), 2);
}

#[test]
fn what_cannot_run_twice_stops_first() {
    let by_volume = with_volume(spec(2), "data");
    let mut by_word = spec(2);
    by_word.update.order = Some(UpdateOrder::StopFirst);
    for old in [by_volume, by_word] {
        stops_first(&old);
    }
}

fn stops_first(old: &ServiceSpec) {
    let mut w = World::new(1);
    w.deploy("web", old.clone());
    w.run(secs(10));
    w.deploy("web", image("web:2", old.clone()));
    for slot in 0..2 {
        let changes = w.step();
        assert_eq!(stops(&changes).len(), 1, "slot {slot}");
        assert!(creates(&changes).is_empty());
        assert!(w.step().is_empty(), "nothing moves while it stops");
        assert_eq!(
            w.waits(),
            [format!("{}: its earlier copy on node1 has to stop first", slot + 1)]
        );
        w.obey();
        let changes = w.step();
        assert_eq!((stops(&changes).len(), creates(&changes).len()), (0, 1));
        w.obey();
        assert!(w.step().is_empty(), "the new one is watched first");
        w.now = w.now + secs(2);
    }
    assert!(matches!(w.step()[..], [model::Change::Rollout { .. }]));
    assert!(w.step().is_empty());
    assert_eq!(new_ones(&w), 2);
}

#[test]
fn a_full_cluster_rolls_in_place_where_only_the_count_per_node_is_full() {
    let mut w = World::new(2);
    let mut single = spec(2);
    single.placement.max_replicas_per_node = Some(1);
    w.deploy("web", single.clone());
    w.run(secs(10));
    w.deploy("web", image("web:2", single));
    w.run(secs(30));
    assert_eq!((new_ones(&w), w.live("web").len()), (2, 2));
    assert_eq!(w.per_node("web"), [1, 1]);
}

#[test]
fn without_room_for_one_more_it_waits_and_says_so() {
    let mut w = World::new(1);
    let large = crate::world::reserving(3 * crate::world::GIB, spec(2));
    w.deploy("web", large.clone());
    w.run(secs(10));
    w.deploy("web", image("web:2", large));
    w.run(secs(30));
    assert_eq!((new_ones(&w), serving(&w)), (0, 2));
    assert_eq!(w.waits(), ["1: 1 node lacks memory (need 3 GiB, has 2 GiB)"]);
}

#[test]
fn a_second_update_in_the_middle_of_the_first_goes_on_with_the_newest() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.run(secs(10));
    w.deploy("web", image("web:2", spec(3)));
    w.settle();
    w.deploy("web", image("web:3", spec(3)));
    w.run(secs(60));
    assert!(w.live("web").iter().all(|t| t.generation == 3));
    assert_eq!(w.live("web").len(), 3);
}

#[test]
fn draining_in_the_middle_of_an_update_ends_well() {
    let mut w = World::new(3);
    w.deploy("web", spec(6));
    w.run(secs(10));
    w.deploy("web", image("web:2", spec(6)));
    w.settle();
    w.set(2, Availability::Drain);
    let mut fewest = usize::MAX;
    for _ in 0..60 {
        w.settle();
        fewest = fewest.min(serving(&w));
        w.now = w.now + secs(1);
    }
    assert_eq!(fewest, 6);
    assert_eq!((new_ones(&w), w.live("web").len()), (6, 6));
    assert_eq!(w.per_node("web")[1], 0);
}

/// A copy was starting to take over from a drained node when the wish changed again: the starting one
/// goes before another is made, so that a slot never has three.
#[test]
fn a_slot_never_has_three_copies() {
    let mut w = World::new(4);
    w.deploy("web", spec(1));
    w.run(secs(10));
    let old = w.live("web")[0].clone();
    let n = (1..=4).find(|n| w.node(*n) == old.node).unwrap();
    w.set(n, Availability::Drain);
    assert_eq!(creates(&w.step()).len(), 1);
    w.deploy("web", image("web:2", spec(1)));
    for _ in 0..5 {
        w.step();
        assert!(w.live("web").len() <= 2, "{:?}", w.live("web"));
    }
    assert!(w.live("web").iter().any(|t| t.id == old.id), "what serves stays meanwhile");
    w.run(secs(20));
    let live = w.live("web");
    assert_eq!((live.len(), live[0].generation), (1, 2));
}

/// A project is taken down and deployed again at once: the new copy waits until the old one, which writes
/// to the same volume, has stopped.
#[test]
fn a_volume_has_one_writer_across_a_removal() {
    let mut w = World::new(3);
    w.deploy("db", with_volume(spec(1), "data"));
    w.run(secs(10));
    let old = w.live("db")[0].id;
    w.remove(false);
    w.deploy("db", with_volume(spec(1), "data"));
    w.step();
    assert_eq!(creates(&w.step()).len(), 0, "the old one has not stopped");
    assert_eq!(w.waits().len(), 1);
    w.exits(old, 0);
    assert_eq!(creates(&w.step()).len(), 1);
}

#[test]
fn a_lost_node_does_not_hold_up_a_deploy() {
    let mut w = World::new(3);
    let mut single = spec(3);
    single.placement.max_replicas_per_node = Some(1);
    w.deploy("web", single.clone());
    w.run(secs(10));
    w.judge(3, model::Readiness::Lost);
    w.run(secs(10));
    assert_eq!(w.waits(), ["3: 2 nodes have a copy already, 1 is lost"]);
    w.deploy("web", image("web:2", single));
    w.run(secs(60));
    assert_eq!(new_ones(&w), 2);
}

#[test]
fn a_new_generation_that_fits_nowhere_takes_only_one_copy_down() {
    let mut w = World::new(1);
    let mut old = spec(3);
    old.update.order = Some(UpdateOrder::StopFirst);
    w.deploy("web", old.clone());
    w.run(secs(10));
    w.deploy("web", image("web:2", crate::world::reserving(100 * crate::world::GIB, old)));
    w.run(secs(500));
    assert_eq!(serving(&w), 2);
    assert_eq!(w.waits(), ["1: 1 node lacks memory (need 100 GiB, has 8 GiB)"]);
}

#[test]
fn a_global_service_is_updated_node_by_node() {
    let mut w = World::new(3);
    w.deploy("web", crate::world::global());
    w.run(secs(10));
    w.deploy("web", image("web:2", crate::world::global()));
    assert_eq!(creates(&w.step()).len(), 1);
    w.run(secs(60));
    assert_eq!((new_ones(&w), w.live("web").len()), (3, 3));
    assert_eq!(w.per_node("web"), [1, 1, 1]);
}

#[test]
fn old_copies_that_do_not_serve_are_not_waited_for() {
    let mut w = World::new(3);
    w.deploy("web", spec(3));
    w.settle();
    for task in w.live("web") {
        w.report(task.id, TaskState::Running, false);
    }
    w.deploy("web", image("web:2", spec(3)));
    assert_eq!(stops(&w.step()).len(), 3);
    w.settle();
    assert_eq!(new_ones(&w), 3);
}

#[test]
fn a_copy_out_of_reach_does_not_hide_that_its_slot_has_its_turn() {
    let stop_first = |tag: &str| {
        let mut spec = image(tag, spec(3));
        spec.update.order = Some(UpdateOrder::StopFirst);
        spec
    };
    let mut w = World::new(3);
    w.deploy("web", stop_first("v1"));
    w.run(secs(10));
    w.judge(1, model::Readiness::Lost);
    w.run(secs(10));
    w.deploy("web", stop_first("v2"));
    let lost = w.node(1);
    for _ in 0..60 {
        w.step();
        let up = w.live("web").iter().filter(|t| t.serving() && t.node != lost).count();
        assert!(up >= 2, "one after the other");
        w.obey();
        w.now = w.now + secs(1);
    }
    assert_eq!(new_ones(&w), 3);
}
