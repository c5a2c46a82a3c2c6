//! Networks of one project, and those that projects share: who is found where.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::{Log, deploy, service};
use model::*;
use std::collections::BTreeMap;

fn log() -> Log {
    Log::founded_on("10.128.0.0/10")
}

fn on(networks: &[&str]) -> ServiceSpec {
    let joined = |name: &&str| ((*name).to_owned(), Joined::default());
    let networking =
        Networking { networks: networks.iter().map(joined).collect(), prefer_local: false };
    let networks = networks.iter().map(|name| (*name).to_owned()).collect();
    ServiceSpec { networks, networking, ..service() }
}

fn aliased(mut spec: ServiceSpec, network: &str, alias: &str) -> ServiceSpec {
    let joined = spec.networking.networks.get_mut(network).unwrap();
    joined.aliases.insert(alias.to_owned());
    spec
}

fn with_networks(command: Command, networks: &[(&str, NetworkSpec)]) -> Command {
    let Command::Deploy(mut deploy) = command else { panic!("not a deploy") };
    let own = networks.iter().map(|(name, spec)| ((*name).to_owned(), spec.clone()));
    deploy.spec.networks = own.collect();
    Command::Deploy(deploy)
}

/// web on front, api on both, db on back; one copy of each runs on either node.
fn stack(log: &mut Log) {
    let api = aliased(aliased(on(&["back", "front"]), "front", "app"), "back", "worker");
    let internal = NetworkSpec { internal: true, mtu: Some(1300), ..NetworkSpec::default() };
    let services = [("web", on(&["front"])), ("api", api), ("db", on(&["back"]))];
    log.apply(with_networks(deploy("shop", &services), &[("back", internal)]));
    for name in ["web", "api", "db"] {
        for node in [1, 2] {
            let task = log.create("shop", name, node as u32, node).unwrap();
            log.report(node, task, TaskState::Running, true);
        }
    }
}

/// What a copy of a service on a node sees: services with their aliases and how many replicas.
fn seen(log: &Log, project: &str, name: &str, node: u64) -> BTreeMap<String, (Vec<String>, usize)> {
    let view = log.state.view_for(NodeId(node), &log.state.shared());
    let own = |t: &&Assignment| t.project.as_str() == project && t.service.as_str() == name;
    let subnet = view.tasks.iter().find(own).unwrap().attachment.unwrap().subnet;
    let mesh = view.mesh.unwrap();
    let network = mesh.networks.iter().find(|n| n.subnets[&NodeId(node)] == subnet).unwrap();
    let service = |s: &NamedService| {
        (s.name.to_string(), (s.aliases.iter().cloned().collect(), s.replicas.len()))
    };
    network.services.iter().map(service).collect()
}

#[test]
fn a_service_is_seen_from_networks_that_it_is_on() {
    let mut log = log();
    stack(&mut log);
    let names =
        |service: &str| -> Vec<String> { seen(&log, "shop", service, 2).into_keys().collect() };
    assert_eq!(names("web"), ["api", "web"]);
    assert_eq!(names("db"), ["api", "db"]);
    assert_eq!(names("api"), ["api", "db", "web"]);
    let api_from = |service: &str| seen(&log, "shop", service, 1)["api"].clone();
    assert_eq!(api_from("web"), (vec!["app".to_owned()], 2));
    assert_eq!(api_from("db"), (vec!["worker".to_owned()], 2));
    assert_eq!(api_from("api"), (vec!["app".to_owned(), "worker".to_owned()], 2));
}

#[test]
fn each_set_of_networks_has_subnets_and_reaches_those_it_shares_a_network_with() {
    let mut log = log();
    stack(&mut log);
    assert!(log.state.subnets.is_empty(), "nothing is on the default network");
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let mesh = view.mesh.unwrap();
    assert_eq!(mesh.networks.len(), 3);
    for network in &mesh.networks {
        let names: Vec<&str> = network.networks.iter().map(|key| key.network.as_str()).collect();
        let sets = match names[..] {
            ["back", "front"] => 3,
            _ => 2,
        };
        assert_eq!(network.reached().count(), 2 * sets, "{names:?}");
        assert_eq!(network.internal, names == ["back"]);
    }
    let of = |name: &str| view.tasks.iter().find(|t| t.service.as_str() == name).unwrap();
    let mtu = |name: &str| of(name).attachment.unwrap().mtu;
    assert_eq!((mtu("web"), mtu("api"), mtu("db")), (None, Some(1300), Some(1300)));
    assert!(of("web").attachment.unwrap().apart);

    log.apply(Command::RemoveNode(RemoveNode { node: NodeId(2), force: true }));
    assert!(log.state.network_sets.values().all(|of| of.len() == 1));
    log.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes: false }));
    let tasks: Vec<TaskId> = log.state.tasks.keys().copied().collect();
    for task in &tasks {
        log.report(1, *task, TaskState::Exited { code: 0 }, false);
    }
    let mut plan: Vec<Change> = tasks.iter().map(|task| Change::Forget { task: *task }).collect();
    plan.extend(log.state.services.keys().map(|service| Change::Drop { service: *service }));
    log.apply(Command::Plan(plan));
    assert!(log.state.network_sets.is_empty());
}

