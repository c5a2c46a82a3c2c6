//! How fast a roll-out goes, when it has failed, and what follows.

use crate::world::{World, after, creates, image, secs, spec, stops, with_volume};
use model::{
    DependencyCondition, FailureAction, Outcome, Phase, Refusal, RestartCondition, Rollout,
    RolloutWish, ServiceSpec, SetRollout, TaskId, TaskState, UpdateOrder,
};
use std::time::Duration;

fn old(replicas: u32) -> ServiceSpec {
    image("v1", spec(replicas))
}

fn new(replicas: u32) -> ServiceSpec {
    image("v2", spec(replicas))
}

/// Runs `old`, and is told to run `new`.
fn changing(old: ServiceSpec, new: ServiceSpec) -> World {
    let mut w = World::new(3);
    w.deploy("web", old);
    w.run(secs(10));
    w.deploy("web", new);
    w
}

fn rollout(w: &World, service: &str) -> Rollout {
    w.service(service).rollout.clone().expect("it was rolled out")
}

fn ended(w: &World, service: &str) -> (Phase, bool, String) {
    let rollout = rollout(w, service);
    (rollout.phase, rollout.back.is_some(), rollout.reason)
}

fn images(w: &World, service: &str) -> Vec<String> {
    let service_of = w.service(service);
    let of = |t: &model::Task| service_of.spec_of(t.generation).container.image.reference.clone();
    let mut images: Vec<String> = w.live(service).iter().map(of).collect();
    images.sort();
    images
}

/// Copies of `v2` exit at once; all else obeys.
fn obey_but_v2(w: &mut World) -> bool {
    let bad: Vec<TaskId> = w
        .state
        .tasks
        .values()
        .filter(|t| t.live() && t.state == TaskState::Assigned)
        .filter(|t| w.state.service_of(t).spec_of(t.generation).container.image.reference == "v2")
        .map(|t| t.id)
        .collect();
    for id in &bad {
        w.exits(*id, 1);
    }
    w.obey() || !bad.is_empty()
}

/// Lets time pass while `v2` is bad, looking at every state on the way.
fn run_bad(w: &mut World, duration: Duration, mut look: impl FnMut(&World)) {
    let until = w.now + duration;
    loop {
        let moved = !w.step().is_empty();
        look(w);
        if obey_but_v2(w) || moved {
            continue;
        }
        match w.plan().wake_at {
            Some(at) if at <= until => w.now = at,
            _ => break,
        }
    }
    w.now = until;
}

fn wish(w: &mut World, wish: RolloutWish, services: &[&str]) -> Outcome {
    let services = services.iter().map(|s| s.parse().unwrap()).collect();
    w.apply(model::Command::SetRollout(SetRollout {
        project: "shop".parse().unwrap(),
        services,
        wish,
    }))
}

#[test]
fn so_many_at_once_and_then_a_while() {
    let mut slow = new(5);
    slow.update.parallelism = Some(2);
    slow.update.delay = Some(secs(10));
    let mut w = changing(old(5), slow);
    let begun = w.now;
    let mut turns = Vec::new();
    while rollout(&w, "web").phase == Phase::Running {
        let created = creates(&w.step()).len();
        if created > 0 {
            turns.push((w.now.since(begun).as_secs(), created));
        }
        if !w.obey() && w.plan().changes.is_empty() {
            w.now = w.plan().wake_at.expect("it goes on by itself");
        }
    }
    // Each is watched for 2 s, then the seat rests for 10 s.
    assert_eq!(turns, [(0, 2), (12, 2), (24, 1)]);
    assert_eq!(w.now.since(begun), secs(26), "after the last there is nothing to wait for");
}

#[test]
fn zero_is_all_at_once() {
    let mut at_once = new(5);
    at_once.update.parallelism = Some(0);
    at_once.update.order = Some(UpdateOrder::StopFirst);
    let mut w = changing(old(5), at_once);
    assert_eq!(stops(&w.step()).len(), 5);
}

#[test]
fn a_monitored_copy_is_watched_for_as_long_as_the_file_says() {
    let mut watched = new(2);
    watched.update.monitor = Some(secs(20));
    let mut w = changing(old(2), watched);
    w.settle();
    w.now = w.now + secs(19);
    w.settle();
    assert_eq!(images(&w, "web"), ["v1", "v1", "v2"]);
    w.now = w.now + secs(1);
    w.settle();
    assert_eq!(images(&w, "web"), ["v1", "v2", "v2"]);
}

