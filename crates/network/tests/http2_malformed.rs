//! What clients may not say over HTTP/2, by section of RFC 9113: frames as bytes over a socket. Each ends its stream
//! or its connection, or is answered with 400, and no replica hears of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/frames.rs"]
mod frames;
mod support;
#[path = "support/web.rs"]
mod web;

use frames::*;
use support::{SOON, connect, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::*;

/// A whole request whose fields are those of a GET and `more`.
fn get_with(more: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<_> = GET.iter().chain(more).copied().collect();
    request(&all)
}

/// What is malformed, and its bytes.
type Case = (&'static str, Vec<u8>);

fn cases() -> Vec<Case> {
    let all = [
        frames_out_of_place(),
        frames_of_wrong_content(),
        bodies_and_names(),
        requests_that_are_none(),
    ];
    all.concat()
}

fn frames_out_of_place() -> Vec<Case> {
    let head = fields(&GET);
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
        ("5.1 HEADERS on a stream that was closed", {
            let reset = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
            let open = frame(HEADERS, END_HEADERS, 1, &fields(&POST));
            [open, reset, get_with(&[]), get_with(&[])].concat()
        }),
        ("5.1 RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())),
        ("5.1 WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())),
        ("5.3.1 of 7540: a stream that depends on itself", {
            frame(
                HEADERS,
                PRIORITY_FLAG | END_STREAM | END_HEADERS,
                1,
                &[&[0, 0, 0, 1, 0][..], &head].concat(),
            )
        }),
        ("6.3 PRIORITY of a broken length", frame(PRIORITY, 0, 1, &[0; 4])),
        ("6.3 PRIORITY on no stream", frame(PRIORITY, 0, 0, &[0; 5])),
        ("6.4 RST_STREAM of a broken length", frame(RST_STREAM, 0, 1, &[0; 3])),
        ("6.4 RST_STREAM on no stream", frame(RST_STREAM, 0, 0, &[0; 4])),
    ]
}

fn frames_of_wrong_content() -> Vec<Case> {
    let head = fields(&GET);
    vec![
        ("6.5.2 ENABLE_PUSH that is neither", frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])),
        ("6.5.2 a frame size below the least", frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1])),
        ("6.5.2 a frame size above the largest", frame(SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0])),
        (
            "6.6 PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &head].concat()),
        ),
        ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8])),
        ("6.9 WINDOW_UPDATE of a broken length", frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        (
            "6.9.1 a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
        ),
        ("6.10 CONTINUATION of another stream", {
            [frame(HEADERS, END_STREAM, 1, &head), frame(CONTINUATION, END_HEADERS, 3, &[])]
                .concat()
        }),
        ("6.5 SETTINGS of a broken length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("6.5 an ACK with a payload", frame(SETTINGS, ACK, 0, &[0; 6])),
        ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        ("6.5.2 a window above the largest", frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255])),
        ("6.7 PING of a broken length", frame(PING, 0, 0, &[0; 7])),
        ("6.7 PING on a stream", frame(PING, 0, 1, &[0; 8])),
        ("6.9 WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("6.10 CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &head)),
    ]
}

