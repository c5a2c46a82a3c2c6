//! Without a confirmed view, and after a restart of the daemon or of the engine.

mod support;

use agent::{Action, ActionResult, Agent, Event, Input, Kind, Phase, Settings};
use model::{ClusterId, Mode, NodeId, RestartCondition, TaskState, VolumeKey};
use std::sync::Arc;
use std::time::Duration;
use support::*;

fn up(task: model::Assignment) -> model::Assignment {
    in_state(TaskState::Running, task)
}

/// Confirmed once, then killed and reborn without a manager in reach.
fn alone(tasks: Vec<model::Assignment>) -> Rig {
    Rig::ready(tasks, vec![]).reborn()
}

#[test]
fn fault_17_what_runs_is_adopted_and_nothing_else_happens() {
    let mut rig = alone(vec![up(task(1)), task(2), stopped(task(3))]);
    rig.observed(vec![running(1), running(9), container(2, Phase::Created)]);
    rig.pass_alone(60_000);
    rig.idle();
    rig.view(vec![up(task(1)), task(2)]);
    let kinds: Vec<Kind> = rig.actions.iter().map(agent::Action::kind).collect();
    assert_eq!(kinds, [Kind::Start, Kind::Stop], "task 2 goes on, the orphan goes");
}

#[test]
fn nothing_is_told_before_the_containers_are_known() {
    let mut rig = alone(vec![up(task(1))]);
    rig.view(vec![up(task(1))]);
    rig.pass(10_000);
    assert!(rig.reports.is_empty(), "silence, not bad health: {:?}", rig.reports);
    rig.observed(vec![running(1)]);
    assert!(rig.told(1).unwrap().healthy);
}

#[test]
fn fault_16_nothing_is_created_or_removed_after_confirmation_ran_out() {
    let mut rig = Rig::ready(vec![], vec![]);
    rig.pass_alone(2_001);
    assert!(!rig.agent.confirmed(rig.now));
    rig.observed(vec![exited(9, 0)]);
    rig.idle();
    rig.input(Input::Confirmed { age: Duration::from_millis(2_001) });
    rig.idle();
    rig.input(Input::Confirmed { age: Duration::from_millis(500) });
    rig.only(Kind::Remove);
}

#[test]
fn a_crash_is_mended_in_place_after_five_seconds() {
    let mut rig = Rig::ready(vec![up(task(1))], vec![running(1)]);
    rig.told(1);
    rig.pass_alone(2_500);
    rig.input(Input::Changed(exited(1, 1)));
    rig.pass_alone(2_499);
    rig.idle();
    assert!(!rig.told(1).unwrap().healthy);
    rig.pass_alone(1);
    assert!(rig.events.contains(&Event::Isolated));
    let mut second = running(1);
    second.started = 20;
    rig.done(Kind::Start, second);
    let status = rig.told(1).unwrap();
    assert_eq!((status.state, status.healthy), (TaskState::Running, true));
    assert_eq!(status.restarts_in_place, 1);
    assert_eq!(rig.reborn().agent.snapshot().unwrap().restarts_in_place, [(id(1), 1)]);
}

#[test]
fn restarts_in_place_wait_longer_each_time() {
    let mut rig = Rig::ready(vec![up(task(1))], vec![running(1)]);
    rig.pass_alone(10_000);
    let mut started = 10;
    for wait in [1_000, 2_000, 4_000] {
        let mut crashed = exited(1, 1);
        crashed.started = started;
        rig.input(Input::Changed(crashed));
        rig.pass_alone(wait - 1);
        rig.idle();
        rig.pass_alone(1);
        started += 10;
        let mut next = running(1);
        next.started = started;
        rig.done(Kind::Start, next);
    }
    // A stable run: the next crash is as good as the first.
    rig.pass_alone(60_000);
    let mut crashed = exited(1, 1);
    crashed.started = started;
    rig.input(Input::Changed(crashed));
    rig.pass_alone(1_000);
    rig.only(Kind::Start);
}

#[test]
fn not_everything_is_mended_in_place() {
    let mut never = spec();
    never.restart.condition = RestartCondition::Never;
    let mut on_failure = spec();
    on_failure.restart.condition = RestartCondition::OnFailure;
    let mut spent = spec();
    spent.restart.max_attempts = Some(0);
    let mut job = spec();
    job.mode = Mode::GlobalJob;
    let tasks = vec![
        up(stateful(1)),
        up(with_spec(2, never)),
        up(with_spec(3, on_failure)),
        up(with_spec(4, spent)),
        stopped(up(task(5))),
        in_state(TaskState::Exited { code: 1 }, task(6)),
        up(with_spec(7, job)),
    ];
    let mut rig = alone(tasks);
    rig.observed((1..=7).map(|n| exited(n, i64::from(n != 3))).collect());
    rig.pass_alone(600_000);
    rig.idle();
}

