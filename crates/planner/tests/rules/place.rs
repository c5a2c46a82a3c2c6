//! Where copies go, and why not elsewhere.

use crate::world::{GIB, MIB, World, facts, reserving, secs, spec, with_volume};
use model::{
    Availability, Constraint, ConstraintKey, Facts, Port, PortMode, Protocol, Readiness, Role,
    ServiceSpec,
};

fn rule(key: ConstraintKey, equal: bool, value: &str) -> Constraint {
    Constraint { key, equal, value: value.into() }
}

fn constrained(rule: Constraint) -> ServiceSpec {
    let mut spec = spec(1);
    spec.placement.constraints.push(rule);
    spec
}

#[test]
fn constraints() {
    let mut w = World::new(2);
    w.join(3, Role::Worker, Facts { arch: "arm64".into(), ..facts() });
    w.label(2, "disk", "ssd");
    let id = w.node(2).to_string();
    let table = [
        (rule(ConstraintKey::Id, true, &id), "node2"),
        (rule(ConstraintKey::Hostname, true, "node1"), "node1"),
        (rule(ConstraintKey::Role, true, "worker"), "node3"),
        (rule(ConstraintKey::Role, false, "manager"), "node3"),
        (rule(ConstraintKey::Arch, true, "arm64"), "node3"),
        (rule(ConstraintKey::Label("disk".into()), true, "ssd"), "node2"),
    ];
    for (i, (rule, node)) in table.into_iter().enumerate() {
        let name = format!("s{i}");
        w.deploy(&name, constrained(rule.clone()));
        w.settle();
        assert_eq!(w.nodes_of(&name), [node], "{rule:?}");
        let service = w.service(&name);
        assert!(planner::admits(&w.state, service, w.live(&name)[0].node));
    }
    w.deploy("os", constrained(rule(ConstraintKey::Os, true, "windows")));
    w.settle();
    assert_eq!(w.waits(), ["1: 3 nodes do not satisfy node.platform.os == windows"]);
    assert!(!planner::admits(&w.state, w.service("os"), w.node(1)));
}

#[test]
fn reservations_are_never_exceeded_and_the_reason_adds_up() {
    let mut w = World::new(3);
    w.refresh(3, |f| f.memory = 300 * MIB);
    w.set(1, Availability::Drain);
    w.deploy("web", reserving(3 * GIB, spec(4)));
    w.settle();
    assert_eq!(w.per_node("web"), [0, 2, 0]);
    let words = "2 nodes lack memory (need 3 GiB, best has 2 GiB), 1 is draining";
    assert_eq!(w.waits(), [format!("3: {words}"), format!("4: {words}")]);
}

#[test]
fn processor_time_is_reserved_too() {
    let mut w = World::new(1);
    let mut busy = spec(3);
    busy.resources.reserved_milli_cpus = 1_500;
    w.deploy("web", busy);
    w.settle();
    assert_eq!(w.live("web").len(), 2);
    assert_eq!(w.waits(), ["3: 1 node lacks processor time (need 1.5 cores, has 1)"]);
}

#[test]
fn a_stopping_task_holds_its_reservation_until_it_has_ended() {
    let mut w = World::new(1);
    w.deploy("old", reserving(6 * GIB, spec(1)));
    w.settle();
    w.scale("old", 0);
    w.deploy("web", reserving(6 * GIB, spec(1)));
    w.deploy("old", reserving(6 * GIB, spec(0)));
    w.step();
    assert!(w.live("web").is_empty());
    w.obey();
    w.settle();
    assert_eq!(w.live("web").len(), 1);
}