fn bodies_and_names() -> Vec<Case> {
    let long: Vec<_> = POST.iter().copied().chain([("content-length", "5")]).collect();
    let short =
        [frame(HEADERS, END_HEADERS, 1, &fields(&long)), frame(DATA, END_STREAM, 1, b"abc")];
    vec![
        ("8.1.1 a body shorter than said", short.concat()),
        ("8.1.1 a body longer than said", {
            let open = frame(HEADERS, END_HEADERS, 1, &fields(&long));
            [open, frame(DATA, END_STREAM, 1, b"abcdefgh")].concat()
        }),
        ("8.1.1 two lengths", {
            let two: Vec<_> = long.iter().copied().chain([("content-length", "3")]).collect();
            [frame(HEADERS, END_HEADERS, 1, &fields(&two)), frame(DATA, END_STREAM, 1, b"abcde")]
                .concat()
        }),
        ("8.1.1 a length with a sign", {
            let signed: Vec<_> = POST.iter().copied().chain([("content-length", "+5")]).collect();
            [frame(HEADERS, END_HEADERS, 1, &fields(&signed)), frame(DATA, END_STREAM, 1, b"abcde")]
                .concat()
        }),
        ("8.2.1 a name in upper case", get_with(&[("X-Mine", "1")])),
        ("8.2.1 an empty name", get_with(&[("", "1")])),
        ("8.2.1 a colon in a name", get_with(&[("x:y", "1")])),
        ("8.2.1 a space in a name", get_with(&[("x y", "1")])),
        ("8.2.1 a line break in a name", get_with(&[("x\r\nhost", "1")])),
        ("8.2.1 a NUL in a value", get_with(&[("x", "a\0b")])),
        ("8.2.1 a line break in a value", get_with(&[("x", "a\r\nhost: other")])),
        ("8.2.2 connection", get_with(&[("connection", "close")])),
        ("8.2.2 transfer-encoding", get_with(&[("transfer-encoding", "chunked")])),
        ("8.2.2 keep-alive", get_with(&[("keep-alive", "5")])),
        ("8.2.2 upgrade", get_with(&[("upgrade", "h2c")])),
        ("8.2.2 proxy-connection", get_with(&[("proxy-connection", "close")])),
        ("8.2.2 TE other than trailers", get_with(&[("te", "gzip")])),
    ]
}

fn requests_that_are_none() -> Vec<Case> {
    vec![
        (
            "8.3 a pseudo-header after a header",
            request(&[GET[0], GET[1], ("x", "1"), GET[2], GET[3]]),
        ),
        ("8.3 an unknown pseudo-header", get_with(&[(":mine", "1")])),
        ("8.3 a response's pseudo-header", get_with(&[(":status", "200")])),
        ("8.3.1 no path", request(&[GET[0], GET[1], GET[3]])),
        ("8.3.1 an empty path", request(&[GET[0], GET[1], (":path", ""), GET[3]])),
        ("8.3.1 a path without a slash", request(&[GET[0], GET[1], (":path", "x"), GET[3]])),
        (
            "8.3.1 a space in the path",
            request(&[GET[0], GET[1], (":path", "/a HTTP/1.1\r\nx: y"), GET[3]]),
        ),
        (
            "8.3.1 an asterisk for another method",
            request(&[GET[0], GET[1], (":path", "*"), GET[3]]),
        ),
        (
            "8.3.1 a method with a line break",
            request(&[(":method", "GET /x HTTP/1.1\r\n"), GET[1], GET[2], GET[3]]),
        ),
        ("8.3.1 no scheme", request(&[GET[0], GET[2], GET[3]])),
        ("8.3.1 two authorities", get_with(&[(":authority", "other.example")])),
        (
            "8.3.1 a path in the authority",
            request(&[GET[0], GET[1], GET[2], (":authority", "shop.example/x")]),
        ),
        ("8.3.1 two Hosts", get_with(&[("host", "shop.example"), ("host", "other.example")])),
        ("8.5 CONNECT with a path", request(&[(":method", "CONNECT"), GET[1], GET[2], GET[3]])),
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
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), bytes];
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
async fn attack_24_what_is_malformed_ends_its_stream_or_connection() {
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

/// RFC 9113 §8.1: what follows a body must name no path. Whatever it says, it goes no further.
#[tokio::test]
async fn nothing_that_follows_a_body_reaches_a_replica() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    for behind in [(":path", "/other"), ("x-forwarded-for", "1.2.3.4"), ("content-length", "9")] {
        let bytes = [
            frame(HEADERS, END_HEADERS, 1, &fields(&POST)),
            frame(DATA, 0, 1, b"abc"),
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&[behind])),
        ];
        outcome(port, &bytes.concat()).await;
    }
    for heard in replica.heard() {
        assert_eq!((heard.line.as_str(), &heard.body[..]), ("POST /", &b"abc"[..]));
        assert_eq!(heard.headers["x-forwarded-for"], "127.0.0.1");
        assert!(!heard.headers.contains_key("content-length"), "{:?}", heard.headers);
    }
}
