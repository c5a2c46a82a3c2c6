//! Requests over HTTP for a replica of another node: through that node's edge, over connections that are kept.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use model::NodeId;
use network::{Edge, Picture, Security};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::*;
use tokio::io::AsyncWriteExt;
use web::*;

fn picture_of(node: u64, index: u64, target: u16, nodes: &[(u64, SocketAddr)]) -> Picture {
    let replica = backend(1, 2, true);
    let sites = sites(index, &[site("web", target, &[("shop.example", "/")], &[replica])]).sites;
    Picture { sites, node: NodeId(node), ..picture(index, &[], nodes) }
}

#[tokio::test]
async fn a_replica_of_another_node_answers_through_its_edge() {
    let target = free_port();
    let replica = Web::start(1, target);
    let (near, port, _folder) =
        edge_with(|config| config.give_up = Duration::from_millis(100)).await;
    let (far, _, _far_folder) = edge_with(|_| {}).await;
    let nodes = [(1, near.address()), (2, far.address())];
    near.serve(picture_of(1, 1, target, &nodes));
    far.serve(picture_of(2, 1, target, &nodes));
    let mut client = connect(port).await;
    for n in 0..10 {
        let request = format!("GET /{n} HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = response(&mut client).await;
        assert!(answer.ends_with(&format!("1 GET /{n}")), "{answer}");
    }
    assert_eq!(replica.connections.load(Ordering::Relaxed), 1, "one connection for all of them");
    assert_eq!(far.status().for_others.total, 1);
    assert_eq!(replica.heard()[0].headers["x-forwarded-for"], "127.0.0.1");
}

#[tokio::test]
async fn what_is_not_listed_is_not_reached() {
    let (target, other) = (free_port(), free_port());
    let _replica = Web::start(1, target);
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = config(folder.path(), Security::Plain);
    let far = Edge::start(config).await.unwrap();
    let (near, port, _folder) = edge_with(|config| config.hold = Duration::from_millis(500)).await;
    let nodes = [(1, near.address()), (2, far.address())];
    // The far edge knows the replica at another port only.
    near.serve(picture_of(1, 1, target, &nodes));
    far.serve(picture_of(2, 1, other, &nodes));
    assert_eq!(get(port, "shop.example", "/").await.0, 503);
    far.serve(picture_of(2, 2, target, &nodes));
    until("the right port is reached", || far.status().index == 2).await;
    assert_eq!(get(port, "shop.example", "/").await.0, 200);
}