#[test]
fn without_reservations_what_is_really_left_counts_and_copies_do_not_pile_up() {
    let mut w = World::new(2);
    w.refresh(1, |f| f.memory_free = 200 * MIB);
    w.refresh(2, |f| f.memory_free = 100 * MIB);
    w.deploy("web", spec(6));
    w.settle();
    assert_eq!(w.per_node("web"), [3, 1]);
    let words = "2 nodes lack memory (need 64 MiB, best has 36 MiB)";
    assert_eq!(w.waits(), [format!("5: {words}"), format!("6: {words}")]);
    // The next reading includes them.
    w.now = w.now + secs(30);
    w.refresh(2, |f| f.memory_free = 300 * MIB);
    w.settle();
    assert_eq!(w.per_node("web"), [3, 3]);
}

#[test]
fn fault_34_host_ports_and_the_most_per_node() {
    let mut w = World::new(4);
    w.refresh(2, |f| {
        f.busy_ports.insert(9000);
    });
    let mut fixed = spec(4);
    let (published, target) = (9000, 90);
    let (protocol, mode) = (Protocol::Tcp, PortMode::Host);
    fixed.ports.push(Port { published, target, protocol, mode, host_ip: None });
    w.deploy("fixed", fixed);
    w.settle();
    assert_eq!(w.per_node("fixed"), [1, 0, 1, 1]);
    assert_eq!(w.waits(), ["4: 4 nodes have port 9000 in use"]);

    let mut w = World::new(2);
    let mut pairs = spec(5);
    pairs.placement.max_replicas_per_node = Some(2);
    w.deploy("pairs", pairs);
    w.settle();
    assert_eq!(w.per_node("pairs"), [2, 2]);
    assert_eq!(w.waits(), ["5: 2 nodes have 2 copies already"]);
}

#[test]
fn spread_over_racks_then_nodes() {
    let mut w = World::new(4);
    for (n, rack) in [(1, "a"), (2, "a"), (3, "a"), (4, "b")] {
        w.label(n, "rack", rack);
    }
    let mut spread = spec(6);
    spread.placement.spread = vec!["rack".into()];
    w.deploy("web", spread);
    w.settle();
    assert_eq!(w.per_node("web"), [1, 1, 1, 3]);
}

#[test]
fn volumes_get_one_home_and_everything_that_uses_them_goes_there() {
    let mut w = World::new(3);
    w.deploy("other", spec(1));
    w.settle();
    w.deploy("db", with_volume(with_volume(spec(2), "data"), "log"));
    w.settle();
    let home = w.home("data").unwrap();
    assert_eq!(w.home("log"), Some(home));
    assert!(w.live("db").iter().all(|t| t.node == home));
    w.deploy("backup", with_volume(with_volume(spec(1), "log"), "archive"));
    w.settle();
    assert_eq!(w.live("backup")[0].node, home);
    assert_eq!(w.home("archive"), Some(home));
}

#[test]
fn a_volume_being_deleted_is_not_used_again() {
    let mut w = World::new(1);
    w.deploy("db", with_volume(spec(1), "data"));
    w.settle();
    w.remove(true);
    w.settle();
    w.deploy("db", with_volume(spec(1), "data"));
    w.settle();
    assert!(w.live("db").is_empty());
    assert_eq!(w.waits(), ["1: volume shop_data of before is still being deleted on node1"]);
}

#[test]
fn volumes_with_different_homes_cannot_meet() {
    let mut w = World::new(2);
    w.deploy("a", with_volume(constrained(rule(ConstraintKey::Hostname, true, "node1")), "a"));
    w.deploy("b", with_volume(constrained(rule(ConstraintKey::Hostname, true, "node2")), "b"));
    w.deploy("both", with_volume(with_volume(spec(1), "a"), "b"));
    w.settle();
    assert_eq!(w.waits(), ["1: volume shop_a lives on node1, and volume shop_b on node2"]);
}

