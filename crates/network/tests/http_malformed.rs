//! What clients may not say over HTTP/1, by section of RFC 9112, and how slowly they may not say it. Each is sent
//! as bytes over a socket; a replica must hear of none that two servers could read in two ways.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use std::time::Duration;
use support::{SOON, connect, free_port, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::*;

/// What is sent, and the only statuses that may answer it; 0 for the end of the connection without one.
type Case = (&'static str, &'static str, &'static [u16]);

const MALFORMED: &[Case] = &[
    (
        "2.2 a bare LF in the request line's middle",
        "GET /\n HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        &[400],
    ),
    (
        "2.2 a bare CR in a header",
        "GET / HTTP/1.1\r\nhost: shop.example\r\nx: a\rb\r\n\r\n",
        &[400],
    ),
    ("2.2 space before the first header", "GET / HTTP/1.1\r\n host: shop.example\r\n\r\n", &[400]),
    ("2.3 another major version", "GET / HTTP/3.0\r\nhost: shop.example\r\n\r\n", &[400, 505]),
    ("3 two spaces in the request line", "GET  / HTTP/1.1\r\nhost: shop.example\r\n\r\n", &[400]),
    ("3 no version", "GET /\r\nhost: shop.example\r\n\r\n", &[400]),
    ("3.1 a method that is no token", "G(T / HTTP/1.1\r\nhost: shop.example\r\n\r\n", &[400]),
    ("3.2 no Host", "GET / HTTP/1.1\r\n\r\n", &[400]),
    ("3.2 two Hosts", "GET / HTTP/1.1\r\nhost: shop.example\r\nhost: shop.example\r\n\r\n", &[400]),
    ("3.2 a Host that is none", "GET / HTTP/1.1\r\nhost: shop example\r\n\r\n", &[400]),
    ("3.2 a Host with a path", "GET / HTTP/1.1\r\nhost: shop.example/x\r\n\r\n", &[400]),
    (
        "3.2.1 a path that does not begin with a slash",
        "GET x HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        &[400],
    ),
    ("3.2.1 a broken percent-encoding", "GET /%zz HTTP/1.1\r\nhost: shop.example\r\n\r\n", &[400]),
    (
        "3.2.2 user information",
        "GET http://a@shop.example/ HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        &[400],
    ),
    ("3.2.3 CONNECT", "CONNECT shop.example:80 HTTP/1.1\r\nhost: shop.example\r\n\r\n", &[501]),
    (
        "3.2.4 an asterisk for another method than OPTIONS",
        "GET * HTTP/1.1\r\nhost: shop.example\r\n\r\n",
        &[400],
    ),
    ("5.1 space before the colon", "GET / HTTP/1.1\r\nhost : shop.example\r\n\r\n", &[400]),
    ("5.1 a header without a name", "GET / HTTP/1.1\r\nhost: shop.example\r\n: x\r\n\r\n", &[400]),
    ("5.2 a folded header", "GET / HTTP/1.1\r\nhost: shop.example\r\nx: a\r\n b\r\n\r\n", &[400]),
    ("5.5 a NUL in a value", "GET / HTTP/1.1\r\nhost: shop.example\r\nx: a\0b\r\n\r\n", &[400]),
    (
        "6.1 a coding that is not known",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[501],
    ),
    (
        "6.1 chunked twice",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "6.1 chunked is not last",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "6.1 a coding in disguise",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    ),
    (
        "6.1 a coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "6.2 two lengths that differ",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        &[400],
    ),
    (
        "6.2 a list of lengths",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1, 2\r\n\r\nab",
        &[400],
    ),
    (
        "6.2 a negative length",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: -1\r\n\r\n",
        &[400],
    ),
    (
        "6.2 a length with a sign",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: +1\r\n\r\na",
        &[400],
    ),
    (
        "6.2 a length that is too large for any number",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 99999999999999999999\r\n\r\n",
        &[400],
    ),
    (
        "7.1 a chunk size that is no number",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "7.1 a chunk size that overflows",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "7.1 a chunk longer than its size",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "7.1 a chunk size with a sign",
        "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n",
        &[400],
    ),
    ("9110 9.3.8 TRACE", "TRACE / HTTP/1.1\r\nhost: shop.example\r\n\r\n", &[501]),
];

#[tokio::test]
async fn attack_24_what_is_malformed_is_refused_and_the_connection_ends() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut wrong = Vec::new();
    for (name, bytes, allowed) in MALFORMED {
        // What follows must never be taken for a second request.
        let sent = format!("{bytes}GET /smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        let answer = raw(port, sent.as_bytes()).await;
        let smuggled = answer.matches("HTTP/1.1 ").count() > 1;
        if smuggled || !allowed.contains(&status(&answer)) {
            wrong.push(format!("{name}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let heard: Vec<String> = replica.heard().into_iter().map(|h| h.line).collect();
    assert_eq!(heard, [""; 0], "nothing of it reached a replica whole");
}

#[tokio::test]
async fn attack_24_a_length_beside_a_coding_does_not_count_and_ends_the_connection() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    for framing in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: shop.example\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n"
        );
        // RFC 9112 §6.3, 3: the coding counts, and the connection is closed after the response.
        let answer = raw(port, request.as_bytes()).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    for heard in replica.heard() {
        assert_eq!((heard.line.as_str(), &heard.body[..]), ("POST /", &b"hello"[..]));
        let framings = ["content-length", "transfer-encoding"];
        let said = framings.iter().filter(|name| heard.headers.contains_key(**name)).count();
        assert_eq!(said, 1, "{:?}", heard.headers);
    }
}

#[tokio::test]
async fn equal_lengths_are_one_and_the_absolute_form_names_the_host() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let twice = "POST /twice HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab";
    assert_eq!(status(&raw(port, twice.as_bytes()).await), 200);
    let absolute = "GET http://shop.example/absolute?q=1 HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&raw(port, absolute.as_bytes()).await), 200);
    let asterisk = "OPTIONS * HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&raw(port, asterisk.as_bytes()).await), 200);
    let old = "GET /old HTTP/1.0\r\nhost: shop.example\r\n\r\n";
    assert_eq!(status(&raw(port, old.as_bytes()).await), 200);
    let heard = replica.heard();
    let lines: Vec<&str> = heard.iter().map(|h| h.line.as_str()).collect();
    assert_eq!(lines, ["POST /twice", "GET /absolute?q=1", "OPTIONS *", "GET /old"]);
    assert_eq!(heard[0].headers.get_all("content-length").iter().count(), 1);
    assert_eq!(heard[1].headers["host"], "shop.example", "RFC 9112 §3.2.2");
}

#[tokio::test]
async fn attack_24_heads_that_are_too_large_are_refused() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let large = format!("x: {}\r\n", "a".repeat(100_000));
    let many: Vec<String> = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = many.concat();
    let long = format!("GET /{} HTTP/1.1\r\nhost: shop.example\r\n\r\n", "a".repeat(100_000));
    for headers in [large, many] {
        let request = format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n");
        // The end may come as a reset that overtakes the answer.
        assert!([431, 0].contains(&status(&raw_or_reset(port, request.as_bytes()).await)));
    }
    assert!([414, 431, 0].contains(&status(&raw_or_reset(port, long.as_bytes()).await)));
    assert!(replica.heard().is_empty());
}

/// The same as `raw`, of a peer that may end the connection before everything was sent.
async fn raw_or_reset(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port).await;
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn attack_18_slow_heads_and_bodies_and_idle_connections_are_ended() {
    let target = free_port();
    let _replica = Web::start(1, target);
    let (edge, port, _folder) = edge_with(|config| {
        config.http.patience.head = Duration::from_millis(300);
        config.http.patience.idle = Duration::from_millis(600);
        config.http.patience.body = Duration::from_millis(300);
    })
    .await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    assert_eq!(raw(port, b"").await, "", "nothing at all");
    // A byte now and then does not help.
    let mut drip = connect(port).await;
    for byte in b"GET / HTTP/1.1\r\nhost: shop.example\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if drip.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(SOON, drip.read_to_end(&mut rest)).await.expect("it is ended");
    assert!(rest.is_empty(), "{rest:?}");
    let half = "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\nhalf";
    assert_eq!(status(&raw(port, half.as_bytes()).await), 408);
    let mut idle = connect(port).await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    assert_eq!(status(&response(&mut idle).await), 200);
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, idle.read_to_end(&mut rest)).await.expect("it is ended").unwrap();
    assert!(rest.is_empty());
    until("nothing is held", || edge.status().carried == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let target = free_port();
    let listener = listen(1, target);
    let endless = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
        let zeros = vec![0; 65_536];
        while stream.write_all(&zeros).await.is_ok() {}
    });
    let (edge, port, _folder) =
        edge_with(|config| config.http.patience.unread = Duration::from_millis(300)).await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    let mut client = connect(port).await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").await.unwrap();
    until("the request is under way", || edge.status().carried == 1).await;
    until("the client is let go", || edge.status().carried == 0).await;
    tokio::time::timeout(SOON, endless).await.expect("the replica is let go as well").unwrap();
}
