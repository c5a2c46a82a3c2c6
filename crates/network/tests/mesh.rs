//! What a node makes of its part of the mesh: rules for the kernel, routes, names. Golden files are rewritten
//! with `UPDATE=1`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use model::{
    Carrier, Mesh, MeshKey, MeshView, NamedReplica, NamedService, NetworkView, NodeId, Readiness,
    Slot, TaskId,
};
use network::mesh::{Hop, hops, peers, ruleset};
use network::{Answer, Names, PeerEdge};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

fn replica(index: u64, slot: u32, node: u64, address: [u8; 4]) -> NamedReplica {
    NamedReplica {
        task: TaskId { index, position: 0 },
        slot: Slot::Number(slot),
        node: NodeId(node),
        address: address.into(),
    }
}

fn service(name: &str, address: Option<[u8; 4]>, replicas: Vec<NamedReplica>) -> NamedService {
    NamedService {
        name: name.parse().unwrap(),
        aliases: [].into(),
        address: address.map(Ipv4Addr::from),
        replicas,
        leaving: [].into(),
        fixed: [].into(),
        prefer_local: false,
        foreign: false,
    }
}

fn network(project: &str, subnets: &[(u64, &str)], services: Vec<NamedService>) -> NetworkView {
    let subnets = subnets.iter().map(|(node, text)| (NodeId(*node), text.parse().unwrap()));
    NetworkView {
        project: project.parse().unwrap(),
        subnets: subnets.collect(),
        services,
        networks: [].into(),
        others: [].into(),
        internal: false,
    }
}

fn mesh(networks: Vec<NetworkView>) -> MeshView {
    let pool = "10.128.0.0/10".parse().unwrap();
    MeshView {
        mesh: Mesh { pool, carrier: Carrier::Direct },
        networks: networks.into_iter().map(Arc::new).collect(),
    }
}

/// Two projects with the same names: one on nodes 1 and 2, the other on node 1 alone.
fn two_projects() -> MeshView {
    let web = vec![replica(5, 1, 1, [10, 128, 0, 2]), replica(6, 2, 2, [10, 128, 2, 2])];
    let mut db = service("db", Some([10, 176, 0, 1]), vec![replica(7, 1, 2, [10, 128, 2, 3])]);
    db.aliases = ["Data".to_owned(), "store".to_owned()].into();
    let mut log = service("log", None, vec![replica(8, 1, 1, [10, 128, 0, 9])]);
    log.aliases = ["store".to_owned()].into();
    mesh(vec![
        network(
            "shop",
            &[(1, "10.128.0.0/23"), (2, "10.128.2.0/23")],
            vec![
                service("web", Some([10, 176, 0, 0]), web),
                db,
                service("idle", Some([10, 176, 0, 2]), vec![]),
                log,
            ],
        ),
        network(
            "blog",
            &[(1, "10.128.4.0/23")],
            vec![service("web", Some([10, 176, 0, 3]), vec![replica(9, 1, 1, [10, 128, 4, 2])])],
        ),
    ])
}

/// What the subnets of one project see on node 1: one of `front`, one of `back`, which is internal, and one of
/// both, on node 2 too.
fn front_and_back() -> MeshView {
    let other = |subnets: &[(u64, &str)]| -> BTreeSet<_> {
        subnets.iter().map(|(node, text)| (NodeId(*node), text.parse().unwrap())).collect()
    };
    let web = || service("web", Some([10, 176, 0, 0]), vec![replica(5, 1, 1, [10, 128, 0, 2])]);
    let api = || NamedService {
        prefer_local: true,
        ..service(
            "api",
            Some([10, 176, 0, 1]),
            vec![replica(6, 1, 1, [10, 128, 2, 2]), replica(7, 2, 2, [10, 128, 6, 2])],
        )
    };
    let db = || NamedService {
        fixed: [[172, 28, 0, 10].into()].into(),
        ..service("db", Some([10, 176, 0, 2]), vec![replica(8, 1, 1, [10, 128, 4, 2])])
    };
    let (front, back) = ("10.128.0.0/23", "10.128.4.0/23");
    let both = [(1, "10.128.2.0/23"), (2, "10.128.6.0/23")];
    mesh(vec![
        NetworkView { others: other(&both), ..network("shop", &[(1, front)], vec![web(), api()]) },
        NetworkView {
            others: other(&[(1, front), (1, back)]),
            ..network("shop", &both, vec![web(), api(), db()])
        },
        NetworkView {
            others: other(&both),
            internal: true,
            ..network("shop", &[(1, back)], vec![api(), db()])
        },
    ])
}

