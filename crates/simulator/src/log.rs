//! The modelled log: what the members' disks hold, who leads, what is committed. A model of what Raft
//! promises, and of what it does not: proposals get lost with their leader or survive it, followers lag,
//! snapshots replace what they missed.

use crate::moved::Moved;
use crate::random::Random;
use manager::ProposalId;
use model::{Entry, NodeId, Outcome, State, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who waits for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody.
    Nobody,
    /// The leader's manager.
    Manager(ProposalId),
    /// The agent of a node, with the number of its report.
    Report { node: NodeId, life: u64, number: u64 },
    /// A node's word about itself.
    Refresh { node: NodeId, life: u64 },
    /// Somebody at a keyboard.
    Client(usize),
}

/// An entry that is not committed yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// `None` for what Raft says to itself.
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) origin: Origin,
    /// Members that hold it.
    acks: BTreeSet<NodeId>,
}

/// One leader's time.
#[derive(Clone, Debug)]
pub(crate) struct Reign {
    pub(crate) leader: NodeId,
    pub(crate) term: u64,
    /// An entry of this term is applied on the leader.
    pub(crate) led: bool,
    /// It stepped down; what it had not committed may survive it.
    over: bool,
    cluster_then: Time,
    since: u64,
    tail: Vec<Pending>,
    /// When it last reached a majority.
    pub(crate) quorum_at: u64,
}

impl Reign {
    /// Cluster time at the leader.
    pub(crate) fn cluster_now(&self, now: u64) -> Time {
        Time(self.cluster_then.0 + (now - self.since))
    }
}

/// What a member's disk holds.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    /// Index up to which it holds entries.
    pub(crate) have: u64,
    /// Index up to which it knows them to be committed.
    pub(crate) known: u64,
    pub(crate) state: State,
    /// What it held some time ago.
    pub(crate) past: State,
    /// Which nodes its views changed for.
    pub(crate) moved: Moved,
    /// When it last heard from a leader with a quorum.
    pub(crate) contact: u64,
    /// It is about to apply what it knows.
    pub(crate) applying: bool,
    /// Since when it waits for a leader.
    pub(crate) waits_from: u64,
    /// Random part of how long it waits before it stands for election.
    pub(crate) patience: u64,
}

impl Replica {
    /// What a member that has just come holds.
    pub(crate) fn empty(now: u64) -> Self {
        Self {
            have: 0,
            known: 0,
            state: State::default(),
            past: State::default(),
            moved: Moved::default(),
            contact: now,
            applying: false,
            waits_from: now,
            patience: 0,
        }
    }
}

/// An entry that was committed just now.
pub(crate) struct Commit {
    pub(crate) index: u64,
    pub(crate) entry: Option<Arc<Entry>>,
    pub(crate) origin: Origin,
    pub(crate) outcome: Option<Outcome>,
}

/// The modelled log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    committed: Vec<Option<Arc<Entry>>>,
    /// All that is committed, applied.
    pub(crate) state: State,
    pub(crate) voters: BTreeSet<NodeId>,
    pub(crate) replicas: BTreeMap<NodeId, Replica>,
    pub(crate) term: u64,
    pub(crate) reign: Option<Reign>,
    pub(crate) elections: u64,
    /// Entries behind which a snapshot is sent instead.
    pub(crate) snapshot_behind: u64,
}

/// Entries behind which a snapshot is sent instead, unless the world is nasty.
const SNAPSHOT_BEHIND: u64 = 200;
/// Entries between two states that are kept for a while.
const PAST: u64 = 16;

impl Log {
    /// A log of these committed entries, held by these members.
    pub(crate) fn new(entries: Vec<Entry>, members: &[NodeId], voter: NodeId) -> Self {
        let mut state = State::default();
        for (index, entry) in (1..).zip(&entries) {
            state.apply(index, entry);
        }
        let index = entries.len() as u64;
        let replica = Replica {
            have: index,
            known: index,
            state: state.clone(),
            past: state.clone(),
            moved: Moved::default(),
            contact: 0,
            applying: false,
            waits_from: 0,
            patience: 0,
        };
        Self {
            committed: entries.into_iter().map(|e| Some(Arc::new(e))).collect(),
            state,
            voters: BTreeSet::from([voter]),
            replicas: members.iter().map(|m| (*m, replica.clone())).collect(),
            term: 0,
            reign: None,
            elections: 0,
            snapshot_behind: SNAPSHOT_BEHIND,
        }
    }

    pub(crate) fn index(&self) -> u64 {
        self.committed.len() as u64
    }