#[test]
fn fault_32_a_bad_release_goes_back_by_itself_and_never_serves_less() {
    let mut w = changing(old(3), new(3));
    let mut fewest = usize::MAX;
    run_bad(&mut w, secs(60), |w| {
        fewest = fewest.min(w.live("web").iter().filter(|t| t.serving()).count());
    });
    assert_eq!(fewest, 3);
    assert_eq!(images(&w, "web"), ["v1", "v1", "v1"]);
    let reason = "1 of 3 new replicas failed (exited 1)".to_owned();
    assert_eq!(ended(&w, "web"), (Phase::Completed, true, reason));
    assert_eq!((w.service("web").generation, w.service("web").release), (1, 1));
    assert!(w.waits().is_empty(), "{:?}", w.waits());
    let untouched =
        w.live("web").iter().all(|t| t.generation == 1 && t.slot != model::Slot::Number(4));
    assert!(untouched, "what ran before still runs");
}

#[test]
fn a_generation_number_is_never_given_twice() {
    let mut w = changing(old(2), new(2));
    run_bad(&mut w, secs(60), |_| {});
    assert_eq!(w.service("web").generation, 1);
    w.deploy("web", image("v3", spec(2)));
    assert_eq!(w.service("web").generation, 3);
    w.run(secs(60));
    assert_eq!(
        (images(&w, "web"), ended(&w, "web").0),
        (vec!["v3".into(), "v3".into()], Phase::Completed)
    );
}

#[test]
fn many_replicas_bear_more_failures_than_few_but_none_bears_three() {
    let first_failures = |replicas: u32, parallelism: u32| {
        let mut spec = new(replicas);
        spec.update.parallelism = Some(parallelism);
        let mut w = changing(old(replicas), spec);
        let mut copies = 0;
        run_bad(&mut w, secs(60), |w| {
            copies = copies.max(rollout(w, "web").failed.values().sum());
        });
        assert_eq!(ended(&w, "web").0, Phase::Completed);
        copies
    };
    assert_eq!(first_failures(3, 1), 3, "one replica, three times");
    assert_eq!(first_failures(12, 1), 3, "one replica, three times");
    assert_eq!(first_failures(12, 6), 6, "half of them at once");
    assert_eq!(first_failures(12, 4), 8, "four of them twice");
}

#[test]
fn pause_stops_with_a_reason_until_somebody_decides() {
    let mut careful = new(3);
    careful.update.failure_action = Some(FailureAction::Pause);
    careful.update.max_failure_ratio = Some(0);
    let mut w = changing(old(3), careful);
    run_bad(&mut w, secs(60), |_| {});
    let reason = "1 of 3 new replicas failed (exited 1)".to_owned();
    assert_eq!(ended(&w, "web"), (Phase::Paused, false, reason));
    let serving = w.live("web").iter().filter(|t| t.serving()).count();
    assert_eq!((serving, rollout(&w, "web").failed.values().sum::<u32>()), (3, 1));
    // The cause is mended: what was begun gets well, and nothing else moves.
    w.run(secs(600));
    assert_eq!(images(&w, "web"), ["v1", "v1", "v2"]);
    assert!(matches!(wish(&mut w, RolloutWish::Resume, &[]), Outcome::Accepted { .. }));
    w.run(secs(60));
    assert_eq!((images(&w, "web"), ended(&w, "web").0), (vec!["v2".into(); 3], Phase::Completed));
}

#[test]
fn continue_gives_every_replica_its_turn() {
    let mut reckless = new(4);
    reckless.update.failure_action = Some(FailureAction::Continue);
    let mut w = changing(old(4), reckless);
    run_bad(&mut w, secs(200), |w| {
        assert!(w.live("web").iter().filter(|t| t.serving()).count() >= 4);
    });
    let rollout = rollout(&w, "web");
    assert_eq!((rollout.phase, rollout.back, rollout.failed.len()), (Phase::Completed, None, 4));
    w.run(secs(600));
    assert_eq!(images(&w, "web"), ["v2"; 4], "what failed is tried again");
}

