//! What is run once beside a service.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::{Log, deploy, service};
use model::*;
use std::collections::BTreeMap;

fn run(service: &str, name: &str) -> Run {
    let [service, name] = [service, name].map(|name| name.parse().unwrap());
    Run {
        command: Some(vec!["migrate".into()]),
        environment: BTreeMap::from([("A".into(), "2".into())]),
        depends: false,
        ..Run::of("shop".parse().unwrap(), service, name)
    }
}

fn end(name: &str) -> Command {
    Command::EndRun(EndRun { project: "shop".parse().unwrap(), name: name.parse().unwrap() })
}

fn shop() -> Log {
    let mut log = Log::founded();
    let mut spec = service();
    spec.container.environment = [("A", "1"), ("B", "1")].map(|(k, v)| (k.into(), v.into())).into();
    spec.ports = vec![common::published(80)];
    log.apply(deploy("shop", &[("web", spec)]));
    log
}

fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn it_is_a_job_of_one_with_the_services_spec_and_its_own_words() {
    let mut log = shop();
    let outcome = log.apply(Command::Run(run("web", "one")));
    assert!(matches!(&outcome, Outcome::Accepted { changed, .. } if changed.len() == 1));
    let project: ProjectName = "shop".parse().unwrap();
    let one = log.state.runs_of(&project).next().unwrap();
    let spec = one.spec();
    assert!(spec.mode.job() && spec.ports.is_empty() && one.scale == 1);
    assert_eq!(spec.container.command, Some(vec!["migrate".into()]));
    assert!(!spec.container.tty && !spec.container.stdin_open);
    assert_eq!(spec.container.environment["A"], "2");
    assert_eq!(spec.container.environment["B"], "1");
    assert_eq!(
        spec.container.image,
        log.state.service(&project, &"web".parse().unwrap()).unwrap().spec().container.image
    );
}

#[test]
fn terminal_and_input_are_as_asked_and_not_the_services() {
    let mut log = shop();
    let mut spec = service();
    (spec.container.tty, spec.container.stdin_open) = (true, true);
    log.apply(deploy("shop", &[("web", spec)]));
    for (name, tty, interactive) in [("a", false, false), ("b", true, true), ("c", false, true)] {
        log.apply(Command::Run(Run { tty, interactive, ..run("web", name) }));
        let project: ProjectName = "shop".parse().unwrap();
        let made = log.state.runs_of(&project).find(|s| s.name.as_str() == name).unwrap();
        let container = &made.spec().container;
        assert_eq!((container.tty, container.stdin_open), (tty, interactive), "{name}");
    }
}

#[test]
fn another_deploy_leaves_it_and_the_end_of_the_project_does_not() {
    let mut log = shop();
    log.apply(Command::Run(run("web", "one")));
    let project: ProjectName = "shop".parse().unwrap();
    log.apply(deploy("shop", &[("web", service()), ("db", service())]));
    assert_eq!(log.state.runs_of(&project).count(), 1);
    log.apply(Command::Remove(Remove { project: project.clone(), volumes: false }));
    assert_eq!(log.state.runs_of(&project).count(), 0);
    assert!(log.state.services.values().all(|s| s.removed));
}

#[test]
fn names_are_its_own_until_it_is_taken_away() {
    let mut log = shop();
    let taken = |name: &str| Refusal::ServiceInUse(name.parse().unwrap());
    assert_eq!(refused(log.apply(Command::Run(run("web", "web")))), taken("web"));
    log.apply(Command::Run(run("web", "one")));
    assert_eq!(refused(log.apply(Command::Run(run("web", "one")))), taken("one"));
    assert_eq!(log.apply(end("one")), Outcome::Done);
    assert!(matches!(refused(log.apply(end("one"))), Refusal::NoService { .. }));
    assert!(matches!(log.apply(Command::Run(run("web", "one"))), Outcome::Accepted { .. }));
}

#[test]
fn there_is_a_service_to_run_it_as_and_a_limit() {
    let mut log = shop();
    assert!(matches!(refused(log.apply(Command::Run(run("x", "one")))), Refusal::NoService { .. }));
    for n in 0..limits::RUNS_PER_PROJECT {
        let outcome = log.apply(Command::Run(run("web", &format!("r{n}"))));
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    }
    assert!(matches!(refused(log.apply(Command::Run(run("web", "x")))), Refusal::Limit { .. }));
}

#[test]
fn nothing_of_it_is_shown_in_debug_output() {
    let text = format!("{:?}", run("web", "one"));
    assert!(!text.contains("\"2\"") && text.contains("one"), "{text}");
}
