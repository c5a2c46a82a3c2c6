//! Published UDP ports: flows keep to their replica, go elsewhere when it is gone, and reach other nodes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/authority.rs"]
mod authority;
mod support;

use authority::Authority;
use model::{NodeId, Route};
use network::{Bind, Edge, Picture, PortState, Security, limits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::*;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A replica that sends back what it gets, behind its number.
struct Echo(JoinHandle<()>);

impl Echo {
    async fn start(n: u8, port: u16) -> Self {
        let socket = UdpSocket::bind((address(n.into()), port)).await.unwrap();
        Self(tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer = [&[n][..], &buffer[..length]].concat();
                socket.send_to(&answer, from).await.unwrap();
            }
        }))
    }

    async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn picture_of(index: u64, routes: &[Route]) -> Picture {
    Picture { datagrams: Arc::new(routes.to_vec()), ..picture(index, &[], &[]) }
}

fn open(edge: &Edge) -> bool {
    edge.status().ports.iter().all(|port| port.state == PortState::Listening)
}

/// An edge with one UDP port and these replicas, all on node 1.
async fn edge_of(replicas: &[u64]) -> (Edge, u16, u16, tempfile::TempDir) {
    let (port, target) = (free_port(), free_port());
    let (edge, folder) = edge().await;
    let backends: Vec<_> = replicas.iter().map(|n| backend(*n, 1, true)).collect();
    edge.serve(picture_of(1, &[udp_route(port, target, &backends)]));
    until("the port is open", || open(&edge)).await;
    (edge, port, target, folder)
}

async fn client(to: impl Into<SocketAddr>) -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    socket.connect(to.into()).await.unwrap();
    socket
}

async fn here(port: u16) -> UdpSocket {
    client(([127, 0, 0, 1], port)).await
}

/// Asks until there is an answer, as whoever uses UDP does: the replica's number, and what it sent back.
async fn ask(socket: &UdpSocket, bytes: &[u8]) -> (u8, Vec<u8>) {
    let asked = async {
        let mut buffer = vec![0; 65_536];
        loop {
            socket.send(bytes).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(500), socket.recv(&mut buffer));
            if let Ok(Ok(length)) = answer.await {
                return (buffer[0], buffer[1..length].to_vec());
            }
        }
    };
    tokio::time::timeout(SOON, asked).await.expect("an answer")
}

#[tokio::test]
async fn flows_spread_over_the_replicas_and_keep_to_theirs() {
    let (edge, port, target, _folder) = edge_of(&[1, 2]).await;
    let _replicas = [Echo::start(1, target).await, Echo::start(2, target).await];
    let mut each: BTreeMap<u8, u32> = BTreeMap::new();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let client = here(port).await;
        let (first, back) = ask(&client, b"hello").await;
        assert_eq!(back, b"hello");
        for n in 0..5_u8 {
            assert_eq!(ask(&client, &[n]).await, (first, vec![n]));
        }
        *each.entry(first).or_default() += 1;
        clients.push(client);
    }
    assert_eq!(each, [(1, 3), (2, 3)].into());
    let counts = edge.status().ports[0].counts;
    assert_eq!((counts.open, counts.total), (6, 6));
    assert!(counts.sent >= 60 && counts.received >= 96, "{counts:?}");
}

#[tokio::test]
async fn the_largest_and_the_empty_datagram_pass() {
    let (_edge, port, target, _folder) = edge_of(&[1]).await;
    let _replica = Echo::start(1, target).await;
    let client = here(port).await;
    assert_eq!(ask(&client, b"").await, (1, Vec::new()));
    let large = vec![7; 65_000];
    assert_eq!(ask(&client, &large).await, (1, large));
}

#[tokio::test]
async fn the_answer_comes_from_the_address_that_was_asked() {
    let (_edge, port, target, _folder) = edge_of(&[1]).await;
    let _replica = Echo::start(1, target).await;
    // A connected socket hears nobody else.
    for address in [[127, 0, 0, 1], [127, 0, 0, 77]] {
        assert_eq!(ask(&client((address, port)).await, b"x").await.0, 1);
    }
    if let Ok(socket) = UdpSocket::bind("[::1]:0").await {
        socket.connect(("::1", port)).await.unwrap();
        assert_eq!(ask(&socket, b"x").await.0, 1);
    }
}

#[tokio::test]
async fn a_replica_that_refuses_is_passed_over_with_what_it_did_not_answer() {
    let (edge, port, target, _folder) = edge_of(&[1, 2]).await;
    let _replica = Echo::start(1, target).await;
    for _ in 0..4 {
        let client = here(port).await;
        client.send(b"once").await.unwrap();
        let mut buffer = [0; 64];
        let answer = tokio::time::timeout(SOON, client.recv(&mut buffer)).await;
        let length = answer.expect("an answer without asking again").unwrap();
        assert_eq!(&buffer[..length], b"\x01once");
    }
    assert!(edge.status().ports[0].counts.ejections >= 1);
}

