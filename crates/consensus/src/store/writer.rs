//! The one thread that writes `raft.redb`. It takes everything that waits, makes it durable with one
//! fsync, and answers in order.

use super::disk::{Change, Disk};
use crate::clock;
use crate::types::Types;
use openraft::storage::IOFlushed;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Jobs that share one fsync at most.
const GROUP: usize = 1024;
/// How many of the last writes the latency figures are taken from.
const REMEMBERED: usize = 512;

/// One thing to make durable.
pub(crate) enum Job {
    /// Entries; openraft is told through its callback.
    Append(Vec<Change>, IOFlushed<Types>),
    /// Anything else.
    Change(Vec<Change>, oneshot::Sender<io::Result<()>>),
    /// Something that need not be durable now; written with the next job.
    Lazy(Change),
    /// No more; told when the file is closed.
    Stop(oneshot::Sender<()>),
}

/// How long the last writes took, fsync included.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    last: Mutex<(Vec<Duration>, usize)>,
}

impl Latency {
    fn record(&self, took: Duration) {
        let mut last = self.last.lock().expect("no panic while held");
        let at = last.1 % REMEMBERED;
        match last.0.get_mut(at) {
            Some(slot) => *slot = took,
            None => last.0.push(took),
        }
        last.1 += 1;
    }

    /// Median and 99th percentile; zero before the first write.
    pub(crate) fn percentiles(&self) -> (Duration, Duration) {
        let mut taken = self.last.lock().expect("no panic while held").0.clone();
        taken.sort_unstable();
        let at = |percent: usize| taken.get(taken.len() * percent / 100).or(taken.last()).copied();
        (at(50).unwrap_or_default(), at(99).unwrap_or_default())
    }
}

/// Resolves when the thread has ended, be it by a panic.
pub(crate) type Ended = oneshot::Receiver<()>;

/// Starts the thread. It ends with `Job::Stop`, or when every sender is gone.
pub(crate) fn start(disk: Disk, latency: Arc<Latency>) -> io::Result<(Sender<Job>, Ended)> {
    let (jobs, waiting) = channel();
    let (alive, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("raft-log".into());
    thread.spawn(move || {
        let _alive = alive;
        run(disk, waiting, &latency);
    })?;
    Ok((jobs, ended))
}

fn run(disk: Disk, waiting: Receiver<Job>, latency: &Latency) {
    let mut failed: Option<String> = None;
    let mut lazy = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = waiting.try_recv()
        {
            group.push(job);
        }
        let mut jobs = Vec::with_capacity(group.len());
        let mut stopped = None;
        for job in group {
            match job {
                Job::Lazy(change) => lazy.push(change),
                Job::Stop(told) => stopped = Some(told),
                job => jobs.push(job),
            }
        }
        // After a failed write nothing is promised any more: retrying an fsync can lie.
        if failed.is_none() && (!jobs.is_empty() || stopped.is_some()) {
            let started = clock::now();
            failed = disk.write(changes(&jobs).chain(&lazy)).err().map(|e| e.to_string());
            lazy.clear();
            latency.record(started.elapsed());
        }
        for job in jobs {
            answer(job, failed.as_deref());
        }
        if let Some(told) = stopped {
            drop((disk, waiting));
            let _ = told.send(());
            return;
        }
    }
}

fn changes(jobs: &[Job]) -> impl Iterator<Item = &Change> {
    jobs.iter().flat_map(|job| match job {
        Job::Append(changes, _) | Job::Change(changes, _) => changes.as_slice(),
        Job::Lazy(_) | Job::Stop(_) => &[],
    })
}

fn answer(job: Job, failed: Option<&str>) {
    let result = failed.map_or(Ok(()), |why| Err(io::Error::other(why.to_owned())));
    match job {
        Job::Append(_, callback) => callback.io_completed(result),
        Job::Change(_, done) => drop(done.send(result)),
        Job::Lazy(_) | Job::Stop(_) => {}
    }
}