#[test]
fn a_ratio_says_how_many_may_fail() {
    let failed = |millionths| {
        let mut some = new(4);
        some.update.max_failure_ratio = Some(millionths);
        let mut w = changing(old(4), some);
        let mut most = 0;
        run_bad(&mut w, secs(200), |w| most = most.max(rollout(w, "web").failed.len()));
        (most, ended(&w, "web").1)
    };
    assert_eq!(failed(0), (1, true));
    assert_eq!(failed(250_000), (2, true));
    assert_eq!(failed(500_000), (3, true));
    assert_eq!(failed(1_000_000), (4, false), "none is too many");
}

#[test]
fn a_second_failure_on_the_way_back_pauses() {
    let mut w = changing(old(3), new(3));
    w.settle();
    w.now = w.now + secs(2);
    w.settle();
    assert_eq!(images(&w, "web"), ["v1", "v1", "v2", "v2"]);
    wish(&mut w, RolloutWish::Undo, &[]);
    for _ in 0..200 {
        w.step();
        let fresh = w.state.tasks.values().filter(|t| t.live() && t.state == TaskState::Assigned);
        let fresh: Vec<TaskId> = fresh.map(|t| t.id).collect();
        for id in fresh {
            w.exits(id, 9);
        }
        w.obey();
        w.now = w.now + secs(1);
    }
    let (phase, back, reason) = ended(&w, "web");
    assert_eq!((phase, back), (Phase::Paused, true));
    assert_eq!(reason, "undone by hand; 1 of 3 replicas failed on the way back (exited 9)");
    assert!(w.live("web").iter().filter(|t| t.serving()).count() >= 3);
}

#[test]
fn what_went_back_is_exchanged_as_rollback_config_says() {
    let mut both = new(4);
    both.rollback.parallelism = Some(0);
    both.rollback.order = Some(UpdateOrder::StopFirst);
    let mut w = changing(old(4), both);
    w.run(secs(60));
    assert_eq!(images(&w, "web"), ["v2"; 4]);
    assert!(matches!(wish(&mut w, RolloutWish::Undo, &["web"]), Outcome::Accepted { .. }));
    assert_eq!(stops(&w.step()).len(), 4);
    w.run(secs(60));
    assert_eq!((images(&w, "web"), ended(&w, "web").0), (vec!["v1".into(); 4], Phase::Completed));
}

#[test]
fn people_pause_resume_and_undo_what_is_there() {
    let refused = |outcome| match outcome {
        Outcome::Refused(Refusal::NoRollout { .. }) => true,
        Outcome::Accepted { .. } => false,
        other => panic!("{other:?}"),
    };
    let mut w = World::new(3);
    w.deploy("web", old(3));
    w.run(secs(10));
    assert!(refused(wish(&mut w, RolloutWish::Pause, &["web"])), "the first deploy is none");
    assert!(refused(wish(&mut w, RolloutWish::Undo, &["web"])), "nothing was before");
    w.deploy("web", new(3));
    w.settle();
    assert!(!refused(wish(&mut w, RolloutWish::Pause, &[])));
    assert!(refused(wish(&mut w, RolloutWish::Pause, &["web"])), "it is paused");
    w.run(secs(60));
    assert_eq!(images(&w, "web"), ["v1", "v1", "v2"], "what was begun is finished");
    assert!(!refused(wish(&mut w, RolloutWish::Resume, &["web"])));
    w.run(secs(60));
    assert_eq!(images(&w, "web"), ["v2"; 3]);
    assert!(refused(wish(&mut w, RolloutWish::Undo, &[])), "it has ended and is not named");
    assert!(!refused(wish(&mut w, RolloutWish::Undo, &["web"])));
    assert!(refused(wish(&mut w, RolloutWish::Undo, &["web"])), "it goes back already");
    w.run(secs(60));
    assert_eq!(images(&w, "web"), ["v1"; 3]);
}

#[test]
fn a_deploy_lets_go_on_what_is_paused_and_confirms_what_was_gone_back_to() {
    let mut w = changing(old(2), new(2));
    run_bad(&mut w, secs(60), |_| {});
    assert!(ended(&w, "web").1);
    w.deploy("web", old(2));
    assert_eq!((ended(&w, "web").1, w.service("web").release), (false, 3));
    w.deploy("web", new(2));
    wish(&mut w, RolloutWish::Pause, &[]);
    w.deploy("web", new(2));
    w.run(secs(60));
    assert_eq!((images(&w, "web"), ended(&w, "web").0), (vec!["v2".into(); 2], Phase::Completed));
}

