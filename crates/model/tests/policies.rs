//! What projects may be handed of their hosts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::{Log, project, service};
use model::*;
use std::collections::{BTreeMap, BTreeSet};

fn deploy(log: &mut Log, powers: &[Power], grant: bool) -> Outcome {
    log.apply(Command::Deploy(Deploy {
        spec: project("shop", &[("web", service())]),
        seen: None,
        logins: BTreeMap::new(),
        contents: BTreeMap::new(),
        powers: permits(powers),
        grant,
    }))
}

fn set(log: &mut Log, grant: &[Power], revoke: &[Power]) -> Outcome {
    log.apply(Command::SetPolicy(SetPolicy {
        project: "shop".parse().unwrap(),
        grant: permits(grant),
        revoke: permits(revoke),
    }))
}

fn permits(powers: &[Power]) -> BTreeSet<Permit> {
    powers.iter().copied().map(Permit::whole).collect()
}

/// Permits as a person writes them.
fn written(words: &[&str]) -> BTreeSet<Permit> {
    words.iter().map(|w| w.parse().unwrap()).collect()
}

fn granted(log: &Log) -> BTreeSet<Permit> {
    log.state.granted(&"shop".parse().unwrap())
}

#[test]
fn attack_13_what_was_not_granted_is_refused_with_the_command_that_grants_it() {
    let mut log = Log::founded();
    set(&mut log, &[Power::Pid], &[]);
    let asked = [Power::Pid, Power::Privileged, Power::Devices];
    let Outcome::Refused(why) = deploy(&mut log, &asked, false) else {
        panic!("it was let through")
    };
    assert!(log.state.projects.is_empty());
    let why = why.to_string();
    assert!(why.ends_with("`clusterctl policy grant -p shop devices privileged`"), "{why}");
    set(&mut log, &[Power::Devices, Power::Privileged], &[]);
    assert!(matches!(deploy(&mut log, &asked, false), Outcome::Accepted { .. }));
}

#[test]
fn what_is_revoked_is_refused_from_the_next_deploy_on() {
    let mut log = Log::founded();
    set(&mut log, &[Power::Volumes, Power::Pid], &[]);
    deploy(&mut log, &[Power::Volumes], false);
    set(&mut log, &[], &[Power::Volumes]);
    assert_eq!(granted(&log), permits(&[Power::Pid]));
    assert_eq!(log.state.projects.len(), 1);
    assert!(matches!(deploy(&mut log, &[Power::Volumes], false), Outcome::Refused(_)));
    assert!(matches!(deploy(&mut log, &[], false), Outcome::Accepted { .. }));
    set(&mut log, &[], &Power::ALL);
    assert!(log.state.policies.is_empty());
}

#[test]
fn what_is_revoked_is_not_run_once_either() {
    let mut log = Log::founded();
    deploy(&mut log, &[Power::Pid], true);
    let run = |name: &str| {
        Command::Run(Run {
            project: "shop".parse().unwrap(),
            service: "web".parse().unwrap(),
            name: name.parse().unwrap(),
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            user: None,
            working_dir: None,
            depends: false,
            tty: false,
            interactive: false,
        })
    };
    assert!(matches!(log.apply(run("one")), Outcome::Accepted { .. }));
    set(&mut log, &[], &[Power::Pid]);
    let Outcome::Refused(why) = log.apply(run("two")) else { panic!("it was let through") };
    assert!(why.to_string().ends_with("`clusterctl policy grant -p shop pid`"), "{why}");
    set(&mut log, &[Power::Pid], &[]);
    assert!(matches!(log.apply(run("two")), Outcome::Accepted { .. }));
}

