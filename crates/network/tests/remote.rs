//! Replicas on another node, reached through its edge: plainly and over mutual TLS, and who is refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/authority.rs"]
mod authority;
mod support;

use authority::Authority;
use model::{ClusterId, NodeId, Route};
use network::{Edge, IdentityFiles, Picture, Remark, Security};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The edges of two nodes. The replicas listed below are on node 2; clients connect to node 1.
struct Pair {
    near: Edge,
    far: Edge,
    published: u16,
    target: u16,
    remarks: [Remarks; 2],
    folders: [tempfile::TempDir; 2],
}

impl Pair {
    async fn start(near: Security, far: Security) -> Self {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (mut near, near_remarks) = config(folders[0].path(), near);
        near.give_up = Duration::from_millis(100);
        let (far, far_remarks) = config(folders[1].path(), far);
        Self {
            near: Edge::start(near).await.unwrap(),
            far: Edge::start(far).await.unwrap(),
            published: free_port(),
            target: free_port(),
            remarks: [near_remarks, far_remarks],
            folders,
        }
    }

    async fn plain() -> Self {
        Self::start(Security::Plain, Security::Plain).await
    }

    fn nodes(&self) -> Vec<(u64, SocketAddr)> {
        vec![(1, self.near.address()), (2, self.far.address())]
    }

    fn route(&self, replicas: &[(u64, bool)]) -> Route {
        let backends: Vec<_> =
            replicas.iter().map(|&(n, serving)| backend(n, 2, serving)).collect();
        route(self.published, self.target, &backends)
    }

    fn serve_near(&self, index: u64, replicas: &[(u64, bool)]) {
        assert!(self.near.serve(self.picture(index, 1, replicas)));
    }

    fn serve_far(&self, index: u64, replicas: &[(u64, bool)]) {
        assert!(self.far.serve(self.picture(index, 2, replicas)));
    }

    /// For one of the nodes. The host being the same, each publishes on an address of its own.
    fn picture(&self, index: u64, node: u8, replicas: &[(u64, bool)]) -> Picture {
        let mut route = self.route(replicas);
        route.port.host_ip = Some([127, 0, 0, node].into());
        Picture { node: NodeId(node.into()), ..picture(index, &[route], &self.nodes()) }
    }

    fn serve(&self, index: u64, replicas: &[(u64, bool)]) {
        self.serve_far(index, replicas);
        self.serve_near(index, replicas);
    }
}

async fn carries(pair: &Pair) {
    let _replicas = [Replica::start(1, pair.target), Replica::start(2, pair.target)];
    pair.serve(1, &[(1, true), (2, true)]);
    let mut open = Vec::new();
    let mut each = [0; 3];
    for _ in 0..30 {
        let mut stream = connect(pair.published).await;
        each[usize::try_from(who(&mut stream).await.unwrap()).unwrap()] += 1;
        open.push(stream);
    }
    assert_eq!(each, [0, 15, 15]);
    for stream in &mut open {
        echo(stream, &vec![7; 100_000]).await;
    }
    let mut last = open.pop().unwrap();
    last.write_all(b"last words").await.unwrap();
    last.shutdown().await.unwrap();
    let mut rest = Vec::new();
    last.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last wordsbye");
    assert_eq!(pair.far.status().for_others.total, 30);
    drop(open);
    until("all is over", || pair.near.status().carried + pair.far.status().carried == 0).await;
    assert!(pair.near.status().links.iter().all(|l| l.node == NodeId(2) && l.reachable));
}

#[tokio::test]
async fn plainly() {
    carries(&Pair::plain().await).await;
}

#[tokio::test]
async fn over_mutual_tls() {
    let authority = Authority::new(cluster());
    carries(&Pair::start(authority.tls(1), authority.tls(2)).await).await;
}

#[tokio::test]
async fn a_broken_connection_is_a_reset_at_the_far_end_too() {
    let pair = Pair::plain().await;
    let replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    let mut stream = connect(pair.published).await;
    who(&mut stream).await.unwrap();
    let Pair { far, .. } = pair;
    drop(far);
    assert!(who(&mut stream).await.is_err());
    drop(replica);
}

