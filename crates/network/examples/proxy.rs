//! Measures the ingress: run a backend, a proxy before it, and a load generator against both.
//!
//! ```text
//! cargo run --release -p network --example proxy -- backend 9000
//! cargo run --release -p network --example proxy -- local 8080 127.0.0.1:9000
//! cargo run --release -p network --example proxy -- http 8082 127.0.0.1:9000
//! cargo run --release -p network --example proxy -- remote 8081 127.0.0.1:9000 tls
//! wrk -t1 -c32 -d5 http://127.0.0.1:9000/      # direct
//! wrk -t1 -c32 -d5 http://127.0.0.1:8080/      # one edge
//! wrk -t1 -c32 -d5 http://127.0.0.1:8081/      # two edges, both in that process
//! ```
#![expect(clippy::unwrap_used, reason = "what cannot go on stops, and says where")]

#[path = "../tests/support/authority.rs"]
mod authority;

use authority::Authority;
use model::{
    Backend, ClusterId, HttpMatch, NodeId, Port, PortMode, Protocol, Readiness, Route, Site, TaskId,
};
use network::{Config, Edge, PeerEdge, Picture, Security};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world\n";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let _edges = match words[..] {
        ["backend", port] => return backend(port.parse().unwrap()).await,
        ["local", port, replica] => {
            let edge = edge(&folder, "near", Security::Plain).await;
            edge.serve(picture(1, port, replica, 1, None, &[]));
            vec![edge]
        }
        ["http", port, replica] => {
            let edge = http_edge(&folder, port.parse().unwrap()).await;
            edge.serve(requests(picture(1, port, replica, 1, None, &[])));
            vec![edge]
        }
        ["remote", port, replica, security] => {
            let authority = Authority::new(cluster());
            let security = |node| match security {
                "tls" => authority.tls(node),
                _ => Security::Plain,
            };
            let near = edge(&folder, "near", security(1)).await;
            let far = edge(&folder, "far", security(2)).await;
            let nodes = [(1, near.address()), (2, far.address())];
            far.serve(picture(2, port, replica, 2, Some([127, 0, 0, 2].into()), &nodes));
            near.serve(picture(1, port, replica, 2, Some([127, 0, 0, 1].into()), &nodes));
            vec![near, far]
        }
        _ => panic!(
            "backend PORT | local PORT REPLICA | http PORT REPLICA | remote PORT REPLICA plain|tls"
        ),
    };
    std::future::pending::<()>().await;
}

async fn edge(folder: &tempfile::TempDir, name: &str, security: Security) -> Edge {
    let folder = folder.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    let config = Config::new("127.0.0.1:0".parse().unwrap(), &folder, security);
    Edge::start(config).await.unwrap()
}

async fn http_edge(folder: &tempfile::TempDir, port: u16) -> Edge {
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path(), Security::Plain);
    config.http.plain.port = port;
    Edge::start(config).await.unwrap()
}

/// The same replica, reached by requests of any host and path.
fn requests(picture: Picture) -> Picture {
    let route = &picture.routes[0];
    let site = Site {
        project: route.project.clone(),
        service: route.service.clone(),
        port: route.port.target,
        matches: vec![HttpMatch { host: None, path: "/".into() }],
        secured: vec![],
        certificates: vec![],
        backends: route.backends.clone(),
    };
    Picture { routes: Arc::default(), sites: Arc::new(vec![site]), ..picture }
}

fn cluster() -> ClusterId {
    ClusterId("0123456789abcdef0123456789abcdef".into())
}

/// For `node`: one replica, on node `home`, behind a port published on `host_ip`.
fn picture(
    node: u64,
    published: &str,
    replica: &str,
    home: u64,
    host_ip: Option<IpAddr>,
    nodes: &[(u64, SocketAddr)],
) -> Picture {
    let replica: SocketAddr = replica.parse().unwrap();
    let port = Port {
        published: published.parse().unwrap(),
        target: replica.port(),
        protocol: Protocol::Tcp,
        mode: PortMode::Ingress,
        host_ip,
    };
    let backend = Backend {
        task: TaskId { index: 1, position: 0 },
        node: NodeId(home),
        address: replica.ip(),
        target: None,
        told: false,
        serving: true,
    };
    let route = Route {
        project: "bench".parse().unwrap(),
        service: "web".parse().unwrap(),
        port,
        backends: vec![backend],
    };
    let nodes = nodes.iter();
    let nodes = nodes.map(|&(n, edge)| PeerEdge {
        id: NodeId(n),
        edge,
        readiness: Readiness::Ready,
        mesh_key: None,
    });
    Picture {
        cluster: cluster(),
        node: NodeId(node),
        index: 1,
        routes: Arc::new(vec![route]),
        datagrams: Arc::default(),
        sites: Arc::default(),
        nodes: nodes.collect(),
        mesh: None,
        resolvers: BTreeMap::new(),
    }
}

/// Answers every request, which must come in one piece, with the same small reply.
async fn backend(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                if stream.write_all(REPLY).await.is_err() {
                    return;
                }
            }
        });
    }
}
