//! What each command does to the state, and what it refuses.

mod common;

use common::{Log, deploy, join, project, published, service};
use model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn nothing_happens_before_a_cluster_is_founded_and_it_is_founded_once() {
    let mut log = Log { state: State::default(), at: Time(0) };
    assert_eq!(refused(log.apply(Command::SetVoters { count: 3 })), Refusal::NotFounded);
    let mut log = Log::founded();
    assert_eq!(log.state.nodes.len(), 1);
    assert!(log.state.voters.contains(&NodeId(1)));
    let again = Command::Found(Found {
        cluster: ClusterId("x".into()),
        authority: String::new(),
        sealed_key: vec![],
        manager_token: JoinToken { digest: String::new(), sealed: vec![] },
        worker_token: JoinToken { digest: String::new(), sealed: vec![] },
        mesh: None,
        node: join("n9", Role::Manager),
    });
    assert_eq!(refused(log.apply(again)), Refusal::AlreadyFounded);
}

#[test]
fn joining_is_idempotent_by_key_and_names_are_unique() {
    let mut log = Log::founded();
    let first = log.apply(Command::Join(join("n2", Role::Worker)));
    assert_eq!(first, Outcome::Joined { node: NodeId(2) });
    assert_eq!(
        log.apply(Command::Join(join("n2", Role::Worker))),
        first,
        "the same key is the same join"
    );
    let other_key = Join { key_digest: "other".into(), ..join("n2", Role::Worker) };
    assert!(matches!(refused(log.apply(Command::Join(other_key))), Refusal::NameInUse(_)));
    let replace_nobody = Join { replace: true, ..join("n7", Role::Worker) };
    assert!(matches!(
        refused(log.apply(Command::Join(replace_nobody))),
        Refusal::NothingToReplace(_)
    ));
}

#[test]
fn a_replaced_host_keeps_its_tasks_and_the_homes_of_its_volumes_under_a_new_id() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 2).unwrap();
    let volume = VolumeKey { project: "shop".parse().unwrap(), volume: "data".parse().unwrap() };
    log.apply(Command::Plan(vec![Change::Home { volume: volume.clone(), node: NodeId(2) }]));
    let again = Join { key_digest: "new".into(), replace: true, ..join("n2", Role::Worker) };
    let alive = refused(log.apply(Command::Join(again.clone())));
    assert!(matches!(alive, Refusal::ReplaceAlive(_)), "its address proves nothing: {alive:?}");
    for readiness in [Readiness::Suspect, Readiness::Lost] {
        assert!(matches!(
            refused(log.apply(Command::Join(again.clone()))),
            Refusal::ReplaceAlive(_)
        ));
        log.apply(Command::Judge(vec![Verdict { node: NodeId(2), readiness }]));
    }
    let outcome = log.apply(Command::Join(again));
    let Outcome::Joined { node } = outcome else { panic!("{outcome:?}") };
    assert_ne!(node, NodeId(2));
    assert!(!log.state.nodes.contains_key(&NodeId(2)));
    assert_eq!(log.state.tasks[&task].node, node);
    assert_eq!(log.state.tasks_on(node).count(), 1);
    assert_eq!(log.state.volumes[&volume].home, node);
}

#[test]
fn a_host_that_announced_its_stop_is_replaced_at_once() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    let away = Some(Duration::from_secs(60));
    let facts = common::facts();
    log.apply(Command::Refresh(Refresh { node: NodeId(2), facts, address: None, away }));
    let again = Join { key_digest: "new".into(), replace: true, ..join("n2", Role::Worker) };
    assert!(matches!(log.apply(Command::Join(again)), Outcome::Joined { .. }));
}

#[test]
fn nobody_is_replaced_under_another_role_or_at_the_cost_of_the_quorum() {
    let mut log = Log::founded();
    for name in ["n2", "n3"] {
        log.apply(Command::Join(join(name, Role::Manager)));
    }
    let voters = |ids: &[u64]| ids.iter().map(|n| NodeId(*n)).collect();
    log.apply(Command::Plan(vec![Change::Voters { was: voters(&[1]), to: voters(&[1, 2, 3]) }]));
    let judge = |node, readiness| Command::Judge(vec![Verdict { node: NodeId(node), readiness }]);
    log.apply(judge(2, Readiness::Lost));
    let as_role = |role| {
        let key_digest = "new".into();
        Command::Join(Join { key_digest, replace: true, ..join("n2", role) })
    };
    let why = refused(log.apply(as_role(Role::Worker)));
    let name: NodeName = "n2".parse().unwrap();
    assert_eq!(why, Refusal::ReplaceRole { name, is: Role::Manager });
    assert!(why.to_string().contains("manager token"), "{why}");
    log.apply(judge(3, Readiness::Suspect));
    let why = refused(log.apply(as_role(Role::Manager)));
    assert!(matches!(why, Refusal::WouldLoseQuorum { ready: 1, needed: 2, .. }), "{why:?}");
    log.apply(judge(3, Readiness::Ready));
    assert!(matches!(log.apply(as_role(Role::Manager)), Outcome::Joined { .. }));
}