#[test]
fn a_crash_that_was_not_mended_is_told_when_a_view_is_confirmed() {
    let mut rig = Rig::ready(vec![up(stateful(1))], vec![running(1)]);
    rig.pass_alone(60_000);
    rig.input(Input::Changed(exited(1, 9)));
    rig.told(1);
    rig.input(Input::Session);
    rig.view(vec![up(stateful(1))]);
    assert!(rig.events.contains(&Event::Confirmed));
    assert_eq!(rig.state(1), TaskState::Exited { code: 9 });
}

#[test]
fn a_session_confirms_nothing_until_its_first_view() {
    let mut rig = Rig::ready(vec![], vec![]);
    rig.input(Input::Session);
    rig.input(Input::Confirmed { age: Duration::ZERO });
    assert!(!rig.agent.confirmed(rig.now));
}

#[test]
fn views_that_are_not_ours_or_older_are_refused() {
    let mut rig = Rig::ready(vec![task(1)], vec![]);
    rig.actions.clear();
    let good = view(50, vec![up(task(1))], vec![]);
    rig.input(Input::View { view: Arc::new(good.clone()), age: Duration::ZERO });
    let mut foreign = good.clone();
    (foreign.index, foreign.cluster) = (60, ClusterId("other".into()));
    let mut other = good.clone();
    (other.index, other.node) = (60, NodeId(8));
    let mut old = good.clone();
    old.index = 49;
    for (bad, words) in [(foreign, "of cluster other"), (other, "node 8's"), (old, "index 49")] {
        rig.events.clear();
        rig.input(Input::View { view: Arc::new(bad), age: Duration::ZERO });
        assert!(
            matches!(&rig.events[..], [Event::ViewRefused { reason }] if reason.contains(words)),
            "{:?}",
            rig.events
        );
        assert!(!rig.agent.confirmed(rig.now), "its sender cannot be trusted to confirm");
        assert_eq!(rig.agent.view().unwrap().index, 50);
    }
    // After a restart as before it.
    let mut reborn = rig.reborn();
    let old = Arc::new(view(49, vec![], vec![]));
    reborn.input(Input::View { view: old, age: Duration::ZERO });
    assert!(matches!(reborn.events[..], [Event::ViewRefused { .. }]));
}

#[test]
fn a_snapshot_is_used_by_its_own_node_only_and_holds_no_login() {
    let mut secret = task(1);
    secret.logins.insert("docker.io".into(), model::Login(b"secret".to_vec()));
    let rig = Rig::ready(vec![secret], vec![]);
    let snapshot = rig.agent.snapshot().unwrap();
    assert!(snapshot.view.tasks[0].logins.is_empty());
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<agent::Snapshot>(&text).unwrap(), snapshot);
    let other = Agent::restore(NodeId(8), cluster(), Settings::default(), snapshot);
    assert!(other.view().is_none());
}

#[test]
fn an_engine_that_does_not_answer_is_left_alone_until_it_is_known_again() {
    let mut rig = Rig::ready(vec![task(1), task(2)], vec![]);
    let second = rig.actions.remove(1);
    rig.end(Kind::Create, ActionResult::Unanswered("no answer within 60 s".into()));
    assert!(!rig.agent.engine_ready());
    assert_eq!(rig.resyncs, 1);
    rig.pass(10_000);
    rig.idle();
    assert!(rig.resyncs >= 3, "it is asked again and again");
    rig.input(Input::Engine { ready: true });
    rig.idle();
    // The first was made after all; the second's answer is still to come.
    rig.observed(vec![container(1, Phase::Created)]);
    rig.done(Kind::Start, running(1));
    let result = ActionResult::Done(Some(container(2, Phase::Created)));
    rig.input(Input::Done { action: second, result });
    rig.only(Kind::Start);
}

#[test]
fn what_is_gone_is_looked_at_before_it_counts_as_gone() {
    let mut rig = Rig::ready(vec![up(task(1))], vec![running(1)]);
    rig.observed(vec![]);
    rig.done(Kind::Inspect, running(1));
    rig.idle();
    rig.observed(vec![]);
    rig.end(Kind::Inspect, ActionResult::Done(None));
    let gone = TaskState::Failed { reason: "its container was removed".into() };
    assert_eq!(rig.state(1), gone);
    rig.pass(60_000);
    rig.idle();
}

