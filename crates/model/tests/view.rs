//! What a node gets to see.

mod common;

use common::{Log, deploy, join, published, service};
use model::*;

fn log() -> Log {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    log.apply(deploy(
        "shop",
        &[("web", ServiceSpec { ports: vec![published(8080)], ..service() })],
    ));
    log
}

fn serving(log: &Log) -> Vec<(NodeId, bool)> {
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    view.routes[0].backends.iter().map(|b| (b.node, b.serving)).collect()
}

#[test]
fn a_node_sees_its_own_tasks_and_every_route() {
    let mut log = log();
    let here = log.create("shop", "web", 1, 1).unwrap();
    log.create("shop", "web", 2, 2).unwrap();
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    assert_eq!(view.tasks.iter().map(|t| t.task).collect::<Vec<_>>(), [here]);
    assert_eq!(view.tasks[0].replica(), "shop/web.1");
    let services: Vec<ServiceId> = log.state.services.values().map(|s| s.id).collect();
    assert_eq!(view.tasks[0].service_id, services.first().copied());
    let node = view.tasks[0].node.as_ref().map(|n| (n.id, n.name.as_str()));
    assert_eq!(node, Some((NodeId(1), log.state.nodes[&NodeId(1)].name.as_str())));
    assert_eq!(view.routes.len(), 1);
    assert_eq!(view.nodes.len(), 2);
    assert_eq!(view.index, log.state.index);
}

#[test]
fn only_what_serves_gets_new_connections() {
    let mut log = log();
    let task = log.create("shop", "web", 1, 2).unwrap();
    assert_eq!(serving(&log), [], "no address yet");
    log.report(2, task, TaskState::Running, false);
    assert_eq!(serving(&log), [(NodeId(2), false)], "not healthy");
    log.report(2, task, TaskState::Running, true);
    assert_eq!(serving(&log), [(NodeId(2), true)]);
    log.apply(Command::Judge(vec![Verdict { node: NodeId(2), readiness: Readiness::Suspect }]));
    assert_eq!(serving(&log), [(NodeId(2), false)], "its node is suspect");
    log.apply(Command::Judge(vec![Verdict { node: NodeId(2), readiness: Readiness::Ready }]));
    log.apply(Command::Plan(vec![Change::Stop { task, cause: Cause::ScaledDown }]));
    assert_eq!(serving(&log), [(NodeId(2), false)], "told to stop: open connections may finish");
    log.report(2, task, TaskState::Exited { code: 0 }, false);
    assert_eq!(serving(&log), []);
}