#[tokio::test]
async fn a_flow_goes_on_elsewhere_when_its_replica_ends() {
    let (edge, port, target, _folder) = edge_of(&[1]).await;
    let replica = Echo::start(1, target).await;
    let client = here(port).await;
    assert_eq!(ask(&client, b"a").await.0, 1);
    // Leaving: what it has begun it goes on with.
    let _other = Echo::start(2, target).await;
    let route = |backends: &[_]| udp_route(port, target, backends);
    edge.serve(picture_of(2, &[route(&[backend(1, 1, false), backend(2, 1, true)])]));
    assert_eq!(ask(&client, b"b").await.0, 1);
    assert_eq!(ask(&here(port).await, b"new").await.0, 2);
    edge.serve(picture_of(3, &[route(&[backend(2, 1, true)])]));
    assert_eq!(ask(&client, b"c").await.0, 2, "it has ended");
    drop(replica);
}

#[tokio::test]
async fn a_replica_that_dies_within_a_flow_is_noticed() {
    let (_edge, port, target, _folder) = edge_of(&[1, 2]).await;
    let replicas = [Echo::start(1, target).await, Echo::start(2, target).await];
    let client = here(port).await;
    let (first, _) = ask(&client, b"a").await;
    let [one, two] = replicas;
    let (dying, other) = if first == 1 { (one, two) } else { (two, one) };
    dying.stop().await;
    assert_eq!(ask(&client, b"b").await.0, 3 - first);
    drop(other);
}

#[tokio::test]
async fn tcp_and_udp_have_ports_of_their_own() {
    let (port, target) = (free_port(), free_port());
    let (_stream, _datagrams) = (Replica::start(3, target), Echo::start(1, target).await);
    let (edge, _folder) = edge().await;
    let shown = Picture {
        datagrams: Arc::new(vec![udp_route(port, target, &[backend(1, 1, true)])]),
        ..picture(1, &[route(port, target, &[backend(3, 1, true)])], &[])
    };
    edge.serve(shown);
    until("both are open", || edge.status().ports.len() == 2 && open(&edge)).await;
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 3);
    assert_eq!(ask(&here(port).await, b"x").await.0, 1);
    edge.serve(picture(2, &[], &[]));
    until("both are free", || std::net::UdpSocket::bind(("0.0.0.0", port)).is_ok()).await;
}

#[tokio::test]
async fn one_address_has_so_many_flows_and_no_more() {
    let (edge, port, target, _folder) = edge_of(&[1]).await;
    let _replica = Echo::start(1, target).await;
    let mut clients = Vec::new();
    for _ in 0..limits::FLOWS_PER_ADDRESS {
        let client = here(port).await;
        client.send(b"x").await.unwrap();
        clients.push(client);
        tokio::task::yield_now().await;
    }
    until("all may speak", || {
        for client in &clients {
            let _ = client.try_send(b"x");
        }
        edge.status().ports[0].counts.open == limits::FLOWS_PER_ADDRESS as u64
    })
    .await;
    let before = edge.status().refused;
    let more = here(port).await;
    more.send(b"x").await.unwrap();
    until("one more is refused", || edge.status().refused > before).await;
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(ask(&other, b"x").await.0, 1, "another address has its own");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_and_opened_when_it_is_free() {
    let port = free_port();
    let holder = std::net::UdpSocket::bind(("0.0.0.0", port)).unwrap();
    let (edge, _folder) = edge().await;
    edge.serve(picture_of(1, &[udp_route(port, 9, &[])]));
    let bind = Bind::from(udp_route(port, 9, &[]).port);
    let state = || edge.status().ports.iter().find(|p| p.bind == bind).unwrap().state.clone();
    until("it is said", || state() == PortState::Busy).await;
    assert_eq!(edge.status().busy_ports(), [port].into());
    assert_eq!(bind.to_string(), format!("{port}/udp"));
    drop(holder);
    until("it is ours", || state() == PortState::Listening).await;
}

/// Replicas on node 2, reached through its edge, because the two nodes share no network.
async fn through_another_edge(near: Security, far: Security) {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let near = Edge::start(config(folders[0].path(), near).0).await.unwrap();
    let far = Edge::start(config(folders[1].path(), far).0).await.unwrap();
    let (port, target) = (free_port(), free_port());
    let nodes = [(1, near.address()), (2, far.address())];
    let serve = |index, replicas: &[u64]| {
        for (edge, node) in [(&far, 2_u8), (&near, 1)] {
            let backends: Vec<_> = replicas.iter().map(|n| backend(*n, 2, true)).collect();
            let mut route = udp_route(port, target, &backends);
            route.port.host_ip = Some([127, 0, 0, node].into());
            let datagrams = Arc::new(vec![route]);
            let node = NodeId(node.into());
            edge.serve(Picture { node, datagrams, ..picture(index, &[], &nodes) });
        }
    };
    serve(1, &[1]);
    let replica = Echo::start(1, target).await;
    let client = here(port).await;
    for n in 0..20_u8 {
        assert_eq!(ask(&client, &[n; 1_000]).await, (1, vec![n; 1_000]));
    }
    let large = vec![7; 65_000];
    assert_eq!(ask(&client, &large).await, (1, large));
    assert_eq!(far.status().for_others.total, 1, "one flow");
    replica.stop().await;
    let _other = Echo::start(2, target).await;
    serve(2, &[2]);
    assert_eq!(ask(&client, b"x").await.0, 2);
    drop(near);
    until("nothing is left", || far.status().carried == 0).await;
}

#[tokio::test]
async fn replicas_elsewhere_plainly() {
    through_another_edge(Security::Plain, Security::Plain).await;
}

#[tokio::test]
async fn replicas_elsewhere_over_mutual_tls() {
    let authority = Authority::new(cluster());
    through_another_edge(authority.tls(1), authority.tls(2)).await;
}
