//! Clients that keep an edge busy over HTTP/2 with what costs them little. Each is ended, or held to a pace; others are
//! answered all the while, and no more reaches a replica than requests were asked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/frames.rs"]
mod frames;
mod support;
#[path = "support/web.rs"]
mod web;

use frames::*;
use std::time::Duration;
use support::{SOON, connect, free_port, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::*;

/// How often the flood's unit is sent at most.
const UNITS: u32 = 20_000;

/// A flood: the unit of a number.
type Flood = (&'static str, fn(u32) -> Vec<u8>, bool);

fn stream(n: u32) -> u32 {
    2 * n + 1
}

fn headers(n: u32, flags: u8, all: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream(n), &fields(all))
}

/// A request, begun and given up (rapid reset, CVE-2023-44487).
fn rapid_reset(n: u32) -> Vec<u8> {
    let reset = frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());
    [headers(n, END_STREAM | END_HEADERS, &GET), reset].concat()
}

/// A request that the server itself has to give up (CVE-2025-8671).
fn made_you_reset(n: u32) -> Vec<u8> {
    let nothing = frame(WINDOW_UPDATE, 0, stream(n), &0_u32.to_be_bytes());
    [headers(n, END_HEADERS, &POST), nothing].concat()
}

/// A head that never ends, of empty frames or of long ones (VU#421644).
fn continuation(n: u32) -> Vec<u8> {
    if n == 0 {
        frame(HEADERS, END_STREAM, 1, &fields(&GET))
    } else {
        frame(CONTINUATION, 0, 1, &fields(&[("x", "y")]))
    }
}

fn empty_continuation(n: u32) -> Vec<u8> {
    if n == 0 {
        frame(HEADERS, END_STREAM, 1, &fields(&GET))
    } else {
        frame(CONTINUATION, 0, 1, &[])
    }
}

/// One field, kept in the table and then named again and again (an HPACK bomb).
fn bomb(n: u32) -> Vec<u8> {
    let value = "a".repeat(120);
    let mut head = fields(&GET);
    head.extend([0x40, 1, b'x', 120]);
    head.extend(value.as_bytes());
    head.extend(std::iter::repeat_n(0xbe, 12_000));
    frame(HEADERS, END_STREAM | END_HEADERS, stream(n), &head)
}

const FLOODS: &[Flood] = &[
    ("rapid reset", rapid_reset, true),
    ("made you reset", made_you_reset, true),
    ("CONTINUATION", continuation, true),
    ("empty CONTINUATION", empty_continuation, true),
    ("SETTINGS", |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]), false),
    ("PING", |_| frame(PING, 0, 0, &[7; 8]), false),
    ("PRIORITY", |n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 9]), false),
    ("WINDOW_UPDATE", |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()), false),
    ("unknown frames", |_| frame(77, 0, 0, &[0; 64]), false),
    (
        "empty DATA",
        |n| if n == 0 { headers(0, END_HEADERS, &POST) } else { frame(DATA, 0, 1, &[]) },
        false,
    ),
    ("a bomb of fields", bomb, true),
];

/// Sends a flood. Whether the edge ended it: by GOAWAY, or by closing.
async fn flood(port: u16, unit: fn(u32) -> Vec<u8>) -> bool {
    let (mut from, mut to) = connect(port).await.into_split();
    let ended = tokio::spawn(async move {
        let mut head = [0; 9];
        while from.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if from.read_exact(&mut payload).await.is_err() {
                break;
            }
            if head[3] == GOAWAY && payload[4..8] != [0; 4] {
                break;
            }
        }
    });
    let send = async {
        to.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
        for n in 0..UNITS {
            to.write_all(&unit(n)).await?;
        }
        std::io::Result::Ok(())
    };
    // One that is held to a pace gets stuck; it is over then as well.
    let sent = tokio::time::timeout(Duration::from_secs(8), send).await;
    let given_up = tokio::time::timeout(Duration::from_secs(2), ended).await.is_ok();
    given_up || matches!(sent, Ok(Err(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_ended_and_others_are_answered_meanwhile() {
    let target = free_port();
    let _replica = Web::start(1, target);
    let (edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut wrong = Vec::new();
    for (name, unit, ends) in FLOODS {
        let flooding = tokio::spawn(flood(port, *unit));
        for _ in 0..20 {
            let (said, _) =
                tokio::time::timeout(SOON, get(port, "shop.example", "/")).await.expect(name);
            if said != 200 {
                wrong.push(format!("{name}: another client got {said}"));
            }
        }
        if !flooding.await.unwrap() && *ends {
            wrong.push(format!("{name}: it was not ended"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    until("nothing is held", || edge.status().carried == 0).await;
}

#[tokio::test]
async fn a_client_has_so_many_requests_at_once_over_one_connection() {
    let target = free_port();
    let replica = Web::slow(1, target, Duration::from_millis(300));
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let mut stream = connect(port).await;
    let many = network::limits::HTTP_STREAMS + 50;
    let mut sent = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for n in 0..many {
        sent.extend(headers(n, END_STREAM | END_HEADERS, &GET));
    }
    stream.write_all(&sent).await.unwrap();
    let (mut answered, mut refused) = (0, 0);
    let read = async {
        while answered + refused < many {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                HEADERS => answered += 1,
                // REFUSED_STREAM: the client may ask again (RFC 9113 §8.7).
                RST_STREAM if payload == 7_u32.to_be_bytes() => refused += 1,
                GOAWAY => panic!("{payload:?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, read).await.expect("each is answered or refused");
    assert_eq!((answered, refused), (network::limits::HTTP_STREAMS, 50));
    assert_eq!(replica.heard().len(), network::limits::HTTP_STREAMS as usize);
}