#[test]
fn what_was_removed_is_never_made_again_for_the_same_task() {
    let gone = TaskState::Failed { reason: "its container was removed".into() };
    let mut rig = Rig::ready(vec![task(1)], vec![running(1)]);
    rig.input(Input::Gone(agent::ContainerId("c1".into())));
    assert_eq!(rig.state(1), gone);
    // Removed while the daemon was down.
    let mut rig = alone(vec![up(task(1))]);
    rig.view(vec![up(task(1))]);
    rig.observed(vec![]);
    assert_eq!(rig.state(1), gone);
    rig.pass(60_000);
    rig.idle();
}

#[test]
fn an_old_look_does_not_undo_a_newer_one() {
    let mut rig = Rig::ready(vec![up(task(1))], vec![running(1)]);
    rig.input(Input::Changed(exited(1, 1)));
    rig.told(1);
    rig.observed(vec![running(1)]);
    rig.idle();
    assert!(rig.reports.is_empty());
}

#[test]
fn orphans_go_and_foreign_containers_stay() {
    let mut foreign = running(2);
    foreign.cluster = ClusterId("other".into());
    let mut rig = Rig::ready(vec![], vec![running(1), foreign]);
    rig.done(Kind::Stop, exited(1, 0));
    rig.end(Kind::Remove, ActionResult::Done(None));
    rig.end(Kind::RemoveNetworks, ActionResult::Done(None));
    rig.pass(60_000);
    rig.idle();
}

#[test]
fn of_two_containers_of_a_task_the_oldest_that_runs_stays() {
    let mut older = exited(1, 0);
    (older.id.0, older.created) = ("a".into(), 1);
    let mut old = running(1);
    (old.id.0, old.created) = ("b".into(), 2);
    let mut new = running(1);
    (new.id.0, new.created) = ("c".into(), 3);
    let mut rig = Rig::ready(vec![up(task(1))], vec![older, old.clone(), new.clone()]);
    rig.end(Kind::Remove, ActionResult::Done(None));
    new.phase = Phase::Exited { code: 0, out_of_memory: false };
    rig.done(Kind::Stop, new);
    rig.end(Kind::Remove, ActionResult::Done(None));
    rig.idle();
    assert_eq!(rig.agent.container_of(id(1)), Some(&old.id));
}

#[test]
fn condemned_volumes_go_when_nothing_uses_them() {
    let key = VolumeKey { project: "shop".parse().unwrap(), volume: "data".parse().unwrap() };
    let mut rig = Rig::ready(vec![stateful(1)], vec![running(1)]);
    let ended = in_state(TaskState::Exited { code: 0 }, stopped(stateful(1)));
    rig.view_with(vec![ended], vec![key.clone()]);
    rig.done(Kind::Stop, exited(1, 0));
    rig.idle();
    rig.view_with(vec![], vec![key.clone()]);
    rig.told(1);
    rig.end(Kind::Remove, ActionResult::Done(None));
    rig.actions.retain(|a| a.kind() == Kind::RemoveVolume);
    rig.end(Kind::RemoveVolume, ActionResult::Done(None));
    let (number, report) = rig.reports.pop().unwrap();
    assert_eq!(report.deleted_volumes, std::slice::from_ref(&key));
    // Lost: told again. Recorded: forgotten.
    rig.input(Input::Reported { number, accepted: false });
    rig.pass(500);
    let (number, report) = rig.reports.pop().unwrap();
    assert_eq!(report.deleted_volumes, [key]);
    rig.view(vec![]);
    rig.input(Input::Reported { number, accepted: true });
    rig.pass(60_000);
    assert!(rig.reports.is_empty() && !rig.actions.iter().any(|a| a.kind() == Kind::RemoveVolume));
}

#[test]
fn a_condemned_volume_waits_for_those_that_mount_it_not_for_the_rest_of_the_project() {
    let key = VolumeKey { project: "shop".parse().unwrap(), volume: "data".parse().unwrap() };
    let removals =
        |rig: &Rig| rig.actions.iter().filter(|a| a.kind() == Kind::RemoveVolume).count();
    let mut rig = Rig::ready(vec![up(task(2)), up(stateful(3))], vec![running(2), running(3)]);
    rig.view_with(vec![up(task(2)), up(stateful(3))], vec![key.clone()]);
    rig.pass(10_000);
    assert_eq!(removals(&rig), 0, "task 3 mounts it");
    rig.view_with(vec![up(task(2))], vec![key.clone()]);
    rig.done(Kind::Stop, exited(3, 0));
    assert_eq!(removals(&rig), 0, "its container is still there, and who knows what it mounts");
    rig.end(Kind::Remove, ActionResult::Done(None));
    let removal = rig.only(Kind::RemoveVolume);
    assert!(matches!(removal, Action::RemoveVolume { volume, .. } if volume == key));
}