#[test]
fn attack_04_25_a_lying_node_is_clamped_and_speaks_of_its_own_tasks_only() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    let facts =
        Facts { milli_cpus: u64::MAX, memory: u64::MAX, memory_free: u64::MAX, ..common::facts() };
    log.apply(Command::Refresh(Refresh { node: NodeId(2), facts, address: None, away: None }));
    assert_eq!(log.state.nodes[&NodeId(2)].facts.milli_cpus, limits::NODE_MILLI_CPUS);
    assert_eq!(log.state.nodes[&NodeId(2)].facts.memory, limits::NODE_MEMORY);
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    log.report(2, task, TaskState::Exited { code: 1 }, false);
    assert_eq!(log.state.tasks[&task].state, TaskState::Assigned);
    let reason = "x\u{7}".repeat(4000);
    log.report(1, task, TaskState::Failed { reason }, false);
    let TaskState::Failed { reason } = &log.state.tasks[&task].state else { panic!() };
    assert_eq!(reason.len(), limits::REASON_BYTES);
    assert!(!reason.contains('\u{7}'));
}

#[test]
fn attack_25_a_lying_node_takes_no_more_than_it_has_and_fills_no_memory() {
    let mut log = Log::founded();
    let busy_ports = (1..=u16::MAX).collect();
    let facts = Facts { busy_ports, ..common::facts() };
    log.apply(Command::Refresh(Refresh { node: NodeId(1), facts, address: None, away: None }));
    assert_eq!(log.state.nodes[&NodeId(1)].facts.busy_ports.len(), limits::BUSY_PORTS);
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    let (memory, restarts_in_place) = (u64::MAX, u32::MAX);
    let state = TaskState::Running;
    let status =
        TaskStatus { task, state, healthy: true, address: None, memory, restarts_in_place };
    let report = Report { node: NodeId(1), statuses: vec![status], deleted_volumes: vec![] };
    log.apply(Command::Report(report));
    let task = &log.state.tasks[&task];
    assert_eq!(task.memory, common::facts().memory, "no more than its node has");
    assert_eq!(task.restarts_in_place, limits::RESTARTS_IN_PLACE);
}

#[test]
fn fault_36_the_level_never_falls_and_who_does_not_understand_it_stays_out() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    let at = |level| Facts { level, ..common::facts() };
    let say = |node, level| {
        let (node, facts) = (NodeId(node), at(level));
        Command::Refresh(Refresh { node, facts, address: None, away: None })
    };
    let now = limits::LEVEL;
    log.apply(say(1, now + 2));
    assert_eq!(log.state.level, now, "what all understand");
    log.apply(say(2, now + 1));
    assert_eq!(log.state.level, now + 1);
    log.apply(say(2, 0));
    assert_eq!(log.state.level, now + 1, "entries of that level may be in the log");
    let old = Command::Join(join("n3", Role::Worker));
    let why = refused(log.apply(old));
    assert_eq!(why, Refusal::LevelTooLow { level: now, needed: now + 1 });
    assert!(why.to_string().contains("upgrade"), "{why}");
    let new = Command::Join(Join { facts: at(now + 1), ..join("n3", Role::Worker) });
    assert!(matches!(log.apply(new), Outcome::Joined { .. }));
}

#[test]
fn a_task_never_goes_back_and_ends_once() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    log.report(1, task, TaskState::Running, true);
    log.report(1, task, TaskState::Preparing, false);
    assert_eq!(log.state.tasks[&task].state, TaskState::Running);
    log.report(1, task, TaskState::Exited { code: 3 }, false);
    log.report(1, task, TaskState::Failed { reason: "late".into() }, false);
    assert_eq!(log.state.tasks[&task].state, TaskState::Exited { code: 3 });
    assert_eq!(log.state.tasks[&task].address, None);
}

