//! Steps before the start of a container, each in one of its own.

mod support;

use agent::{Action, ActionResult, Container, ContainerId, Create, Input, Kind, Phase, label};
use model::{Assignment, Hook, Image, Login, PreStart, SharedPart, TaskState};
use support::*;

fn step(name: &str) -> PreStart {
    let hook = Hook { command: vec![name.into()], ..Hook::default() };
    PreStart { hook, ..PreStart::default() }
}

/// A task with the steps `one`, one that is run once elsewhere, and `three`, which has an image of its own.
fn with_steps() -> Assignment {
    let mut spec = spec();
    let image = Some(Image { reference: "tools:1".into(), ..Image::default() });
    spec.container.environment.insert("A".into(), "1".into());
    spec.container.hooks.pre_start = vec![
        step("one"),
        PreStart { once: true, ..step("two") },
        PreStart { image, ..step("three") },
    ];
    with_spec(1, spec)
}

fn of_step(number: usize, phase: Phase) -> Container {
    let id = ContainerId(format!("s{number}"));
    Container { id, step: Some(number), ..container(1, phase) }
}

fn ended(number: usize, code: i64) -> Container {
    of_step(number, Phase::Exited { code, out_of_memory: false })
}

fn made(rig: &mut Rig) -> (Action, Box<Create>) {
    let action = rig.only(Kind::Create);
    let Action::Create(create) = action.clone() else { unreachable!("it is of that kind") };
    (action, create)
}

fn created() -> Container {
    container(1, Phase::Created)
}

#[test]
fn they_come_one_after_the_other_once_the_container_is_made() {
    let mut rig = Rig::ready(vec![with_steps()], vec![]);
    let (action, create) = made(&mut rig);
    assert_eq!(create.step, None);
    rig.input(Input::Done { action, result: ActionResult::Done(Some(created())) });

    let (action, create) = made(&mut rig);
    assert_eq!((create.step, create.image.as_str()), (Some(1), "app:1"));
    assert_eq!(create.spec.container.command, Some(vec!["one".into()]));
    assert_eq!(create.environment["A"], "1");
    assert_eq!(create.labels[label::STEP], "1");
    assert!(create.name.ends_with(".pre-start-1") && create.network.aliases.is_empty());
    let mounts = SharedPart::Volumes { read_only: false };
    assert!(create.shares.iter().any(|s| s.what == mounts && s.container == created().id));
    let result = ActionResult::Done(Some(of_step(1, Phase::Created)));
    rig.input(Input::Done { action, result });
    rig.done(Kind::Start, of_step(1, Phase::Running));
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Preparing);

    rig.input(Input::Changed(ended(1, 0)));
    let (action, create) = made(&mut rig);
    assert_eq!((create.step, create.image.as_str()), (Some(3), "tools:1"));
    rig.input(Input::Done { action, result: ActionResult::NoImage });
    let pull = rig.only(Kind::Pull);
    assert!(matches!(&pull, Action::Pull { image, .. } if image == "tools:1"));
    rig.input(Input::Done { action: pull, result: ActionResult::Done(None) });
    rig.done(Kind::Create, of_step(3, Phase::Created));
    rig.done(Kind::Start, of_step(3, Phase::Running));
    rig.input(Input::Changed(ended(3, 0)));
    rig.done(Kind::Start, running(1));
    assert_eq!(rig.state(1), TaskState::Running);
}

