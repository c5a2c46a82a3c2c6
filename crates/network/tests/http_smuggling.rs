//! What a replica hears of requests that are cut or spelled in unusual ways, by section of RFC 9112: either nothing,
//! or exactly the request that the edge took it for, framed in one way only. The replica here is as strict as can be:
//! it keeps the bytes of each request and says what is odd about them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use std::sync::{Arc, Mutex};
use support::{SOON, connect, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use web::*;

/// A request as it arrived: its first line, its body, and what is odd.
type Taken = (String, Vec<u8>, Option<String>);

/// A replica that reads bytes, not messages.
struct Strict {
    server: JoinHandle<()>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Strict {
    fn start(n: u64, port: u16, answer: &'static [u8]) -> Self {
        let listener = listen(n, port);
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let takes = Arc::clone(&taken);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let takes = Arc::clone(&takes);
                tokio::spawn(async move {
                    let mut stream = stream;
                    while let Some(request) = take(&mut stream).await {
                        takes.lock().unwrap().push(request);
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { server, taken }
    }

    fn taken(&self) -> Vec<Taken> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    line.truncate(line.len() - 2);
    Some(line.iter().map(|b| char::from(*b)).collect())
}

/// Reads one request by the letter of RFC 9112. A body that breaks off is none, and neither is its request.
async fn take(stream: &mut TcpStream) -> Option<Taken> {
    let first = line(stream).await?;
    let mut odd = None;
    let mut framing: Vec<(String, String)> = Vec::new();
    let mut hosts = 0;
    loop {
        let header = line(stream).await?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or(("", ""));
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) || header.contains(['\r', '\n', '\0']) {
            odd = Some(format!("a header {header:?}"));
        }
        let name = name.to_ascii_lowercase().replace('_', "-");
        hosts += usize::from(name == "host");
        if name == "content-length" || name == "transfer-encoding" {
            framing.push((name, value.trim().to_owned()));
        } else if ["connection", "upgrade", "trailer", "http2-settings"].contains(&name.as_str()) {
            odd = Some(format!("a header {header:?}"));
        }
    }
    if first.split(' ').count() != 3 || hosts != 1 || framing.len() > 1 {
        odd = Some(format!("{first:?}, {hosts} hosts, {framing:?}"));
    }
    let body = match framing.first() {
        None => Vec::new(),
        Some((name, length)) if name == "content-length" => {
            let mut body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut body).await.ok()?;
            body
        }
        Some(_) => chunks(stream).await?,
    };
    Some((first, body, odd))
}

async fn chunks(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(stream).await?, 16).ok()?;
        let begun = body.len();
        body.resize(begun + size, 0);
        stream.read_exact(&mut body[begun..]).await.ok()?;
        if !line(stream).await?.is_empty() {
            return None;
        }
        if size == 0 {
            return Some(body);
        }
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What may come of a request: nothing but one of these statuses, or that the replica hears this.
enum Due {
    No(&'static [u16]),
    Yes(&'static str, &'static str),
}
use Due::{No, Yes};

/// Section and what is odd; the method, target and version; headers beside the host; what follows the head; what is due.
type Row = (&'static str, &'static str, &'static str, &'static str, Due);

const REFUSED: &[u16] = &[400, 501];

const ROWS: &[Row] = &[
    ("2.2 an empty line first", "\r\nGET / HTTP/1.1", "", "", Yes("GET /", "")),
    ("2.3 a version in lower case", "GET / http/1.1", "", "", No(REFUSED)),
    ("2.3 a minor version of two digits", "GET / HTTP/1.10", "", "", No(REFUSED)),
    ("2.3 a version that is none", "GET / HTTP/11", "", "", No(REFUSED)),
    ("3 tabs in the request line", "GET\t/\tHTTP/1.1", "", "", No(REFUSED)),
    ("3 a space within the target", "GET /a b HTTP/1.1", "", "", No(REFUSED)),
    ("3 a space at the end of the request line", "GET / HTTP/1.1 ", "", "", No(REFUSED)),
    ("3.1 a method in lower case is another", "get / HTTP/1.1", "", "", Yes("get /", "")),
    ("3.1 an unknown method", "FROB / HTTP/1.1", "", "", Yes("FROB /", "")),
    ("3.2 a control character in the target", "GET /\x01 HTTP/1.1", "", "", No(REFUSED)),
    (
        "3.2.1 two slashes are a path, no host",
        "GET //other/x HTTP/1.1",
        "",
        "",
        Yes("GET //other/x", ""),
    ),
    ("3.2.2 an absolute form without a host", "GET http:///x HTTP/1.1", "", "", No(REFUSED)),
    ("3.2.2 another scheme", "GET ftp://shop.example/x HTTP/1.1", "", "", Yes("GET /x", "")),
    (
        "3.2.3 an authority form of another method",
        "GET shop.example:80 HTTP/1.1",
        "",
        "",
        No(REFUSED),
    ),
    ("5 a header of no name and no colon", "GET / HTTP/1.1", "x\r\n", "", No(REFUSED)),
    ("5.1 a space in a name", "GET / HTTP/1.1", "x y: 1\r\n", "", No(REFUSED)),
    ("5.1 a tab before the colon", "GET / HTTP/1.1", "content-length\t: 3\r\n", "abc", No(REFUSED)),
    ("5.1 a NUL in a name", "GET / HTTP/1.1", "x\0: 1\r\n", "", No(REFUSED)),
    ("5.2 a folded length", "POST / HTTP/1.1", "content-length:\r\n 3\r\n", "abc", No(REFUSED)),
    (
        "5.2 a folded coding",
        "POST / HTTP/1.1",
        "transfer-encoding:\r\n\tchunked\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    ("5.5 a control character in a value", "GET / HTTP/1.1", "x: a\x01b\r\n", "", No(REFUSED)),
    (
        "6.1 in capitals",
        "POST / HTTP/1.1",
        "Transfer-Encoding: CHUNKED\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        Yes("POST /", "abc"),
    ),
    (
        "6.1 behind a tab",
        "POST / HTTP/1.1",
        "transfer-encoding:\tchunked\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        Yes("POST /", "abc"),
    ),
    (
        "6.1 behind a vertical tab",
        "POST / HTTP/1.1",
        "transfer-encoding: \x0bchunked\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "6.1 in quotes",
        "POST / HTTP/1.1",
        "transfer-encoding: \"chunked\"\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "6.1 with a parameter",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked;q=1\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "6.1 with a comma behind",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked,\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "6.1 with a comma before",
        "POST / HTTP/1.1",
        "transfer-encoding: , chunked\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "6.1 chunked twice in one",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked, chunked\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    ("6.1 identity", "POST / HTTP/1.1", "transfer-encoding: identity\r\n", "", No(REFUSED)),
    ("6.1 nothing", "POST / HTTP/1.1", "transfer-encoding:\r\n", "", No(REFUSED)),
    (
        "6.1 identity, then chunked",
        "POST / HTTP/1.1",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
        "0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "6.1 a coding by another name",
        "POST / HTTP/1.1",
        "content-length: 3\r\ntransfer_encoding: chunked\r\n",
        "abc",
        Yes("POST /", "abc"),
    ),
    (
        "6.2 a length by another name",
        "POST / HTTP/1.1",
        "content-length: 3\r\ncontent_length: 0\r\n",
        "abc",
        Yes("POST /", "abc"),
    ),
    ("6.2 zeros before", "POST / HTTP/1.1", "content-length: 003\r\n", "abc", Yes("POST /", "abc")),
    ("6.2 hexadecimal", "POST / HTTP/1.1", "content-length: 0x3\r\n", "abc", No(REFUSED)),
    ("6.2 a fraction", "POST / HTTP/1.1", "content-length: 3.0\r\n", "abc", No(REFUSED)),
    ("6.2 nothing", "POST / HTTP/1.1", "content-length:\r\n", "abc", No(REFUSED)),
    (
        "6.2 the same twice in one",
        "POST / HTTP/1.1",
        "content-length: 3, 3\r\n",
        "abc",
        No(REFUSED),
    ),
    ("6.2 in quotes", "POST / HTTP/1.1", "content-length: \"3\"\r\n", "abc", No(REFUSED)),
    ("6.2 a body of a GET", "GET / HTTP/1.1", "content-length: 3\r\n", "abc", Yes("GET /", "abc")),
    (
        "7.1 an extension",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "3;a=\"b\"\r\nabc\r\n0\r\n\r\n",
        Yes("POST /", "abc"),
    ),
    (
        "7.1 a line feed within an extension",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "7.1 a line feed alone behind the size",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "3\nabc\r\n0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "7.1 a line feed alone behind a chunk",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "3\r\nabc\n0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "7.1 a size of hexadecimal notation",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "7.1 an empty size",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "7.1 a chunk shorter than its size",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\n",
        "9\r\nabc\r\n0\r\n\r\n",
        No(REFUSED),
    ),
    (
        "7.1.2 what follows the body",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\ntrailer: x-forwarded-for\r\n",
        "3\r\nabc\r\n0\r\nx-forwarded-for: 1.2.3.4\r\n\r\n",
        Yes("POST /", "abc"),
    ),
    (
        "7.1.2 a length that follows the body",
        "POST / HTTP/1.1",
        "transfer-encoding: chunked\r\ntrailer: content-length\r\n",
        "3\r\nabc\r\n0\r\ncontent-length: 9\r\n\r\n",
        Yes("POST /", "abc"),
    ),
    (
        "7.6.1 of 9110: a length named by connection",
        "POST / HTTP/1.1",
        "connection: content-length\r\ncontent-length: 3\r\n",
        "abc",
        Yes("POST /", "abc"),
    ),
    (
        "7.6.1 of 9110: a coding named by connection",
        "POST / HTTP/1.1",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        Yes("POST /", "abc"),
    ),
    (
        "7.6.1 of 9110: the host named by connection",
        "GET / HTTP/1.1",
        "connection: host, x-forwarded-for\r\n",
        "",
        Yes("GET /", ""),
    ),
    (
        "7.8 of 9110: an upgrade to HTTP/2",
        "GET / HTTP/1.1",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAA\r\n",
        "",
        Yes("GET /", ""),
    ),
    (
        "7.8 of 9110: the same, half hidden",
        "GET / HTTP/1.1",
        "connection: upgrade\r\nupgrade: websocket, h2c\r\nhttp2-settings: AAMAAABk\r\n",
        "",
        Yes("GET /", ""),
    ),
    (
        "7.8 of 9110: a WebSocket by POST",
        "POST / HTTP/1.1",
        "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 3\r\n",
        "abc",
        Yes("POST /", "abc"),
    ),
    (
        "10.1.1 of 9110: an expectation of another kind",
        "POST / HTTP/1.1",
        "expect: nothing\r\ncontent-length: 3\r\n",
        "abc",
        Yes("POST /", "abc"),
    ),
];

#[tokio::test]
async fn a_replica_hears_what_the_edge_took_it_for_or_nothing() {
    let target = free_port();
    let replica = Strict::start(1, target, OK);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut wrong = Vec::new();
    for (name, first, headers, rest, due) in ROWS {
        let close = if headers.contains("connection:") { "" } else { "connection: close\r\n" };
        let sent = format!("{first}\r\nhost: shop.example\r\n{close}{headers}\r\n{rest}");
        let answer = part(port, sent.as_bytes(), headers.contains("connection:")).await;
        let taken = replica.taken();
        let odd: Vec<&String> = taken.iter().filter_map(|(.., odd)| odd.as_ref()).collect();
        let heard: Vec<(String, String)> = taken
            .iter()
            .map(|(line, body, _)| {
                let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                (line, String::from_utf8_lossy(body).into_owned())
            })
            .collect();
        let good = match due {
            No(statuses) => heard.is_empty() && statuses.contains(&status(&answer)),
            Yes(line, body) => {
                status(&answer) == 200 && heard == [((*line).to_owned(), (*body).to_owned())]
            }
        };
        if !good || !odd.is_empty() {
            wrong.push(format!("{name}: {answer:?}, heard {heard:?}, odd {odd:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sends `bytes` and reads to the end, or one response when the connection `stays`.
async fn part(port: u16, bytes: &[u8], stays: bool) -> String {
    if !stays {
        return raw(port, bytes).await;
    }
    let mut stream = connect(port).await;
    stream.write_all(bytes).await.unwrap();
    response(&mut stream).await
}

#[tokio::test]
async fn what_comes_in_one_piece_is_answered_one_by_one() {
    let target = free_port();
    let replica = Strict::start(1, target, OK);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let sent = "POST /1 HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\nGET /4 HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    let answer = raw(port, sent.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    let heard: Vec<(String, Vec<u8>)> =
        replica.taken().into_iter().map(|(line, body, _)| (line, body)).collect();
    let due =
        [("POST /1 HTTP/1.1", &b"abc"[..]), ("POST /2 HTTP/1.1", b"x"), ("GET /3 HTTP/1.1", b"")];
    assert_eq!(heard, due.map(|(line, body)| (line.to_owned(), body.to_owned())));
}

/// What a replica says beyond its response must never be the answer to somebody else's request.
#[tokio::test]
async fn a_replica_cannot_answer_what_it_was_not_asked() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil",
        b"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    ] {
        let target = free_port();
        let _replica = Strict::start(1, target, answer);
        let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
        for _ in 0..8 {
            let (said, answer) = get(port, "shop.example", "/").await;
            assert!(!answer.contains("evil"), "{answer}");
            assert!([200, 204, 304, 502].contains(&said), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_response_that_is_framed_in_two_ways_is_no_response() {
    for (answer, allowed) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokx"[..], &[502][..]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nokx", &[502]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok", &[502]),
        (b"HTTP/1.1 200 OK\r\n x: folded\r\ncontent-length: 2\r\n\r\nok", &[502]),
        (b"HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 2\r\n\r\nok", &[502, 200]),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
            &[502],
        ),
        (b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok", &[502]),
        (b"no HTTP at all\r\n\r\n", &[502]),
    ] {
        let target = free_port();
        let _replica = Strict::start(1, target, answer);
        let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
        let (said, whole) = get(port, "shop.example", "/").await;
        assert!(allowed.contains(&said), "{:?}: {whole}", String::from_utf8_lossy(answer));
        assert!(!whole.contains("x y"), "{whole}");
    }
}

#[tokio::test]
async fn a_replica_may_say_much_beforehand_but_not_for_ever() {
    let target = free_port();
    let listener = listen(1, target);
    let endless = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await.is_ok()
            {
            }
        }
    });
    let (edge, port, _folder) =
        edge_with(|config| config.http.patience.answer = std::time::Duration::from_millis(300))
            .await;
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    let (said, _) =
        tokio::time::timeout(SOON, get(port, "shop.example", "/")).await.expect("an end");
    assert!([502, 504].contains(&said), "{said}");
    endless.abort();
}
