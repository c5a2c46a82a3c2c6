//! What is done once it ended well.

use crate::world::{World, creates, facts, image, job, secs, spec, stops};
use model::{
    Availability, Cause, Command, Mode, Readiness, RemoveNode, RestartCondition, Role, ServiceSpec,
    TaskId,
};

fn everywhere() -> ServiceSpec {
    ServiceSpec { mode: Mode::GlobalJob, ..spec(0) }
}

fn ids(w: &World) -> Vec<TaskId> {
    w.live("job").iter().map(|t| t.id).collect()
}

/// Lets all copies that run end well.
fn end_all(w: &mut World) {
    for task in ids(w) {
        w.exits(task, 0);
    }
}

#[test]
fn each_copy_runs_once_and_only_so_many_at_a_time() {
    let mut w = World::new(3);
    w.deploy("job", job(5, Some(2)));
    let mut rounds = Vec::new();
    for _ in 0..4 {
        w.settle();
        rounds.push(ids(&w).len());
        end_all(&mut w);
    }
    assert_eq!(rounds, [2, 2, 1, 0]);
    w.run(secs(3 * 24 * 3600));
    assert!(ids(&w).is_empty());
    assert_eq!(w.waits(), [1, 2, 3, 4, 5].map(|n| format!("{n}: not restarted: completed")));
}

#[test]
fn a_copy_waits_for_its_turn_in_words() {
    let mut w = World::new(1);
    w.deploy("job", job(2, Some(1)));
    w.settle();
    assert_eq!(w.waits(), ["2: waits for its turn: one copy runs at a time"]);
}

#[test]
fn what_fails_is_tried_again_as_its_policy_says() {
    let table = [
        (RestartCondition::Any, 1),
        (RestartCondition::OnFailure, 1),
        (RestartCondition::Never, 0),
    ];
    for (condition, again) in table {
        let mut w = World::new(1);
        let mut spec = job(1, None);
        spec.restart.condition = condition;
        w.deploy("job", spec);
        w.settle();
        let first = ids(&w)[0];
        w.exits(first, 1);
        w.run(secs(5));
        assert_eq!(ids(&w).len(), again, "{condition:?}");
        end_all(&mut w);
        w.run(secs(600));
        assert!(ids(&w).is_empty(), "{condition:?}");
    }
}

#[test]
fn a_loss_before_the_end_runs_it_elsewhere_and_after_it_nowhere() {
    let mut w = World::new(2);
    w.deploy("job", job(2, None));
    w.settle();
    let (done, lost) = (ids(&w)[0], ids(&w)[1]);
    w.exits(done, 0);
    w.settle();
    let node = w.state.tasks[&lost].node;
    let n = (1..=2).find(|n| w.node(*n) == node).unwrap();
    w.judge(n, Readiness::Lost);
    assert_eq!(creates(&w.step()), [Cause::NodeLost(node)]);
    w.settle();
    end_all(&mut w);
    w.judge(3 - n, Readiness::Lost);
    w.judge(n, Readiness::Ready);
    w.run(secs(60));
    assert_eq!(ids(&w), [], "all was done");
}

#[test]
fn a_lost_copy_that_ended_well_after_all_counts_and_the_other_is_stopped() {
    let mut w = World::new(2);
    w.deploy("job", job(1, None));
    w.settle();
    let lost = ids(&w)[0];
    let node = w.state.tasks[&lost].node;
    let n = (1..=2).find(|n| w.node(*n) == node).unwrap();
    w.judge(n, Readiness::Lost);
    w.settle();
    let second = ids(&w).into_iter().find(|id| *id != lost).unwrap();
    w.judge(n, Readiness::Ready);
    w.exits(lost, 0);
    assert_eq!(stops(&w.step()), [Cause::Duplicate(lost)]);
    assert!(!w.state.tasks[&second].live());
    w.run(secs(3 * 24 * 3600));
    assert_eq!(ids(&w), []);
    assert_eq!(w.waits(), ["1: not restarted: completed"]);
}

#[test]
fn what_is_done_stays_done_when_its_node_is_removed() {
    let mut w = World::new(3);
    w.join(4, Role::Worker, facts());
    let mut spec = job(1, None);
    spec.placement.constraints.push(model::Constraint {
        key: model::ConstraintKey::Hostname,
        equal: true,
        value: "node4".into(),
    });
    w.deploy("job", spec.clone());
    w.settle();
    end_all(&mut w);
    w.settle();
    w.apply(Command::RemoveNode(RemoveNode { node: w.node(4), force: true }));
    spec.placement.constraints.clear();
    w.deploy("job", spec);
    w.run(secs(60));
    assert_eq!(ids(&w), []);
    assert_eq!(w.waits(), ["1: not restarted: completed"]);
}

#[test]
fn a_new_generation_does_it_all_anew() {
    let mut w = World::new(2);
    w.deploy("job", job(2, None));
    w.settle();
    let first = ids(&w);
    w.exits(first[0], 0);
    w.settle();
    w.deploy("job", image("v2", job(2, None)));
    let changes = w.step();
    let update = Cause::Update { generation: 2 };
    assert_eq!((stops(&changes), creates(&changes)), (vec![update.clone()], vec![update]));
    w.settle();
    assert_eq!(w.live("job").iter().map(|t| t.generation).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn a_drained_node_gives_its_copy_to_another() {
    let mut w = World::new(2);
    w.deploy("job", job(1, None));
    w.settle();
    let node = w.live("job")[0].node;
    let n = (1..=2).find(|n| w.node(*n) == node).unwrap();
    w.set(n, Availability::Drain);
    w.settle();
    assert_eq!(w.nodes_of("job"), [format!("node{}", 3 - n)]);
}

#[test]
fn on_each_node_once() {
    let mut w = World::new(2);
    w.deploy("job", everywhere());
    w.settle();
    assert_eq!(ids(&w).len(), 2);
    end_all(&mut w);
    w.set(1, Availability::Drain);
    w.run(secs(10));
    w.set(1, Availability::Active);
    w.judge(2, Readiness::Lost);
    w.run(secs(10));
    w.judge(2, Readiness::Ready);
    w.run(secs(600));
    assert_eq!(ids(&w), [], "done is done");
    w.join(3, Role::Worker, facts());
    w.settle();
    assert_eq!(w.nodes_of("job"), ["node3"]);
}

/// A roll-out is under way: its newer copy replaces the older one, and the job ends all that is older.
#[test]
fn what_becomes_a_job_stops_its_old_copy_once() {
    let mut w = World::new(3);
    let mut pinned = spec(1);
    pinned.placement.constraints.push(model::Constraint {
        key: model::ConstraintKey::Label("disk".into()),
        equal: false,
        value: "hdd".into(),
    });
    w.deploy("job", image("v0", pinned.clone()));
    w.step();
    w.deploy("job", image("v0", spec(0)));
    w.deploy("job", image("v2", pinned));
    w.step();
    w.obey();
    w.deploy("job", image("v2", job(1, Some(2))));
    w.now = w.now + secs(2);
    let plan = w.plan();
    assert_eq!(stops(&plan.changes).len(), 1, "{:?}", plan.changes);
}
