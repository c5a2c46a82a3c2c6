//! What runs in the child processes: the backend, and edges on the way to it; and `HAProxy`'s configuration.

use crate::BACKEND;
use crate::authority::Authority;
use model::{
    Backend, ClusterId, HttpMatch, NodeId, Port, PortMode, Protocol, Readiness, Route, Site, TaskId,
};
use network::{Bind, Config, Edge, PeerEdge, Picture, Security};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world\n";
/// Where the second edge would publish the same port: an address that nobody asks.
const ASIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// `HAProxy`, passing connections on as they are (`tcp`), or requests each for itself (`http`), otherwise with its
/// defaults.
pub(crate) fn haproxy(mode: &str, port: u16, backend: u16) -> String {
    format!(
        "defaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         listen web\n  bind 127.0.0.1:{port}\n  server one 127.0.0.1:{backend}\n"
    )
}

/// nginx, passing requests on over connections that it keeps, and writing no log, otherwise with its defaults.
pub(crate) fn nginx(port: u16, backend: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.err;\n\
         events {{}}\nhttp {{\n  access_log off;\n  upstream web {{ server 127.0.0.1:{backend}; keepalive 32; }}\n  \
         server {{\n    listen 127.0.0.1:{port};\n    location / {{\n      proxy_pass http://web;\n      \
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n"
    )
}

/// Answers every request, which must come in one piece, with the same small reply.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn backend(port: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
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

/// One edge with the replica beside it (`one`; `http` for one that answers requests), or two, with the replica beside the second (`plain`, `tls`).
#[tokio::main]
pub(crate) async fn edges(how: &str, port: &str, folder: &Path) -> anyhow::Result<()> {
    let port = port.parse()?;
    let authority = Authority::new(cluster());
    let security = |node| if how == "tls" { authority.tls(node) } else { Security::Plain };
    let near = edge(folder, "near", security(1), port).await?;
    let far = edge(folder, "far", security(2), port).await?;
    let nodes = [(1, near.address()), (2, far.address())];
    if how == "http" {
        let published = picture(1, port, 1, Ipv4Addr::LOCALHOST.into(), &nodes);
        near.serve(requests(published));
    } else if how == "one" {
        near.serve(picture(1, port, 1, Ipv4Addr::LOCALHOST.into(), &nodes));
    } else {
        far.serve(picture(2, port, 2, ASIDE.into(), &nodes));
        near.serve(picture(1, port, 2, Ipv4Addr::LOCALHOST.into(), &nodes));
    }
    std::future::pending().await
}

async fn edge(folder: &Path, name: &str, security: Security, port: u16) -> anyhow::Result<Edge> {
    let folder = folder.join(name);
    std::fs::create_dir(&folder)?;
    let mut config = Config::new((Ipv4Addr::LOCALHOST, 0).into(), &folder, security);
    config.http.plain = Bind::tcp(port, Some(Ipv4Addr::LOCALHOST.into()));
    Ok(Edge::start(config).await?)
}

/// The same replica, reached by requests of any host and path instead of by a published port.
fn requests(picture: Picture) -> Picture {
    let route = &picture.routes[0];
    let site = Site {
        project: route.project.clone(),
        service: route.service.clone(),
        port: BACKEND,
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
    published: u16,
    home: u64,
    host_ip: IpAddr,
    nodes: &[(u64, SocketAddr)],
) -> Picture {
    let port = Port {
        published,
        target: BACKEND,
        protocol: Protocol::Tcp,
        mode: PortMode::Ingress,
        host_ip: Some(host_ip),
    };
    let backend = Backend {
        task: TaskId { index: 1, position: 0 },
        node: NodeId(home),
        address: Ipv4Addr::LOCALHOST.into(),
        target: None,
        told: false,
        serving: true,
    };
    let route = Route {
        project: "bench".parse().expect("a valid name"),
        service: "web".parse().expect("a valid name"),
        port,
        backends: vec![backend],
    };
    let peer = |&(n, edge): &(u64, SocketAddr)| PeerEdge {
        id: NodeId(n),
        edge,
        readiness: Readiness::Ready,
        mesh_key: None,
    };
    Picture {
        cluster: cluster(),
        node: NodeId(node),
        index: 1,
        routes: Arc::new(vec![route]),
        datagrams: Arc::default(),
        sites: Arc::default(),
        nodes: nodes.iter().map(peer).collect(),
        mesh: None,
        resolvers: BTreeMap::default(),
    }
}