#[test]
fn a_deploy_that_grants_what_it_asks_for_is_recorded_as_such_and_refused_ones_grant_nothing() {
    let mut log = Log::founded();
    let moved = Command::Deploy(Deploy {
        spec: project("shop", &[("web", service())]),
        seen: Some(9),
        logins: BTreeMap::new(),
        contents: BTreeMap::new(),
        powers: permits(&[Power::Pid]),
        grant: true,
    });
    assert!(matches!(log.apply(moved), Outcome::Refused(Refusal::Moved { .. })));
    assert!(granted(&log).is_empty());
    assert!(matches!(deploy(&mut log, &[Power::Pid], true), Outcome::Accepted { .. }));
    assert_eq!(granted(&log), permits(&[Power::Pid]));
    let told = log
        .state
        .events
        .iter()
        .any(|e| e.event.to_string() == "shop may be handed of its hosts: pid");
    assert!(told);
}

#[test]
fn a_policy_outlives_its_project_and_there_is_a_limit() {
    let mut log = Log::founded();
    deploy(&mut log, &[Power::Pid], true);
    log.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes: false }));
    assert_eq!(granted(&log), permits(&[Power::Pid]));
    for n in 1..limits::POLICIES {
        let project = format!("p{n}").parse().unwrap();
        let grant = permits(&[Power::Pid]);
        log.apply(Command::SetPolicy(SetPolicy { project, grant, revoke: BTreeSet::new() }));
    }
    let more = SetPolicy {
        project: "more".parse().unwrap(),
        grant: permits(&[Power::Pid]),
        revoke: BTreeSet::new(),
    };
    assert!(matches!(log.apply(Command::SetPolicy(more)), Outcome::Refused(Refusal::Limit { .. })));
    assert_eq!(set(&mut log, &[Power::Uts], &[]), Outcome::Done);
}

#[test]
fn one_value_is_granted_without_the_others() {
    let mut log = Log::founded();
    let ask = |log: &mut Log, words: &[&str]| {
        let spec = project("shop", &[("web", service())]);
        let powers = written(words);
        let (logins, contents) = (BTreeMap::new(), BTreeMap::new());
        let grant = false;
        log.apply(Command::Deploy(Deploy { spec, seen: None, logins, contents, powers, grant }))
    };
    let set = |log: &mut Log, grant: &[&str], revoke: &[&str]| {
        let (grant, revoke) = (written(grant), written(revoke));
        log.apply(Command::SetPolicy(SetPolicy { project: "shop".parse().unwrap(), grant, revoke }))
    };
    set(&mut log, &["cap_add=SYS_TIME", "devices=/dev/fuse"], &[]);
    let asked = ["cap_add=SYS_ADMIN", "cap_add=SYS_TIME", "devices=/dev/fuse", "pid"];
    let Outcome::Refused(why) = ask(&mut log, &asked) else { panic!("it was let through") };
    let why = why.to_string();
    assert!(why.ends_with("`clusterctl policy grant -p shop cap_add=SYS_ADMIN pid`"), "{why}");
    // The whole of it stands for each value, and takes their place.
    set(&mut log, &["cap_add", "pid"], &[]);
    assert_eq!(granted(&log), written(&["cap_add", "devices=/dev/fuse", "pid"]));
    assert!(matches!(ask(&mut log, &asked), Outcome::Accepted { .. }));
    // A part of what was granted as a whole cannot be taken back.
    let Outcome::Refused(why) = set(&mut log, &[], &["cap_add=SYS_ADMIN"]) else { panic!() };
    assert!(why.to_string().contains("clusterctl policy revoke -p shop cap_add`"), "{why}");
    set(&mut log, &[], &["cap_add", "devices"]);
    assert_eq!(granted(&log), written(&["pid"]));
    set(&mut log, &["volumes=/a", "volumes=/b"], &[]);
    set(&mut log, &[], &["volumes=/a"]);
    assert_eq!(granted(&log), written(&["pid", "volumes=/b"]));
}

#[test]
fn there_is_a_limit_to_what_one_project_is_granted() {
    let mut log = Log::founded();
    let all = (0..=limits::PERMITS).map(|n| format!("volumes=/{n}").parse().unwrap()).collect();
    let set = SetPolicy { project: "shop".parse().unwrap(), grant: all, revoke: BTreeSet::new() };
    assert!(matches!(log.apply(Command::SetPolicy(set)), Outcome::Refused(Refusal::Limit { .. })));
    assert!(granted(&log).is_empty());
}
