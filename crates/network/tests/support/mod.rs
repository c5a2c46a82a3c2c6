//! What the tests of the ingress share: replicas on loopback addresses, pictures, edges in temporary folders.
#![allow(dead_code, reason = "each test file uses a part of it")]

use model::{Backend, ClusterId, NodeId, Port, PortMode, Protocol, Readiness, Route, TaskId};
use network::{Config, Edge, PeerEdge, Picture, Remark, Security};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// Longest that anything here may take. Only reached by a test that fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn task(n: u64) -> TaskId {
    TaskId { index: n, position: 0 }
}

/// The address of replica `n`: all replicas of a service answer on one port, so each has its own address.
pub(crate) fn address(n: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 1, 0, u8::try_from(n).unwrap()))
}

/// A port that nobody uses on any address.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// A replica that says its number, then echoes until the client has ended, then says `bye`.
pub(crate) struct Replica(JoinHandle<()>);

impl Replica {
    pub(crate) fn start(n: u64, port: u16) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::new(address(n), port)).unwrap();
        let listener: TcpListener = socket.listen(128).unwrap();
        Self(tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                open.spawn(async move {
                    let _ = stream.write_all(&[u8::try_from(n).unwrap()]).await;
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.write_all(b"bye").await;
                });
            }
        }))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A replica's host that is gone: connections to it get no answer at all. Its queue is full.
pub(crate) struct Silent {
    _listener: std::os::fd::OwnedFd,
    _queued: Vec<TcpStream>,
}

impl Silent {
    pub(crate) async fn start(n: u64, port: u16) -> Self {
        let at = SocketAddr::new(address(n), port);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(at).unwrap();
        let listener = socket.listen(0).unwrap().into_std().unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(at)).await
        {
            queued.push(stream);
        }
        Self { _listener: listener.into(), _queued: queued }
    }
}

/// A replica as a picture lists it.
pub(crate) fn backend(n: u64, node: u64, serving: bool) -> Backend {
    Backend {
        task: task(n),
        node: NodeId(node),
        address: address(n),
        target: None,
        told: false,
        serving,
    }
}

pub(crate) fn route(published: u16, target: u16, backends: &[Backend]) -> Route {
    Route {
        project: "shop".parse().unwrap(),
        service: "web".parse().unwrap(),
        port: Port {
            published,
            target,
            protocol: Protocol::Tcp,
            mode: PortMode::Ingress,
            host_ip: None,
        },
        backends: backends.to_vec(),
    }
}

/// The same for a UDP port.
pub(crate) fn udp_route(published: u16, target: u16, backends: &[Backend]) -> Route {
    let mut route = route(published, target, backends);
    route.port.protocol = Protocol::Udp;
    route
}

pub(crate) fn cluster() -> ClusterId {
    ClusterId("0123456789abcdef0123456789abcdef".into())
}

/// A picture for node 1, of these routes and of nodes at these addresses.
pub(crate) fn picture(index: u64, routes: &[Route], nodes: &[(u64, SocketAddr)]) -> Picture {
    let peer = |&(n, edge): &(u64, SocketAddr)| PeerEdge {
        id: NodeId(n),
        edge,
        readiness: Readiness::Ready,
        mesh_key: None,
    };
    Picture {
        cluster: cluster(),
        node: NodeId(1),
        index,
        routes: Arc::new(routes.to_vec()),
        datagrams: Arc::default(),
        sites: Arc::default(),
        nodes: nodes.iter().map(peer).collect(),
        mesh: None,
        resolvers: BTreeMap::new(),
    }
}

/// What an edge remarked.
pub(crate) type Remarks = Arc<Mutex<Vec<Remark>>>;

pub(crate) fn config(folder: &Path, security: Security) -> (Config, Remarks) {
    let remarks = Remarks::default();
    let heard = Arc::clone(&remarks);
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder, security);
    config.lanes = 2;
    config.kernel = false;
    config.version = "test".into();
    config.observe = Box::new(move |remark| heard.lock().unwrap().push(remark.clone()));
    (config, remarks)
}

/// A plain edge in a folder of its own.
pub(crate) async fn edge() -> (Edge, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = config(folder.path(), Security::Plain);
    (Edge::start(config).await.unwrap(), folder)
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "never happened: {what}");
}

/// Connects to a published port, as soon as it is listened on.
pub(crate) async fn connect(port: u16) -> TcpStream {
    connect_to(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).await
}

pub(crate) async fn connect_to(at: SocketAddr) -> TcpStream {
    let dial = async {
        loop {
            match TcpStream::connect(at).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(SOON, dial).await.expect("the port is listened on")
}

/// The number of the replica that took the connection.
pub(crate) async fn who(stream: &mut TcpStream) -> std::io::Result<u64> {
    tokio::time::timeout(SOON, stream.read_u8()).await.expect("an answer").map(u64::from)
}

/// Sends `bytes` and reads them back.
pub(crate) async fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    tokio::time::timeout(SOON, stream.read_exact(&mut back)).await.expect("an echo").unwrap();
    assert_eq!(back, bytes);
}
