//! openraft's side of the transport: its calls to one member, each with a deadline. A member that does not
//! answer is *unreachable*, so that openraft backs off instead of hammering it.

use super::peers::{CallError, Lane, Method, Peers};
use super::wire::{Append, Appended, AskVote, HandOver, HandedOver, Voted};
use super::{pb, wire};
use crate::encoding;
use crate::snapshots::Snap;
use crate::types::{Member, Types, Vote, VoteRecord};
use futures::FutureExt;
use model::limits::CHUNK_BYTES;
use openraft::alias::SnapshotOf;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How long a follower may take to make entries durable. Heartbeats go their own way, so waiting for a slow
/// disk disturbs nobody; giving up early would send the same entries again and again.
const APPEND: Duration = Duration::from_secs(2);
/// How many deadlines of one piece a receiver may take to install what it was sent.
const INSTALL: u32 = 8;

/// Makes clients for openraft.
pub(crate) struct Factory(pub(crate) Arc<Peers>);

/// Calls to one member.
pub(crate) struct Client {
    peers: Arc<Peers>,
    node: u64,
    member: Member,
    lane: Lane,
}

impl Factory {
    fn client(&self, node: u64, member: &Member, lane: Lane) -> Client {
        Client { peers: Arc::clone(&self.0), node, member: member.clone(), lane }
    }
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = Client;

    async fn new_client(&mut self, node: u64, member: &Member) -> Client {
        self.client(node, member, Lane::Raft)
    }

    async fn new_heartbeat_client(&mut self, node: u64, member: &Member) -> Client {
        self.client(node, member, Lane::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, node: u64, member: &Member) -> Client {
        self.client(node, member, Lane::Bulk)
    }
}

impl Client {
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        body: &impl Serialize,
        deadline: Duration,
    ) -> Result<T, RPCError<Types>> {
        let called =
            self.peers.call((self.node, &self.member), (self.lane, method), body, deadline).await;
        called.map_err(|e: CallError| RPCError::Unreachable(Unreachable::new(&e)))
    }

    /// Sends a snapshot file in pieces; each must be taken within the deadline.
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snap,
        deadline: Duration,
    ) -> Result<VoteRecord, io::Error> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "a piece was not taken in time");
        let mut file = File::open(&snapshot.path).await?;
        let mut client = self.peers.client(self.node, self.member.address, Lane::Bulk);
        let (pieces, taken) = mpsc::channel(1);
        let call = client.install_snapshot(ReceiverStream::new(taken));
        let feed = async move {
            let body = encoding::seal(&VoteRecord::from(&vote));
            let envelope = self.peers.envelope(self.node, &self.member.disk, body);
            let mut piece = pb::SnapshotPiece { envelope: Some(envelope), data: Vec::new() };
            loop {
                let sent = tokio::time::timeout(deadline, pieces.send(piece)).await;
                if sent.map_err(|_| late())?.is_err() {
                    return Ok::<(), io::Error>(()); // the receiver said no; its answer says why
                }
                let mut data = Vec::with_capacity(CHUNK_BYTES);
                if (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut data).await? == 0 {
                    return Ok(());
                }
                piece = pb::SnapshotPiece { envelope: None, data };
            }
        };
        let answer = async {
            // The feed has deadlines of its own; once it is done, so has the rest.
            let (feed, call) = (feed.fuse(), call.fuse());
            futures::pin_mut!(feed, call);
            futures::select_biased! {
                answer = call => return answer.map_err(io::Error::other),
                fed = feed => fed?,
            }
            let rest = tokio::time::timeout(deadline * INSTALL, call).await;
            rest.map_err(|_| late())?.map_err(io::Error::other)
        };
        let answered: io::Result<tonic::Response<pb::Sealed>> = answer.await;
        match &answered {
            Ok(_) => self.peers.good(self.node, Lane::Bulk),
            Err(_) => self.peers.bad(self.node, Lane::Bulk),
        }
        let sealed = answered?.into_inner();
        encoding::open(&sealed.body).map_err(io::Error::other)
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = Snap;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let age = u64::try_from(self.peers.quorum_age().as_millis()).unwrap_or(u64::MAX);
        let heartbeat = request.entries.is_empty();
        let deadline = if heartbeat { option.soft_ttl() } else { option.soft_ttl().max(APPEND) };
        let body = Append::new(&request, age);
        self.call::<Appended>(Method::Append, &body, deadline).await.map(Into::into)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = AskVote::from(&request);
        self.call::<Voted>(Method::Vote, &body, option.soft_ttl()).await.map(Into::into)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = AskVote::from(&request);
        self.call::<Voted>(Method::PreVote, &body, option.soft_ttl()).await.map(Into::into)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, Snap>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sending = self.send_snapshot(vote, snapshot.snapshot, option.soft_ttl());
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote.into())),
                Err(e) => Err(StreamingError::Unreachable(Unreachable::new(&AnyError::new(&e)))),
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let body: wire::HandOver = HandOver::from(&request);
        let over: HandedOver = self.call(Method::TransferLeader, &body, option.soft_ttl()).await?;
        Ok(over.into())
    }
}
