//! Who leads: watches openraft's own figures and says what follows from them, in our words.

use crate::clock;
use crate::error::Fatal;
use crate::log::Inner;
use crate::types::Types;
use model::{NodeId, Time};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, RaftMetrics, ServerState};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes of entries at which a snapshot is taken, however few the entries are.
const LOG_BYTES: u64 = 32 << 20;
/// Pause between two snapshots that are taken for the log's size.
const PAUSE: Duration = Duration::from_secs(30);

/// When a snapshot was last asked for.
struct Asked {
    at: Instant,
    index: u64,
}

/// Who leads and who holds the log, as this member knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Raft's term.
    pub term: u64,
    /// The leader of that term, once known.
    pub leader: Option<NodeId>,
    /// It is this member.
    pub is_leader: bool,
    /// Members that vote.
    pub voters: BTreeSet<NodeId>,
    /// Members that hold the log without a vote.
    pub learners: BTreeSet<NodeId>,
}

/// This member leads and may decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leading {
    pub(crate) term: u64,
    base: Time,
    since: Instant,
}

impl Leading {
    /// Cluster time: the state's at the election, plus this host's monotonic clock since.
    pub(crate) fn now(&self) -> Time {
        self.base + self.since.elapsed()
    }
}

/// When this member last had contact with a leader that has a quorum.
#[derive(Debug, Default)]
pub(crate) struct Contact(Mutex<Option<Instant>>);

impl Contact {
    /// A leader spoke that had heard from a majority that long ago.
    pub(crate) fn heard(&self, quorum_age: Duration) {
        let at = clock::now().checked_sub(quorum_age);
        let mut last = self.0.lock().expect("no panic while held");
        *last = (*last).max(at);
    }

    fn age(&self) -> Duration {
        let last = *self.0.lock().expect("no panic while held");
        last.map_or(Duration::MAX, |at| at.elapsed())
    }
}

impl Inner {
    /// Watches until the log stops.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut metrics = self.raft.metrics();
        let mut tick = tokio::time::interval(self.config.timers.election_max / 2);
        let mut asked = Asked { at: clock::now(), index: 0 };
        loop {
            let closed = tokio::select! {
                changed = metrics.changed() => changed.is_err(),
                _ = tick.tick() => false,
            };
            let over = self.look(&metrics.borrow_watched());
            if closed && !self.stopped() {
                self.fail(Fatal::Panicked);
            }
            if closed || over || self.stopped() {
                self.step_down();
                return;
            }
            let due = self.snapshot_due(&metrics.borrow_watched(), &asked);
            if let Some(index) = due {
                asked = Asked { at: clock::now(), index };
                let _ = self.raft.trigger().snapshot().await;
            }
        }
    }

    /// Up to where a snapshot is due. Writing one costs as much as the state is large, so the log grows to
    /// the size of the last one first: under many writes to a large state that halves its share of the work.
    fn snapshot_due(&self, metrics: &RaftMetrics<Types>, asked: &Asked) -> Option<u64> {
        let applied = metrics.last_applied.map_or(0, |l| l.index);
        let covered = metrics.snapshot.map_or(0, |l| l.index).max(asked.index);
        let (kept, last) =
            (self.store.bytes() as u64, self.folder.current().map_or(0, |c| c.bytes));
        let many = applied.saturating_sub(covered) >= self.config.snapshot_every && kept >= last;
        let large = applied > covered && kept > LOG_BYTES && asked.at.elapsed() > PAUSE;
        (many || large).then_some(applied)
    }

    /// Takes in openraft's figures; whether it has stopped.
    fn look(&self, metrics: &RaftMetrics<Types>) -> bool {
        if let Err(why) = &metrics.running_state {
            if !self.stopped() {
                self.fail(fatal(why));
            }
            return true;
        }
        let members = metrics.membership_config.membership();
        let leadership = Leadership {
            term: metrics.current_term,
            leader: metrics.current_leader.map(NodeId),
            is_leader: metrics.state == ServerState::Leader,
            voters: members.voter_ids().map(NodeId).collect(),
            learners: members.learner_ids().map(NodeId).collect(),
        };
        self.leadership.send_if_modified(|old| {
            let moved = *old != leadership;
            if moved {
                *old = leadership;
            }
            moved
        });
        let applied = metrics.last_applied.map(|l| l.leader_id.term) == Some(metrics.current_term);
        let quorum = quorum_age(metrics) <= self.config.timers.election_max * 3;
        if metrics.state == ServerState::Leader && applied && quorum {
            self.lead(metrics.current_term);
        } else {
            self.step_down();
        }
        false
    }

    fn lead(&self, term: u64) {
        let base = self.states.borrow().now;
        let mut leading = self.leading.lock().expect("no panic while held");
        if leading.is_some_and(|l| l.term == term) {
            return;
        }
        *leading = Some(Leading { term, base, since: clock::now() });
        self.leads.send_replace(Some((term, base)));
    }

    fn step_down(&self) {
        *self.leading.lock().expect("no panic while held") = None;
        self.leads.send_if_modified(|leads| leads.take().is_some());
    }

    pub(crate) fn leading(&self) -> Option<Leading> {
        *self.leading.lock().expect("no panic while held")
    }

    pub(crate) fn contact_age(&self) -> Duration {
        if self.leadership.borrow().is_leader {
            return quorum_age(&self.raft.metrics().borrow_watched());
        }
        self.contact.age()
    }

    /// Voters that answer this member, itself included, and all voters.
    pub(crate) fn quorum(&self) -> (usize, usize) {
        let within = (self.config.timers.election_max * 4).max(Duration::from_secs(1));
        let leadership = self.leadership.borrow();
        let me = self.peers.me;
        let ready = |n: &&NodeId| n.0 == me || self.peers.heard_within(n.0, within);
        (leadership.voters.iter().filter(ready).count(), leadership.voters.len())
    }
}

/// How long ago this member, as leader, heard from a majority.
pub(crate) fn quorum_age(metrics: &RaftMetrics<Types>) -> Duration {
    if metrics.state != ServerState::Leader {
        return Duration::MAX;
    }
    let alone = metrics.membership_config.voter_ids().eq([metrics.id]);
    match &metrics.last_quorum_acked {
        _ if alone => Duration::ZERO,
        Some(at) => at.elapsed(),
        None => Duration::MAX,
    }
}

fn fatal(why: &openraft::errors::Fatal<Types>) -> Fatal {
    match why {
        openraft::errors::Fatal::StorageError(e) => Fatal::Storage(e.to_string()),
        openraft::errors::Fatal::Panicked | openraft::errors::Fatal::Stopped => Fatal::Panicked,
    }
}
