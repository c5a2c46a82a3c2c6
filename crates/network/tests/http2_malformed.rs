//! What clients may not say over HTTP/2, by section of RFC 9113: frames as bytes over a socket. Each ends its stream
//! or its connection, or is answered with 400, and no replica hears of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use support::{SOON, connect, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// `:status: 400` of the static table (RFC 7541, appendix A).
const STATUS_400: u8 = 0x8c;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Literal fields that are not indexed (RFC 7541 §6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")];

/// A whole request whose fields are those of a GET and `more`.
fn get_with(more: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<_> = GET.iter().chain(more).copied().collect();
    request(&all)
}

fn request(all: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(all))
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let head = fields(&GET);
    let post =
        [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "shop.example")];
    let long: Vec<_> = post.iter().copied().chain([("content-length", "5")]).collect();
    let short =
        [frame(HEADERS, END_HEADERS, 1, &fields(&long)), frame(DATA, END_STREAM, 1, b"abc")];
    let between = [frame(HEADERS, END_STREAM, 1, &head), frame(PING, 0, 0, &[0; 8])];
    vec![
        ("4.2 a frame larger than allowed", frame(HEADERS, END_HEADERS, 1, &[0; 20_000])),
        (
            "4.3 fields that cannot be decoded",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 8]),
        ),
        ("5.1 DATA on an idle stream", frame(DATA, END_STREAM, 1, b"abc")),
        (
            "5.1.1 a client's stream with an even number",
            frame(HEADERS, END_STREAM | END_HEADERS, 2, &head),
        ),
        ("6.1 DATA on no stream", frame(DATA, 0, 0, b"abc")),
        ("6.2 HEADERS on no stream", frame(HEADERS, END_STREAM | END_HEADERS, 0, &head)),
        (
            "6.2 more padding than frame",
            frame(HEADERS, PADDED | END_STREAM | END_HEADERS, 1, &[200, 0]),
        ),
        ("6.2 another frame within a head", between.concat()),
        ("6.5 SETTINGS of a broken length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("6.5 an ACK with a payload", frame(SETTINGS, ACK, 0, &[0; 6])),
        ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        ("6.5.2 a window above the largest", frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255])),
        ("6.7 PING of a broken length", frame(PING, 0, 0, &[0; 7])),
        ("6.7 PING on a stream", frame(PING, 0, 1, &[0; 8])),
        ("6.9 WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("6.10 CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &head)),
        ("8.1.1 a body shorter than said", short.concat()),
        ("8.2.1 a name in upper case", get_with(&[("X-Mine", "1")])),
        ("8.2.1 a line break in a value", get_with(&[("x", "a\r\nhost: other")])),
        ("8.2.2 connection", get_with(&[("connection", "close")])),
        ("8.2.2 transfer-encoding", get_with(&[("transfer-encoding", "chunked")])),
        ("8.2.2 TE other than trailers", get_with(&[("te", "gzip")])),
        (
            "8.3 a pseudo-header after a header",
            request(&[GET[0], GET[1], ("x", "1"), GET[2], GET[3]]),
        ),
        ("8.3 an unknown pseudo-header", get_with(&[(":mine", "1")])),
        ("8.3 a response's pseudo-header", get_with(&[(":status", "200")])),
        ("8.3.1 no path", request(&[GET[0], GET[1], GET[3]])),
        ("8.3.1 an empty path", request(&[GET[0], GET[1], (":path", ""), GET[3]])),
        ("8.3.1 two paths", get_with(&[(":path", "/other")])),
        ("8.3.1 no method", request(&GET[1..])),
        ("8.3.1 another Host", get_with(&[("host", "other.example")])),
        (
            "8.3.1 user information",
            request(&[GET[0], GET[1], GET[2], (":authority", "a@shop.example")]),
        ),
    ]
}

/// What came of a connection on which `bytes` were sent: the first frame that says so, or its end.
async fn outcome(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port).await;
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[]), bytes];
    stream.write_all(&hello.concat()).await.unwrap();
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return "ended".to_owned();
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if stream.read_exact(&mut payload).await.is_err() {
                return "ended".to_owned();
            }
            match head[3] {
                RST_STREAM => return "stream reset".to_owned(),
                GOAWAY => return "connection given up".to_owned(),
                HEADERS if payload[0] == STATUS_400 => return "400".to_owned(),
                HEADERS => return format!("answered: {payload:x?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, read).await.unwrap_or_else(|_| "nothing".to_owned())
}

#[tokio::test]
async fn what_is_malformed_ends_its_stream_or_connection() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    assert!(outcome(port, &get_with(&[])).await.starts_with("answered"), "what is well-formed");
    let mut wrong = Vec::new();
    for (name, bytes) in cases() {
        let came = outcome(port, &bytes).await;
        if came == "nothing" || came.starts_with("answered") {
            wrong.push(format!("{name}: {came}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(replica.heard().len(), 1, "only of the first: {:?}", replica.heard());
}
