//! With whom: services whose containers are built upon each other.

use crate::world::{GIB, World, facts, image, reserving, secs, spec, with_volume};
use model::{
    Availability, Command, Deploy, Outcome, Readiness, Refusal, RestartCondition, RestartPolicy,
    Role, Scale, ServiceSpec, Share, SharedPart, TaskState,
};

fn upon(other: &str, spec: ServiceSpec) -> ServiceSpec {
    let share =
        Share { service: other.parse().unwrap(), what: SharedPart::Volumes { read_only: false } };
    ServiceSpec { shares_with: vec![share], ..spec }
}

/// `web` and `fpm` upon `app`.
fn three(w: &mut World, app: ServiceSpec, copies: u32) {
    w.declare("app", app);
    w.declare("fpm", upon("app", spec(copies)));
    w.deploy("web", upon("app", spec(copies)));
}

/// For each slot, the nodes of the three.
fn nodes(w: &World) -> Vec<[String; 3]> {
    let of = |name: &str, n: usize| {
        let slot = model::Slot::Number(n as u32);
        let mut live = w.live(name).into_iter().filter(|t| t.slot == slot);
        live.next_back().map_or_else(String::new, |t| w.state.node_name(t.node))
    };
    let slots: std::collections::BTreeSet<_> = w.live("web").iter().map(|t| t.slot).collect();
    (1..=slots.len().max(1)).map(|n| ["app", "fpm", "web"].map(|s| of(s, n))).collect()
}

fn all_together(w: &World, copies: usize) {
    let nodes = nodes(w);
    assert_eq!(nodes.len(), copies, "{nodes:?}");
    for [a, b, c] in &nodes {
        assert!(!a.is_empty() && a == b && b == c, "{nodes:?}");
    }
}

#[test]
fn copy_by_copy_on_one_node_and_started_in_order() {
    let mut w = World::new(3);
    three(&mut w, spec(3), 3);
    w.step();
    assert_eq!((w.live("app").len(), w.live("web").len()), (3, 0));
    assert!(w.waits().contains(&"1: waits for app to start".to_owned()), "{:?}", w.waits());
    w.settle();
    all_together(&w, 3);
    assert_eq!(w.nodes_of("web"), ["node1", "node2", "node3"], "spread as one");
}

#[test]
fn a_group_that_fits_nowhere_says_so() {
    let mut w = World::new(3);
    w.declare("app", reserving(3 * GIB, spec(1)));
    w.declare("fpm", upon("app", reserving(3 * GIB, spec(1))));
    w.deploy("web", upon("app", reserving(3 * GIB, spec(1))));
    w.settle();
    assert!(w.live("app").is_empty(), "nor is a part of it placed");
    assert_eq!(
        w.waits()[0],
        "1: has to be on one node with fpm and web: 3 nodes lack memory (need 9 GiB, best has 8 GiB)"
    );
}

#[test]
fn constraints_that_contradict_each_other_are_said() {
    let mut w = World::new(3);
    let only = |node: &str, mut spec: ServiceSpec| {
        let key = model::ConstraintKey::Hostname;
        let constraint = model::Constraint { key, equal: true, value: node.into() };
        spec.placement.constraints.push(constraint);
        spec
    };
    w.declare("app", only("node1", spec(1)));
    w.deploy("web", upon("app", only("node2", spec(1))));
    w.settle();
    assert!(w.live("app").is_empty() && w.live("web").is_empty());
    assert_eq!(
        w.waits()[0],
        "1: has to be on one node with web: 2 nodes do not satisfy node.hostname == node1, \
         1 does not satisfy node.hostname == node2"
    );
}

#[test]
fn they_are_scaled_as_one() {
    let mut w = World::new(3);
    three(&mut w, spec(2), 2);
    w.settle();
    w.scale("web", 4);
    w.settle();
    all_together(&w, 4);
    w.scale("app", 1);
    w.settle();
    all_together(&w, 1);
    let counts = [("web".parse().unwrap(), 2), ("app".parse().unwrap(), 3)].into();
    let scale = Scale { project: "shop".parse().unwrap(), counts, seen: None };
    let refused = w.apply(Command::Scale(scale));
    assert!(matches!(refused, Outcome::Refused(Refusal::SharesApart { .. })), "{refused:?}");
}

