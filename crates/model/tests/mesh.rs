//! Who gets which address of the mesh, who gives it back, and what a node is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::{Log, deploy, join, service};
use model::*;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

fn log() -> Log {
    Log::founded_on("10.128.0.0/10")
}

fn given(log: &Log, task: TaskId) -> Ipv4Addr {
    log.state.tasks[&task].given.unwrap()
}

fn view(log: &Log, node: u64) -> View {
    log.state.view_for(NodeId(node), &log.state.shared())
}

fn subnets(log: &Log, project: &str) -> Vec<String> {
    let project: ProjectName = project.parse().unwrap();
    let of = log.state.subnets.get(&project);
    of.into_iter().flat_map(|of| of.values()).map(ToString::to_string).collect()
}

#[test]
fn ranges_are_read_and_written() {
    let pool: Subnet = "10.128.0.0/10".parse().unwrap();
    assert_eq!(pool.to_string(), "10.128.0.0/10");
    assert_eq!(pool.size(), 1 << 22);
    assert!(pool.contains([10, 191, 255, 255].into()) && !pool.contains([10, 192, 0, 0].into()));
    assert!(pool.overlaps("10.130.0.0/16".parse().unwrap()));
    assert!(pool.overlaps("10.0.0.0/8".parse().unwrap()));
    assert!(!pool.overlaps("172.30.0.0/24".parse().unwrap()));
    assert!("0.0.0.0/0".parse::<Subnet>().unwrap().overlaps(pool));
    for wrong in ["10.128.0.0", "10.128.0.1/10", "10.128.0.0/33", "10.128.0/10", "::/0", "a/1"] {
        let said = wrong.parse::<Subnet>().unwrap_err().to_string();
        assert!(said.contains(wrong) && said.contains("10.128.0.0/10"), "{said}");
    }
}

#[test]
fn each_project_has_a_subnet_per_node_and_each_task_an_address_of_it() {
    let mut log = log();
    log.apply(deploy("shop", &[("web", service()), ("db", service())]));
    log.apply(deploy("blog", &[("web", service())]));
    let one = log.create("shop", "web", 1, 1).unwrap();
    let two = log.create("shop", "web", 2, 1).unwrap();
    let three = log.create("blog", "web", 1, 1).unwrap();
    let four = log.create("shop", "db", 1, 2).unwrap();
    let addresses: Vec<String> =
        [one, two, three, four].iter().map(|t| given(&log, *t).to_string()).collect();
    assert_eq!(addresses, ["10.128.0.2", "10.128.0.3", "10.128.2.2", "10.128.4.2"]);
    assert_eq!(subnets(&log, "shop"), ["10.128.0.0/23", "10.128.4.0/23"]);
    let virtuals: BTreeSet<_> = log.state.services.values().map(|s| s.address.unwrap()).collect();
    assert_eq!(virtuals.len(), 3, "each service has its own");
    assert_eq!(virtuals.first().unwrap().to_string(), "10.176.0.0");
}

#[test]
fn an_address_given_back_is_used_again_as_late_as_possible() {
    let mut log = log();
    log.apply(deploy("shop", &[("web", service())]));
    let mut seen = BTreeSet::new();
    let stays = log.create("shop", "web", 1, 1).unwrap();
    for _ in 0..508 {
        let task = log.create("shop", "web", 2, 1).unwrap();
        assert!(seen.insert(given(&log, task)), "{} came back early", given(&log, task));
        log.report(1, task, TaskState::Exited { code: 0 }, false);
    }
    let task = log.create("shop", "web", 2, 1).unwrap();
    assert_ne!(given(&log, task), given(&log, stays), "what is held is never given again");
    assert!(seen.contains(&given(&log, task)));
    assert!(!seen.contains(&"10.128.1.255".parse().unwrap()), "that is for broadcasts");
    assert!(!seen.contains(&"10.128.0.1".parse().unwrap()), "that is the gateway's");
}

#[test]
fn subnets_go_with_the_project_or_the_node_and_stay_with_the_host() {
    let mut log = log();
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 2).unwrap();
    log.apply(Command::Judge(vec![Verdict { node: NodeId(2), readiness: Readiness::Lost }]));
    let again = Join { replace: true, key_digest: "new".into(), ..join("n2", Role::Worker) };
    let Outcome::Joined { node } = log.apply(Command::Join(again)) else { panic!("not admitted") };
    let subnet = |node| log.state.subnet_for(log.service("shop", "web"), node);
    assert_eq!(subnet(node).map(|s| s.to_string()).as_deref(), Some("10.128.0.0/23"));
    assert_eq!(subnet(NodeId(2)), None);

    log.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes: false }));
    assert_eq!(subnets(&log, "shop").len(), 1, "its container still runs");
    log.report(node.0, task, TaskState::Exited { code: 0 }, false);
    let id = log.state.services.keys().next().copied().unwrap();
    log.apply(Command::Plan(vec![Change::Forget { task }, Change::Drop { service: id }]));
    assert!(log.state.subnets.is_empty());

    log.apply(deploy("blog", &[("web", service())]));
    log.create("blog", "web", 1, node.0).unwrap();
    assert_eq!(subnets(&log, "blog"), ["10.128.0.0/23"]);
    log.apply(Command::RemoveNode(RemoveNode { node, force: true }));
    assert_eq!(subnets(&log, "blog"), [""; 0]);
}

