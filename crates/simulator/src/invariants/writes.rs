//! The control plane never writes without end: what it writes to the log by itself in ten seconds is
//! bounded by the size of the cluster.

use super::Broken;
use crate::log::Commit;
use model::Command;

/// Milliseconds over which writes are counted.
const WINDOW: u64 = 10_000;

#[derive(Clone, Debug)]
pub(super) struct Writes {
    limit: u64,
    since: u64,
    count: u64,
}

impl Writes {
    pub(super) fn new(nodes: usize) -> Self {
        Self { limit: 400 + 100 * nodes as u64, since: 0, count: 0 }
    }

    pub(super) fn check(&mut self, now: u64, commit: &Commit) -> Broken {
        let command = commit.entry.as_ref().map(|e| &e.command);
        if !matches!(command, Some(Command::Plan(_) | Command::Judge(_) | Command::Report(_))) {
            return None;
        }
        if now >= self.since + WINDOW {
            (self.since, self.count) = (now, 0);
        }
        self.count += 1;
        (self.count > self.limit)
            .then(|| format!("more than {} writes in {} s", self.limit, WINDOW / 1_000))
    }
}
