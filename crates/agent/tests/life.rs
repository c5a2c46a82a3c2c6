//! The life of a task, from its assignment to its end.

mod support;

use agent::{Action, ActionResult, Event, Health, Input, Kind, Phase};
use model::{PortMode, Pull, TaskState};
use support::*;

fn again(why: &str) -> ActionResult {
    ActionResult::Again(why.into())
}

fn never(why: &str) -> ActionResult {
    ActionResult::Never(why.into())
}

fn failed(reason: &str) -> TaskState {
    TaskState::Failed { reason: reason.into() }
}

#[test]
fn a_task_without_a_check_runs_as_soon_as_it_is_started() {
    let mut rig = Rig::ready(vec![task(1)], vec![]);
    rig.done(Kind::Create, container(1, Phase::Created));
    rig.done(Kind::Start, running(1));
    rig.idle();
    let status = rig.told(1).unwrap();
    assert_eq!((status.state, status.healthy), (TaskState::Running, true));
    assert_eq!(status.address, Some([10, 0, 0, 1].into()));
}

#[test]
fn a_start_that_is_seen_before_it_is_answered_is_no_restart() {
    let mut rig = Rig::ready(vec![task(1)], vec![container(1, Phase::Created)]);
    let start = rig.only(Kind::Start);
    rig.input(Input::Changed(running(1)));
    rig.input(Input::Done { action: start, result: ActionResult::Done(Some(running(1))) });
    assert_eq!(rig.told(1).unwrap().restarts_in_place, 0);
}

#[test]
fn nothing_is_done_before_the_containers_are_known() {
    let mut rig = Rig::new();
    rig.view(vec![task(1)]);
    rig.idle();
    rig.observed(vec![running(1)]);
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Running);
}

#[test]
fn only_what_is_missing_is_pulled() {
    let mut rig = Rig::ready(vec![task(1)], vec![]);
    rig.end(Kind::Create, ActionResult::NoImage);
    rig.end(Kind::Pull, ActionResult::Done(None));
    assert_eq!(rig.state(1), TaskState::Preparing);
    rig.done(Kind::Create, container(1, Phase::Created));
    rig.only(Kind::Start);
}

#[test]
fn pull_policies() {
    let mut always = spec();
    always.container.image.pull = Pull::Always;
    let mut rig = Rig::ready(vec![with_spec(1, always)], vec![]);
    rig.only(Kind::Pull);

    let mut never = spec();
    never.container.image.pull = Pull::Never;
    let mut rig = Rig::ready(vec![with_spec(1, never)], vec![]);
    rig.end(Kind::Create, ActionResult::NoImage);
    assert_eq!(rig.state(1), failed("image app:1 is not on this node, and is never to be pulled"));

    let mut local = spec();
    local.container.image.pull = Pull::Always;
    local.container.image.resolved = Some("sha256:ab".into());
    let mut rig = Rig::ready(vec![with_spec(1, local)], vec![]);
    rig.end(Kind::Create, ActionResult::NoImage);
    assert!(matches!(rig.state(1), TaskState::Failed { reason } if reason.contains("image load")));
}

#[test]
fn two_pulls_at_once() {
    let mut always = spec();
    always.container.image.pull = Pull::Always;
    let mut rig = Rig::ready((1..=5).map(|n| with_spec(n, always.clone())).collect(), vec![]);
    assert_eq!(rig.actions.len(), 2);
    let action = rig.actions.remove(0);
    rig.input(Input::Done { action, result: ActionResult::Done(None) });
    let kinds: Vec<Kind> = rig.actions.iter().map(Action::kind).collect();
    assert_eq!(kinds, [Kind::Pull, Kind::Create, Kind::Pull]);
}