#[tokio::test]
async fn a_dead_replica_there_is_passed_over_and_its_node_is_not() {
    let pair = Pair::plain().await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true), (2, true)]);
    for _ in 0..10 {
        assert_eq!(who(&mut connect(pair.published).await).await.unwrap(), 1);
    }
    let port = &pair.near.status().ports[0];
    assert_eq!((port.ejected, port.counts.unanswered), (1, 0));
    let remarks = pair.remarks[0].lock().unwrap();
    assert!(!remarks.iter().any(|r| matches!(r, Remark::LinkDown { .. })), "{remarks:?}");
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_avoided_until_it_can() {
    let pair = Pair::plain().await;
    let target = pair.target;
    let _replicas = [Replica::start(1, target), Replica::start(2, target)];
    let nowhere: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let mut both = route(pair.published, target, &[backend(1, 2, true), backend(2, 1, true)]);
    both.port.host_ip = Some([127, 0, 0, 1].into());
    pair.near.serve(picture(1, &[both.clone()], &[(1, nowhere), (2, nowhere)]));
    for _ in 0..5 {
        assert_eq!(who(&mut connect(pair.published).await).await.unwrap(), 2);
    }
    until("it is noticed", || pair.near.status().links.iter().any(|l| !l.reachable)).await;
    pair.serve_far(2, &[(1, true)]);
    pair.near.serve(picture(2, &[both], &pair.nodes()));
    until("it is reached", || pair.near.status().links.iter().all(|l| l.reachable)).await;
    let mut seen = std::collections::BTreeSet::new();
    until("a link", || pair.near.status().ports[0].ejected == 0).await;
    for _ in 0..10 {
        seen.insert(who(&mut connect(pair.published).await).await.unwrap());
    }
    assert_eq!(seen, [1, 2].into());
}

/// A cable between the two nodes that can be cut: whatever comes then is swallowed.
struct Cable {
    address: SocketAddr,
    whole: tokio::sync::watch::Sender<bool>,
}

impl Cable {
    async fn to(far: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, state) = tokio::sync::watch::channel(true);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                if !*state.borrow() {
                    kept.push(near);
                    continue;
                }
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(far).await.unwrap();
                    let carry = tokio::io::copy_bidirectional(&mut near, &mut far);
                    let cut = tokio::select! {
                        _ = carry => false,
                        _ = state.wait_for(|whole| !whole) => true,
                    };
                    if cut {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { address, whole }
    }
}

#[tokio::test]
async fn behind_a_cut_cable_nothing_is_waited_for() {
    let pair = Pair::plain().await;
    let _replicas = [Replica::start(1, pair.target), Replica::start(2, pair.target)];
    let cable = Cable::to(pair.far.address()).await;
    let nodes = [(1, pair.near.address()), (2, cable.address)];
    let mut both = pair.route(&[(1, true)]);
    both.port.host_ip = Some([127, 0, 0, 1].into());
    pair.serve_far(1, &[(1, true)]);
    pair.near.serve(picture(1, &[both.clone()], &nodes));
    let mut carried = connect(pair.published).await;
    assert_eq!(who(&mut carried).await.unwrap(), 1);
    both.backends.push(backend(2, 1, true));
    pair.near.serve(picture(2, &[both], &nodes));
    cable.whole.send_replace(false);
    for _ in 0..20 {
        assert_eq!(who(&mut connect(pair.published).await).await.unwrap(), 2);
    }
    assert!(who(&mut carried).await.is_err(), "it was given up");
    assert!(pair.near.status().links.iter().any(|l| !l.reachable));
    cable.whole.send_replace(true);
    until("it is found again", || pair.near.status().links.iter().all(|l| l.reachable)).await;
    until("its replica is used again", || pair.near.status().ports[0].ejected == 0).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(pair.published).await;
        kept.push((who(&mut stream).await.unwrap(), stream));
    }
    assert!(kept.iter().any(|(n, _)| *n == 1));
}

/// A relay that lets each connection wait before it passes anything: a handshake over it is slow, whoever
/// waits for it.
async fn slow_way_to(far: SocketAddr, wait: Duration) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let mut far = TcpStream::connect(far).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

