//! `image load`: bringing images to all nodes without a registry.

use crate::args::Image;
use crate::failure::Failure;
use crate::session::Session;
use crate::table::Table;
use crate::{json, text};
use api::v1::{LoadImageReply, LoadImageRequest};
use model::limits::CHUNK_BYTES;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Chunks on their way; more would only fill memory.
const CHUNKS: usize = 4;

pub(crate) async fn run(session: &Session, words: Image) -> Result<(), Failure> {
    let Image::Load { file } = words;
    let (bytes, reply) = if file == Path::new("-") {
        load(session, tokio::io::stdin()).await?
    } else {
        let open = tokio::fs::File::open(&file).await;
        load(session, open.map_err(|e| Failure::file("read", &file, &e))?).await?
    };
    session.out.say(&format!("{} sent.", text::size(bytes)));
    session.out.either(|| table(&reply), || json::loaded(&reply))?;
    failed(&reply).map_or(Ok(()), Err)
}

/// Sends an image to every node; how many bytes it had, and what came of it.
pub(crate) async fn load(
    session: &Session,
    from: impl AsyncRead + Unpin,
) -> Result<(u64, LoadImageReply), Failure> {
    let mut client = session.cluster.admin().await?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let calling = client.load_image(ReceiverStream::new(receiver));
    // A refusal ends the call, and with it the reading.
    let (read, called) = tokio::join!(chunks(from, sender), calling);
    let reply = called.map_err(|status| Failure::from_status(&status))?.into_inner();
    let bytes = read.map_err(|e| Failure::file("read", Path::new("the image"), &e))?;
    Ok((bytes, reply))
}

/// The failure that a node without the image makes of it.
pub(crate) fn failed(reply: &LoadImageReply) -> Option<Failure> {
    let failed = reply.nodes.iter().filter(|n| !n.error.is_empty()).count();
    let message = format!("{} did not get it", text::count(failed, "node"));
    (failed > 0).then(|| Failure::refused(message).next("load it again when they are well"))
}

fn table(reply: &LoadImageReply) -> String {
    let mut table = Table::new(&["NODE", "LOADED", "ERROR"]);
    for node in &reply.nodes {
        table.row([node.node.clone(), node.loaded.trim().to_owned(), node.error.clone()]);
    }
    table.render()
}

/// Sends in chunks; returns how many bytes there were.
async fn chunks(
    mut from: impl AsyncRead + Unpin,
    sender: mpsc::Sender<LoadImageRequest>,
) -> std::io::Result<u64> {
    let mut sent = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut limited = (&mut from).take(CHUNK_BYTES as u64);
        let read = limited.read_to_end(&mut chunk).await?;
        if read == 0 || sender.send(LoadImageRequest { chunk }).await.is_err() {
            return Ok(sent);
        }
        sent += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::v1::LoadedImage;

    #[test]
    fn a_node_without_the_image_makes_the_command_fail() {
        let node = |name: &str, error: &str| LoadedImage {
            node: name.into(),
            loaded: if error.is_empty() { "shop/web:1".into() } else { String::new() },
            error: error.into(),
        };
        let reply = LoadImageReply { nodes: vec![node("node1", ""), node("node2", "disk full")] };
        let shown =
            "NODE    LOADED       ERROR\nnode1   shop/web:1\nnode2                disk full\n";
        assert_eq!(table(&reply), shown);
        assert_eq!(failed(&reply).unwrap().message, "1 node did not get it");
        assert!(failed(&LoadImageReply { nodes: vec![node("node1", "")] }).is_none());
    }
}