fn expect(name: &str, is: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, is).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(is, wanted, "{name} differs; run with UPDATE=1 if this is meant");
}

#[test]
fn the_rules_are_as_written() {
    expect("two_projects.nft", &ruleset(&two_projects(), NodeId(1)));
    expect("front_and_back.nft", &ruleset(&front_and_back(), NodeId(1)));
    expect("no_network.nft", &ruleset(&mesh(vec![]), NodeId(1)));
}

#[test]
fn the_same_mesh_makes_the_same_rules() {
    let once = ruleset(&two_projects(), NodeId(1));
    assert_eq!(once, ruleset(&two_projects(), NodeId(1)));
    assert!(!ruleset(&two_projects(), NodeId(2)).contains("10.128.4.0"), "not on that network");
}

fn node(n: u8, mesh_key: Option<MeshKey>) -> PeerEdge {
    PeerEdge {
        id: NodeId(u64::from(n)),
        edge: ([172, 30, 0, 10 + n], 7071).into(),
        readiness: Readiness::Ready,
        mesh_key,
    }
}

#[test]
fn subnets_of_others_lie_behind_their_hosts() {
    let (nodes, host) = ([node(1, None), node(2, None)], Ipv4Addr::new(172, 30, 0, 12));
    for (apart, hop) in [([].into(), Hop::Host(host)), ([host].into(), Hop::Tunnel(host))] {
        let hops = hops(&two_projects(), NodeId(1), &nodes, &apart);
        assert_eq!(hops, [("10.128.2.0/23".parse().unwrap(), hop)].into());
    }
}

/// Node 3 takes part in no network of node 1, node 4 has no key.
#[test]
fn tunnels_lead_to_who_shares_a_network_and_has_a_key() {
    let mut mesh = two_projects();
    mesh.mesh.carrier = Carrier::Encrypted;
    let mut shop = (*mesh.networks[0]).clone();
    shop.subnets.insert(NodeId(4), "10.128.6.0/23".parse().unwrap());
    mesh.networks[0] = Arc::new(shop);
    let key = |n| Some(MeshKey([n; 32]));
    let nodes = [node(1, key(1)), node(2, key(2)), node(3, key(3)), node(4, None)];
    let subnet = "10.128.2.0/23".parse().unwrap();

    let peers = peers(&mesh, NodeId(1), &nodes);
    assert_eq!(peers.keys().collect::<Vec<_>>(), [&NodeId(2)]);
    let peer = &peers[&NodeId(2)];
    assert_eq!((Some(peer.key), &peer.subnets), (key(2), &vec![subnet]));
    assert_eq!(peer.endpoint, ([172, 30, 0, 12], 7073).into());

    let hops = hops(&mesh, NodeId(1), &nodes, &[].into());
    let pool = "10.128.0.0/10".parse().unwrap();
    assert_eq!(hops, [(subnet, Hop::Wire), (pool, Hop::Nobody)].into());
}

const WEB: [u8; 4] = [10, 128, 0, 2];

fn lookup(caller: [u8; 4], name: &str) -> Answer {
    Names::new(&two_projects(), NodeId(1)).lookup(caller.into(), name)
}

fn addresses(list: &[[u8; 4]]) -> Answer {
    Answer::Addresses(list.iter().map(|a| Ipv4Addr::from(*a)).collect())
}

