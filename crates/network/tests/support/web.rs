//! Replicas that speak HTTP, and clients that speak it as badly as a test wants.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::support::{self, SOON, address, connect, task};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use model::{Backend, HttpMatch, NodeId, Site};
use network::{Config, Edge, Picture};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a replica was asked.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) version: Version,
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A replica that answers every request with its number and the request's line, after `slow`; `/ws` becomes a
/// WebSocket that echoes.
pub(crate) struct Web {
    server: JoinHandle<()>,
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) fn listen(n: u64, port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::new(address(n), port)).unwrap();
    socket.listen(128).unwrap()
}

impl Web {
    pub(crate) fn start(n: u64, port: u16) -> Self {
        Self::slow(n, port, Duration::ZERO)
    }

    pub(crate) fn slow(n: u64, port: u16, slow: Duration) -> Self {
        let listener = listen(n, port);
        let (heard, connections) =
            (Arc::<Mutex<Vec<Heard>>>::default(), Arc::<AtomicUsize>::default());
        let (hears, counts) = (Arc::clone(&heard), Arc::clone(&connections));
        let server = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counts.fetch_add(1, Ordering::Relaxed);
                let hears = Arc::clone(&hears);
                open.spawn(async move {
                    let service = service_fn(|request| reply(n, slow, Arc::clone(&hears), request));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ =
                        builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { server, heard, connections }
    }

    /// Ends it, with its connections, and frees its address.
    pub(crate) async fn stop(mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn reply(
    n: u64,
    slow: Duration,
    heard: Arc<Mutex<Vec<Heard>>>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let line = format!("{} {}", request.method(), request.uri());
    let (version, headers) = (request.version(), request.headers().clone());
    if request.uri().path() == "/ws" {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                stream.write_all(&bytes[..read]).await.unwrap();
            }
        });
        let response = Response::builder().status(101).header("connection", "upgrade");
        return Ok(response.header("upgrade", "websocket").body(Full::default()).unwrap());
    }
    let body = request.into_body().collect().await?.to_bytes();
    heard.lock().unwrap().push(Heard { version, line: line.clone(), headers, body });
    tokio::time::sleep(slow).await;
    let response =
        Response::builder().header("x-replica", n).header("connection", "keep-alive, x-hop");
    let response = response.header("x-hop", "1").header("keep-alive", "timeout=5");
    Ok(response.body(Full::from(format!("{n} {line}"))).unwrap())
}

/// A replica that takes connections, reads what comes first, and ends them.
pub(crate) struct Dying(JoinHandle<()>);

impl Dying {
    pub(crate) fn start(n: u64, port: u16) -> Self {
        let listener = listen(n, port);
        Self(tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 1024];
                let _ = stream.read(&mut bytes).await;
            }
        }))
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn site(service: &str, port: u16, rules: &[(&str, &str)], backends: &[Backend]) -> Site {
    let rule = |&(host, path): &(&str, &str)| HttpMatch {
        host: Some(host.to_owned()).filter(|h| !h.is_empty()),
        path: path.to_owned(),
    };
    Site {
        project: "shop".parse().unwrap(),
        service: service.parse().unwrap(),
        port,
        matches: rules.iter().map(rule).collect(),
        secured: vec![],
        certificates: vec![],
        backends: backends.to_vec(),
    }
}

/// A picture for node 1 of these sites.
pub(crate) fn sites(index: u64, sites: &[Site]) -> Picture {
    Picture { sites: Arc::new(sites.to_vec()), ..support::picture(index, &[], &[]) }
}

/// An edge that answers HTTP at a free port, with its settings changed by `change`.
pub(crate) async fn edge_with(change: impl FnOnce(&mut Config)) -> (Edge, u16, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (mut config, _) = support::config(folder.path(), network::Security::Plain);
    let port = support::free_port();
    config.http.plain.port = port;
    change(&mut config);
    (Edge::start(config).await.unwrap(), port, folder)
}

/// An edge with one site at `shop.example` and the replicas `backends`.
pub(crate) async fn edge_of(target: u16, backends: &[Backend]) -> (Edge, u16, tempfile::TempDir) {
    let (edge, port, folder) = edge_with(|_| {}).await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], backends)]));
    (edge, port, folder)
}

/// Sends `bytes` as they are and reads until the end.
pub(crate) async fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A reset after the answer is an end as well.
    let _ = tokio::time::timeout(SOON, read).await.expect("the connection is ended");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer to a request that asks for the connection's end: status, and the whole.
pub(crate) async fn get(port: u16, host: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = raw(port, request.as_bytes()).await;
    (status(&answer), answer)
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// One response with a `content-length`, of a connection that stays open.
pub(crate) async fn response(stream: &mut TcpStream) -> String {
    let read = async {
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                    return text;
                }
            }
            match stream.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(_) => return text,
            }
        }
    };
    tokio::time::timeout(SOON, read).await.expect("a response")
}

/// Replicas of node 1 that serve.
pub(crate) fn serving(numbers: &[u64]) -> Vec<Backend> {
    let one = |n: &u64| Backend {
        task: task(*n),
        node: NodeId(1),
        address: address(*n),
        target: None,
        told: false,
        serving: true,
    };
    numbers.iter().map(one).collect()
}