#[test]
fn an_unproven_release_is_not_what_is_gone_back_to() {
    let mut w = changing(old(2), image("half", spec(2)));
    w.settle();
    w.deploy("web", new(2));
    run_bad(&mut w, secs(60), |_| {});
    w.run(secs(60));
    assert_eq!(images(&w, "web"), ["v1"; 2]);
}

#[test]
fn what_cannot_go_back_pauses_and_says_why() {
    let mut w = World::new(3);
    let port = |published| model::Port {
        published,
        target: 80,
        protocol: model::Protocol::Tcp,
        mode: model::PortMode::Ingress,
        host_ip: None,
    };
    let with_port = |spec: ServiceSpec, n| ServiceSpec { ports: vec![port(n)], ..spec };
    w.deploy("web", with_port(old(1), 80));
    w.run(secs(10));
    w.deploy("web", with_port(new(1), 81));
    w.deploy_in("blog", "front", with_port(spec(1), 80));
    run_bad(&mut w, secs(60), |_| {});
    let reason = "1 of 1 new replicas failed (exited 1), and it cannot go back: port 80 is published by blog/front now";
    assert_eq!(ended(&w, "web"), (Phase::Paused, false, reason.into()));
}

#[test]
fn a_replica_with_data_stops_first_and_goes_back_too() {
    let db = |tag| image(tag, with_volume(spec(1), "data"));
    let mut w = World::new(3);
    w.deploy("web", db("v1"));
    w.run(secs(10));
    w.deploy("web", db("v2"));
    let mut together = 0;
    run_bad(&mut w, secs(60), |w| {
        let holding = w.state.tasks.values().filter(|t| t.holds()).count();
        together = together.max(holding);
    });
    w.run(secs(10));
    assert_eq!((together, images(&w, "web")), (1, vec!["v1".into()]));
    assert_eq!(ended(&w, "web").0, Phase::Completed);
}

#[test]
fn who_depends_on_what_went_back_goes_back_with_it() {
    let mut w = World::new(3);
    let web = |tag| image(tag, after("db", DependencyCondition::Started, spec(2)));
    w.declare("db", old(1));
    w.deploy("web", web("w1"));
    w.run(secs(20));
    w.declare("db", new(1));
    w.deploy("web", web("w2"));
    run_bad(&mut w, secs(60), |_| {});
    w.run(secs(60));
    assert_eq!((images(&w, "db"), images(&w, "web")), (vec!["v1".into()], vec!["w1".into(); 2]));
    assert_eq!(ended(&w, "web").2, "db, on which it depends, was rolled back");
}

#[test]
fn what_runs_once_is_not_undone_by_running_it_again() {
    let once = |tag| {
        let mut once = image(tag, spec(1));
        once.restart.condition = RestartCondition::Never;
        once
    };
    let mut w = World::new(3);
    w.deploy("web", once("v1"));
    w.settle();
    let first = w.live("web")[0].id;
    w.exits(first, 0);
    w.run(secs(10));
    w.deploy("web", once("v2"));
    run_bad(&mut w, secs(60), |_| {});
    assert_eq!(
        ended(&w, "web"),
        (Phase::Paused, false, "1 of 1 new replicas failed (exited 1)".into())
    );
}

#[test]
fn a_crash_long_after_the_start_is_no_failure_of_the_release() {
    let mut slow = new(3);
    slow.update.delay = Some(secs(300));
    let mut w = changing(old(3), slow);
    w.run(secs(100));
    let first = w.live("web").into_iter().find(|t| t.generation == 2).unwrap();
    w.exits(first.id, 137);
    w.run(secs(1));
    assert!(rollout(&w, "web").failed.is_empty());
    let again = w.live("web").into_iter().find(|t| t.generation == 2).unwrap();
    w.exits(again.id, 1);
    w.step();
    assert_eq!(rollout(&w, "web").failed.len(), 1, "this one did not even start well");
}

#[test]
fn a_release_with_fewer_replicas_ends_too() {
    let slow = |spec: ServiceSpec| {
        let mut spec = spec;
        spec.update.delay = Some(secs(3));
        spec
    };
    let mut w = changing(old(3), slow(new(3)));
    w.run(secs(60));
    assert_eq!(ended(&w, "web").0, Phase::Completed);
    w.deploy("web", old(2));
    w.run(secs(60));
    assert_eq!((images(&w, "web"), ended(&w, "web").0), (vec!["v1".into(); 2], Phase::Completed));
}