/// Handshakes that take longer than the patience with one replica: on a host without processor time to
/// spare. Once this collapsed: each was thrown away half done, and the warm connections with it.
#[tokio::test]
async fn a_slow_link_is_used_and_no_replica_behind_it_is_ejected() {
    let pair = Pair::plain().await;
    let _replica = Replica::start(1, pair.target);
    let slow = slow_way_to(pair.far.address(), Duration::from_millis(400)).await;
    let mut route = pair.route(&[(1, true)]);
    route.port.host_ip = Some([127, 0, 0, 1].into());
    pair.serve_far(1, &[(1, true)]);
    pair.near.serve(picture(1, &[route], &[(1, pair.near.address()), (2, slow)]));
    let mut burst = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let port = pair.published;
        burst.spawn(async move { who(&mut connect(port).await).await.is_ok() });
    }
    assert!(burst.join_all().await.into_iter().all(|carried| carried));
    let counts = pair.near.status().ports[0].counts;
    assert_eq!((counts.unanswered, counts.ejections), (0, 0));
}

#[tokio::test]
async fn a_burst_of_connections_is_carried_whole() {
    let authority = Authority::new(cluster());
    let pair = Pair::start(authority.tls(1), authority.tls(2)).await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    connect(pair.published).await;
    let mut burst = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let port = pair.published;
        burst.spawn(async move { who(&mut connect(port).await).await.is_ok() });
    }
    assert!(burst.join_all().await.into_iter().all(|carried| carried));
    assert_eq!(pair.near.status().ports[0].counts.unanswered, 0);
}

#[tokio::test]
async fn an_edge_that_was_restarted_is_used_again() {
    let pair = Pair::plain().await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    assert_eq!(who(&mut connect(pair.published).await).await.unwrap(), 1);
    let Pair { near, far, published, folders, .. } = pair;
    let address = far.address();
    drop(far);
    until("it is gone", || std::net::TcpStream::connect(address).is_err()).await;
    let mut held = connect(published).await;
    let (mut config, _) = config(folders[1].path(), Security::Plain);
    config.address = address;
    let _again = Edge::start(config).await.unwrap();
    assert_eq!(who(&mut held).await.unwrap(), 1, "held while it restarted");
    assert_eq!(who(&mut connect(published).await).await.unwrap(), 1);
    assert_eq!(near.status().ports[0].counts.unanswered, 0);
}

#[tokio::test]
async fn an_edge_that_has_not_heard_of_a_replica_yet_waits_for_its_picture() {
    let pair = Pair::plain().await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[]);
    pair.serve_near(2, &[(1, true)]);
    let mut stream = connect(pair.published).await;
    until("it is carried", || pair.near.status().ports[0].counts.open == 1).await;
    pair.serve_far(2, &[(1, true)]);
    assert_eq!(who(&mut stream).await.unwrap(), 1);
}

#[tokio::test]
async fn attack_03_a_removed_node_loses_its_connections_and_gets_no_new_ones() {
    let pair = Pair::plain().await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    let mut stream = connect(pair.published).await;
    who(&mut stream).await.unwrap();
    let mut without = pair.picture(2, 2, &[(1, true)]);
    without.nodes.retain(|n| n.id != NodeId(1));
    pair.far.serve(without);
    assert!(who(&mut stream).await.is_err());
    let total = pair.far.status().for_others.total;
    assert!(who(&mut connect(pair.published).await).await.is_err());
    assert_eq!(pair.far.status().for_others.total, total);
}

/// Greets the far edge by hand.
async fn greet(pair: &Pair, cluster: &ClusterId, node: u64) -> TcpStream {
    let mut stream = TcpStream::connect(pair.far.address()).await.unwrap();
    let mut greeting = b"edge\x01".to_vec();
    greeting.extend(cluster.0.as_bytes());
    greeting.extend(node.to_be_bytes());
    stream.write_all(&greeting).await.unwrap();
    stream
}

/// Asks for a replica by hand; what the edge says.
async fn ask(stream: &mut TcpStream, task: (u64, u32), port: u16) -> std::io::Result<u64> {
    let mut question = vec![1];
    question.extend(task.0.to_be_bytes());
    question.extend(task.1.to_be_bytes());
    question.extend(port.to_be_bytes());
    question.extend(0_u64.to_be_bytes());
    question.extend(200_u16.to_be_bytes());
    stream.write_all(&question).await?;
    who(stream).await
}