#[test]
fn a_check_gates_running_and_may_fail_later() {
    let mut rig = Rig::ready(vec![task(1)], vec![container(1, Phase::Created)]);
    rig.done(Kind::Start, health(Health::Starting, running(1)));
    assert_eq!(rig.state(1), TaskState::Starting);
    rig.input(Input::Changed(health(Health::Healthy, running(1))));
    let status = rig.told(1).unwrap();
    assert_eq!((status.state, status.healthy), (TaskState::Running, true));
    rig.input(Input::Changed(health(Health::Unhealthy, running(1))));
    let status = rig.told(1).unwrap();
    assert_eq!((status.state, status.healthy), (TaskState::Running, false));
    rig.idle();
}

#[test]
fn a_check_that_never_passes_ends_the_task() {
    let mut rig = Rig::ready(vec![task(1)], vec![container(1, Phase::Created)]);
    rig.done(Kind::Start, health(Health::Starting, running(1)));
    rig.input(Input::Changed(health(Health::Unhealthy, running(1))));
    rig.done(Kind::Stop, exited(1, 0));
    assert_eq!(rig.state(1), failed("its health check did not pass"));
    rig.idle();
}

#[test]
fn an_end_is_told_and_nothing_follows_here() {
    let mut rig = Rig::ready(vec![task(1), task(2)], vec![running(1), running(2)]);
    rig.input(Input::Changed(exited(1, 3)));
    assert_eq!(rig.state(1), TaskState::Exited { code: 3 });
    let killed = Phase::Exited { code: 137, out_of_memory: true };
    rig.input(Input::Changed(container(2, killed)));
    assert!(
        matches!(rig.state(2), TaskState::Failed { reason } if reason.contains("out of memory"))
    );
    // The cluster has recorded it: the container stays, for its logs.
    let ended = in_state(TaskState::Exited { code: 3 }, task(1));
    rig.view(vec![ended, in_state(failed("x"), task(2))]);
    rig.pass(10_000);
    rig.idle();
}

#[test]
fn a_stop_honours_the_grace_and_is_final() {
    let mut spec = spec();
    spec.container.stop_grace = Some(std::time::Duration::from_secs(42));
    let mut own = running(1);
    own.grace = std::time::Duration::from_secs(42);
    let mut rig = Rig::ready(vec![with_spec(1, spec.clone())], vec![own]);
    rig.view(vec![stopped(with_spec(1, spec))]);
    let stop = rig.only(Kind::Stop);
    assert!(matches!(&stop, Action::Stop { grace, .. } if grace.as_secs() == 42));
    assert_eq!(rig.state(1), TaskState::Stopping);
    let result = ActionResult::Done(Some(exited(1, 143)));
    rig.input(Input::Done { action: stop, result });
    assert_eq!(rig.state(1), TaskState::Exited { code: 143 });
}

#[test]
fn a_replica_behind_a_published_port_lingers() {
    let mut spec = spec();
    spec.ports = vec![published(PortMode::Ingress)];
    let mut rig = Rig::ready(vec![with_spec(1, spec.clone())], vec![running(1)]);
    rig.told(1);
    rig.view(vec![stopped(with_spec(1, spec))]);
    rig.idle();
    let status = rig.told(1).unwrap();
    assert_eq!((status.state, status.healthy), (TaskState::Stopping, false));
    rig.pass_alone(500);
    rig.only(Kind::Stop);
}

#[test]
fn a_task_that_never_started_ends_when_told_to_stop() {
    let mut rig = Rig::new();
    rig.view(vec![stopped(task(1)), stopped(task(2))]);
    rig.observed(vec![container(2, Phase::Created)]);
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Exited { code: 0 });
}

#[test]
fn a_stop_that_fails_is_tried_again_then_killed() {
    let mut rig = Rig::ready(vec![stopped(task(1))], vec![running(1)]);
    rig.end(Kind::Stop, again("busy"));
    rig.idle();
    rig.pass(1_000);
    rig.done(Kind::Stop, running(1));
    rig.pass(2_000);
    rig.end(Kind::Kill, never("odd"));
    rig.pass(30_000);
    rig.done(Kind::Kill, exited(1, 137));
    assert_eq!(rig.state(1), TaskState::Exited { code: 137 });
}