    /// Index of the last entry the leader holds.
    pub(crate) fn end(&self) -> u64 {
        self.index() + self.reign.as_ref().map_or(0, |r| r.tail.len() as u64)
    }

    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.reign().map(|r| r.leader)
    }

    /// The reign that is not over.
    pub(crate) fn reign(&self) -> Option<&Reign> {
        self.reign.as_ref().filter(|r| !r.over)
    }

    /// Whether `members` hold a majority of the votes.
    pub(crate) fn majority(&self, members: impl Iterator<Item = NodeId>) -> bool {
        let votes = members.filter(|m| self.voters.contains(m)).count();
        votes > self.voters.len() / 2
    }

    /// A member begins to lead. Its own log is the truth: what it holds of the last leader's tail stays,
    /// all else of that never happened.
    pub(crate) fn crown(&mut self, now: u64, leader: NodeId) {
        let index = self.index();
        let have = self.replicas[&leader].have;
        let old = self.reign.take().map(|r| r.tail).unwrap_or_default();
        let survivors = old.into_iter().take(have.saturating_sub(index) as usize);
        let mut tail: Vec<Pending> = survivors
            .map(|p| Pending { origin: Origin::Nobody, acks: BTreeSet::from([leader]), ..p })
            .collect();
        tail.push(Pending { entry: None, origin: Origin::Nobody, acks: BTreeSet::from([leader]) });
        for replica in self.replicas.values_mut() {
            // What a member holds beyond the committed ones may be another's: it is sent again.
            replica.have = replica.have.min(index);
        }
        let replica = self.replicas.get_mut(&leader).expect("a leader is a member");
        replica.have = index + tail.len() as u64;
        self.term += 1;
        self.elections += 1;
        self.reign = Some(Reign {
            leader,
            term: self.term,
            led: false,
            over: false,
            cluster_then: Time::ZERO,
            since: now,
            tail,
            quorum_at: now,
        });
    }

    /// The leader steps down; what it had not committed may survive with whoever holds it. Nobody who
    /// waits for it will know.
    pub(crate) fn abdicate(&mut self) {
        let Some(reign) = &mut self.reign else { return };
        reign.over = true;
        for pending in &mut reign.tail {
            pending.origin = Origin::Nobody;
        }
    }

    /// The leader has applied an entry of its own term.
    pub(crate) fn lead(&mut self, now: u64) -> Option<(NodeId, u64, Time)> {
        let reign = self.reign.as_mut().filter(|r| !r.led && !r.over)?;
        let state = &self.replicas[&reign.leader].state;
        if !reign.tail.is_empty() || state.index != self.committed.len() as u64 {
            return None;
        }
        reign.led = true;
        reign.cluster_then = state.now;
        reign.since = now;
        Some((reign.leader, reign.term, state.now))
    }

    /// Appends at the leader. False when it does not lead.
    pub(crate) fn append(&mut self, leader: NodeId, entry: Entry, origin: Origin) -> bool {
        let Some(reign) = self.reign.as_mut().filter(|r| r.leader == leader && r.led && !r.over)
        else {
            return false;
        };
        let acks = BTreeSet::from([leader]);
        reign.tail.push(Pending { entry: Some(Arc::new(entry)), origin, acks });
        let end = self.end();
        let replica = self.replicas.get_mut(&leader).expect("a leader is a member");
        replica.have = end;
        true
    }

    /// A member holds all up to `upto` of this term.
    pub(crate) fn acknowledge(&mut self, member: NodeId, term: u64, upto: u64) {
        let index = self.index();
        let Some(reign) = self.reign.as_mut().filter(|r| r.term == term && !r.over) else { return };
        for pending in reign.tail.iter_mut().take(upto.saturating_sub(index) as usize) {
            pending.acks.insert(member);
        }
    }

    /// Commits what a majority holds, one entry a call.
    pub(crate) fn commit(&mut self) -> Option<Commit> {
        let first = self.reign()?.tail.first()?;
        if !self.majority(first.acks.iter().copied()) {
            return None;
        }
        let Pending { entry, origin, .. } = self.reign.as_mut()?.tail.remove(0);
        let index = self.index() + 1;
        let outcome = entry.as_ref().map(|entry| self.state.apply(index, entry));
        self.state.skip(index);
        self.committed.push(entry.clone());
        Some(Commit { index, entry, origin, outcome })
    }

    /// A member applies all that it knows to be committed. True when that moved it.
    pub(crate) fn advance(&mut self, member: NodeId) -> bool {
        let Some(replica) = self.replicas.get_mut(&member) else { return false };
        let from = replica.state.index;
        let to = replica.known.min(self.committed.len() as u64);
        if from >= to {
            return false;
        }
        let was = replica.state.clone();
        if from / PAST != to / PAST {
            replica.past = was.clone();
        }
        if to - from > self.snapshot_behind && to == self.state.index {
            replica.state = self.state.clone();
        } else {
            for index in from + 1..=to {
                if let Some(entry) = &self.committed[index as usize - 1] {
                    replica.state.apply(index, entry);
                } else {
                    replica.state.skip(index);
                }
            }
        }
        replica.moved.follow(&was, &replica.state);
        true
    }

    /// A member starts anew; how long it will wait before it stands for election is drawn.
    pub(crate) fn reset_patience(
        &mut self,
        random: &mut Random,
        member: NodeId,
        least: u64,
        most: u64,
    ) {
        if let Some(replica) = self.replicas.get_mut(&member) {
            replica.patience = random.between(least, most);
        }
    }
}
