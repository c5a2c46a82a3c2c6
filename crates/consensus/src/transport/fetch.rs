//! A snapshot asked for by the member that needs it: its own is damaged, while its log and vote are whole.
//! Any member's snapshot will do, for what it covers is committed.

use super::pb::SnapshotPiece;
use super::peers::{Lane, Peers};
use crate::snapshots::{self, Folder, Taken};
use crate::types::{LogId, Member, MembersRecord};
use model::limits::CHUNK_BYTES;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Deadline of one piece.
const PIECE: Duration = Duration::from_secs(5);
/// Pause between two rounds of asking.
const PAUSE: Duration = Duration::from_millis(500);

/// Streams a file.
pub(crate) async fn send(
    path: PathBuf,
) -> Result<ReceiverStream<Result<SnapshotPiece, Status>>, Status> {
    let mut file = File::open(&path).await?;
    let (pieces, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let mut data = Vec::with_capacity(CHUNK_BYTES);
            let read = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut data).await;
            let piece = match read {
                Ok(0) => return,
                Ok(_) => Ok(SnapshotPiece { envelope: None, data }),
                Err(e) => Err(e.into()),
            };
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(stream))
}

/// Asks every member in turn, until one gives a good snapshot that covers `floor`, or `patience` runs out.
pub(crate) async fn ask(
    peers: &Peers,
    members: &MembersRecord,
    folder: &Folder,
    floor: LogId,
    patience: Duration,
) -> Option<Taken> {
    let rounds = async {
        loop {
            for (node, member) in members.members.iter().filter(|(n, _)| **n != peers.me) {
                if let Ok(taken) = ask_one(peers, (*node, member), folder, floor).await {
                    return taken;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(patience, rounds).await.ok()
}

async fn ask_one(
    peers: &Peers,
    (node, member): (u64, &Member),
    folder: &Folder,
    floor: LogId,
) -> io::Result<Taken> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut client = peers.client(node, member.address, Lane::Bulk);
    let envelope = peers.envelope(node, &member.disk, Vec::new());
    let called =
        tokio::time::timeout(PIECE, client.fetch_snapshot(envelope)).await.map_err(late)?;
    let mut pieces = called.map_err(io::Error::other)?.into_inner();
    let path = folder.incoming();
    let mut file = File::create(&path).await?;
    loop {
        let piece = tokio::time::timeout(PIECE, pieces.message()).await.map_err(late)?;
        let Some(piece) = piece.map_err(io::Error::other)? else { break };
        file.write_all(&piece.data).await?;
    }
    file.sync_all().await?;
    let taken = snapshots::read(&path)?.map_err(io::Error::other)?;
    let meta = taken.meta().map_err(io::Error::other)?;
    if meta.last_log_id < Some(floor) {
        return Err(io::Error::other("it is older than what was purged here"));
    }
    folder.keep(&path, meta)?;
    Ok(taken)
}
