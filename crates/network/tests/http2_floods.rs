//! Floods of frames over HTTP/2, none of which is malformed by itself: requests that are reset at once, a head
//! without an end, pings and settings that nobody waits for. Other clients are served beside them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use std::time::Duration;
use support::{connect, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use web::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Requests of the flood.
const RESETS: u32 = 50_000;
/// In which a flood must end.
const PATIENCE: Duration = Duration::from_secs(60);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// GET, http, `/` of the static table (RFC 7541, appendix A), and an authority.
fn head() -> Vec<u8> {
    [&[0x82, 0x86, 0x84, 0x41, 12][..], b"shop.example"].concat()
}

/// A request, and its end before it can be answered (CVE-2023-44487).
fn reset(n: u32) -> Vec<u8> {
    let stream = 2 * n + 1;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head());
    [request, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
}

/// Sends a flood, and insists that others are served beside it and that its connection ends; whether all of it was
/// taken in before that.
async fn flood(port: u16, bytes: Vec<u8>) -> bool {
    let mut stream = connect(port).await;
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let writing = tokio::spawn(async move {
        let taken = write.write_all(&bytes).await.is_ok();
        // A flood that was taken in is followed by its end.
        let _ = write.shutdown().await;
        taken
    });
    for _ in 0..20 {
        let beside = tokio::time::timeout(PATIENCE, get(port, "shop.example", "/"));
        assert_eq!(beside.await.expect("others are served").0, 200);
    }
    let mut taken = vec![0; 1 << 16];
    let end = async { while matches!(read.read(&mut taken).await, Ok(n) if n > 0) {} };
    tokio::time::timeout(PATIENCE, end).await.expect("its connection ends");
    tokio::time::timeout(PATIENCE, writing).await.expect("nobody waits for the rest").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_17_floods_of_frames_end_their_connection() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (_edge, port, _folder) = edge_of(target, &serving(&[1])).await;
    let resets = (0..RESETS).flat_map(reset).collect();
    flood(port, resets).await;
    let heard = replica.heard().len() as u32;
    assert!(heard < RESETS / 10, "{heard} of them reached the replica");
    let more = frame(CONTINUATION, 0, 1, &[0; 16_000]).repeat(1_000);
    let endless = [frame(HEADERS, 0, 1, &head()), more].concat();
    assert!(!flood(port, endless).await, "16 MB of a head are taken in");
    flood(port, frame(PING, 0, 0, &[0; 8]).repeat(200_000)).await;
    flood(port, frame(SETTINGS, 0, 0, &[]).repeat(200_000)).await;
}