#[test]
fn names_stand_for_what_serves() {
    let name = |text: &str| Answer::Name(text.into());
    for (asked, answer) in [
        ("web", addresses(&[[10, 176, 0, 0]])),
        ("WEB", addresses(&[[10, 176, 0, 0]])),
        ("tasks.web", addresses(&[WEB, [10, 128, 2, 2]])),
        ("nearest.web", addresses(&[WEB])),
        ("nearest.db", addresses(&[[10, 128, 2, 3]])),
        ("web.1", addresses(&[WEB])),
        ("web.2", addresses(&[[10, 128, 2, 2]])),
        ("web.3", Answer::Elsewhere),
        ("idle", addresses(&[[10, 176, 0, 2]])),
        ("tasks.idle", addresses(&[])),
        ("log", addresses(&[[10, 128, 0, 9]])),
        ("data", addresses(&[[10, 176, 0, 1]])),
        ("store", addresses(&[[10, 176, 0, 1], [10, 128, 0, 9]])),
        ("tasks.nothing", Answer::Unknown),
        ("example.com", Answer::Elsewhere),
        ("2.0.128.10.in-addr.arpa", name("web.1")),
        ("0.0.176.10.in-addr.arpa", name("web")),
        ("2.4.128.10.in-addr.arpa", Answer::Unknown),
        ("1.0.168.192.in-addr.arpa", Answer::Elsewhere),
    ] {
        assert_eq!(lookup(WEB, asked), answer, "{asked}");
    }
}

#[test]
fn attack_23_each_caller_sees_its_own_network_only() {
    assert_eq!(lookup([10, 128, 4, 2], "web"), addresses(&[[10, 176, 0, 3]]));
    assert_eq!(lookup([10, 128, 4, 2], "db"), Answer::Elsewhere);
    let names = Names::new(&two_projects(), NodeId(1));
    let gateway = Ipv4Addr::new(10, 128, 0, 1);
    assert!(names.admits(gateway, WEB.into()));
    for caller in [[10, 128, 4, 2], [10, 128, 2, 2], [172, 30, 0, 1], [127, 0, 0, 1]] {
        assert!(!names.admits(gateway, caller.into()), "{caller:?}");
    }
    let gateways: Vec<String> = names.gateways().iter().map(ToString::to_string).collect();
    assert_eq!(gateways, ["10.128.0.1", "10.128.4.1"]);
}

#[test]
fn networks_that_have_nothing_in_common_are_not_seen() {
    let names = Names::new(&front_and_back(), NodeId(1));
    let (web, api, db) = ([10, 128, 0, 2], [10, 128, 2, 2], [10, 128, 4, 2]);
    let known = |caller: [u8; 4], name: &str| names.lookup(caller.into(), name);
    assert_eq!(known(web, "api"), addresses(&[[10, 176, 0, 1]]));
    assert_eq!(known(web, "db"), Answer::Elsewhere);
    assert_eq!(known(web, "2.4.128.10.in-addr.arpa"), Answer::Unknown);
    assert_eq!(known(api, "db"), addresses(&[[10, 176, 0, 2]]));
    assert_eq!(known(api, "web"), addresses(&[[10, 176, 0, 0]]));
    assert_eq!(known(api, "example.com"), Answer::Elsewhere);
    assert_eq!(known(db, "api"), addresses(&[[10, 176, 0, 1]]));
    assert_eq!(known(db, "10.0.28.172.in-addr.arpa"), Answer::Name("db".into()));
    for outside in ["web", "example.com", "1.0.168.192.in-addr.arpa"] {
        assert_eq!(known(db, outside), Answer::Unknown, "{outside}: its network is internal");
    }
}

#[test]
fn names_of_ones_own_project_come_before_those_of_others() {
    let own = service("web", Some([10, 176, 0, 5]), vec![replica(5, 1, 1, [10, 128, 0, 2])]);
    let theirs = vec![replica(6, 1, 1, [10, 128, 2, 2]), replica(7, 2, 1, [10, 128, 2, 3])];
    let theirs = |name: &str, last: u8| NamedService {
        foreign: true,
        ..service(name, Some([10, 176, 0, last]), theirs.clone())
    };
    let services = vec![own, theirs("web", 6), theirs("mail", 7)];
    let mesh = mesh(vec![network("shop", &[(1, "10.128.0.0/23")], services)]);
    let names = Names::new(&mesh, NodeId(1));
    assert_eq!(names.lookup(WEB.into(), "web"), addresses(&[[10, 176, 0, 5]]));
    assert_eq!(names.lookup(WEB.into(), "tasks.web"), addresses(&[WEB]));
    assert_eq!(names.lookup(WEB.into(), "mail"), addresses(&[[10, 176, 0, 7]]));
}