#[test]
fn health_goes_both_ways_and_its_age_starts_anew() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    log.report(1, task, TaskState::Running, true);
    log.pass(Duration::from_secs(5));
    log.report(1, task, TaskState::Running, false);
    assert!(!log.state.tasks[&task].serving());
    log.report(1, task, TaskState::Running, true);
    assert_eq!(log.state.tasks[&task].healthy_since, Some(Time(5000)));
    assert_eq!(log.state.tasks[&task].running_since, Some(Time(0)));
}

#[test]
fn since_when_it_runs_is_shown_by_the_wall_clock() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    let made = log.state.tasks[&task].since;
    log.pass(Duration::from_secs(5));
    log.report(1, task, TaskState::Running, true);
    let runs = log.state.tasks[&task].since;
    assert!(runs > made, "{runs:?} is not after {made:?}");
    log.pass(Duration::from_secs(5));
    log.report(1, task, TaskState::Running, false);
    assert_eq!(log.state.tasks[&task].since, runs);
}

#[test]
fn a_change_whose_ground_moved_is_dropped_alone() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let web = log.service("shop", "web").id;
    let create = |generation, newest| Change::Create {
        service: web,
        generation,
        slot: Slot::Number(1),
        node: NodeId(1),
        newest,
        cause: Cause::Wanted,
    };
    let outcome = log.apply(Command::Plan(vec![create(7, None), create(1, None), create(1, None)]));
    assert_eq!(outcome, Outcome::Planned { applied: 1, dropped: 2 });
    let task = *log.state.tasks.keys().next().unwrap();
    let stop = |task| Change::Stop { task, cause: Cause::ScaledDown };
    let outcome = log.apply(Command::Plan(vec![stop(task), stop(task), Change::Forget { task }]));
    assert_eq!(outcome, Outcome::Planned { applied: 1, dropped: 2 });
    let volume = VolumeKey { project: "shop".parse().unwrap(), volume: "data".parse().unwrap() };
    let home = |node| Change::Home { volume: volume.clone(), node: NodeId(node) };
    let outcome = log.apply(Command::Plan(vec![home(9), home(1), home(1)]));
    assert_eq!(outcome, Outcome::Planned { applied: 1, dropped: 2 });
}

#[test]
fn fault_01_a_repeated_request_happens_once_and_an_old_one_is_refused() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let request = RequestId { stamp: log.state.now, high: 1, low: 2 };
    let scale = |count| {
        let counts = BTreeMap::from([("web".parse().unwrap(), count)]);
        Command::Scale(Scale { project: "shop".parse().unwrap(), counts, seen: None })
    };
    let first = log.request(Some(request), scale(3));
    log.apply(scale(5));
    assert_eq!(log.request(Some(request), scale(3)), first);
    assert_eq!(log.service("shop", "web").scale, 5, "the retry changed nothing");
    log.pass(limits::REQUEST_KEPT + Duration::from_secs(1));
    assert_eq!(refused(log.request(Some(request), scale(3))), Refusal::RequestTooOld);
    assert!(log.state.requests.is_empty(), "forgotten in time");
}

#[test]
fn fault_27_a_request_stamped_by_a_clock_that_was_ahead_happens_once_until_it_is_refused() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let scale = |count| {
        let counts = BTreeMap::from([("web".parse().unwrap(), count)]);
        Command::Scale(Scale { project: "shop".parse().unwrap(), counts, seen: None })
    };
    let ahead = |by| RequestId { stamp: Time(0) + by, high: 1, low: 2 };
    let second = Duration::from_secs(1);
    let beyond = log.request(Some(ahead(limits::REQUEST_KEPT + second)), scale(3));
    assert_eq!(refused(beyond), Refusal::RequestTooOld);
    let end = log.request(Some(RequestId { stamp: Time(u64::MAX), high: 1, low: 2 }), scale(3));
    assert_eq!(refused(end), Refusal::RequestTooOld);
    // After a change of leader, cluster time goes on from the last entry.
    let request = ahead(limits::REQUEST_KEPT);
    let first = log.request(Some(request), scale(3));
    assert!(matches!(first, Outcome::Accepted { .. }), "{first:?}");
    log.apply(scale(5));
    let mut remembered = 0;
    loop {
        log.pass(second);
        match log.request(Some(request), scale(3)) {
            Outcome::Refused(why) => break assert_eq!(why, Refusal::RequestTooOld),
            again => assert_eq!(again, first),
        }
        assert_eq!(log.service("shop", "web").scale, 5, "the retry changed nothing");
        remembered += 1;
    }
    assert_eq!(remembered, 2 * limits::REQUEST_KEPT.as_secs(), "as long as it is not refused");
    assert!(log.state.requests.is_empty(), "forgotten in time");
}

