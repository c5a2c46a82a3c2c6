//! Balancers in front say who the client is, and replicas that ask for it are told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use model::{Backend, NodeId};
use network::{Edge, Picture, PortState, Remark, Security};
use std::net::SocketAddr;
use std::sync::Arc;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use web::*;

const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 198.51.100.1 40000 25\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// An edge that hears from balancers at 127.0.0.9, with a published port and its replica that echoes.
async fn edge_before(told: bool) -> (Edge, u16, Remarks, Replica, tempfile::TempDir) {
    let (port, target) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let (mut config, remarks) = config(folder.path(), Security::Plain);
    config.proxied_from = vec!["127.0.0.9".parse().unwrap()];
    let edge = Edge::start(config).await.unwrap();
    let backend = Backend { told, ..backend(1, 1, true) };
    edge.serve(picture(1, &[route(port, target, &[backend])], &[]));
    until("the port is open", || edge.status().ports[0].state == PortState::Listening).await;
    (edge, port, remarks, Replica::start(1, target), folder)
}

async fn from(address: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap()
}

async fn exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    tokio::time::timeout(SOON, stream.read_exact(&mut bytes)).await.expect("bytes").unwrap();
    bytes
}

/// The header that a replica hears of version 2: between two IPv4 ends.
fn header(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Vec<u8> {
    let mut bytes = [SIGNATURE, &[0x21, 0x11, 0, 12], &source.0, &destination.0].concat();
    bytes.extend(source.1.to_be_bytes());
    bytes.extend(destination.1.to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_header_is_taken_off_and_what_follows_it_is_the_clients() {
    let (_edge, port, _, _replica, _folder) = edge_before(false).await;
    let mut unknown = SIGNATURE.to_vec();
    unknown.extend([0x20, 0, 0, 0]);
    for said in [
        LINE,
        &header(([203, 0, 113, 9], 4), ([198, 51, 100, 1], 25)),
        &unknown,
        b"PROXY UNKNOWN\r\n",
    ] {
        let mut stream = from([127, 0, 0, 9], port).await;
        // In one piece, and byte by byte.
        stream.write_all(&[said, b"hello"].concat()).await.unwrap();
        assert_eq!(exactly(&mut stream, 6).await, b"\x01hello");
        let mut stream = from([127, 0, 0, 9], port).await;
        for byte in said {
            stream.write_all(&[*byte]).await.unwrap();
        }
        assert_eq!(who(&mut stream).await.unwrap(), 1);
        echo(&mut stream, b"hello").await;
    }
}

#[tokio::test]
async fn a_balancer_that_says_nothing_of_its_client_is_refused() {
    let (edge, port, remarks, _replica, _folder) = edge_before(false).await;
    let mut stream = from([127, 0, 0, 9], port).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    assert!(tokio::time::timeout(SOON, stream.read_u8()).await.expect("an end").is_err());
    until("it is remarked", || {
        remarks.lock().unwrap().iter().any(|r| matches!(r, Remark::Misspoken { .. }))
    })
    .await;
    // One that only looks whether somebody is there.
    drop(from([127, 0, 0, 9], port).await);
    until("nothing is held", || edge.status().carried == 0).await;
    assert_eq!(edge.status().ports[0].counts.total, 0);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (_edge, port, _, _replica, _folder) = edge_before(true).await;
    let mut stream = from([127, 0, 0, 8], port).await;
    stream.write_all(LINE).await.unwrap();
    let own = stream.local_addr().unwrap().port();
    assert_eq!(who(&mut stream).await.unwrap(), 1);
    let heard = header(([127, 0, 0, 8], own), ([127, 0, 0, 1], port));
    assert_eq!(exactly(&mut stream, 28 + LINE.len()).await, [&heard, LINE].concat());
}

#[tokio::test]
async fn a_replica_that_asks_for_it_is_told_who_the_client_is() {
    let (_edge, port, _, _replica, _folder) = edge_before(true).await;
    let mut stream = from([127, 0, 0, 9], port).await;
    stream.write_all(&[LINE, b"hello"].concat()).await.unwrap();
    assert_eq!(who(&mut stream).await.unwrap(), 1);
    let heard = header(([203, 0, 113, 9], 40_000), ([198, 51, 100, 1], 25));
    assert_eq!(exactly(&mut stream, 33).await, [&heard, &b"hello"[..]].concat());
}

#[tokio::test]
async fn a_replica_on_another_node_is_told_as_well() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let near = Edge::start(config(folders[0].path(), Security::Plain).0).await.unwrap();
    let far = Edge::start(config(folders[1].path(), Security::Plain).0).await.unwrap();
    let (port, target) = (free_port(), free_port());
    let nodes = [(1, near.address()), (2, far.address())];
    for (edge, node) in [(&far, 2_u8), (&near, 1)] {
        let mut route = route(port, target, &[Backend { told: true, ..backend(1, 2, true) }]);
        route.port.host_ip = Some([127, 0, 0, node].into());
        edge.serve(Picture { node: NodeId(node.into()), ..picture(1, &[route], &nodes) });
    }
    let _replica = Replica::start(1, target);
    let mut stream = connect(port).await;
    let own = stream.local_addr().unwrap().port();
    assert_eq!(who(&mut stream).await.unwrap(), 1);
    let heard = header(([127, 0, 0, 1], own), ([127, 0, 0, 1], port));
    assert_eq!(exactly(&mut stream, 28).await, heard);
}

#[tokio::test]
async fn requests_bear_the_address_that_a_balancer_says() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (edge, port, _folder) =
        edge_with(|config| config.proxied_from = vec!["127.0.0.0/29".parse().unwrap()]).await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    let request = b"GET / HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 1.2.3.4\r\nconnection: close\r\n\r\n";
    let answer = raw(port, &[LINE, request].concat()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(replica.heard()[0].headers["x-forwarded-for"], "203.0.113.9");
    let mut other = from([127, 0, 0, 77], port).await;
    other.write_all(&[LINE, request].concat()).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 400, "{answer}");
}

#[tokio::test]
async fn a_client_behind_a_balancer_has_a_share_of_its_own() {
    let (port, target) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let (mut config, _) = config(folder.path(), Security::Plain);
    config.proxied_from = vec!["127.0.0.9".parse().unwrap()];
    config.connections = 4;
    let edge = Edge::start(config).await.unwrap();
    let shown = picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]);
    edge.serve(Picture { sites: Arc::default(), ..shown });
    let _replica = Replica::start(1, target);
    until("the port is open", || edge.status().ports[0].state == PortState::Listening).await;
    let mut open = Vec::new();
    for (client, served) in [(1, true), (1, true), (1, false), (2, true)] {
        let mut stream = from([127, 0, 0, 9], port).await;
        let line = format!("PROXY TCP4 203.0.113.{client} 198.51.100.1 40000 25\r\n");
        stream.write_all(line.as_bytes()).await.unwrap();
        let got = tokio::time::timeout(SOON, stream.read_u8()).await.expect("an answer or an end");
        assert_eq!(got.is_ok(), served, "client {client}");
        open.push(stream);
    }
}
