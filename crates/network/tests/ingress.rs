//! Published ports on one node: choosing, failing over, draining, opening and closing ports.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use model::Backend;
use network::{Bind, Config, Edge, PortState, Security};
use std::io::ErrorKind;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn bind(port: u16) -> Bind {
    Bind::tcp(port, None)
}

fn state(edge: &Edge, port: u16) -> Option<PortState> {
    edge.status().ports.iter().find(|p| p.bind == bind(port)).map(|p| p.state.clone())
}

#[tokio::test]
async fn connections_spread_evenly_and_carry_bytes() {
    let (port, target) = (free_port(), free_port());
    let _replicas =
        [Replica::start(1, target), Replica::start(2, target), Replica::start(3, target)];
    let (edge, _folder) = edge().await;
    let backends = [backend(1, 1, true), backend(2, 1, true), backend(3, 1, true)];
    assert!(edge.serve(picture(1, &[route(port, target, &backends)], &[])));
    let mut open = Vec::new();
    let mut each = [0; 4];
    for _ in 0..9 {
        let mut stream = connect(port).await;
        each[usize::try_from(who(&mut stream).await.unwrap()).unwrap()] += 1;
        open.push(stream);
    }
    assert_eq!(each, [0, 3, 3, 3]);
    for stream in &mut open {
        echo(stream, b"hello").await;
    }
    let counts = edge.status().ports[0].counts;
    assert_eq!((counts.open, counts.total, counts.sent, counts.received), (9, 9, 45, 54));
    drop(open);
    until("all connections are over", || edge.status().ports[0].counts.open == 0).await;
}

#[tokio::test]
async fn replicas_of_two_generations_answer_at_their_own_ports() {
    let (port, old, new) = (free_port(), free_port(), free_port());
    let _replicas = [Replica::start(1, old), Replica::start(2, new)];
    let (edge, _folder) = edge().await;
    let older = Backend { target: Some(old), ..backend(1, 1, true) };
    edge.serve(picture(1, &[route(port, new, &[older, backend(2, 1, true)])], &[]));
    let mut open = [connect(port).await, connect(port).await];
    let mut answered = [who(&mut open[0]).await.unwrap(), who(&mut open[1]).await.unwrap()];
    answered.sort_unstable();
    assert_eq!((answered, edge.status().ports[0].counts.failures), ([1, 2], 0));
}

#[tokio::test]
async fn the_end_of_one_direction_leaves_the_other_open() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut stream = connect(port).await;
    who(&mut stream).await.unwrap();
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last wordsbye");
}

#[tokio::test]
async fn much_data_arrives_whole_although_the_reader_is_slow() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut stream = connect(port).await;
    who(&mut stream).await.unwrap();
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut from, mut to) = stream.split();
    let write = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let read = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut back = Vec::new();
        from.read_to_end(&mut back).await.unwrap();
        back
    };
    let ((), back) = tokio::join!(write, read);
    assert!(back.strip_suffix(b"bye") == Some(&sent), "{} of {} bytes", back.len(), sent.len());
}

#[tokio::test]
async fn a_replica_that_refuses_is_passed_over_and_ejected() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    let backends = [backend(1, 1, true), backend(2, 1, true)];
    edge.serve(picture(1, &[route(port, target, &backends)], &[]));
    for _ in 0..20 {
        assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    }
    let published = &edge.status().ports[0];
    assert_eq!(published.counts.unanswered, 0);
    assert!(published.counts.ejections >= 1);
    assert!(published.counts.failures < 20, "the dead replica was asked for every connection");
}

#[tokio::test]
async fn a_replica_that_is_silent_is_passed_over() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let _silent = Silent::start(2, target).await;
    let (edge, _folder) = edge().await;
    let backends = [backend(1, 1, true), backend(2, 1, true)];
    edge.serve(picture(1, &[route(port, target, &backends)], &[]));
    for _ in 0..4 {
        assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    }
    assert!(edge.status().ports[0].counts.ejections >= 1);
}

#[tokio::test]
async fn an_ejected_replica_that_works_again_is_used_again() {
    let (port, target) = (free_port(), free_port());
    let _first = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    let backends = [backend(1, 1, true), backend(2, 1, true)];
    edge.serve(picture(1, &[route(port, target, &backends)], &[]));
    let mut kept = Vec::new();
    while edge.status().ports[0].ejected == 0 {
        let mut stream = connect(port).await;
        assert_eq!(who(&mut stream).await.unwrap(), 1);
        kept.push(stream);
    }
    let _second = Replica::start(2, target);
    until("its time is up", || edge.status().ports[0].ejected == 0).await;
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 2);
}

#[tokio::test]
async fn the_only_replica_is_tried_even_though_it_failed() {
    let (port, target) = (free_port(), free_port());
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut stream = connect(port).await;
    until("it has failed", || edge.status().ports[0].counts.failures > 1).await;
    let _replica = Replica::start(1, target);
    assert_eq!(who(&mut stream).await.unwrap(), 1);
}

#[tokio::test]
async fn a_stopping_replica_keeps_its_connections_and_gets_no_new_ones() {
    let (port, target) = (free_port(), free_port());
    let _replicas = [Replica::start(1, target), Replica::start(2, target)];
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut old = connect(port).await;
    assert_eq!(who(&mut old).await.unwrap(), 1);
    let backends = [backend(1, 1, false), backend(2, 1, true)];
    edge.serve(picture(2, &[route(port, target, &backends)], &[]));
    for _ in 0..5 {
        assert_eq!(who(&mut connect(port).await).await.unwrap(), 2);
    }
    echo(&mut old, b"still here").await;
    edge.serve(picture(3, &[route(port, target, &[backend(2, 1, true)])], &[]));
    echo(&mut old, b"even now").await;
}

