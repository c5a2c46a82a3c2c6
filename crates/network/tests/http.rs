//! Requests over HTTP on one node: whose they are, what replicas and clients are told, failing over, draining.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::Backend;
use network::{Edge, HttpSite, PortState};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::{SOON, backend, connect, free_port, route, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use web::*;

fn status_of(edge: &Edge) -> HttpSite {
    edge.status().sites.first().cloned().unwrap()
}

#[tokio::test]
async fn host_and_path_say_whose_a_request_is() {
    let (shop, api, any) = (free_port(), free_port(), free_port());
    let _replicas = [Web::start(1, shop), Web::start(2, api), Web::start(3, any)];
    let (edge, port, _folder) = edge_with(|_| {}).await;
    edge.serve(sites(
        1,
        &[
            site("web", shop, &[("shop.example", "/")], &serving(&[1])),
            site("api", api, &[("shop.example", "/api"), ("*.api.example", "/")], &serving(&[2])),
            site("any", any, &[("", "/any")], &serving(&[3])),
        ],
    ));
    for (host, path, answered) in [
        ("shop.example", "/", "\r\n\r\n1 GET /"),
        ("SHOP.example:8080", "/x?q=/api", "\r\n\r\n1 GET /x?q=/api"),
        ("shop.example", "/api/a%2Fb?c=%20", "\r\n\r\n2 GET /api/a%2Fb?c=%20"),
        ("shop.example", "/x/../api", "\r\n\r\n2 GET /x/../api"),
        ("eu.api.example", "/", "\r\n\r\n2 GET /"),
        ("10.0.0.1", "/any/thing", "\r\n\r\n3 GET /any/thing"),
    ] {
        let (status, answer) = get(port, host, path).await;
        assert!(status == 200 && answer.ends_with(answered), "{host}{path}: {answer}");
    }
    let (status, answer) = get(port, "unknown.example", "/").await;
    assert_eq!(status, 404);
    assert!(
        answer.contains("content-type: text/plain") && answer.contains("x-request-id: "),
        "{answer}"
    );
    assert!(answer.ends_with("404 no service answers for this host and path\n"), "{answer}");
}

#[tokio::test]
async fn attack_24_a_replica_hears_of_the_client_what_the_edge_saw() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let forged = "GET / HTTP/1.1\r\nhost: Shop.example:81\r\nx-forwarded-for: 1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\nx-request-id: mine\r\nx-real-ip: 1.2.3.4\r\nconnection: close, x-mine\r\nx-mine: 1\r\ncookie: a=b\r\n\r\n";
    let answer = raw(port, forged.as_bytes()).await;
    assert_eq!(status(&answer), 200);
    let headers = replica.heard()[0].headers.clone();
    let said = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(said("host").as_deref(), Some("Shop.example:81"), "kept as it is");
    assert_eq!(said("x-forwarded-host").as_deref(), Some("Shop.example:81"));
    assert_eq!(said("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(said("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(said("cookie").as_deref(), Some("a=b"));
    for gone in ["x_forwarded_for", "forwarded", "x-real-ip", "x-mine", "connection"] {
        assert_eq!(said(gone), None, "{gone}");
    }
    let id = said("x-request-id").unwrap();
    assert!(id.len() == 32 && id != "mine", "{id}");
    assert!(
        answer.contains(&format!("x-request-id: {id}")),
        "the client is told the same: {answer}"
    );
    assert!(!answer.contains("x-hop") && !answer.contains("timeout=5"), "{answer}");
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut client = connect(port).await;
    for n in 0..50 {
        let body = format!("body {n}");
        let request = format!(
            "POST /{n} HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.write_all(request.as_bytes()).await.unwrap();
        assert!(response(&mut client).await.ends_with(&format!("1 POST /{n}")));
    }
    assert_eq!(replica.heard().len(), 50);
    assert_eq!(&replica.heard()[49].body[..], b"body 49");
    assert_eq!(replica.connections.load(Ordering::Relaxed), 1);
    let counts = status_of(&edge);
    assert_eq!((counts.counts.total, counts.http.classes), (50, [0, 50, 0, 0, 0]));
    assert_eq!(counts.http.latency.iter().sum::<u64>(), 50);
    assert!(counts.counts.sent >= 300 && counts.counts.received >= 480, "{counts:?}");
}

#[tokio::test]
async fn a_request_that_may_be_repeated_is_sent_to_another_replica() {
    let target = free_port();
    let _dying = [Dying::start(1, target), Dying::start(2, target)];
    let replica = Web::start(3, target);
    let (edge, port, _folder) = edge_of(target, &serving(&[1, 2, 3])).await;
    for _ in 0..20 {
        assert_eq!(get(port, "shop.example", "/").await.0, 200);
    }
    assert_eq!(replica.heard().len(), 20);
    let seen = status_of(&edge);
    assert!((1..=4).contains(&seen.http.resent), "they are out after the first failure: {seen:?}");
    // One that may not be is answered, and sent once.
    edge.serve(sites(2, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    let post =
        "POST / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-length: 1\r\n\r\na";
    assert_eq!(status(&raw(port, post.as_bytes()).await), 502);
    let put =
        "PUT / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-length: 1\r\n\r\na";
    assert_eq!(status(&raw(port, put.as_bytes()).await), 502, "its body is gone");
    assert_eq!(status_of(&edge).http.resent, seen.http.resent);
    assert_eq!(status_of(&edge).http.failed, 2);
}

#[tokio::test]
async fn any_request_goes_on_to_the_next_replica_when_one_does_not_take_it() {
    let target = free_port();
    let _silent = support::Silent::start(1, target).await;
    let replica = Web::start(3, target);
    // Nobody listens at the address of the second.
    let (edge, port, _folder) = edge_of(target, &serving(&[1, 2, 3])).await;
    for _ in 0..10 {
        let post = "POST / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-length: 1\r\n\r\na";
        assert_eq!(status(&raw(port, post.as_bytes()).await), 200);
    }
    assert_eq!(replica.heard().len(), 10);
    assert!(status_of(&edge).counts.ejections >= 1);
}

#[tokio::test]
async fn a_connection_that_the_replica_closed_meanwhile_costs_no_request() {
    let target = free_port();
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    for _ in 0..3 {
        // Each of these takes the connections of the one before with it.
        let replica = Web::start(1, target);
        let mut client = connect(port).await;
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
            assert_eq!(status(&response(&mut client).await), 200);
        }
        replica.stop().await;
    }
}

#[tokio::test]
async fn without_a_replica_a_request_waits_and_is_then_refused() {
    let target = free_port();
    let (edge, port, _folder) = edge_with(|config| config.hold = Duration::from_millis(200)).await;
    let none = backend(1, 1, false);
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &[none])]));
    let (status, answer) = get(port, "shop.example", "/").await;
    assert_eq!(status, 503);
    assert!(
        answer.contains("retry-after: 1") && answer.ends_with("503 no replica is available\n"),
        "{answer}"
    );
    assert_eq!(status_of(&edge).counts.unanswered, 1);
    let (edge, port, _folder) = edge_of(target, &[backend(1, 1, false)]).await;
    let waiting = tokio::spawn(async move { get(port, "shop.example", "/").await.0 });
    until("the request waits", || status_of(&edge).counts.open == 1).await;
    let _replica = Web::start(1, target);
    edge.serve(sites(2, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    assert_eq!(waiting.await.unwrap(), 200, "one came in time");
}

#[tokio::test]
async fn a_replica_that_does_not_answer_costs_its_request_only() {
    let target = free_port();
    let _replica = Web::slow(1, target, Duration::from_secs(60));
    let (edge, port, _folder) =
        edge_with(|config| config.http.patience.answer = Duration::from_millis(200)).await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    assert_eq!(get(port, "shop.example", "/").await.0, 504);
    until("its place is free again", || status_of(&edge).counts.open == 0).await;
}

#[tokio::test]
async fn a_replica_that_leaves_finishes_its_requests_and_gets_no_more() {
    let target = free_port();
    let leaving = Web::slow(1, target, Duration::from_millis(500));
    let (edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let under_way = tokio::spawn(async move { get(port, "shop.example", "/").await });
    until("the request is there", || !leaving.heard().is_empty()).await;
    let _staying = Web::start(2, target);
    let both = [backend(1, 1, false), backend(2, 1, true)];
    edge.serve(sites(2, &[site("web", target, &[("shop.example", "/")], &both)]));
    for _ in 0..5 {
        assert!(get(port, "shop.example", "/").await.1.ends_with("2 GET /"));
    }
    assert!(under_way.await.unwrap().1.ends_with("1 GET /"));
    assert_eq!(leaving.heard().len(), 1);
}

#[tokio::test]
async fn the_shared_port_is_open_while_there_is_a_rule() {
    let target = free_port();
    let _replica = Web::start(1, target);
    let (edge, port, _folder) = edge_with(|_| {}).await;
    let published = route(free_port(), target, &[]);
    edge.serve(support::picture(1, &[published], &[]));
    assert!(edge.status().shared.is_empty());
    edge.serve(sites(2, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    until("the port is open", || edge.status().shared[0].state == PortState::Listening).await;
    let mut kept = connect(port).await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    assert_eq!(status(&response(&mut kept).await), 200);
    edge.serve(support::picture(3, &[], &[]));
    assert!(edge.status().shared.is_empty());
    until("the port is closed", || std::net::TcpListener::bind(("0.0.0.0", port)).is_ok()).await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    assert_eq!(status(&response(&mut kept).await), 404, "who was in stays in");
}

#[tokio::test]
async fn a_websocket_is_carried() {
    let target = free_port();
    let _replica = Web::start(1, target);
    let (edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut client = connect(port).await;
    client
        .write_all(b"GET /ws HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n")
        .await
        .unwrap();
    let head = response(&mut client).await;
    assert!(status(&head) == 101 && head.contains("upgrade: websocket"), "{head}");
    support::echo(&mut client, b"hello").await;
    support::echo(&mut client, &vec![7; 100_000]).await;
    let now = status_of(&edge);
    assert_eq!((now.counts.open, now.http.classes[0]), (1, 1));
    drop(client);
    until("it is over", || status_of(&edge).counts.open == 0 && edge.status().carried == 0).await;
}

#[tokio::test]
async fn attack_24_no_other_upgrade_is_passed_on() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let request = "GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(status(&raw(port, request.as_bytes()).await), 200);
    let headers = replica.heard()[0].headers.clone();
    assert!(!headers.contains_key("upgrade") && !headers.contains_key("http2-settings"));
}

type Two = http2::SendRequest<Full<Bytes>>;

async fn two<S>(stream: S) -> Two
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(client: &mut Two, path: &str, grpc: bool, body: &str) -> (Response<()>, String) {
    let mut request = Request::post(format!("http://shop.example{path}"));
    if grpc {
        request = request.header("content-type", "application/grpc").header("te", "trailers");
    }
    let request = request.body(Full::from(body.to_owned())).unwrap();
    let response = tokio::time::timeout(SOON, client.send_request(request)).await.unwrap().unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn http_2_is_spoken_with_clients_and_for_grpc_with_replicas() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let client = two(connect(port).await).await;
    let many = (0..30).map(|n| {
        let mut client = client.clone();
        tokio::spawn(async move { ask(&mut client, &format!("/{n}"), n % 2 == 0, "body").await })
    });
    for (n, asked) in many.collect::<Vec<_>>().into_iter().enumerate() {
        let (head, body) = asked.await.unwrap();
        assert_eq!(head.status(), 200);
        assert!(body.ends_with(&format!("/{n}")), "{body}");
    }
    let heard = replica.heard();
    assert_eq!(heard.len(), 30);
    for heard in heard {
        let grpc = heard.headers.contains_key("content-type");
        assert_eq!(heard.version, if grpc { Version::HTTP_2 } else { Version::HTTP_11 });
        assert_eq!(heard.headers.get("te").is_some(), grpc);
        if grpc {
            assert!(heard.line.starts_with("POST http://shop.example/"), "{}", heard.line);
        } else {
            assert_eq!(heard.headers["host"], "shop.example");
        }
        assert_eq!(&heard.body[..], b"body");
    }
}

#[tokio::test]
async fn an_idle_http_2_connection_is_not_taken_for_a_slow_head() {
    let target = free_port();
    let _replica = Web::start(1, target);
    let (edge, port, _folder) = edge_with(|config| {
        config.http.patience.head = Duration::from_millis(100);
        config.http.patience.idle = Duration::from_millis(1_500);
    })
    .await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    let mut client = two(connect(port).await).await;
    for _ in 0..3 {
        assert_eq!(ask(&mut client, "/", false, "").await.0.status(), 200);
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    until("it is ended at last", || client.is_closed()).await;
}

/// Certificates by the name that is asked for.
#[derive(Debug)]
struct ByName(Vec<(&'static str, Arc<CertifiedKey>)>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        self.0.iter().find(|(n, _)| *n == name).map(|(_, key)| Arc::clone(key))
    }
}

fn certified(name: &'static str) -> (&'static str, Arc<CertifiedKey>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    (name, Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key)))
}

#[tokio::test]
async fn tls_ends_at_the_edge_with_the_certificate_of_the_name() {
    let target = free_port();
    let replica = Web::start(1, target);
    let names = vec![certified("shop.example"), certified("other.example")];
    let mut roots = rustls::RootCertStore::empty();
    for (_, certified) in &names {
        roots.add(certified.cert[0].clone()).unwrap();
    }
    let secure = free_port();
    let (edge, _, _folder) = edge_with(|config| {
        config.http.secure.port = secure;
        config.http.certificates = Some(Arc::new(ByName(names)));
    })
    .await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let dial = async |name: &'static str| {
        connector.connect(ServerName::try_from(name).unwrap(), connect(secure).await).await
    };
    let mut client = two(dial("shop.example").await.unwrap()).await;
    assert_eq!(ask(&mut client, "/", false, "body").await.0.status(), 200);
    assert_eq!(replica.heard()[0].headers["x-forwarded-proto"], "https");
    assert!(dial("other.example").await.is_ok());
    assert!(dial("unknown.example").await.is_err());
    until("only what is open is held", || edge.status().carried <= 2).await;
}

#[tokio::test]
async fn an_edge_that_leaves_sends_its_clients_elsewhere() {
    let target = free_port();
    let replica = Web::slow(1, target, Duration::from_millis(300));
    let (edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut idle = two(connect(port).await).await;
    assert_eq!(ask(&mut idle, "/idle", false, "").await.0.status(), 200);
    let mut busy: TcpStream = connect(port).await;
    busy.write_all(b"GET /busy HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    until("it is under way", || replica.heard().iter().any(|h| h.line == "GET /busy")).await;
    assert_eq!(edge.drain(SOON).await, 0, "nothing is cut off");
    let answer = response(&mut busy).await;
    assert!(status(&answer) == 200 && answer.contains("connection: close"), "{answer}");
    assert_eq!(busy.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn replicas_of_two_generations_answer_at_their_own_ports() {
    let (old, new) = (free_port(), free_port());
    let _replicas = [Web::start(1, old), Web::start(2, new)];
    let older = Backend { target: Some(old), ..backend(1, 1, true) };
    let (_edge, port, _folder) = edge_of(new, &[older, backend(2, 1, true)]).await;
    let mut answered =
        [get(port, "shop.example", "/").await.1, get(port, "shop.example", "/").await.1]
            .map(|answer| answer.split("x-replica: ").nth(1).and_then(|rest| rest.chars().next()));
    answered.sort_unstable();
    assert_eq!(answered, [Some('1'), Some('2')]);
}
