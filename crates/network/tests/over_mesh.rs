//! Replicas of other hosts reached at their own addresses, where the mesh has a way and edges would protect nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/authority.rs"]
mod authority;
mod support;

use authority::Authority;
use model::{Backend, Carrier, Mesh, MeshView, NetworkView, NodeId};
use network::{Edge, Picture, PortState, Security};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// The replica, on the network that nodes 1 and 2 share. Loopback has all addresses of the two.
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 8, 2, 2));
/// Node 1 on that network.
const DOORWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 8, 0, 1));

fn mesh() -> MeshView {
    let subnet = |node: u64, text: &str| (NodeId(node), text.parse().unwrap());
    let network = NetworkView {
        project: "shop".parse().unwrap(),
        subnets: [subnet(1, "127.8.0.0/23"), subnet(2, "127.8.2.0/23")].into(),
        services: vec![],
        networks: [].into(),
        others: [].into(),
        internal: false,
    };
    let mesh = Mesh { pool: "127.0.0.0/8".parse().unwrap(), carrier: Carrier::Direct };
    MeshView { mesh, networks: vec![Arc::new(network)] }
}

/// A replica that says from which address it was reached, over TCP and UDP.
async fn replica(port: u16) {
    let (tcp, udp) = (TcpListener::bind((THERE, port)).await, UdpSocket::bind((THERE, port)).await);
    let (tcp, udp) = (tcp.unwrap(), udp.unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, from) = tcp.accept().await.unwrap();
            let _ = stream.write_all(from.ip().to_string().as_bytes()).await;
        }
    });
    tokio::spawn(async move {
        loop {
            let (_, from) = udp.recv_from(&mut [0; 64]).await.unwrap();
            let _ = udp.send_to(from.ip().to_string().as_bytes(), from).await;
        }
    });
}

/// From where a replica of node 2 is reached by clients of node 1: over TCP, and over UDP.
async fn reached(near: Security, far: Security, mesh: Option<MeshView>) -> [IpAddr; 2] {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let near = Edge::start(config(folders[0].path(), near).0).await.unwrap();
    let far = Edge::start(config(folders[1].path(), far).0).await.unwrap();
    let (port, target) = (free_port(), free_port());
    replica(target).await;
    let nodes = [(1, near.address()), (2, far.address())];
    let there = Backend { address: THERE, ..backend(1, 2, true) };
    for (edge, node) in [(&far, 2_u8), (&near, 1)] {
        let mut routes = [
            route(port, target, std::slice::from_ref(&there)),
            udp_route(port, target, std::slice::from_ref(&there)),
        ];
        for route in &mut routes {
            route.port.host_ip = Some([127, 0, 0, node].into());
        }
        let [tcp, udp] = routes;
        edge.serve(Picture {
            node: NodeId(node.into()),
            datagrams: Arc::new(vec![udp]),
            mesh: mesh.clone(),
            ..picture(1, &[tcp], &nodes)
        });
    }
    until("both ports are open", || {
        near.status().ports.iter().all(|p| p.state == PortState::Listening)
    })
    .await;
    let mut stream = connect(port).await;
    let mut said = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let mut buffer = [0; 64];
    client.send(b"from where?").await.unwrap();
    let length = tokio::time::timeout(SOON, client.recv(&mut buffer)).await.unwrap().unwrap();
    let over_udp = std::str::from_utf8(&buffer[..length]).unwrap();
    [said.parse().unwrap(), over_udp.parse().unwrap()]
}

#[tokio::test]
async fn straight_where_edges_would_not_encrypt_either() {
    let sources = reached(Security::Plain, Security::Plain, Some(mesh())).await;
    assert_eq!(sources, [DOORWAY, DOORWAY]);
}

#[tokio::test]
async fn through_the_other_edge_where_it_encrypts_but_for_datagrams() {
    let authority = Authority::new(cluster());
    let [tcp, udp] = reached(authority.tls(1), authority.tls(2), Some(mesh())).await;
    assert_ne!(tcp, DOORWAY);
    assert_eq!(udp, DOORWAY);
}

#[tokio::test]
async fn through_the_other_edge_where_there_is_no_mesh() {
    let sources = reached(Security::Plain, Security::Plain, None).await;
    assert!(sources.iter().all(|source| *source != DOORWAY), "{sources:?}");
}