#[test]
fn different_numbers_are_refused() {
    let mut w = World::new(1);
    let mut services = std::collections::BTreeMap::new();
    services.insert("app".parse().unwrap(), std::sync::Arc::new(spec(1)));
    services.insert("web".parse().unwrap(), std::sync::Arc::new(upon("app", spec(2))));
    let spec = model::ProjectSpec {
        name: "shop".parse().unwrap(),
        services,
        volumes: std::collections::BTreeMap::new(),
        contents: std::collections::BTreeMap::new(),
        networks: std::collections::BTreeMap::new(),
        source: String::new(),
    };
    let deploy = Deploy {
        spec,
        seen: None,
        logins: std::collections::BTreeMap::new(),
        contents: std::collections::BTreeMap::new(),
        powers: std::collections::BTreeSet::new(),
        grant: false,
    };
    match w.apply(Command::Deploy(deploy)) {
        Outcome::Refused(why) => assert_eq!(
            why.to_string(),
            "app and web share containers, so there must be as many of the one as of the other"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loss_moves_them_together() {
    let mut w = World::new(3);
    three(&mut w, spec(1), 1);
    w.run(secs(10));
    let n = (1..=3).find(|n| w.node(*n) == w.live("app")[0].node).unwrap();
    w.judge(n, Readiness::Lost);
    w.run(secs(10));
    all_together(&w, 1);
    assert_ne!(nodes(&w)[0][0], format!("node{n}"));
    w.judge(n, Readiness::Ready);
    w.run(secs(60));
    all_together(&w, 1);
    assert_eq!(w.live("web").len() + w.live("app").len() + w.live("fpm").len(), 3);
}

#[test]
fn a_drain_moves_them_together() {
    let mut w = World::new(3);
    three(&mut w, spec(2), 2);
    w.run(secs(10));
    let n = (1..=3).find(|n| w.node(*n) == w.live("app")[0].node).unwrap();
    w.set(n, Availability::Drain);
    w.run(secs(120));
    all_together(&w, 2);
    assert!(!w.nodes_of("web").contains(&format!("node{n}")));
}

#[test]
fn what_is_built_upon_another_is_made_anew_with_it() {
    let mut w = World::new(2);
    three(&mut w, spec(1), 1);
    w.run(secs(10));
    let (app, web) = (w.live("app")[0].id, w.live("web")[0].id);
    w.exits(app, 1);
    w.run(secs(30));
    all_together(&w, 1);
    assert!(w.live("web")[0].id > w.live("app")[0].id && w.live("web")[0].id != web);
    w.declare("app", image("v2", spec(1)));
    w.declare("fpm", upon("app", spec(1)));
    w.deploy("web", upon("app", spec(1)));
    w.run(secs(60));
    all_together(&w, 1);
    assert_eq!(w.live("app")[0].generation, 2);
    assert!(w.live("web")[0].id > w.live("app")[0].id);
}

#[test]
fn data_ties_all_of_them_to_its_home() {
    let mut w = World::new(3);
    w.declare("app", spec(1));
    w.declare("fpm", upon("app", with_volume(spec(1), "data")));
    w.deploy("web", upon("app", spec(1)));
    w.run(secs(10));
    all_together(&w, 1);
    let home = w.home("data").unwrap();
    let n = (1..=3).find(|n| w.node(*n) == home).unwrap();
    w.judge(n, Readiness::Lost);
    w.run(secs(30));
    assert!(w.waits().iter().any(|r| r.contains("volume shop_data lives on")), "{:?}", w.waits());
    w.judge(n, Readiness::Ready);
    w.run(secs(60));
    all_together(&w, 1);
}

#[test]
fn what_carries_files_and_has_ended_is_run_again_where_it_is_missed() {
    let restart = RestartPolicy { condition: RestartCondition::Never, ..RestartPolicy::default() };
    let mut w = World::new(2);
    three(&mut w, ServiceSpec { restart, ..spec(1) }, 1);
    w.step();
    let carrier = w.live("app")[0].clone();
    w.report(carrier.id, TaskState::Running, true);
    w.exits(carrier.id, 0);
    w.run(secs(30));
    let on = |w: &World| (w.nodes_of("fpm"), w.nodes_of("web"), w.live("app").len());
    let node = w.state.node_name(carrier.node);
    assert_eq!(on(&w), (vec![node.clone()], vec![node.clone()], 0), "it is not run again here");
    let n = (1..=2).find(|n| w.node(*n) == carrier.node).unwrap();
    w.judge(n, Readiness::Lost);
    w.step();
    let again = w.live("app")[0].clone();
    assert_ne!(again.node, carrier.node);
    w.report(again.id, TaskState::Running, true);
    w.exits(again.id, 0);
    w.run(secs(30));
    let other = w.state.node_name(again.node);
    let web = w.live("web").into_iter().find(|t| t.node == again.node);
    assert!(web.is_some_and(|t| t.serving()), "web is beside it on {other}");
}

#[test]
fn a_new_node_moves_none_of_them() {
    let mut w = World::new(2);
    three(&mut w, spec(2), 2);
    w.run(secs(10));
    w.join(3, Role::Worker, facts());
    assert_eq!(w.step(), []);
}
