//! What is proposed while some nodes run an older release, and what becomes of it.

mod common;

use common::{Log, deploy, join, service};
use model::*;
use std::collections::BTreeSet;

/// A cluster with a node whose build understands so much.
fn with_level(level: u32) -> Log {
    let mut log = Log::founded_by(Facts { level, ..common::facts() });
    log.apply(Command::Join(Join {
        facts: Facts { level, ..common::facts() },
        ..join("n2", Role::Manager)
    }));
    assert_eq!(log.state.level, level);
    log
}

/// The second node is upgraded after the first.
fn upgrade(log: &mut Log) {
    for node in [NodeId(1), NodeId(2)] {
        let facts = common::facts();
        log.apply(Command::Refresh(Refresh { node, facts, address: None, away: None }));
    }
}

fn pause() -> Command {
    let project = "shop".parse().expect("a name");
    let wish = RolloutWish::Pause;
    Command::SetRollout(SetRollout { project, services: BTreeSet::new(), wish })
}

/// A deploy of a service that is changed.
fn changed(change: impl FnOnce(&mut ServiceSpec)) -> Command {
    let mut spec = service();
    change(&mut spec);
    deploy("shop", &[("web", spec)])
}

#[test]
fn what_a_node_would_not_understand_is_not_proposed_before_all_are_upgraded() {
    let mut log = with_level(2);
    let motd = ContentKey { kind: ContentKind::Config, name: "motd".parse().unwrap() };
    let create = Command::RemoveContent(motd);
    let policy = Command::SetPolicy(SetPolicy {
        project: "shop".parse().expect("a name"),
        grant: [Permit::whole(Power::Privileged)].into(),
        revoke: BTreeSet::new(),
    });
    let back = RolloutStep::Complete;
    let plan = Command::Plan(vec![Change::Rollout { service: ServiceId(1), moved: 1, step: back }]);
    for command in [pause(), create, policy, plan] {
        let why = log.state.not_understood(&command).unwrap_or_else(|| panic!("{command:?}"));
        let nodes = vec!["n1".parse().unwrap(), "n2".parse().unwrap()];
        assert_eq!(why, Refusal::NotUnderstood { nodes, level: 2, needed: 3 });
        assert!(why.to_string().contains("n1, n2") && why.to_string().contains("upgrade"));
    }
    upgrade(&mut log);
    assert_eq!(log.state.not_understood(&pause()), None);
}

#[test]
fn a_deploy_needs_what_its_services_need() {
    let state = with_level(2).state;
    let held = |change: fn(&mut ServiceSpec)| state.not_understood(&changed(change)).is_some();
    assert!(!held(|_| {}));
    assert!(!held(|s| s.update.order = Some(UpdateOrder::StopFirst)));
    assert!(held(|s| s.update.parallelism = Some(2)));
    assert!(held(|s| s.rollback.delay = Some(std::time::Duration::ZERO)));
    assert!(held(|s| s.update.failure_action = Some(FailureAction::Pause)));
    assert!(held(|s| s.container.hooks.pre_stop.push(Hook::default())));
    let Command::Deploy(mut granting) = changed(|_| {}) else { panic!("a deploy") };
    granting.grant = true;
    assert!(state.not_understood(&Command::Deploy(granting)).is_some());
}

#[test]
fn members_that_know_no_roll_outs_come_to_the_same_state() {
    let mut log = with_level(2);
    log.apply(changed(|_| {}));
    log.create("shop", "web", 1, 1).unwrap();
    let image = |s: &mut ServiceSpec| s.container.image.reference = "web:2".into();
    log.apply(changed(image));
    assert_eq!(log.service("shop", "web").rollout, None);
    upgrade(&mut log);
    log.apply(changed(|_| {}));
    assert!(log.service("shop", "web").rollout.is_some());
}
