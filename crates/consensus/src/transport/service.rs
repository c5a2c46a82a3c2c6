//! Answers the calls of the other members. Refuses a caller that is not who it says, and a call that was
//! meant for another cluster, member or disk.

use super::pb::raft_server::{Raft, RaftServer};
use super::pb::{Envelope, Sealed, SnapshotPiece};
use super::wire::{Append, Appended, AskVote, HandOver, HandedOver, Hello, Voted};
use crate::encoding::{self, Blob, seal};
use crate::error::Fatal;
use crate::log::Inner;
use crate::snapshots::{self, Snap, Taken};
use crate::types::{Types, VoteRecord};
use model::NodeId;
use model::limits::MESSAGE_BYTES;
use openraft::alias::SnapshotOf;
use openraft::errors::RaftError;
use openraft::raft::{AppendEntriesResponse, SnapshotResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Bytes of a snapshot that are taken at most.
const SNAPSHOT_BYTES: u64 = 4 << 30;

/// Who is calling: a manager of this cluster, from its certificate; or why not.
pub type PeerCheck = Arc<dyn Fn(&tonic::Extensions) -> Result<NodeId, Status> + Send + Sync>;

/// The service to be mounted on the control plane.
pub type RaftService = RaftServer<Service>;

/// Answers the calls of the other members.
pub struct Service {
    inner: Arc<Inner>,
    check: PeerCheck,
}

impl Service {
    pub(crate) fn mounted(inner: Arc<Inner>, check: PeerCheck) -> RaftService {
        RaftServer::new(Self { inner, check })
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    /// The caller and the body, once it is sure that this disk of this member is meant.
    fn admit(
        &self,
        extensions: &tonic::Extensions,
        envelope: Envelope,
    ) -> Result<(u64, Vec<u8>), Status> {
        let caller = self.greet(extensions, &envelope)?;
        if envelope.disk != self.inner.store.identity.disk {
            self.inner.fail(Fatal::DiskReplaced);
            return Err(Status::failed_precondition(
                "this member has another disk than the one meant",
            ));
        }
        Ok((caller, envelope.body))
    }

    fn greet(&self, extensions: &tonic::Extensions, envelope: &Envelope) -> Result<u64, Status> {
        let caller = (self.check)(extensions)?.0;
        let me = self.inner.peers.me;
        if envelope.cluster != self.inner.peers.cluster.0 {
            return Err(Status::permission_denied("this is another cluster"));
        }
        if envelope.to != me {
            return Err(Status::failed_precondition(format!(
                "this is node {me}, not node {}",
                envelope.to
            )));
        }
        self.inner.peers.heard(caller);
        Ok(caller)
    }

    fn unary<T: DeserializeOwned>(&self, request: Request<Envelope>) -> Result<(u64, T), Status> {
        let (_, extensions, envelope) = request.into_parts();
        let (caller, body) = self.admit(&extensions, envelope)?;
        Ok((caller, opened(&body)?))
    }

    async fn install(&self, vote: VoteRecord, path: PathBuf) -> Result<Response<Sealed>, Status> {
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || snapshots::read(&file)).await;
        let taken: Taken = read
            .map_err(|e| Status::internal(e.to_string()))??
            .map_err(|e| Status::data_loss(format!("the snapshot arrived damaged: {e}")))?;
        let meta = taken.meta().map_err(Status::data_loss)?;
        let snapshot = Snap { path, taken: Some(Box::new(taken)) };
        let installed = self
            .inner
            .raft
            .install_full_snapshot(vote.into(), SnapshotOf::<Types, Snap> { meta, snapshot })
            .await;
        let response: SnapshotResponse<Types> =
            installed.map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(answer(&VoteRecord::from(&response.vote)))
    }

    async fn spool(&self, mut pieces: Streaming<SnapshotPiece>) -> Result<PathBuf, Status> {
        let path = self.inner.folder.incoming();
        let mut file = tokio::fs::File::create(&path).await?;
        let mut bytes = 0;
        while let Some(piece) = pieces.message().await? {
            bytes += piece.data.len() as u64;
            if bytes > SNAPSHOT_BYTES {
                return Err(Status::resource_exhausted("the snapshot is too large"));
            }
            file.write_all(&piece.data).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        Ok(path)
    }
}

fn opened<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    encoding::open(body).map_err(|e| Status::invalid_argument(e.to_string()))
}

fn answer(body: &impl Serialize) -> Response<Sealed> {
    Response::new(Sealed { body: seal(body) })
}

fn stopped(error: &RaftError<Types>) -> Status {
    Status::unavailable(error.to_string())
}

/// Nobody speaks in another member's name.
fn own(vote: &VoteRecord, caller: u64) -> Result<(), Status> {
    if vote.node == caller {
        return Ok(());
    }
    Err(Status::permission_denied(format!("node {caller} speaks for node {}", vote.node)))
}

#[tonic::async_trait]
impl Raft for Service {
    type FetchSnapshotStream = ReceiverStream<Result<SnapshotPiece, Status>>;

    async fn append(&self, request: Request<Envelope>) -> Result<Response<Sealed>, Status> {
        let (caller, body) = self.unary::<Append>(request)?;
        own(&body.vote, caller)?;
        let age = Duration::from_millis(body.quorum_age);
        let request = body.request().map_err(Status::invalid_argument)?;
        let response = self.inner.raft.append_entries(request).await.map_err(|e| stopped(&e))?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            self.inner.contact.heard(age);
        }
        Ok(answer(&Appended::from(response)))
    }

    async fn vote(&self, request: Request<Envelope>) -> Result<Response<Sealed>, Status> {
        let (caller, body) = self.unary::<AskVote>(request)?;
        own(&body.vote, caller)?;
        let response = self.inner.raft.vote(body.into()).await.map_err(|e| stopped(&e))?;
        Ok(answer(&Voted::from(response)))
    }

    async fn pre_vote(&self, request: Request<Envelope>) -> Result<Response<Sealed>, Status> {
        let (caller, body) = self.unary::<AskVote>(request)?;
        own(&body.vote, caller)?;
        let response = self.inner.raft.pre_vote(body.into()).await.map_err(|e| stopped(&e))?;
        Ok(answer(&Voted::from(response)))
    }

    async fn transfer_leader(
        &self,
        request: Request<Envelope>,
    ) -> Result<Response<Sealed>, Status> {
        let (caller, body) = self.unary::<HandOver>(request)?;
        own(&body.from, caller)?;
        let response = self.inner.raft.handle_transfer_leader(body.into()).await;
        let response = response.map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(answer(&HandedOver::from(response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotPiece>>,
    ) -> Result<Response<Sealed>, Status> {
        let (_, extensions, mut pieces) = request.into_parts();
        (self.check)(&extensions)?;
        let head = pieces.message().await?.and_then(|p| p.envelope);
        let envelope =
            head.ok_or_else(|| Status::invalid_argument("the first piece has no envelope"))?;
        let (caller, body) = self.admit(&extensions, envelope)?;
        let vote: VoteRecord = opened(&body)?;
        own(&vote, caller)?;
        let path = self.spool(pieces).await?;
        self.install(vote, path).await
    }

    async fn fetch_snapshot(
        &self,
        request: Request<Envelope>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let (_, extensions, envelope) = request.into_parts();
        self.admit(&extensions, envelope)?;
        let current = self.inner.folder.current();
        let path = current.ok_or_else(|| Status::not_found("there is no snapshot here"))?.path;
        Ok(Response::new(super::fetch::send(path).await?))
    }

    async fn propose(&self, request: Request<Envelope>) -> Result<Response<Sealed>, Status> {
        let (_, proposals) = self.unary::<Vec<Blob>>(request)?;
        let all = proposals.iter().map(|proposal| self.inner.propose_sealed(proposal));
        Ok(answer(&futures::future::join_all(all).await))
    }

    async fn read_index(&self, request: Request<Envelope>) -> Result<Response<Sealed>, Status> {
        self.unary::<()>(request)?;
        Ok(answer(&self.inner.read_here().await))
    }

    async fn hello(&self, request: Request<Envelope>) -> Result<Response<Sealed>, Status> {
        let (_, extensions, envelope) = request.into_parts();
        self.greet(&extensions, &envelope)?;
        Ok(answer(&Hello { disk: self.inner.store.identity.disk.clone() }))
    }
}
