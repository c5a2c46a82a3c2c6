//! The way of a command: stamped by the leader, wherever it was proposed; and reads that are as fresh as
//! if they had been such commands. Nothing here waits for longer than a person would.

use crate::clock;
use crate::encoding::{self, Blob, seal};
use crate::error::{ProposeError, ReadError};
use crate::log::{Inner, Log, ReadMark};
use crate::machine::encode;
use crate::transport::peers::{Lane, Method};
use crate::transport::wire::{Proposal, Proposed, ReadAt};
use crate::types::Member;
use model::limits::ENTRY_BYTES;
use model::{Command, Entry, NodeId, Outcome, RequestId};
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use std::time::{Duration, Instant};

/// How long a leader with a quorum is waited for.
const QUORUM: Duration = Duration::from_secs(2);
/// How long a leader that was asked may go without a quorum: a little less, so that the answer is in time.
const SILENCE: Duration = Duration::from_millis(1_800);
/// How long a leader with a quorum may take to carry out a command.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// Pause before the next try, and between two looks at the quorum.
const PAUSE: Duration = Duration::from_millis(25);

/// Whom a call went to, and in which term.
type Asked = (u64, Option<NodeId>);

impl Log {
    /// Proposes a command wherever the leader is; the index of its entry, and what came of it. A request
    /// that was carried out before is answered again, not repeated.
    ///
    /// # Errors
    /// [`ProposeError`]; `NoQuorum` within 2 s, `LeaderChanged` as soon as the leader is known to be gone.
    pub async fn propose(
        &self,
        command: Command,
        request: Option<RequestId>,
    ) -> Result<(u64, Outcome), ProposeError> {
        let proposal = Proposal { command, request };
        let until = clock::now() + QUORUM;
        loop {
            let asked = self.inner.asked();
            let tried = match asked.1 {
                Some(leader) if leader.0 == self.inner.peers.me => {
                    self.inner.propose_here(&proposal.command, request).await
                }
                Some(leader) => self.inner.forward(leader, asked, &proposal).await,
                None => Err(ProposeError::NotLeader),
            };
            match tried {
                Err(ProposeError::NotLeader) => self.inner.again(until).await?,
                done => return done,
            }
        }
    }

    /// Proposes a command here, where this member leads; never forwarded.
    ///
    /// # Errors
    /// [`ProposeError`]; `NotLeader` when nothing can come of it any more.
    pub async fn propose_as_leader(
        &self,
        command: Command,
    ) -> Result<(u64, Outcome), ProposeError> {
        self.inner.propose_here(&command, None).await
    }

    /// Waits until the state here is at least as new as everything acknowledged before the call.
    ///
    /// # Errors
    /// No leader confirmed within 2 s that it leads.
    pub async fn read_index(&self) -> Result<ReadMark, ReadError> {
        let until = clock::now() + QUORUM;
        loop {
            let asked = self.inner.asked();
            let tried = match asked.1 {
                Some(leader) if leader.0 == self.inner.peers.me => self.inner.read_here().await,
                Some(leader) => self.inner.ask_index(leader, asked).await,
                None => ReadAt::Unsure,
            };
            if let ReadAt::Index(index, now) = tried
                && self.inner.applied(index, until).await
            {
                return Ok(ReadMark { index, now });
            }
            self.inner.again(until).await.map_err(|e| match e {
                ProposeError::NoQuorum { ready, voters } => ReadError::NoQuorum { ready, voters },
                ProposeError::NoLeader => ReadError::NoLeader,
                _ => ReadError::Stopped,
            })?;
        }
    }
}

impl Inner {
    fn asked(&self) -> Asked {
        let leadership = self.leadership.borrow();
        (leadership.term, leadership.leader)
    }

    fn no_quorum(&self) -> ProposeError {
        let (ready, voters) = self.quorum();
        if ready * 2 > voters || voters == 0 {
            return ProposeError::NoLeader;
        }
        ProposeError::NoQuorum { ready, voters }
    }

    /// Waits a little before the next try, or says that there is none.
    async fn again(&self, until: Instant) -> Result<(), ProposeError> {
        if self.stopped() {
            return Err(ProposeError::Stopped);
        }
        if clock::now() >= until {
            return Err(self.no_quorum());
        }
        let mut leadership = self.leadership.subscribe();
        let _ = tokio::time::timeout(PAUSE, leadership.changed()).await;
        Ok(())
    }