#[tokio::test]
async fn only_replicas_of_the_picture_can_be_asked_for() {
    let [here, connected, unknown, leaving] = [1, 2, 5, 6];
    let pair = Pair::plain().await;
    let _replica = Replica::start(1, pair.target);
    let foreign = backend(3, 1, true);
    let mut shown = pair.route(&[(1, true), (2, false)]);
    shown.backends.push(foreign);
    let shown = picture(1, &[shown], &pair.nodes());
    pair.far.serve(Picture { node: NodeId(2), ..shown });
    let mut stream = greet(&pair, &cluster(), 1).await;
    assert_eq!(who(&mut stream).await.unwrap(), here);
    assert_eq!(ask(&mut stream, (1, 0), 22).await.unwrap(), unknown, "another port");
    assert_eq!(ask(&mut stream, (1, 1), pair.target).await.unwrap(), unknown, "no such task");
    assert_eq!(ask(&mut stream, (3, 0), pair.target).await.unwrap(), unknown, "another node's");
    assert_eq!(ask(&mut stream, (2, 0), pair.target).await.unwrap(), leaving, "a stopping one");
    assert_eq!(ask(&mut stream, (1, 0), pair.target).await.unwrap(), connected);
    assert_eq!(who(&mut stream).await.unwrap(), 1);
    echo(&mut stream, b"bytes").await;
}

#[tokio::test]
async fn strangers_are_dropped() {
    let pair = Pair::plain().await;
    pair.serve(1, &[(1, true)]);
    let other = ClusterId("f".repeat(32));
    for (cluster, node) in [(&other, 1), (&cluster(), 77)] {
        let mut stream = greet(&pair, cluster, node).await;
        assert!(who(&mut stream).await.is_err(), "{cluster} {node}");
    }
    let mut browser = TcpStream::connect(pair.far.address()).await.unwrap();
    browser
        .write_all(&b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"[..])
        .await
        .unwrap();
    assert!(who(&mut browser).await.is_err());
    until("all are counted", || pair.far.status().strangers == 3).await;
    let remarks = pair.remarks[1].lock().unwrap();
    assert!(remarks.iter().any(|r| matches!(r, Remark::Stranger { .. })));
}

#[tokio::test]
async fn attack_18_one_address_cannot_keep_all_handshakes_to_itself() {
    let pair = Pair::plain().await;
    pair.serve(1, &[]);
    let mut silent = Vec::new();
    for _ in 0..network::limits::HANDSHAKES_PER_ADDRESS {
        silent.push(TcpStream::connect(pair.far.address()).await.unwrap());
    }
    let mut more = greet(&pair, &cluster(), 1).await;
    assert!(who(&mut more).await.is_err());
    silent.pop();
    let welcomed = async { while who(&mut greet(&pair, &cluster(), 1).await).await.is_err() {} };
    tokio::time::timeout(SOON, welcomed).await.expect("room for one again");
}

#[tokio::test]
async fn attack_02_a_foreign_authority_is_refused() {
    let (ours, foreign) = (Authority::new(cluster()), Authority::new(cluster()));
    let pair = Pair::start(foreign.tls(1), ours.tls(2)).await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    assert!(who(&mut connect(pair.published).await).await.is_err());
    assert_eq!(pair.far.status().for_others.total, 0);
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_node_only() {
    let authority = Authority::new(cluster());
    // Node 3's certificate on node 1: right authority, wrong name.
    let pair = Pair::start(authority.tls(3), authority.tls(2)).await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    assert!(who(&mut connect(pair.published).await).await.is_err());
    assert_eq!(pair.far.status().for_others.total, 0);
}

#[tokio::test]
async fn an_exchanged_identity_is_used_from_the_next_connection_on() {
    let authority = Authority::new(cluster());
    let (security, used) = authority.counted(1);
    let pair = Pair::start(security, authority.tls(2)).await;
    let _replica = Replica::start(1, pair.target);
    pair.serve(1, &[(1, true)]);
    let mut stream = connect(pair.published).await;
    who(&mut stream).await.unwrap();
    let feed = network::Feed::start(pair.folders[0].path().join("edge.sock"));
    feed.identity(IdentityFiles { certificate: "second".into(), ..IdentityFiles::default() });
    until("it is dialled anew", || used.load(Ordering::SeqCst) > 0).await;
    echo(&mut stream, b"unharmed").await;
    assert_eq!(who(&mut connect(pair.published).await).await.unwrap(), 1);
}