#[test]
fn what_may_succeed_later_is_tried_again_five_times() {
    let mut rig = Rig::ready(vec![task(1)], vec![]);
    for wait in [1_000, 2_000, 4_000, 8_000] {
        rig.end(Kind::Create, again("disk full"));
        rig.pass(wait - 500);
        rig.idle();
        rig.pass(500);
    }
    rig.end(Kind::Create, again("disk full"));
    assert_eq!(rig.state(1), failed("disk full"));
    rig.pass(60_000);
    rig.idle();
}

#[test]
fn what_cannot_succeed_fails_at_once() {
    let mut rig = Rig::ready(vec![task(1)], vec![]);
    rig.done(Kind::Create, container(1, Phase::Created));
    rig.end(Kind::Start, never("no such program"));
    assert_eq!(rig.state(1), failed("no such program"));
    let told = Event::ActionFailed {
        action: "start the container of task 1-0".into(),
        reason: "no such program".into(),
        again: false,
    };
    assert!(rig.events.contains(&told));
    rig.pass(60_000);
    rig.idle();
    // Gone from the view: cleared away without delay.
    rig.view(vec![]);
    rig.end(Kind::Remove, ActionResult::Done(None));
    rig.end(Kind::RemoveNetworks, ActionResult::Done(None));
    rig.idle();
}

#[test]
fn one_action_at_a_time_for_a_task() {
    let mut rig = Rig::ready(vec![task(1)], vec![]);
    let create = rig.only(Kind::Create);
    rig.view(vec![stopped(task(1))]);
    rig.pass(60_000);
    rig.idle();
    let result = ActionResult::Done(Some(container(1, Phase::Created)));
    rig.input(Input::Done { action: create, result });
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Exited { code: 0 });
}

#[test]
fn fault_15_a_finished_task_has_no_live_container() {
    let ended = in_state(failed("given up"), task(1));
    let mut rig = Rig::ready(vec![ended], vec![running(1)]);
    rig.done(Kind::Stop, exited(1, 0));
    rig.idle();
    assert!(rig.reports.is_empty(), "the first end that was recorded stands");
}

#[test]
fn files_stay_as_long_as_there_may_be_a_container() {
    let mut rig = Rig::new();
    rig.view(vec![task(1)]);
    assert!(rig.agent.holds_files(id(1)) && rig.agent.holds_files(id(9)), "nothing is known yet");
    rig.observed(vec![exited(9, 0)]);
    assert!(rig.agent.holds_files(id(1)), "its container is being made");
    assert!(rig.agent.holds_files(id(9)), "its container is there, though it is not ours");
    assert!(!rig.agent.holds_files(id(8)));
    let made = container(1, Phase::Created);
    for action in std::mem::take(&mut rig.actions) {
        let made = (action.kind() == Kind::Create).then(|| made.clone());
        rig.input(Input::Done { action, result: ActionResult::Done(made) });
    }
    assert!(!rig.agent.holds_files(id(9)), "it was removed");
    rig.done(Kind::Start, running(1));
    assert!(rig.agent.holds_files(id(1)));
    let mut reborn = rig.reborn();
    assert!(reborn.agent.holds_files(id(8)), "nothing is known yet");
    reborn.observed(vec![running(1)]);
    assert!(reborn.agent.holds_files(id(1)) && !reborn.agent.holds_files(id(8)));
}

#[test]
fn what_an_earlier_daemon_may_have_asked_to_start_has_not_ended_yet() {
    let told = stopped(in_state(TaskState::Preparing, task(1)));
    let mut before = Rig::ready(vec![told.clone()], vec![container(1, Phase::Created)]);
    assert_eq!(before.state(1), TaskState::Exited { code: 0 }, "no daemon was before it");
    let mut rig = before.reborn();
    rig.observed(vec![container(1, Phase::Created)]);
    rig.view(vec![told]);
    assert_eq!(rig.state(1), TaskState::Preparing);
    rig.input(Input::Changed(running(1)));
    rig.done(Kind::Stop, exited(1, 0));
    assert_eq!(rig.state(1), TaskState::Exited { code: 0 });
}