    /// Awaits an answer, for as long as the one who was asked leads, with a quorum.
    async fn while_leading<T>(
        &self,
        asked: Asked,
        answer: impl Future<Output = T>,
    ) -> Result<T, ProposeError> {
        let mut leadership = self.leadership.subscribe();
        let started = clock::now();
        let mut look = tokio::time::interval(PAUSE * 4);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                _ = leadership.changed() => {
                    if self.asked() != asked {
                        return Err(ProposeError::LeaderChanged);
                    }
                }
                _ = look.tick() => {
                    let waited = started.elapsed();
                    if self.stopped() {
                        return Err(ProposeError::Stopped);
                    }
                    if waited > SILENCE && self.contact_age() > SILENCE / 2 {
                        return Err(self.no_quorum());
                    }
                    if waited > ANSWER {
                        return Err(ProposeError::Unanswered);
                    }
                }
            }
        }
    }

    /// Appends a command, where this member leads.
    pub(crate) async fn propose_here(
        &self,
        command: &Command,
        request: Option<RequestId>,
    ) -> Result<(u64, Outcome), ProposeError> {
        if self.stopped() {
            return Err(ProposeError::Stopped);
        }
        let asked = self.asked();
        let Some(leading) = self.leading() else { return Err(ProposeError::NotLeader) };
        let entry =
            Entry { at: leading.now(), wall: clock::wall(), request, command: command.clone() };
        let bytes = encode(&entry);
        if bytes.0.len() > ENTRY_BYTES {
            return Err(ProposeError::TooLarge { bytes: bytes.0.len(), limit: ENTRY_BYTES });
        }
        match self.while_leading(asked, self.raft.client_write(bytes)).await? {
            Ok(written) => Ok((written.log_id.index, written.data)),
            Err(RaftError::Fatal(_)) => Err(ProposeError::Stopped),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(ProposeError::NotLeader)
            }
            Err(RaftError::APIError(_)) => Err(ProposeError::LeaderChanged),
        }
    }

    async fn forward(
        &self,
        leader: NodeId,
        asked: Asked,
        proposal: &Proposal,
    ) -> Result<(u64, Outcome), ProposeError> {
        let Some(member) = self.member(leader) else { return Err(ProposeError::NotLeader) };
        let sealed = seal(proposal);
        let bytes = sealed.len();
        if bytes > ENTRY_BYTES {
            return Err(ProposeError::TooLarge { bytes, limit: ENTRY_BYTES });
        }
        let sent = self.forwarder.send((leader.0, member), Blob(sealed.into()));
        match self.while_leading(asked, sent).await? {
            Some(proposed) => proposed.into(),
            None => Err(ProposeError::LeaderChanged),
        }
    }

    /// Appends a command that a follower passed on.
    pub(crate) async fn propose_sealed(&self, proposal: &Blob) -> Proposed {
        match encoding::open::<Proposal>(&proposal.0) {
            Ok(Proposal { command, request }) => self.propose_here(&command, request).await.into(),
            Err(why) => Proposed::Unknown(why.to_string()),
        }
    }

    /// Confirms with a majority that this member leads, and says up to where a reader must have applied.
    pub(crate) async fn read_here(&self) -> ReadAt {
        let Some(leading) = self.leading() else { return ReadAt::Unsure };
        let confirmed = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(QUORUM, confirmed).await {
            Ok(Ok(linearizer)) => ReadAt::Index(linearizer.read_log_id().index(), leading.now()),
            _ => ReadAt::Unsure,
        }
    }

    async fn ask_index(&self, leader: NodeId, asked: Asked) -> ReadAt {
        let Some(member) = self.member(leader) else { return ReadAt::Unsure };
        let way = (Lane::Bulk, Method::ReadIndex);
        let call = self.peers.call((leader.0, &member), way, &(), QUORUM);
        match self.while_leading(asked, call).await {
            Ok(Ok(read)) => read,
            _ => ReadAt::Unsure,
        }
    }

    async fn applied(&self, index: u64, until: Instant) -> bool {
        let mut states = self.states.clone();
        let reached = states.wait_for(|s| s.index >= index);
        matches!(tokio::time::timeout_at(until.into(), reached).await, Ok(Ok(_)))
    }

    /// A member of the log, as the log says.
    pub(crate) fn member(&self, node: NodeId) -> Option<Member> {
        let metrics = self.raft.metrics();
        metrics.borrow_watched().membership_config.get_node(&node.0).cloned()
    }
}