#[test]
fn what_was_deployed_on_one_network_is_found_until_it_is_replaced() {
    let mut log = log();
    let old = |network: &str| ServiceSpec { networks: vec![network.into()], ..service() };
    log.apply(deploy("shop", &[("web", old("front")), ("db", old("back"))]));
    for name in ["web", "db"] {
        let task = log.create("shop", name, 1, 1).unwrap();
        log.report(1, task, TaskState::Running, true);
    }
    assert_eq!(seen(&log, "shop", "web", 1).len(), 2, "all of the project are on one network");
    log.apply(deploy("shop", &[("web", on(&["front"])), ("db", old("back"))]));
    let both = deploy("shop", &[("web", on(&["back", "front"])), ("db", old("back"))]);
    log.apply(both);
    let web = log.create("shop", "web", 2, 2).unwrap();
    log.report(2, web, TaskState::Running, true);
    assert_eq!(seen(&log, "shop", "web", 2)["db"].1, 1, "the old one is found by the new one");
    assert_eq!(seen(&log, "shop", "db", 1)["web"].1, 2, "and both find it");
}

#[test]
fn a_network_of_another_project_is_joined_where_that_lets_others_on_it() {
    let mut log = log();
    let external = |name: &str| NetworkSpec {
        external: true,
        name: Some(name.into()),
        ..NetworkSpec::default()
    };
    let blog = |name: &str| {
        with_networks(deploy("blog", &[("web", on(&["shared"]))]), &[("shared", external(name))])
    };
    let refused = |outcome: Outcome, words: &str| {
        let Outcome::Refused(why) = outcome else { panic!("{outcome:?}") };
        assert!(why.to_string().contains(words), "{why}");
    };
    refused(log.apply(blog("shop_front")), "deploy the project that declares it first");
    let shop = |spec: NetworkSpec| {
        with_networks(deploy("shop", &[("web", on(&["front"]))]), &[("front", spec)])
    };
    log.apply(shop(NetworkSpec::default()));
    refused(log.apply(blog("shop_front")), "no project lets others");
    let open = NetworkSpec { attachable: true, ..NetworkSpec::default() };
    log.apply(shop(open.clone()));
    assert!(matches!(log.apply(blog("shop_front")), Outcome::Accepted { .. }));
    for project in ["shop", "blog"] {
        let task = log.create(project, "web", 1, 1).unwrap();
        log.report(1, task, TaskState::Running, true);
    }
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let networks = view.mesh.unwrap().networks;
    let of = |project: &str| networks.iter().find(|n| n.project.as_str() == project).unwrap();
    let foreign: Vec<bool> = of("blog").services.iter().map(|s| s.foreign).collect();
    assert_eq!(foreign, [false, true], "one's own come first");
    assert_eq!(of("shop").reached().count(), 2);

    refused(
        log.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes: false })),
        "blog",
    );
    refused(log.apply(shop(NetworkSpec::default())), "shop/front");
    assert!(matches!(log.apply(shop(open)), Outcome::Accepted { .. }));
    log.apply(Command::Remove(Remove { project: "blog".parse().unwrap(), volumes: false }));
    assert!(matches!(log.apply(shop(NetworkSpec::default())), Outcome::Accepted { .. }));
}

#[test]
fn addresses_of_the_pool_are_not_chosen_by_files() {
    let mut log = log();
    let fixed = |address: &str| {
        let mut spec = on(&["front"]);
        let joined = spec.networking.networks.get_mut("front").unwrap();
        joined.address = Some(address.parse().unwrap());
        deploy("shop", &[("web", spec)])
    };
    assert!(matches!(log.apply(fixed("10.129.0.7")), Outcome::Refused(_)));
    log.apply(fixed("172.28.0.7"));
    let task = log.create("shop", "web", 1, 1).unwrap();
    log.report(1, task, TaskState::Running, true);
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let services = &view.mesh.unwrap().networks[0].services;
    let virtuals: Vec<String> = services[0].virtuals().map(|a| a.to_string()).collect();
    assert_eq!(virtuals, ["10.176.0.0", "172.28.0.7"]);
}

#[test]
fn below_its_level_a_project_has_one_network() {
    let internal = NetworkSpec { internal: true, ..NetworkSpec::default() };
    let Command::Deploy(made) = deploy("shop", &[("web", aliased(on(&["front"]), "front", "app"))])
    else {
        panic!("not a deploy")
    };
    let old = made.spec.clone().at_level(limits::NETWORKS_LEVEL - 1).unwrap();
    let web = old.services.values().next().unwrap();
    assert!(web.networking.is_default());
    assert_eq!(web.container.engine.aliases, ["app"]);
    assert_eq!(made.spec.clone().at_level(limits::NETWORKS_LEVEL).as_ref(), Ok(&made.spec));
    let mut closed = made.spec;
    closed.networks.insert("front".into(), internal);
    assert_eq!(closed.at_level(1), Err("front".into()));
}