#[test]
fn attack_26_of_two_admins_who_saw_the_same_generation_one_wins() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let deploy = |seen| {
        Command::Deploy(Deploy {
            spec: project("shop", &[("web", service())]),
            seen: Some(seen),
            logins: BTreeMap::new(),
            contents: BTreeMap::new(),
            powers: BTreeSet::new(),
            grant: false,
        })
    };
    assert!(matches!(log.apply(deploy(1)), Outcome::Accepted { generation: 2, .. }));
    assert!(matches!(refused(log.apply(deploy(1))), Refusal::Moved { seen: 1, is: 2, .. }));
}

#[test]
fn a_deploy_says_what_it_scaled_and_keeps_a_scale_the_file_does_not_speak_of() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let counts = BTreeMap::from([("web".parse().unwrap(), 4)]);
    log.apply(Command::Scale(Scale { project: "shop".parse().unwrap(), counts, seen: None }));
    log.apply(deploy("shop", &[("web", service())]));
    assert_eq!(log.service("shop", "web").scale, 4);
    let two = ServiceSpec { mode: Mode::Replicated { replicas: Some(2) }, ..service() };
    let Outcome::Accepted { scaled, changed, .. } = log.apply(deploy("shop", &[("web", two)]))
    else {
        panic!()
    };
    assert_eq!(scaled, [("web".parse().unwrap(), 4, 2)]);
    assert_eq!(changed, [], "a count is no new generation");
    let mut other = service();
    other.container.image.reference = "web:2".into();
    let Outcome::Accepted { changed, .. } = log.apply(deploy("shop", &[("web", other)])) else {
        panic!()
    };
    assert_eq!(changed, ["web".parse().unwrap()]);
    assert_eq!(log.service("shop", "web").generation, 2);
}

#[test]
fn attack_21_a_port_belongs_to_one_service() {
    let mut log = Log::founded();
    let with = |port| ServiceSpec { ports: vec![published(port)], ..service() };
    log.apply(deploy("shop", &[("web", with(8080))]));
    let why = refused(log.apply(deploy("blog", &[("www", with(8080))])));
    assert_eq!(
        why.to_string(),
        "port 8080, which blog/www publishes, is published by shop/web already"
    );
    assert!(matches!(
        refused(log.apply(deploy("blog", &[("www", with(7070))]))),
        Refusal::PortReserved { .. }
    ));
    let clash = deploy("blog", &[("a", with(9000)), ("b", with(9000))]);
    assert!(matches!(refused(log.apply(clash)), Refusal::PortTaken { .. }));
    assert!(
        !log.state.projects.contains_key(&"blog".parse::<ProjectName>().unwrap()),
        "nothing was stored"
    );
    log.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes: false }));
    assert!(matches!(log.apply(deploy("blog", &[("www", with(8080))])), Outcome::Accepted { .. }));
}

#[test]
fn a_service_that_left_the_file_is_dropped_after_its_last_task() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service()), ("old", service())]));
    let old = log.service("shop", "old").id;
    let task = log.create("shop", "old", 1, 1).unwrap();
    log.apply(deploy("shop", &[("web", service())]));
    assert!(log.state.services[&old].removed);
    let drop = || Command::Plan(vec![Change::Drop { service: old }]);
    assert_eq!(log.apply(drop()), Outcome::Planned { applied: 0, dropped: 1 });
    log.report(1, task, TaskState::Exited { code: 0 }, false);
    log.apply(Command::Plan(vec![Change::Forget { task }]));
    assert_eq!(log.apply(drop()), Outcome::Planned { applied: 1, dropped: 0 });
    assert!(!log.state.services.contains_key(&old));
}

