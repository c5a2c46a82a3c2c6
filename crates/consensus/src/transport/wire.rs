//! The bodies of calls between members: records of ours, never openraft's own forms.

use crate::encoding::Blob;
use crate::error::ProposeError;
use crate::types::{EntryRecord, LogIdRecord, Types, VoteRecord};
use model::{Command, Outcome, RequestId, Time};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

/// Entries, or a heartbeat when there are none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Append {
    pub(crate) vote: VoteRecord,
    pub(crate) prev: Option<LogIdRecord>,
    /// Each as it lies on disk.
    pub(crate) entries: Vec<Blob>,
    pub(crate) commit: Option<LogIdRecord>,
    /// Milliseconds since the leader last heard from a majority: what its word is worth.
    pub(crate) quorum_age: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Appended {
    Success,
    Partial(Option<LogIdRecord>),
    Conflict,
    HigherVote(VoteRecord),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AskVote {
    pub(crate) vote: VoteRecord,
    pub(crate) last: Option<LogIdRecord>,
    pub(crate) transfer: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Voted {
    pub(crate) vote: VoteRecord,
    pub(crate) granted: bool,
    pub(crate) last: Option<LogIdRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandOver {
    pub(crate) from: VoteRecord,
    pub(crate) to: u64,
    pub(crate) last: Option<LogIdRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HandedOver {
    Done,
    VoteChanged(VoteRecord, VoteRecord),
    NotFlushed(Option<LogIdRecord>, Option<LogIdRecord>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) command: Command,
    pub(crate) request: Option<RequestId>,
}

/// The leader's answer to a proposal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Proposed {
    Applied(u64, Outcome),
    /// It was not taken: the callee does not lead, or has no quorum. Nothing will come of it.
    NotTaken,
    /// It was taken, and leadership was lost.
    LeaderChanged,
    /// It was taken, and the majority was lost.
    NoQuorum(usize, usize),
    TooLarge(usize, usize),
    /// The callee runs an older build.
    Unknown(String),
    Stopped,
}

/// The leader's answer to a question for a read index.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ReadAt {
    Index(u64, Time),
    /// The callee does not lead, or could not make sure that it does.
    Unsure,
}

/// Who answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) disk: String,
}

fn log_id<'a>(id: impl Into<Option<&'a crate::types::LogId>>) -> Option<LogIdRecord> {
    id.into().map(LogIdRecord::from)
}

impl Append {
    pub(crate) fn new(request: &AppendEntriesRequest<Types>, quorum_age: u64) -> Self {
        let stored = |e| Blob(crate::encoding::seal(&EntryRecord::from(e)).into());
        Self {
            vote: (&request.vote).into(),
            prev: log_id(&request.prev_log_id),
            entries: request.entries.iter().map(stored).collect(),
            commit: log_id(&request.leader_commit),
            quorum_age,
        }
    }

    pub(crate) fn request(self) -> Result<AppendEntriesRequest<Types>, String> {
        let entry = |bytes: Blob| {
            let record: EntryRecord = crate::encoding::open(&bytes.0).map_err(|e| e.to_string())?;
            record.entry()
        };
        Ok(AppendEntriesRequest {
            vote: self.vote.into(),
            prev_log_id: self.prev.map(Into::into),
            entries: self.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
            leader_commit: self.commit.map(Into::into),
        })
    }
}

impl From<AppendEntriesResponse<Types>> for Appended {
    fn from(response: AppendEntriesResponse<Types>) -> Self {
        match response {
            AppendEntriesResponse::Success => Self::Success,
            AppendEntriesResponse::PartialSuccess(upto) => Self::Partial(log_id(&upto)),
            AppendEntriesResponse::Conflict => Self::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Self::HigherVote((&vote).into()),
        }
    }
}

impl From<Appended> for AppendEntriesResponse<Types> {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::Success => Self::Success,
            Appended::Partial(upto) => Self::PartialSuccess(upto.map(Into::into)),
            Appended::Conflict => Self::Conflict,
            Appended::HigherVote(vote) => Self::HigherVote(vote.into()),
        }
    }
}

