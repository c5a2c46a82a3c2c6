//! openraft's types as this crate uses them, and the records of ours that stand for them on disk and on
//! the wire, so that a release of openraft changes neither.

use crate::encoding::Blob;
use model::Outcome;
use openraft::alias::{
    CommittedLeaderIdOf, EntryOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf,
};
use openraft::entry::RaftEntry;
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

openraft::declare_raft_types!(
    /// The parameters of openraft. One leader per term, as in the paper.
    pub(crate) Types:
        D = Blob,
        R = Outcome,
        NodeId = u64,
        Node = Member,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type Entry = EntryOf<Types>;
pub(crate) type LogId = LogIdOf<Types>;
pub(crate) type Vote = VoteOf<Types>;
pub(crate) type Stored = StoredMembershipOf<Types>;
pub(crate) type Meta = SnapshotMetaOf<Types>;

/// A member of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Where its control plane listens.
    pub(crate) address: SocketAddr,
    /// The disk that was admitted. One that was wiped since is another, and is not spoken to.
    pub(crate) disk: String,
}

/// openraft's test suite makes members out of nothing.
#[cfg(test)]
impl Default for Member {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 1)), disk: String::new() }
    }
}

/// Identity of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogIdRecord {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// A vote given, or a leader acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteRecord {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

/// Who holds the log and who votes; two sets of voters while one passes into the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembersRecord {
    pub(crate) voters: Vec<BTreeSet<u64>>,
    pub(crate) members: BTreeMap<u64, Member>,
}

/// The members, and the entry that made them so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRecord {
    pub(crate) at: Option<LogIdRecord>,
    pub(crate) members: MembersRecord,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    pub(crate) id: LogIdRecord,
    pub(crate) holds: Holds,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Holds {
    /// Nothing: a new leader's first entry.
    Blank,
    /// An encoded `model::Entry`.
    Command(Blob),
    /// Other members.
    Members(MembersRecord),
}

impl From<&LogId> for LogIdRecord {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(id: LogIdRecord) -> Self {
        Self::new(CommittedLeaderIdOf::<Types>::new(id.term), id.index)
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        let leader = vote.leader_id;
        Self { term: leader.term, node: leader.voted_for, committed: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(vote: VoteRecord) -> Self {
        let mut given = Self::new(vote.term, vote.node);
        given.committed = vote.committed;
        given
    }
}

impl From<&Membership<u64, Member>> for MembersRecord {
    fn from(members: &Membership<u64, Member>) -> Self {
        Self {
            voters: members.get_joint_config().clone(),
            members: members.nodes().map(|(id, m)| (*id, m.clone())).collect(),
        }
    }
}

impl MembersRecord {
    /// As openraft has it. A record that names no voters is the empty membership.
    pub(crate) fn membership(self) -> Result<Membership<u64, Member>, String> {
        if self.voters.is_empty() {
            return Ok(Membership::default());
        }
        Membership::new(self.voters, self.members).map_err(|e| e.to_string())
    }
}

impl From<&Stored> for StoredRecord {
    fn from(stored: &Stored) -> Self {
        Self {
            at: stored.log_id().as_ref().map(LogIdRecord::from),
            members: stored.membership().into(),
        }
    }
}

impl StoredRecord {
    pub(crate) fn stored(self) -> Result<Stored, String> {
        Ok(Stored::new(self.at.map(LogId::from), self.members.membership()?))
    }
}

impl From<&Entry> for EntryRecord {
    fn from(entry: &Entry) -> Self {
        let holds = match &entry.payload {
            EntryPayload::Blank => Holds::Blank,
            EntryPayload::Normal(command) => Holds::Command(command.clone()),
            EntryPayload::Membership(members) => Holds::Members(members.into()),
        };
        Self { id: (&entry.log_id).into(), holds }
    }
}

impl EntryRecord {
    pub(crate) fn entry(self) -> Result<Entry, String> {
        let payload = match self.holds {
            Holds::Blank => EntryPayload::Blank,
            Holds::Command(command) => EntryPayload::Normal(command),
            Holds::Members(members) => EntryPayload::Membership(members.membership()?),
        };
        Ok(Entry::new(self.id.into(), payload))
    }
}
