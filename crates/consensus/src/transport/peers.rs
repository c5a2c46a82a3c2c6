//! Connections to the other members: few, kept, made anew when nothing comes back. Knows when each was last
//! heard, and says with every call which member and which disk of it is meant.

use super::pb::raft_client::RaftClient;
use super::pb::{Envelope, Sealed};
use crate::clock;
use crate::encoding::{self, seal};
use crate::types::Member;
use model::limits::MESSAGE_BYTES;
use model::{ClusterId, NodeId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Makes a new channel to a member. It must connect lazily, and make sure that it reached that member.
pub type Connector = Arc<dyn Fn(NodeId, SocketAddr) -> Channel + Send + Sync>;

/// Tells how long ago this member, as leader, heard from a majority.
pub(crate) type QuorumAge = Box<dyn Fn() -> Duration + Send + Sync>;

/// What a call is for: bulk never stands in the way of heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Raft,
    Heartbeat,
    Bulk,
}

/// One kind of unary call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Append,
    Vote,
    PreVote,
    TransferLeader,
    Propose,
    ReadIndex,
    Hello,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("node {0} did not answer in time")]
    TimedOut(u64),
    #[error("node {node} refused: {}", status.message())]
    Status { node: u64, status: Status },
    #[error("node {node} answered what cannot be read: {why}")]
    Unreadable { node: u64, why: String },
}

struct Line {
    address: SocketAddr,
    channel: Channel,
    /// Since when it brings nothing.
    failing: Option<Instant>,
}

/// The other members.
pub(crate) struct Peers {
    pub(crate) cluster: ClusterId,
    pub(crate) me: u64,
    connector: Connector,
    redial: Duration,
    lines: Mutex<BTreeMap<(u64, Lane), Line>>,
    heard: Mutex<BTreeMap<u64, Instant>>,
    quorum_age: OnceLock<QuorumAge>,
}

impl Peers {
    pub(crate) fn new(cluster: ClusterId, me: u64, connector: Connector, redial: Duration) -> Self {
        Self {
            cluster,
            me,
            connector,
            redial,
            lines: Mutex::default(),
            heard: Mutex::default(),
            quorum_age: OnceLock::new(),
        }
    }

    /// To be told once, when Raft runs.
    pub(crate) fn tell_quorum_age(&self, age: QuorumAge) {
        let _ = self.quorum_age.set(age);
    }

    pub(crate) fn quorum_age(&self) -> Duration {
        self.quorum_age.get().map_or(Duration::MAX, |age| age())
    }

    /// A member spoke, or answered.
    pub(crate) fn heard(&self, node: u64) {
        self.heard.lock().expect("no panic while held").insert(node, clock::now());
    }

    /// Whether a member was heard within that time.
    pub(crate) fn heard_within(&self, node: u64, within: Duration) -> bool {
        let heard = self.heard.lock().expect("no panic while held");
        heard.get(&node).is_some_and(|at| at.elapsed() <= within)
    }

    pub(crate) fn envelope(&self, to: u64, disk: &str, body: Vec<u8>) -> Envelope {
        Envelope { cluster: self.cluster.0.clone(), to, disk: disk.to_owned(), body }
    }

    /// A client over the kept channel. One that brought nothing for `redial` is replaced first: after a
    /// cut, TCP would wait for many seconds before it tries again.
    pub(crate) fn client(&self, node: u64, address: SocketAddr, lane: Lane) -> RaftClient<Channel> {
        let mut lines = self.lines.lock().expect("no panic while held");
        let now = clock::now();
        let channel = || (self.connector)(NodeId(node), address);
        let fresh = || Line { address, channel: channel(), failing: None };
        let line = lines.entry((node, lane)).or_insert_with(fresh);
        let dead = line.failing.is_some_and(|since| now.duration_since(since) > self.redial);
        if line.address != address || dead {
            *line = fresh();
        }
        RaftClient::new(line.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    /// Notes that a lane brought an answer.
    pub(crate) fn good(&self, node: u64, lane: Lane) {
        self.heard(node);
        self.connected(node, lane);
    }

    /// Notes that a lane leads somewhere, if only to a refusal: a wiped member answers, and is none.
    fn connected(&self, node: u64, lane: Lane) {
        if let Some(line) = self.lines.lock().expect("no panic while held").get_mut(&(node, lane)) {
            line.failing = None;
        }
    }

    /// Notes that a lane brought nothing.
    pub(crate) fn bad(&self, node: u64, lane: Lane) {
        if let Some(line) = self.lines.lock().expect("no panic while held").get_mut(&(node, lane)) {
            line.failing.get_or_insert_with(clock::now);
        }
    }

    /// One unary call with a deadline.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        (node, member): (u64, &Member),
        (lane, method): (Lane, Method),
        body: &impl Serialize,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let envelope = self.envelope(node, &member.disk, seal(body));
        let client = self.client(node, member.address, lane);
        let answered = tokio::time::timeout(deadline, send(client, method, envelope)).await;
        match answered {
            Err(_) => {
                self.bad(node, lane);
                Err(CallError::TimedOut(node))
            }
            Ok(Ok(sealed)) => {
                self.good(node, lane);
                encoding::open(&sealed.body)
                    .map_err(|e| CallError::Unreadable { node, why: e.to_string() })
            }
            Ok(Err(status)) => {
                match status.code() {
                    Code::Unavailable | Code::Cancelled | Code::Unknown => self.bad(node, lane),
                    _ => self.connected(node, lane),
                }
                Err(CallError::Status { node, status })
            }
        }
    }
}

async fn send(
    mut client: RaftClient<Channel>,
    method: Method,
    envelope: Envelope,
) -> Result<Sealed, Status> {
    let answer = match method {
        Method::Append => client.append(envelope).await,
        Method::Vote => client.vote(envelope).await,
        Method::PreVote => client.pre_vote(envelope).await,
        Method::TransferLeader => client.transfer_leader(envelope).await,
        Method::Propose => client.propose(envelope).await,
        Method::ReadIndex => client.read_index(envelope).await,
        Method::Hello => client.hello(envelope).await,
    };
    answer.map(tonic::Response::into_inner)
}
