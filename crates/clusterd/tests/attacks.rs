//! What can be sent to a daemon besides decent calls: guesses, floods, fragments, silence. It goes on, others are
//! served meanwhile, and its files are its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use api::v1::members_client::MembersClient;
use http_body_util::{BodyExt, Full};
use identity::KeyRequest;
use model::Role;
use model::limits::MESSAGE_BYTES;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use support::certificates as certificate;
use support::{Daemon, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tonic::Code;
use tonic::codegen::{Bytes, Service, http};
use tonic::transport::Channel;

/// More memory than this for what one of these tests sends is too much.
const MEMORY: u64 = 64 << 20;

/// In which a flood must end: less than a guest may stay.
const SOON: Duration = Duration::from_secs(30);

/// Guesses that are made at once. A tenth of them are listened to, then one each three seconds.
const GUESSES: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn attack_08_who_guesses_tokens_is_soon_not_heard() {
    let daemon = Daemon::founded().await;
    let key = KeyRequest::generate().unwrap();
    let mut guesses = JoinSet::new();
    let started = tokio::time::Instant::now();
    for n in 0..GUESSES {
        let channel = daemon.channel(&certificate::nobody(&daemon), 20).await;
        // One source has so many connections, and no more.
        let Ok(channel) = channel else { continue };
        let request = certificate::joining(
            &certificate::forged(&daemon, Role::Manager),
            &format!("guess{n}"),
            &key,
        );
        guesses.spawn(async move { MembersClient::new(channel).join(request).await.err() });
    }
    let answers = guesses.join_all().await;
    let heard = answers
        .iter()
        .filter(|answer| answer.as_ref().expect("a guess joins").code() == Code::PermissionDenied);
    let (heard, most) = (heard.count() as u64, 11 + started.elapsed().as_secs() / 3);
    assert!((1..=most).contains(&heard), "{heard} guesses of one source were looked at");
    assert_eq!(daemon.nodes().await, 1, "a guess left something behind");
    let (number, _) = certificate::worker(&daemon, "decent", 21).await;
    assert!(number > 1, "another source is listened to");
}

/// Sends a body to a call as it is, and says what came back: the gRPC status, else that of HTTP, if there is any.
async fn sent(channel: &mut Channel, call: &str, body: Vec<u8>, more: &[(&str, String)]) -> String {
    let mut request = http::Request::post(format!("http://cluster/cluster.v1.{call}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in more {
        request = request.header(*name, value);
    }
    let body = tonic::body::Body::new(Full::new(Bytes::from(body)));
    let answer = async {
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
        channel.call(request.body(body).unwrap()).await
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer, or an end");
    let Ok(answer) = answer else { return "no answer".to_owned() };
    let (head, body) = answer.into_parts();
    let trailers = body.collect().await.ok().and_then(|all| all.trailers().cloned());
    let status = head.headers.get("grpc-status").cloned();
    let status = status.or_else(|| trailers?.get("grpc-status").cloned());
    status.map_or(head.status.to_string(), |code| code.to_str().unwrap().to_owned())
}

/// A gRPC frame that says of itself what it likes.
fn frame(flag: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend(length.to_be_bytes());
    frame.extend(bytes);
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_16_what_is_no_message_costs_its_call_only() {
    let daemon = Daemon::founded().await;
    let admin = certificate::admin(&daemon).await;
    let (_, worker) = certificate::worker(&daemon, "worker", 2).await;
    let mut all = [
        ("Admin/Deploy", daemon.channel(&admin, 3).await.unwrap()),
        ("Members/Report", daemon.channel(&worker, 4).await.unwrap()),
        ("Members/Join", daemon.channel(&certificate::nobody(&daemon), 5).await.unwrap()),
        ("Admin/Deploy", daemon.local().await),
    ];
    let before = daemon.peak();
    let large = vec![b'x'; MESSAGE_BYTES + 1];
    let cases: [(&str, Vec<u8>); 9] = [
        ("nothing", Vec::new()),
        ("half of a head", vec![0, 0, 0]),
        ("a message that ends early", frame(0, 100, &[0; 10])),
        ("a message of a gigabyte that does not come", frame(0, 1 << 30, &[])),
        ("a message that is too large", frame(0, large.len() as u32, &large)),
        ("what is not compressed as it says", frame(1, 4, &[1, 2, 3, 4])),
        ("an unknown flag", frame(77, 0, &[])),
        ("no protobuf", frame(0, 4, &[0xff; 4])),
        // Field 1, which is a message or a text, as a number.
        ("another type", frame(0, 2, &[0x08, 0x01])),
    ];
    for (call, channel) in &mut all {
        for (what, body) in &cases {
            let said = sent(channel, call, body.clone(), &[]).await;
            assert_ne!(said, "0", "{what} to {call} is done");
            assert_ne!(said, "no answer", "{what} to {call} ends the connection");
        }
        let heads = [("x-padding", "x".repeat(1 << 20))];
        let said = sent(channel, call, frame(0, 0, &[]), &heads).await;
        assert_ne!(said, "0", "a megabyte of headers to {call}");
    }
    // What a newer client says besides is passed over.
    let unknown = frame(0, 4, &[0xfa, 0x3f, 0x01, b'x']);
    let said = sent(&mut daemon.local().await, "Admin/Version", unknown, &[]).await;
    assert_eq!(said, "0", "an unknown field");
    let grown = daemon.peak() - before;
    assert!(grown < MEMORY, "{grown} bytes for it");
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn h2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A head of indexed fields (RFC 7541 §6.1): POST, http, `/`.
const HEAD: [u8; 3] = [0x83, 0x86, 0x84];
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// Flags of a head: it is whole; it is, and nothing follows it.
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn attack_17_a_flood_before_anybody_is_known() {
    let daemon = Daemon::founded().await;
    let before = daemon.peak();
    let request = |n: u32| h2(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &HEAD);
    let reset = |n: u32| [request(n), h2(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    let floods: [(&str, bool, Vec<u8>); 4] = [
        ("requests that are reset at once", true, (0..50_000).flat_map(reset).collect()),
        ("a head without an end", true, {
            let more = h2(CONTINUATION, 0, 1, &[0; 16_000]);
            [h2(HEADERS, 0, 1, &HEAD), more.repeat(1_000)].concat()
        }),
        ("pings", false, h2(PING, 0, 0, &[0; 8]).repeat(200_000)),
        ("settings", false, h2(SETTINGS, 0, 0, &[]).repeat(200_000)),
    ];
    for (source, (what, ends, flood)) in (10..).zip(floods) {
        let mut stream = daemon.shake(&certificate::nobody(&daemon), source).await.unwrap();
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &h2(SETTINGS, 0, 0, &[])].concat();
        stream.write_all(&hello).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let flooding = tokio::spawn(async move {
            let _ = write.write_all(&flood).await;
            write
        });
        // Whoever works with the cluster meanwhile is served.
        for _ in 0..20 {
            let calm = daemon.nodes();
            assert_eq!(tokio::time::timeout(PATIENCE, calm).await.expect("served beside it"), 1);
        }
        if ends {
            let end = async {
                let mut bytes = vec![0; 1 << 16];
                while matches!(read.read(&mut bytes).await, Ok(n) if n > 0) {}
            };
            tokio::time::timeout(SOON, end).await.unwrap_or_else(|_| panic!("{what} goes on"));
        }
        flooding.abort();
    }
    let grown = daemon.peak() - before;
    assert!(grown < MEMORY, "{grown} bytes for floods");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_18_silent_connections_of_one_source_leave_room_for_others() {
    let daemon = Daemon::founded().await;
    let admin = certificate::admin(&daemon).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        let mut stream = daemon.connect(30).await.unwrap();
        // The beginning of a handshake that does not come.
        let _ = stream.write_all(&[22]).await;
        silent.push(stream);
    }
    let beside = async {
        let mut channel = daemon.channel(&admin, 31).await.unwrap();
        sent(&mut channel, "Admin/Version", frame(0, 0, &[]), &[]).await
    };
    // Less than the time after which a handshake that does not come is given up.
    let said = tokio::time::timeout(Duration::from_secs(4), beside).await;
    assert_eq!(said.expect("another source is served beside them"), "0");
    for mut stream in silent {
        let mut said = [0; 64];
        let end = tokio::time::timeout(PATIENCE, stream.read(&mut said))
            .await
            .expect("it is closed in time");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}

/// Every file and folder below `at`, with its mode.
fn modes(at: &Path, found: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        found.push((entry.path().display().to_string(), mode));
        if entry.file_type().unwrap().is_dir() {
            modes(&entry.path(), found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_files_of_the_daemon_are_its_own() {
    let daemon = Daemon::founded().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&daemon.data()), 0o700);
    assert_eq!(mode(&daemon.socket()), 0o660);
    let mut found = Vec::new();
    modes(&daemon.data(), &mut found);
    assert!(found.iter().any(|(path, _)| path.ends_with("raft.redb")), "{found:?}");
    for (path, mode) in &found {
        let shown = path.ends_with("/certificate.pem") || path.ends_with("/authority.pem");
        let most = if shown { 0o644 } else { 0o700 };
        assert_eq!(mode & !most, 0, "{path} has mode {mode:o}");
    }
    // Those that the folder's table names have exactly the mode it says.
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/folder.rs")).unwrap();
    let mut told = 0;
    for row in table.lines().filter_map(|line| line.strip_prefix("//! | `")) {
        let (name, rest) = row.split_once('`').unwrap();
        let wanted = u32::from_str_radix(rest.split('|').nth(1).unwrap().trim(), 8).unwrap();
        let path = daemon.data().join(name.trim_end_matches('/'));
        if path.exists() {
            assert_eq!(mode(&path), wanted, "{name}");
            told += 1;
        }
    }
    assert!(told >= 7, "{told} files of the table");
}
