//! Commands after the start and before the stop of a container.

mod support;

use agent::{Action, ActionResult, Agent, Event, HookStage, Input, Kind, Phase, Settings};
use model::{Assignment, Hook, ServiceSpec, TaskState};
use std::time::Duration;
use support::*;

fn hook(name: &str) -> Hook {
    Hook { command: vec![name.into()], ..Hook::default() }
}

fn hooked(post_start: &[&str], pre_stop: &[&str]) -> ServiceSpec {
    let mut spec = spec();
    spec.container.hooks.post_start = post_start.iter().map(|n| hook(n)).collect();
    spec.container.hooks.pre_stop = pre_stop.iter().map(|n| hook(n)).collect();
    spec
}

fn task_with(post_start: &[&str], pre_stop: &[&str]) -> Assignment {
    with_spec(1, hooked(post_start, pre_stop))
}

fn ended(code: i64, output: &str) -> ActionResult {
    ActionResult::Ended { code: Some(code), output: output.into() }
}

/// Ends the only action, which gets the command `name` ready.
fn prepare(rig: &mut Rig, name: &str, exec: &str) {
    let action = rig.only(Kind::PrepareHook);
    let Action::PrepareHook { hook, .. } = &action else { unreachable!("it is of that kind") };
    assert_eq!(hook.command, [name]);
    rig.input(Input::Done { action, result: ActionResult::Prepared(exec.into()) });
}

/// The daemon was killed: what was last kept is left.
fn reborn(rig: &Rig) -> Rig {
    let kept = rig.kept.clone().expect("something was kept");
    Rig::with(Agent::restore(NODE, cluster(), Settings::default(), kept))
}

#[test]
fn a_task_runs_once_all_its_commands_ended_well() {
    let mut rig = Rig::ready(vec![task_with(&["one", "two"], &[])], vec![running(1)]);
    assert_eq!(rig.state(1), TaskState::Starting);
    prepare(&mut rig, "one", "e1");
    rig.end(Kind::RunHook, ended(0, "fine"));
    prepare(&mut rig, "two", "e2");
    rig.end(Kind::RunHook, ended(0, ""));
    rig.idle();
    let status = rig.told(1).unwrap();
    assert_eq!((status.state, status.healthy), (TaskState::Running, true));
}

#[test]
fn a_command_that_fails_is_the_failure_of_the_task() {
    let mut rig = Rig::ready(vec![task_with(&["one", "two"], &[])], vec![running(1)]);
    prepare(&mut rig, "one", "e1");
    rig.end(Kind::RunHook, ended(3, "no such\ntable\n"));
    rig.done(Kind::Stop, exited(1, 143));
    rig.idle();
    let reason = "post_start ended with exit code 3: no such | table".into();
    assert_eq!(rig.state(1), TaskState::Failed { reason });
}

#[test]
fn a_command_that_cannot_be_run_is_too() {
    let mut rig = Rig::ready(vec![task_with(&["one"], &[])], vec![running(1)]);
    rig.end(Kind::PrepareHook, ActionResult::Never("no such user".into()));
    rig.done(Kind::Stop, exited(1, 143));
    let reason = "post_start cannot be run: no such user".into();
    assert_eq!(rig.state(1), TaskState::Failed { reason });
}

#[test]
fn the_name_of_a_command_is_kept_before_it_runs() {
    let mut rig = Rig::ready(vec![task_with(&["one", "two"], &[])], vec![running(1)]);
    prepare(&mut rig, "one", "e1");
    // Killed while it runs: the same one is waited for.
    let mut rig = reborn(&rig);
    rig.view(vec![task_with(&["one", "two"], &[])]);
    rig.observed(vec![running(1)]);
    let action = rig.only(Kind::RunHook);
    assert!(matches!(&action, Action::RunHook { exec, .. } if exec == "e1"));
    rig.input(Input::Done { action, result: ended(0, "") });
    // Killed after it ended: the next one is due.
    let mut rig = reborn(&rig);
    rig.view(vec![task_with(&["one", "two"], &[])]);
    rig.observed(vec![running(1)]);
    prepare(&mut rig, "two", "e2");
}

#[test]
fn what_the_cluster_knows_to_run_is_past_its_start() {
    let task = in_state(TaskState::Running, task_with(&["one"], &[]));
    let mut rig = Rig::ready(vec![task], vec![running(1)]);
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Running);
}