impl From<&VoteRequest<Types>> for AskVote {
    fn from(request: &VoteRequest<Types>) -> Self {
        Self {
            vote: (&request.vote).into(),
            last: log_id(&request.last_log_id),
            transfer: request.leadership_transfer,
        }
    }
}

impl From<AskVote> for VoteRequest<Types> {
    fn from(ask: AskVote) -> Self {
        let mut request = Self::new(ask.vote.into(), ask.last.map(Into::into));
        request.leadership_transfer = ask.transfer;
        request
    }
}

impl From<VoteResponse<Types>> for Voted {
    fn from(response: VoteResponse<Types>) -> Self {
        Self {
            vote: (&response.vote).into(),
            granted: response.vote_granted,
            last: log_id(&response.last_log_id),
        }
    }
}

impl From<Voted> for VoteResponse<Types> {
    fn from(voted: Voted) -> Self {
        Self {
            vote: voted.vote.into(),
            vote_granted: voted.granted,
            last_log_id: voted.last.map(Into::into),
        }
    }
}

impl From<&TransferLeaderRequest<Types>> for HandOver {
    fn from(request: &TransferLeaderRequest<Types>) -> Self {
        Self {
            from: request.from_leader().into(),
            to: *request.to_node_id(),
            last: log_id(request.last_log_id()),
        }
    }
}

impl From<HandOver> for TransferLeaderRequest<Types> {
    fn from(over: HandOver) -> Self {
        Self::new(over.from.into(), over.to, over.last.map(Into::into))
    }
}

impl From<Result<(), TransferLeaderError<Types>>> for HandedOver {
    fn from(response: Result<(), TransferLeaderError<Types>>) -> Self {
        match response {
            Ok(()) => Self::Done,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                Self::VoteChanged((&expected).into(), (&actual).into())
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                Self::NotFlushed(log_id(&expected), log_id(&actual))
            }
        }
    }
}

impl From<HandedOver> for Result<(), TransferLeaderError<Types>> {
    fn from(over: HandedOver) -> Self {
        match over {
            HandedOver::Done => Ok(()),
            HandedOver::VoteChanged(expected, actual) => Err(TransferLeaderError::VoteChanged {
                expected: expected.into(),
                actual: actual.into(),
            }),
            HandedOver::NotFlushed(expected, actual) => Err(TransferLeaderError::LogNotFlushed {
                expected: expected.map(Into::into),
                actual: actual.map(Into::into),
            }),
        }
    }
}

impl From<Result<(u64, Outcome), ProposeError>> for Proposed {
    fn from(result: Result<(u64, Outcome), ProposeError>) -> Self {
        match result {
            Ok((index, outcome)) => Self::Applied(index, outcome),
            Err(ProposeError::NotLeader | ProposeError::NoLeader) => Self::NotTaken,
            Err(ProposeError::NoQuorum { ready, voters }) => Self::NoQuorum(ready, voters),
            Err(ProposeError::TooLarge { bytes, limit }) => Self::TooLarge(bytes, limit),
            Err(ProposeError::Unknown(why)) => Self::Unknown(why),
            Err(ProposeError::Stopped) => Self::Stopped,
            Err(_) => Self::LeaderChanged,
        }
    }
}

impl From<Proposed> for Result<(u64, Outcome), ProposeError> {
    fn from(proposed: Proposed) -> Self {
        match proposed {
            Proposed::Applied(index, outcome) => Ok((index, outcome)),
            Proposed::NotTaken => Err(ProposeError::NotLeader),
            Proposed::NoQuorum(ready, voters) => Err(ProposeError::NoQuorum { ready, voters }),
            Proposed::TooLarge(bytes, limit) => Err(ProposeError::TooLarge { bytes, limit }),
            Proposed::Unknown(why) => Err(ProposeError::Unknown(why)),
            Proposed::LeaderChanged | Proposed::Stopped => Err(ProposeError::LeaderChanged),
        }
    }
}