#[test]
fn each_image_is_pulled_with_the_login_of_its_own_registry() {
    let mut spec = spec();
    let image = |name: &str| Image { reference: name.into(), ..Image::default() };
    spec.container.image = image("a.example/app:1");
    spec.container.hooks.pre_start = ["b.example/tools:1", "c.example/tools:1"]
        .map(|name| PreStart { image: Some(image(name)), ..step("one") })
        .into();
    let mut task = with_spec(1, spec);
    let login = |registry: &str| Login(registry.into());
    task.logins = ["a.example", "b.example"].map(|r| (r.to_owned(), login(r))).into();
    let mut rig = Rig::ready(vec![task], vec![]);
    let pulled_with = |rig: &mut Rig| {
        let create = rig.only(Kind::Create);
        rig.input(Input::Done { action: create, result: ActionResult::NoImage });
        let pull = rig.only(Kind::Pull);
        rig.input(Input::Done { action: pull.clone(), result: ActionResult::Done(None) });
        let Action::Pull { login, .. } = pull else { unreachable!("it is of that kind") };
        login
    };
    assert_eq!(pulled_with(&mut rig), Some(login("a.example")));
    rig.done(Kind::Create, created());
    assert_eq!(pulled_with(&mut rig), Some(login("b.example")));
    rig.done(Kind::Create, of_step(1, Phase::Created));
    rig.done(Kind::Start, of_step(1, Phase::Running));
    rig.input(Input::Changed(ended(1, 0)));
    assert_eq!(pulled_with(&mut rig), None);
}

#[test]
fn one_that_fails_is_the_failure_of_the_task() {
    let there = vec![created(), of_step(1, Phase::Running)];
    let mut rig = Rig::ready(vec![with_steps()], there);
    rig.idle();
    rig.input(Input::Changed(ended(1, 4)));
    rig.idle();
    let reason = "pre_start ended with exit code 4".into();
    assert_eq!(rig.state(1), TaskState::Failed { reason });
}

#[test]
fn what_a_failed_one_printed_last_is_the_reason_too() {
    let mut rig = Rig::ready(vec![with_steps()], vec![created(), of_step(1, Phase::Running)]);
    let output = "connecting\n\x1b[31mno such host: db\n".to_owned();
    rig.input(Input::Changed(Container { output, ..ended(1, 4) }));
    let reason =
        "pre_start ended with exit code 4: connecting | \\u{1b}[31mno such host: db".into();
    assert_eq!(rig.state(1), TaskState::Failed { reason });
}

#[test]
fn a_restart_of_the_daemon_goes_on_where_it_was() {
    let mut rig = Rig::ready(vec![with_steps()], vec![created(), ended(1, 0)]);
    let (_, create) = made(&mut rig);
    assert_eq!(create.step, Some(3));
    let rig = Rig::ready(vec![with_steps()], vec![created(), of_step(1, Phase::Running)]);
    rig.idle();
}

#[test]
fn one_that_runs_for_a_task_that_is_to_stop_is_stopped_first() {
    let mut rig = Rig::ready(vec![with_steps()], vec![created(), of_step(1, Phase::Running)]);
    rig.view(vec![stopped(with_steps())]);
    let stop = rig.only(Kind::Stop);
    assert_eq!(stop.container(), Some(&ContainerId("s1".into())));
    assert!(rig.told(1).is_none_or(|s| !s.state.ended()));
    rig.input(Input::Done { action: stop, result: ActionResult::Done(Some(ended(1, 143))) });
    rig.idle();
    assert!(rig.state(1).ended());
}

#[test]
fn containers_of_steps_go_with_their_task() {
    let mut rig = Rig::ready(vec![with_steps()], vec![running(1), ended(1, 0), ended(3, 0)]);
    rig.idle();
    assert_eq!(rig.state(1), TaskState::Running);
    rig.observed(vec![exited(1, 0), ended(1, 0), ended(3, 0)]);
    rig.view(vec![]);
    let mut removed = 0;
    while let Some(action) = rig.actions.pop() {
        if action.kind() == Kind::Remove {
            removed += 1;
        }
        rig.input(Input::Done { action, result: ActionResult::Done(None) });
    }
    assert_eq!(removed, 3);
}

#[test]
fn one_whose_container_somebody_removed_is_not_run_beside_a_later_one() {
    let running = of_step(3, Phase::Running);
    let mut rig = Rig::ready(vec![with_steps()], vec![created(), ended(1, 0), running]);
    rig.idle();
    rig.input(Input::Gone(ContainerId("s1".into())));
    rig.idle();
    rig.input(Input::Changed(ended(3, 0)));
    rig.only(Kind::Start);
}
