//! The daemon and its edge: feeding, restarts of either, old and foreign pictures, what lies on disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use model::{ClusterId, NodeId};
use network::control::{FromEdge, ToEdge};
use network::{Edge, Error, Feed, IdentityFiles, Picture, Remark, Security};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn saved(folder: &Path) -> Option<Picture> {
    serde_json::from_slice(&std::fs::read(folder.join("picture.json")).ok()?).ok()
}

async fn start(folder: &Path) -> Edge {
    Edge::start(config(folder, Security::Plain).0).await.unwrap()
}

#[tokio::test]
async fn a_fed_edge_serves_and_says_how_it_is() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, folder) = edge().await;
    let feed = Feed::start(folder.path().join("edge.sock"));
    feed.serve(picture(7, &[route(port, target, &[backend(1, 1, true)])], &[]));
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    let mut state = feed.state();
    let heard = state.wait_for(|s| s.status.as_ref().is_some_and(|s| s.index == 7));
    let status = tokio::time::timeout(SOON, heard).await.unwrap().unwrap().status.clone().unwrap();
    assert_eq!((status.version.as_str(), status.cluster), ("test", Some(cluster())));
    assert_eq!(status.ports[0].service.as_str(), "web");
    drop(edge);
    let gone = state.wait_for(|s| s.status.is_none());
    tokio::time::timeout(SOON, gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn fault_17_the_edge_outlives_the_daemon_and_the_next_daemon_adopts_it() {
    let (port, target) = (free_port(), free_port());
    let _replicas = [Replica::start(1, target), Replica::start(2, target)];
    let (edge, folder) = edge().await;
    let feed = Feed::start(folder.path().join("edge.sock"));
    feed.serve(picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]));
    let mut old = connect(port).await;
    assert_eq!(who(&mut old).await.unwrap(), 1);
    drop(feed);
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    let feed = Feed::start(folder.path().join("edge.sock"));
    feed.serve(picture(2, &[route(port, target, &[backend(2, 1, true)])], &[]));
    until("the new picture is served", || edge.status().index == 2).await;
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 2);
    echo(&mut old, b"never noticed").await;
}

#[tokio::test]
async fn a_daemon_that_was_there_first_feeds_the_edge_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let feed = Feed::start(folder.path().join("edge.sock"));
    feed.serve(picture(3, &[], &[]));
    let edge = start(folder.path()).await;
    until("it is fed", || edge.status().index == 3).await;
    until("it is on disk", || saved(folder.path()).is_some()).await;
    drop(edge);
    std::fs::remove_file(folder.path().join("picture.json")).unwrap();
    let edge = start(folder.path()).await;
    until("it is fed again", || edge.status().index == 3).await;
}

#[tokio::test]
async fn the_picture_survives_a_restart_of_the_edge() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let (edge, folder) = edge().await;
    let shown = picture(9, &[route(port, target, &[backend(1, 1, true)])], &[]);
    edge.serve(shown.clone());
    until("it is on disk", || saved(folder.path()).is_some()).await;
    assert_eq!(saved(folder.path()), Some(shown));
    assert_eq!(mode(&folder.path().join("picture.json")), 0o600);
    assert_eq!(mode(&folder.path().join("edge.sock")), 0o600);
    drop(edge);
    let edge = start(folder.path()).await;
    assert_eq!(edge.status().index, 9);
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    assert!(!edge.serve(picture(8, &[], &[])), "it went back in time");
}

#[test]
fn a_view_makes_a_picture() {
    let (routes, edge) = (vec![route(80, 8080, &[backend(1, 1, true)])], "10.0.0.1:7071");
    let node = model::Peer {
        id: NodeId(1),
        name: "one".parse().unwrap(),
        role: model::Role::Manager,
        readiness: model::Readiness::Ready,
        control: "10.0.0.1:7070".parse().unwrap(),
        edge: edge.parse().unwrap(),
        mesh_key: None,
    };
    let view = model::View {
        cluster: cluster(),
        index: 4,
        now: model::Time::ZERO,
        node: NodeId(1),
        tasks: Vec::new(),
        routes: Arc::new(routes.clone()),
        datagrams: Arc::default(),
        sites: Arc::default(),
        nodes: Arc::new(vec![node]),
        condemned: Vec::new(),
        mesh: None,
    };
    assert_eq!(Picture::from(&view), picture(4, &routes, &[(1, edge.parse().unwrap())]));
}

#[test]
fn a_picture_of_an_older_build_is_read_with_the_routes_ports() {
    let shown = picture(9, &[route(80, 8080, &[backend(1, 1, true)])], &[]);
    let mut older = serde_json::to_value(&shown).unwrap();
    let backend = older["routes"][0]["backends"][0].as_object_mut().unwrap();
    assert!(backend.remove("target").is_some());
    let read: Picture = serde_json::from_value(older).unwrap();
    assert_eq!(read.routes[0].target(&read.routes[0].backends[0]), 8080);
}

#[tokio::test]
async fn a_damaged_picture_is_remarked_and_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("picture.json"), "{\"cluster\":").unwrap();
    let (config, remarks) = config(folder.path(), Security::Plain);
    let edge = Edge::start(config).await.unwrap();
    assert!(matches!(remarks.lock().unwrap()[..], [Remark::PictureUnreadable { .. }]));
    assert!(edge.serve(picture(1, &[], &[])));
}