#[test]
fn udp_ports_are_apart_and_a_port_that_wants_to_know_its_clients_says_so() {
    let mut log = log();
    let udp = Port { protocol: Protocol::Udp, ..published(53) };
    let ports =
        vec![published(8080), published(53), udp, Port { mode: PortMode::Host, ..published(99) }];
    let spec = ServiceSpec { ports, told: [80].into(), ..service() };
    log.apply(deploy("shop", &[("web", spec)]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    log.report(1, task, TaskState::Running, true);
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let shown = |routes: &[model::Route]| -> Vec<(u16, Vec<bool>)> {
        let told = |r: &model::Route| r.backends.iter().map(|b| b.told).collect();
        routes.iter().map(|r| (r.port.published, told(r))).collect()
    };
    assert_eq!(shown(&view.routes), [(8080, vec![true]), (53, vec![true])]);
    assert_eq!(shown(&view.datagrams), [(53, vec![false])]);
}

#[test]
fn each_replica_answers_at_the_port_of_its_own_generation() {
    let mut log = log();
    let old = log.create("shop", "web", 1, 1).unwrap();
    let ports = vec![Port { target: 8081, ..published(8080) }, published(9090)];
    let mut spec = ServiceSpec { ports, ..service() };
    spec.container.image.reference = "web:2".into();
    log.apply(deploy("shop", &[("web", spec)]));
    let new = log.create("shop", "web", 2, 1).unwrap();
    for task in [old, new] {
        log.report(1, task, TaskState::Running, true);
    }
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let behind = |port: u16| -> Vec<(TaskId, u16)> {
        let route = view.routes.iter().find(|r| r.port.published == port).unwrap();
        route.backends.iter().map(|b| (b.task, route.target(b))).collect()
    };
    assert_eq!(behind(8080), [(old, 80), (new, 8081)]);
    assert_eq!(behind(9090), [(new, 80)], "the old generation does not publish it");
}

#[test]
fn a_change_of_the_address_shows_nothing_that_was_kept_private() {
    let at = |ip: Option<[u8; 4]>, target| Port {
        host_ip: ip.map(Into::into),
        target,
        ..published(8080)
    };
    let (local, other) = (Some([127, 0, 0, 1]), Some([10, 0, 0, 1]));
    let spec = |ports: &[Port]| ServiceSpec { ports: ports.to_vec(), ..service() };
    assert_eq!(spec(&[at(None, 80)]).target_behind(&at(local, 81)), Some(80), "was wider");
    assert_eq!(spec(&[at(local, 80)]).target_behind(&at(None, 80)), Some(80), "now wished");
    assert_eq!(spec(&[at(local, 90)]).target_behind(&at(None, 80)), None, "never wished");
    let both = spec(&[at(other, 80), at(local, 90)]);
    assert_eq!(both.target_behind(&at(local, 80)), Some(90), "the very same address first");
}

#[test]
fn a_volume_that_held_data_is_marked() {
    let mut log = log();
    let mut spec = service();
    spec.container.mounts.push(Mount {
        source: MountSource::Volume("data".parse().unwrap()),
        target: "/data".into(),
        read_only: false,
        options: model::MountOptions::default(),
    });
    log.apply(deploy("db", &[("db", spec)]));
    let volume = VolumeKey { project: "db".parse().unwrap(), volume: "data".parse().unwrap() };
    log.apply(Command::Plan(vec![Change::Home { volume, node: NodeId(1) }]));
    let first = log.create("db", "db", 1, 1).unwrap();
    let established =
        |log: &Log| log.state.view_for(NodeId(1), &log.state.shared()).tasks[0].established.len();
    assert_eq!(established(&log), 0, "the first start may make it");
    log.report(1, first, TaskState::Running, true);
    assert_eq!(established(&log), 1);
}

#[test]
fn registries_are_told_from_names() {
    for (reference, host) in [
        ("nginx", "docker.io"),
        ("library/nginx:1", "docker.io"),
        ("ghcr.io/a/b:1", "ghcr.io"),
        ("localhost:5000/a", "localhost:5000"),
        ("localhost/a", "localhost"),
    ] {
        assert_eq!(registry(reference), host, "{reference}");
    }
}

#[test]
fn names_are_checked_once() {
    for good in ["shop", "a1_b-c", &"x".repeat(63)] {
        assert!(good.parse::<ProjectName>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "Shop", "a b", "a\u{1b}[31m", "é", &"x".repeat(64), "--help"] {
        let error = bad.parse::<ProjectName>().unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "escaped");
    }
    assert_eq!("5-2".parse::<TaskId>().unwrap(), TaskId { index: 5, position: 2 });
    assert!("5".parse::<TaskId>().is_err());
    assert!(Timers::LAN.check().is_ok() && Timers::WAN.check().is_ok());
}

fn rule(host: &str, path: &str, port: u16) -> HttpRule {
    HttpRule { matches: HttpMatch { host: Some(host.into()), path: path.into() }, port, tls: None }
}

#[test]
fn what_is_reached_over_http_is_seen_with_the_port_of_each_generation() {
    let mut log = Log::founded();
    let http = vec![rule("a.example", "/", 80), rule("a.example", "/api", 81)];
    log.apply(deploy("shop", &[("web", ServiceSpec { http, ..service() })]));
    let old = log.create("shop", "web", 1, 1).unwrap();
    let http = vec![rule("a.example", "/", 8080), rule("a.example", "/new", 82)];
    let mut spec = ServiceSpec { http, ..service() };
    spec.container.image.reference = "web:2".into();
    log.apply(deploy("shop", &[("web", spec)]));
    let new = log.create("shop", "web", 2, 1).unwrap();
    log.report(1, old, TaskState::Running, true);
    log.report(1, new, TaskState::Running, false);
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let seen = |site: &Site| -> Vec<(TaskId, u16, bool)> {
        site.backends.iter().map(|b| (b.task, b.target.unwrap(), b.serving)).collect()
    };
    let ports: Vec<u16> = view.sites.iter().map(|s| s.port).collect();
    assert_eq!(ports, [82, 8080]);
    assert_eq!(seen(&view.sites[1]), [(old, 80, true), (new, 8080, false)]);
    assert_eq!(seen(&view.sites[0]), [(new, 82, false)], "the old generation has no such rule");
}

#[test]
fn a_task_has_the_logins_of_the_registries_that_it_pulls_from() {
    let mut log = Log::founded();
    let image = |reference: &str| Image { reference: reference.into(), ..Image::default() };
    let step =
        |name: &str, once| PreStart { image: Some(image(name)), once, ..PreStart::default() };
    let mut spec = service();
    spec.container.image = image("a.example/web:1");
    spec.container.hooks.pre_start =
        vec![step("b.example/tools:1", false), step("c.example/migrate:1", true)];
    let Command::Deploy(mut deploy) = deploy("shop", &[("web", spec)]) else { unreachable!() };
    let registries = ["a.example", "b.example", "c.example", "d.example"];
    deploy.logins = registries.map(|r| (r.to_owned(), r.as_bytes().to_vec())).into();
    log.apply(Command::Deploy(deploy));
    log.create("shop", "web", 1, 1).unwrap();
    let view = log.state.view_for(NodeId(1), &log.state.shared());
    let task = &view.tasks[0];
    assert_eq!(task.logins.keys().collect::<Vec<_>>(), ["a.example", "b.example"]);
    assert_eq!(task.login_for(&image("b.example/x")), Some(&Login(b"b.example".to_vec())));
    assert_eq!(task.login_for(&image("nginx")), None);
}