#[test]
fn a_command_whose_end_nobody_knows_is_not_run_again() {
    let mut rig = Rig::ready(vec![task_with(&["one"], &[])], vec![running(1)]);
    prepare(&mut rig, "one", "e1");
    rig.end(Kind::RunHook, ActionResult::Ended { code: None, output: String::new() });
    rig.only(Kind::Stop);
}

#[test]
fn a_container_that_ends_takes_its_commands_with_it() {
    let mut rig = Rig::ready(vec![task_with(&["one"], &[])], vec![running(1)]);
    prepare(&mut rig, "one", "e1");
    rig.end(Kind::RunHook, ActionResult::Done(Some(exited(1, 7))));
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Exited { code: 7 });
}

#[test]
fn a_container_that_was_restarted_in_place_has_its_commands_again() {
    let mut rig = Rig::ready(vec![task_with(&["one"], &[])], vec![running(1)]);
    prepare(&mut rig, "one", "e1");
    rig.end(Kind::RunHook, ended(0, ""));
    rig.pass_alone(10_000);
    rig.input(Input::Changed(exited(1, 1)));
    rig.pass_alone(20_000);
    let mut again = running(1);
    again.started = 20;
    rig.done(Kind::Start, again);
    prepare(&mut rig, "one", "e2");
}

#[test]
fn commands_before_the_stop_come_first_and_take_of_its_grace() {
    let run = in_state(TaskState::Running, task_with(&[], &["one", "two"]));
    let mut rig = Rig::ready(vec![run.clone()], vec![running(1)]);
    rig.idle();
    rig.view(vec![stopped(run)]);
    assert_eq!(rig.state(1), TaskState::Stopping);
    prepare(&mut rig, "one", "e1");
    rig.pass(3_000);
    rig.end(Kind::RunHook, ended(4, "ignored"));
    let reason = "pre_stop ended with exit code 4: ignored".to_owned();
    assert!(rig.events.contains(&Event::HookFailed { task: id(1), reason }));
    prepare(&mut rig, "two", "e2");
    rig.end(Kind::RunHook, ended(0, ""));
    let stop = rig.only(Kind::Stop);
    assert!(matches!(stop, Action::Stop { grace, .. } if grace == Duration::from_secs(7)));
}

#[test]
fn a_command_that_takes_too_long_does_not_keep_a_container_from_its_stop() {
    let run = in_state(TaskState::Running, task_with(&[], &["one"]));
    let mut rig = Rig::ready(vec![run.clone()], vec![running(1)]);
    rig.view(vec![stopped(run)]);
    prepare(&mut rig, "one", "e1");
    let hook = rig.only(Kind::RunHook);
    rig.pass(9_500);
    rig.idle();
    rig.pass(1_000);
    let stop = rig.only(Kind::Stop);
    assert!(matches!(stop, Action::Stop { grace, .. } if grace == Duration::from_secs(1)));
    rig.input(Input::Done { action: stop, result: ActionResult::Done(Some(exited(1, 0))) });
    rig.input(Input::Done { action: hook, result: ActionResult::Done(Some(exited(1, 0))) });
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Exited { code: 0 });
}

#[test]
fn the_wait_for_commands_has_an_end_without_anybody() {
    let run = in_state(TaskState::Running, task_with(&[], &["one"]));
    let mut rig = Rig::ready(vec![run.clone()], vec![running(1)]);
    rig.view(vec![stopped(run)]);
    prepare(&mut rig, "one", "e1");
    rig.only(Kind::RunHook);
    rig.pass_alone(60_000);
    rig.only(Kind::Stop);
}

#[test]
fn a_task_told_to_stop_while_it_starts_up_is_stopped() {
    let run = task_with(&["one"], &["last"]);
    let mut rig = Rig::ready(vec![run.clone()], vec![running(1)]);
    prepare(&mut rig, "one", "e1");
    let hook = rig.only(Kind::RunHook);
    rig.view(vec![stopped(run)]);
    rig.idle();
    rig.input(Input::Done { action: hook, result: ended(0, "") });
    let action = rig.only(Kind::PrepareHook);
    assert!(matches!(action, Action::PrepareHook { stage: HookStage::PreStop, .. }));
}

#[test]
fn nothing_is_run_in_a_container_that_was_never_started() {
    let run = task_with(&["one"], &["last"]);
    let mut rig = Rig::ready(vec![run.clone()], vec![container(1, Phase::Created)]);
    rig.only(Kind::Start);
    rig.view(vec![stopped(run)]);
    rig.idle();
}