#[test]
fn fault_29_removing_a_node_never_loses_the_quorum() {
    let mut log = Log::founded();
    for name in ["n2", "n3"] {
        log.apply(Command::Join(join(name, Role::Manager)));
    }
    let voters = |ids: &[u64]| ids.iter().map(|n| NodeId(*n)).collect();
    log.apply(Command::Plan(vec![Change::Voters { was: voters(&[1]), to: voters(&[1, 2, 3]) }]));
    let lose =
        |node| Command::Judge(vec![Verdict { node: NodeId(node), readiness: Readiness::Lost }]);
    let rm = |node, force| Command::RemoveNode(RemoveNode { node: NodeId(node), force });
    assert!(matches!(refused(log.apply(rm(2, false))), Refusal::NodeReady(_)));
    log.apply(lose(3));
    let why = refused(log.apply(rm(2, true)));
    assert!(matches!(why, Refusal::WouldLoseQuorum { ready: 1, needed: 2, .. }), "{why:?}");
    let demote = |node| {
        Command::SetNode(SetNode {
            node: NodeId(node),
            availability: None,
            role: Some(Role::Worker),
            labels: BTreeMap::new(),
        })
    };
    assert!(matches!(refused(log.apply(demote(2))), Refusal::WouldLoseQuorum { .. }));
    assert_eq!(log.apply(rm(3, false)), Outcome::Done);
    assert!(!log.state.nodes.contains_key(&NodeId(3)));
    assert_eq!(refused(log.apply(Command::SetVoters { count: 4 })), Refusal::BadVoterCount(4));
}

#[test]
fn the_only_voter_is_told_how_to_leave() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Manager)));
    let rm = Command::RemoveNode(RemoveNode { node: NodeId(1), force: true });
    let why = refused(log.apply(rm));
    assert!(matches!(why, Refusal::WouldLoseQuorum { ready: 0, needed: 1, .. }), "{why:?}");
    assert!(why.to_string().contains("clusterctl nodes drain n1"), "{why}");
}

#[test]
fn fault_11_flaps_lengthen_the_wait_and_calm_forgets_them() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    let (steady, most) = (Timers::LAN.steady, Timers::LAN.steady_max);
    let judge = |readiness| Command::Judge(vec![Verdict { node: NodeId(2), readiness }]);
    let wait = |log: &Log| {
        let node = &log.state.nodes[&NodeId(2)];
        node.trusted_from(steady, most).since(node.readiness_since)
    };
    let mut waits = Vec::new();
    for _ in 0..8 {
        log.apply(judge(Readiness::Lost));
        log.pass(Duration::from_secs(1));
        log.apply(judge(Readiness::Ready));
        waits.push(wait(&log).as_secs());
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    let since = log.state.nodes[&NodeId(2)].readiness_since;
    log.apply(judge(Readiness::Suspect));
    log.apply(judge(Readiness::Ready));
    let after = log.state.nodes[&NodeId(2)].readiness_since;
    assert!(after >= since, "a suspect that is heard again was never gone");
    log.pass(Duration::from_secs(3600));
    log.apply(judge(Readiness::Lost));
    log.apply(judge(Readiness::Ready));
    assert_eq!(wait(&log).as_secs(), 5);
}