#[tokio::test]
async fn a_connection_waits_for_the_replica_that_is_about_to_serve() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, false)])], &[]));
    let mut stream = connect(port).await;
    until("it is held", || edge.status().ports[0].counts.open == 1).await;
    edge.serve(picture(2, &[route(port, target, &[backend(1, 1, true)])], &[]));
    assert_eq!(who(&mut stream).await.unwrap(), 1);
}

#[tokio::test]
async fn a_connection_that_nobody_takes_is_reset() {
    let (port, target) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let (mut config, _) = config(folder.path(), Security::Plain);
    config.hold = Duration::from_millis(100);
    let edge = Edge::start(config).await.unwrap();
    edge.serve(picture(1, &[route(port, target, &[])], &[]));
    let mut stream = connect(port).await;
    assert_eq!(who(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    until("it is over", || edge.status().carried == 0).await;
    assert_eq!(edge.status().ports[0].counts.unanswered, 1);
}

#[tokio::test]
async fn ports_open_and_close_with_the_picture_and_connections_stay() {
    let (one, two, target) = (free_port(), free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    let backends = [backend(1, 1, true)];
    edge.serve(picture(1, &[route(one, target, &backends)], &[]));
    let mut stream = connect(one).await;
    who(&mut stream).await.unwrap();
    edge.serve(picture(2, &[route(two, target, &backends)], &[]));
    assert_eq!(who(&mut connect(two).await).await.unwrap(), 1);
    assert_eq!(state(&edge, one), None);
    until("the old port is free", || std::net::TcpListener::bind(("127.0.0.1", one)).is_ok()).await;
    echo(&mut stream, b"still here").await;
    edge.serve(picture(3, &[route(one, target, &backends), route(two, target, &backends)], &[]));
    assert_eq!(who(&mut connect(one).await).await.unwrap(), 1);
    echo(&mut stream, b"still here").await;
}

#[tokio::test]
async fn fault_34_a_port_that_a_foreign_process_holds_is_reported_and_taken_when_free() {
    let (port, other, target) = (free_port(), free_port(), free_port());
    let foreign = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    let backends = [backend(1, 1, true)];
    edge.serve(picture(1, &[route(port, target, &backends), route(other, target, &backends)], &[]));
    until("it is reported", || state(&edge, port) == Some(PortState::Busy)).await;
    assert_eq!(edge.status().busy_ports(), [port].into());
    assert_eq!(who(&mut connect(other).await).await.unwrap(), 1);
    drop(foreign);
    until("it is taken", || state(&edge, port) == Some(PortState::Listening)).await;
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
}

#[tokio::test]
async fn a_port_can_be_published_on_one_address() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    let mut here = route(port, target, &[backend(1, 1, true)]);
    here.port.host_ip = Some("127.0.0.9".parse().unwrap());
    let mut nowhere = route(free_port(), target, &[backend(1, 1, true)]);
    nowhere.port.host_ip = Some("192.0.2.1".parse().unwrap());
    edge.serve(picture(1, &[here, nowhere], &[]));
    let mut stream = connect_to(format!("127.0.0.9:{port}").parse().unwrap()).await;
    assert_eq!(who(&mut stream).await.unwrap(), 1);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let absent = || edge.status().ports.iter().any(|p| p.state == PortState::NoSuchAddress);
    until("the other is reported", absent).await;
    assert!(edge.status().busy_ports().is_empty());
}

#[tokio::test]
async fn a_port_answers_over_both_families() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // This host has no IPv6, and the port answers all the same.
    }
    let mut stream = connect_to(format!("[::1]:{port}").parse().unwrap()).await;
    assert_eq!(who(&mut stream).await.unwrap(), 1);
}

/// Connects as another client.
async fn connect_from(client: u8, port: u16) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, client], 0).into()).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

async fn small(folder: &std::path::Path, connections: usize) -> Edge {
    let (config, _) = config(folder, Security::Plain);
    Edge::start(Config { connections, ..config }).await.unwrap()
}

#[tokio::test]
async fn past_the_limit_connections_are_refused_and_others_live_on() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let folder = tempfile::tempdir().unwrap();
    let edge = small(folder.path(), 4).await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut first = connect(port).await;
    who(&mut first).await.unwrap();
    let mut second = connect(port).await;
    who(&mut second).await.unwrap();
    let mut third = connect(port).await;
    assert!(who(&mut third).await.is_err(), "one client has half of them at most");
    let mut others = [connect_from(2, port).await, connect_from(3, port).await];
    for other in &mut others {
        assert_eq!(who(other).await.unwrap(), 1, "there is room for others");
    }
    assert!(who(&mut connect_from(4, port).await).await.is_err());
    assert_eq!(edge.status().refused, 2);
    echo(&mut first, b"unharmed").await;
    drop(second);
    until("there is room", || edge.status().carried == 3).await;
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
}

#[tokio::test]
async fn draining_accepts_nothing_more_and_waits_for_the_last() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut stream = connect(port).await;
    who(&mut stream).await.unwrap();
    let drained = tokio::spawn(edge.drain(SOON));
    until("the port is closed", || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()).await;
    echo(&mut stream, b"let me finish").await;
    assert!(!drained.is_finished());
    drop(stream);
    assert_eq!(drained.await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_cuts_off() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, _folder) = edge().await;
    edge.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut stream = connect(port).await;
    who(&mut stream).await.unwrap();
    assert_eq!(edge.drain(Duration::from_millis(50)).await, 1);
    assert!(who(&mut stream).await.is_err());
}