#[tokio::test]
async fn an_older_picture_is_ignored_and_another_clusters_is_not() {
    let (edge, _folder) = edge().await;
    assert!(edge.serve(picture(5, &[], &[])));
    assert!(!edge.serve(picture(4, &[], &[])));
    assert_eq!(edge.status().index, 5);
    assert!(edge.serve(picture(5, &[], &[])));
    let anew = Picture { cluster: ClusterId("f".repeat(32)), ..picture(1, &[], &[]) };
    assert!(edge.serve(anew.clone()));
    assert_eq!((edge.status().index, edge.status().cluster), (1, Some(anew.cluster)));
    let rejoined = Picture { node: NodeId(8), ..picture(1, &[], &[]) };
    assert!(edge.serve(rejoined));
}

#[tokio::test]
async fn a_second_edge_on_the_same_socket_is_refused_and_a_dead_ones_is_taken_over() {
    let (first, folder) = edge().await;
    let second = Edge::start(config(folder.path(), Security::Plain).0).await;
    assert!(matches!(second, Err(Error::Running { .. })));
    drop(first);
    let socket = folder.path().join("edge.sock");
    assert!(socket.exists());
    until("it is dead", || std::os::unix::net::UnixStream::connect(&socket).is_err()).await;
    start(folder.path()).await;
}

#[tokio::test]
async fn an_edge_whose_folder_is_gone_makes_way_and_keeps_its_open_connections() {
    let (port, target) = (free_port(), free_port());
    let _replica = Replica::start(1, target);
    let shown = picture(1, &[route(port, target, &[backend(1, 1, true)])], &[]);
    let (first, folder) = edge().await;
    first.serve(shown.clone());
    let mut open = connect(port).await;
    assert_eq!(who(&mut open).await.unwrap(), 1);
    drop(folder);
    let folder = tempfile::tempdir().unwrap();
    let (mut config, remarks) = config(folder.path(), Security::Plain);
    config.address = first.address();
    let second = Edge::start(config).await.unwrap();
    second.serve(shown);
    let said = |wanted: &Remark| remarks.lock().unwrap().contains(wanted);
    let refused = |r: &Remark| matches!(r, Remark::EdgePortRefused { .. });
    until("the port is seen busy", || remarks.lock().unwrap().iter().any(refused)).await;
    tokio::time::timeout(SOON, first.orphaned()).await.unwrap();
    let address = first.address();
    let drained = tokio::spawn(first.drain(SOON));
    until("the edge port is taken", || said(&Remark::EdgePortOpen { address })).await;
    let listening = || second.status().ports[0].state == network::PortState::Listening;
    until("the published port is taken", listening).await;
    assert_eq!(who(&mut connect(port).await).await.unwrap(), 1);
    echo(&mut open, b"still carried by the first").await;
    drop(open);
    assert_eq!(tokio::time::timeout(SOON, drained).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn an_edge_whose_socket_is_anothers_is_orphaned_and_the_other_is_not() {
    let (first, folder) = edge().await;
    std::fs::remove_file(folder.path().join("edge.sock")).unwrap();
    let second = start(folder.path()).await;
    tokio::time::timeout(SOON, first.orphaned()).await.unwrap();
    let looks = 3 * network::limits::FOOTING;
    assert!(tokio::time::timeout(looks, second.orphaned()).await.is_err());
}

async fn say(daemon: &mut UnixStream, json: &str) -> FromEdge {
    daemon.write_u32(u32::try_from(json.len()).unwrap()).await.unwrap();
    daemon.write_all(json.as_bytes()).await.unwrap();
    let length = daemon.read_u32().await.unwrap();
    let mut bytes = vec![0; length as usize];
    daemon.read_exact(&mut bytes).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn words_of_a_newer_daemon_are_passed_over() {
    let (_edge, folder) = edge().await;
    let mut daemon = UnixStream::connect(folder.path().join("edge.sock")).await.unwrap();
    assert_eq!(say(&mut daemon, r#"{"Dance":{"steps":3}}"#).await, FromEdge::NotUnderstood);
    let mut newer = serde_json::to_value(ToEdge::Serve(picture(6, &[], &[]))).unwrap();
    newer["Serve"]["weather"] = "fair".into();
    let serving = FromEdge::Serving { index: 6, taken: true };
    assert_eq!(say(&mut daemon, &newer.to_string()).await, serving);
    let files = serde_json::to_string(&ToEdge::Identity(IdentityFiles::default())).unwrap();
    assert_eq!(say(&mut daemon, &files).await, FromEdge::Identity { refused: None });
    assert!(matches!(say(&mut daemon, "\"Status\"").await, FromEdge::Status(s) if s.index == 6));
}

#[tokio::test]
async fn attack_16_a_message_past_the_limit_ends_the_conversation() {
    let (_edge, folder) = edge().await;
    let mut daemon = UnixStream::connect(folder.path().join("edge.sock")).await.unwrap();
    daemon.write_u32(u32::MAX).await.unwrap();
    assert!(daemon.read_u8().await.is_err());
}
