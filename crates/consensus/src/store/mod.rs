//! The log on disk, as openraft wants it: entries can be read as soon as they are appended and are
//! acknowledged when they are durable, in order. Start at [`Store`].

pub(crate) mod disk;
#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod refusing;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

use crate::encoding::seal;
use crate::types::{
    Entry, EntryRecord, LogId, LogIdRecord, MembersRecord, Types, Vote, VoteRecord,
};
use disk::{Change, Contents, Disk, Identity};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;
use writer::{Ended, Job, Latency};

/// Bytes of entries in one message to a follower, unless the first entry alone is larger.
const BATCH_BYTES: usize = 2 << 20;

#[derive(Debug)]
struct Memory {
    entries: BTreeMap<u64, (Entry, usize)>,
    bytes: usize,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
}

/// A handle to the log.
#[derive(Clone)]
pub(crate) struct Store {
    memory: Arc<Mutex<Memory>>,
    jobs: Sender<Job>,
    latency: Arc<Latency>,
    pub(crate) identity: Arc<Identity>,
}

fn gone<E>(_: E) -> io::Error {
    io::Error::other("the thread that writes the log is gone")
}

impl Store {
    /// Takes over an open file.
    pub(crate) fn start(disk: Disk, contents: Contents) -> io::Result<(Self, Ended)> {
        let latency = Arc::new(Latency::default());
        let memory = Memory {
            bytes: contents.entries.values().map(|(_, size)| size).sum(),
            entries: contents.entries,
            vote: contents.vote,
            committed: contents.committed,
            purged: contents.purged,
        };
        let (jobs, ended) = writer::start(disk, Arc::clone(&latency))?;
        let memory = Arc::new(Mutex::new(memory));
        Ok((Self { memory, jobs, latency, identity: Arc::new(contents.identity) }, ended))
    }

    /// Bytes of all entries kept.
    pub(crate) fn bytes(&self) -> usize {
        self.memory().bytes
    }

    /// Median and 99th percentile of the last writes, fsync included.
    pub(crate) fn latency(&self) -> (Duration, Duration) {
        self.latency.percentiles()
    }

    /// Notes whom to ask when the snapshot is damaged. Not durable at once.
    pub(crate) fn note_members(&self, members: &MembersRecord) -> io::Result<()> {
        self.jobs.send(Job::Lazy(Change::Set(disk::MEMBERS, seal(members)))).map_err(gone)
    }

    /// Writes what is pending and closes the file.
    pub(crate) async fn stop(&self) {
        let (told, closed) = oneshot::channel();
        if self.jobs.send(Job::Stop(told)).is_ok() {
            let _ = closed.await;
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no panic while held")
    }

    async fn durable(&self, changes: Vec<Change>) -> io::Result<()> {
        let (done, waiting) = oneshot::channel();
        self.jobs.send(Job::Change(changes, done)).map_err(gone)?;
        waiting.await.map_err(gone)?
    }
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        let (from, to) = (range.start_bound().cloned(), range.end_bound().cloned());
        if matches!((from, to), (Bound::Included(a), Bound::Excluded(b)) if a >= b) {
            return Ok(Vec::new());
        }
        Ok(self.memory().entries.range((from, to)).map(|(_, (e, _))| e.clone()).collect())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let mut bytes = 0;
        let memory = self.memory();
        let fits = |size: usize| {
            let first = bytes == 0;
            bytes += size;
            first || bytes <= BATCH_BYTES
        };
        let mut fits = fits;
        let range = memory.entries.range(start..end.max(start));
        Ok(range.take_while(|(_, (_, size))| fits(*size)).map(|(_, (e, _))| e.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.memory().vote)
    }
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let memory = self.memory();
        let last = memory.entries.values().next_back().map(|(e, _)| e.log_id());
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: last.or(memory.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.durable(vec![Change::Set(disk::VOTE, seal(&VoteRecord::from(vote)))]).await?;
        self.memory().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.memory().committed = committed;
        let Some(id) = committed else { return Ok(()) };
        let change = Change::Set(disk::COMMITTED, seal(&LogIdRecord::from(&id)));
        self.jobs.send(Job::Lazy(change)).map_err(gone)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut changes = Vec::new();
        {
            let mut memory = self.memory();
            for entry in entries {
                let bytes = seal(&EntryRecord::from(&entry));
                memory.bytes += bytes.len();
                memory.entries.insert(entry.log_id.index, (entry.clone(), bytes.len()));
                changes.push(Change::Put(entry.log_id.index, bytes));
            }
        }
        self.jobs.send(Job::Append(changes, callback)).map_err(gone)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |l| l.index + 1);
        {
            let mut memory = self.memory();
            let cut = memory.entries.split_off(&from);
            memory.bytes -= cut.values().map(|(_, size)| size).sum::<usize>();
        }
        self.durable(vec![Change::CutFrom(from)]).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        {
            let mut memory = self.memory();
            let kept = memory.entries.split_off(&(upto.index + 1));
            memory.bytes = kept.values().map(|(_, size)| size).sum();
            memory.entries = kept;
            memory.purged = Some(upto);
        }
        let purged = Change::Set(disk::PURGED, seal(&LogIdRecord::from(&upto)));
        self.durable(vec![purged, Change::CutTo(upto.index)]).await
    }
}