#[test]
fn a_pool_that_is_used_up_refuses_the_task() {
    let mut log = Log::founded_on("10.128.0.0/16");
    for n in 0..96 {
        log.apply(deploy(&format!("p{n}"), &[("web", service())]));
        assert!(log.create(&format!("p{n}"), "web", 1, 1).is_some(), "subnet {n}");
    }
    log.apply(deploy("more", &[("web", service())]));
    assert!(log.create("more", "web", 1, 1).is_none());
    assert!(log.create("p1", "web", 2, 1).is_some(), "there is room in a subnet that exists");
    assert!(log.create("p1", "web", 3, 2).is_none(), "on another node there is none");
    assert!(log.state.pool_used_up());
}

#[test]
fn a_node_is_told_of_its_networks_only_and_of_what_may_get_connections() {
    let mut log = log();
    log.apply(deploy("shop", &[("web", service())]));
    log.apply(deploy("blog", &[("web", service())]));
    let here = log.create("shop", "web", 1, 1).unwrap();
    let there = log.create("shop", "web", 2, 2).unwrap();
    log.create("blog", "web", 1, 2).unwrap();
    let mesh = view(&log, 1).mesh.unwrap();
    let projects: Vec<_> = mesh.networks.iter().map(|n| n.project.as_str()).collect();
    assert_eq!(projects, ["shop"]);
    assert_eq!(mesh.networks[0].subnets.len(), 2);
    assert_eq!(mesh.networks[0].services[0].replicas, [], "nothing runs yet");

    log.report(1, here, TaskState::Running, true);
    log.report(2, there, TaskState::Running, true);
    let serving = |log: &Log| -> Vec<TaskId> {
        let mesh = view(log, 1).mesh.unwrap();
        mesh.networks[0].services[0].replicas.iter().map(|r| r.task).collect()
    };
    assert_eq!(serving(&log), [here, there]);
    log.report(1, here, TaskState::Running, false);
    assert_eq!(serving(&log), [there], "an unhealthy one is left out");
    log.apply(Command::Judge(vec![Verdict { node: NodeId(2), readiness: Readiness::Suspect }]));
    assert_eq!(serving(&log), [], "one on a suspect node too");
    log.apply(Command::Judge(vec![Verdict { node: NodeId(2), readiness: Readiness::Ready }]));
    assert_eq!(serving(&log), [there], "and is back at once");
    let attachment = view(&log, 1).tasks[0].attachment.unwrap();
    assert_eq!((attachment.address, attachment.number), (given(&log, here), 0));
}

#[test]
fn without_a_mesh_there_is_nothing_of_it() {
    let mut log = Log::founded();
    log.apply(deploy("shop", &[("web", service())]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    assert_eq!(log.state.tasks[&task].given, None);
    assert_eq!(log.service("shop", "web").address, None);
    let view = view(&log, 1);
    assert!(view.mesh.is_none() && view.tasks[0].attachment.is_none());
}

#[test]
fn a_service_on_no_network_of_its_own_has_no_name_there() {
    let mut log = log();
    let mut host = service();
    host.container.engine.network_mode = Some("host".into());
    let named = ServiceSpec { round_robin: true, ..service() };
    log.apply(deploy("shop", &[("host", host), ("web", named)]));
    log.create("shop", "host", 1, 1).unwrap();
    let view = view(&log, 1);
    assert_eq!(view.tasks[0].attachment, None);
    let services = &view.mesh.unwrap().networks[0].services;
    assert_eq!(services.len(), 1);
    assert_eq!((services[0].name.as_str(), services[0].address), ("web", None));
}

/// Who claims another's key could be sent what is meant for the other.
#[test]
fn a_key_is_the_first_nodes_that_has_it() {
    let mut log = Log::founded_on("10.0.0.0/16");
    let facts = |key: u8| Facts { mesh_key: Some(MeshKey([key; 32])), ..common::facts() };
    let refresh =
        |node: u64, facts| Refresh { node: NodeId(node), facts, address: None, away: None };
    let keys = |log: &Log| {
        let keys = log.state.nodes.values().map(|n| n.facts.mesh_key.map(|k| k.0[0]));
        keys.collect::<Vec<_>>()
    };
    log.apply(Command::Refresh(refresh(1, facts(1))));
    log.apply(Command::Refresh(refresh(2, facts(1))));
    assert_eq!(keys(&log), [Some(1), None]);
    log.apply(Command::Refresh(refresh(2, facts(2))));
    log.apply(Command::Refresh(refresh(1, facts(2))));
    assert_eq!(keys(&log), [None, Some(2)]);
    log.apply(Command::Refresh(refresh(1, facts(3))));
    let third = Join { facts: facts(3), ..join("n3", Role::Worker) };
    log.apply(Command::Join(third));
    assert_eq!(keys(&log), [Some(3), Some(2), None]);
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    assert_eq!(view.nodes[1].mesh_key, Some(MeshKey([2; 32])));
}