#[test]
fn services_that_refer_to_each_other_go_together_where_they_fit() {
    let mut w = World::new(3);
    let mut web = spec(4);
    web.refers_to = vec!["api".parse().unwrap()];
    let mut api = spec(1);
    api.refers_to = vec!["db".parse().unwrap()];
    w.deploy_in("shop", "api", api);
    w.deploy_in("shop", "db", spec(1));
    w.deploy_in("shop", "web", web);
    w.settle();
    let at = w.nodes_of("db");
    assert_eq!(w.nodes_of("api"), at);
    assert!(w.nodes_of("web").iter().all(|n| *n == at[0]), "{:?}", w.per_node("web"));
    // The one referred to moves: it goes where it is referred to.
    let n = (1..=3).find(|n| w.node_of(*n).name.as_str() == at[0]).unwrap();
    w.judge(n, Readiness::Lost);
    w.settle();
    let lost = w.node(n);
    let on = |name: &str| w.live(name).into_iter().find(|t| t.node != lost).unwrap().node;
    assert_eq!(on("api"), on("db"));
    assert!(w.live("web").iter().filter(|t| t.node != lost).all(|t| t.node == on("api")));
}

#[test]
fn those_that_do_not_fit_together_are_placed_apart() {
    let mut w = World::new(2);
    w.deploy("db", reserving(6 * GIB, spec(1)));
    w.settle();
    let mut web = reserving(2 * GIB, spec(2));
    web.refers_to = vec!["db".parse().unwrap()];
    w.deploy("web", web);
    w.settle();
    assert_eq!(w.per_node("web").iter().sum::<usize>(), 2);
    assert!(w.waits().is_empty());
}

#[test]
fn fault_22_nodes_that_take_nothing_say_why() {
    let mut w = World::new(4);
    w.refresh(1, |f| f.disk_pressure = true);
    w.refresh(2, |f| f.engine_ready = false);
    w.set(3, Availability::Pause);
    w.away(4, secs(60));
    w.deploy("web", spec(1));
    w.settle();
    let words = w.waits().remove(0);
    for part in ["is paused", "is away", "does not answer", "is short of disk space"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(words.starts_with("1: 1 node "), "{words}");
}

#[test]
fn a_global_copy_waits_for_its_own_node() {
    let mut w = World::new(2);
    w.refresh(2, |f| f.disk_pressure = true);
    w.deploy("agent", crate::world::global());
    w.settle();
    assert_eq!(w.nodes_of("agent"), ["node1"]);
    let node = w.node(2);
    assert_eq!(w.waits(), [format!("node{node}: node2 is short of disk space")]);
}

#[test]
fn observed_memory_is_charged_where_none_is_reserved() {
    let mut w = World::new(1);
    w.refresh(1, |f| f.memory_free = GIB);
    w.deploy("web", spec(1));
    w.settle();
    let task = w.live("web")[0].clone();
    let status = model::TaskStatus {
        task: task.id,
        state: model::TaskState::Running,
        healthy: true,
        address: None,
        memory: 400 * MIB,
        restarts_in_place: 0,
    };
    let (node, deleted_volumes) = (task.node, Vec::new());
    let report = model::Report { node, statuses: vec![status], deleted_volumes };
    w.apply(model::Command::Report(report));
    w.now = w.now + secs(30);
    w.refresh(1, |f| f.memory_free = GIB);
    w.scale("web", 4);
    w.settle();
    assert_eq!(w.live("web").len(), 3);
    assert_eq!(w.waits(), ["4: 1 node lacks memory (need 400 MiB, has 224 MiB)"]);
}

#[test]
fn a_node_that_says_nothing_new_for_long_has_as_much_left_as_it_said() {
    let mut w = World::new(1);
    w.refresh(1, |f| f.memory_free = 100 * MIB);
    w.deploy("web", spec(2));
    w.settle();
    assert_eq!(w.waits(), ["2: 1 node lacks memory (need 64 MiB, has 36 MiB)"]);
    let told = w.live("web")[0].running_since.unwrap() + secs(60);
    w.run(secs(10));
    assert_eq!(w.plan().wake_at, Some(told));
    w.now = told;
    w.settle();
    assert_eq!(w.live("web").len(), 2);
}