#[test]
fn specs_live_as_long_as_a_task_needs_them() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    let mut changed = service();
    changed.container.image.reference = "web:2".into();
    log.apply(deploy("shop", &[("web", changed)]));
    assert_eq!(log.service("shop", "web").specs.len(), 2);
    assert_eq!(log.service("shop", "web").spec_of(1).container.image.reference, "web:1");
    log.report(1, task, TaskState::Exited { code: 0 }, false);
    log.apply(Command::Plan(vec![Change::Forget { task }]));
    assert_eq!(log.service("shop", "web").specs.len(), 2, "it could still go back");
    let moved = log.service("shop", "web").rollout.as_ref().unwrap().moved;
    let (service, step) = (log.service("shop", "web").id, RolloutStep::Complete);
    log.apply(Command::Plan(vec![Change::Rollout { service, moved, step }]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    let mut again = common::service();
    again.container.image.reference = "web:3".into();
    log.apply(deploy("shop", &[("web", again)]));
    log.report(1, task, TaskState::Exited { code: 0 }, false);
    log.apply(Command::Plan(vec![Change::Forget { task }]));
    assert_eq!(log.service("shop", "web").specs.keys().copied().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_stored_state_is_the_same_after_loading() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    log.create("shop", "web", 1, 1).unwrap();
    let text = serde_json::to_string(&log.state.events).unwrap();
    assert!(text.contains("Placed"));
}

fn after(on: &str, required: bool) -> ServiceSpec {
    let condition = DependencyCondition::Started;
    let dependency =
        Dependency { service: on.parse().expect("a name"), condition, required, restart: false };
    ServiceSpec { depends_on: vec![dependency], ..service() }
}

#[test]
fn services_that_wait_for_each_other_are_refused_with_the_circle() {
    let mut log = Log::founded();
    let services = [("a", after("b", true)), ("b", after("c", true)), ("c", after("b", false))];
    let why = refused(log.apply(deploy("shop", &services)));
    assert_eq!(why.to_string(), "services wait for each other: b -> c -> b");
    assert!(log.state.projects.is_empty());
    let why = refused(log.apply(deploy("shop", &[("a", after("a", true))])));
    assert_eq!(why.to_string(), "services wait for each other: a -> a");
}

#[test]
fn a_service_that_another_cannot_do_without_must_be_there() {
    let mut log = Log::founded();
    let why = refused(log.apply(deploy("shop", &[("web", after("db", true))])));
    assert_eq!(why.to_string(), "web depends on db, which the project does not have");
    let accepted = log.apply(deploy("shop", &[("web", after("db", false))]));
    assert!(matches!(accepted, Outcome::Accepted { .. }), "{accepted:?}");
}

fn answers(host: &str, path: &str) -> ServiceSpec {
    let matches = HttpMatch { host: Some(host.into()), path: path.into() };
    ServiceSpec { http: vec![HttpRule { matches, port: 80, tls: None }], ..service() }
}

#[test]
fn a_host_and_path_belong_to_one_service() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", answers("a.example", "/"))]));
    let why = refused(log.apply(deploy("blog", &[("www", answers("a.example", "/"))])));
    assert_eq!(
        why.to_string(),
        "requests for a.example/, which blog/www is to answer, are answered by shop/web already; give one of the two another host or path"
    );
    let other = deploy("blog", &[("www", answers("a.example", "/blog"))]);
    assert!(matches!(log.apply(other), Outcome::Accepted { .. }));
    let again = deploy("shop", &[("web", answers("a.example", "/"))]);
    assert!(
        matches!(log.apply(again), Outcome::Accepted { .. }),
        "its own do not stand in its way"
    );
}

#[test]
fn the_shared_ports_are_nobodys_while_a_service_is_reached_by_host() {
    let mut log = Log::founded();
    let with = |port| ServiceSpec { ports: vec![published(port)], ..service() };
    log.apply(deploy("old", &[("proxy", with(80))]));
    let why = refused(log.apply(deploy("shop", &[("web", answers("a.example", "/"))])));
    assert_eq!(
        why.to_string(),
        "port 80, which old/proxy publishes, is shared by the services that are reached by host and path, such as shop/web; publish another port, or give that service `x-cluster: {http: []}`"
    );
    log.apply(Command::Remove(Remove { project: "old".parse().unwrap(), volumes: false }));
    log.apply(deploy("shop", &[("web", answers("a.example", "/"))]));
    let why = refused(log.apply(deploy("old", &[("proxy", with(443))])));
    assert!(matches!(why, Refusal::HttpPort { port: 443, .. }));
}

#[test]
fn the_shared_ports_are_those_that_nodes_are_told_to_answer_at() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    let tell = |node, ports: &[u16]| {
        let facts = Facts { shared_ports: ports.iter().copied().collect(), ..common::facts() };
        Command::Refresh(Refresh { node: NodeId(node), facts, address: None, away: None })
    };
    let with = |port| {
        deploy("old", &[("proxy", ServiceSpec { ports: vec![published(port)], ..service() })])
    };
    log.apply(tell(1, &[8080, 8443]));
    log.apply(deploy("shop", &[("web", answers("a.example", "/"))]));
    let why = refused(log.apply(with(80)));
    assert!(matches!(why, Refusal::HttpPort { port: 80, .. }), "node 2 has not said: {why}");
    log.apply(tell(2, &[8080, 9443]));
    for taken in [8080, 8443, 9443] {
        let why = refused(log.apply(with(taken)));
        assert!(matches!(why, Refusal::HttpPort { port, .. } if port == taken), "{why}");
    }
    assert!(matches!(log.apply(with(80)), Outcome::Accepted { .. }), "no node answers there");
    log.apply(tell(2, &[1, 2, 3, 4]));
    assert_eq!(log.state.nodes[&NodeId(2)].facts.shared_ports.len(), limits::SHARED_PORTS);
}

#[test]
fn another_rule_makes_no_new_generation() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", answers("a.example", "/"))]));
    log.apply(deploy("shop", &[("web", answers("b.example", "/"))]));
    assert_eq!(log.service("shop", "web").generation, 1);
}
