//! What an edge counts. Numbers only grow, except those of what is open now.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// Live counters of one published port.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) open: AtomicU64,
    pub(crate) total: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) ejections: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

/// Counters of one published port, or of what is carried for other edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted.
    pub total: u64,
    /// Of these, reset because no replica took them.
    pub unanswered: u64,
    /// Attempts at a replica that failed; a connection may try several.
    pub failures: u64,
    /// Times a replica was taken out because it failed.
    pub ejections: u64,
    /// Bytes from clients to replicas.
    pub sent: u64,
    /// Bytes from replicas to clients.
    pub received: u64,
}

impl Counters {
    pub(crate) fn counts(&self) -> Counts {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Counts {
            open: read(&self.open),
            total: read(&self.total),
            unanswered: read(&self.unanswered),
            failures: read(&self.failures),
            ejections: read(&self.ejections),
            sent: read(&self.sent),
            received: read(&self.received),
        }
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One that is open now; no longer when dropped.
#[derive(Debug)]
pub(crate) struct Open<'a>(&'a AtomicU64);

impl<'a> Open<'a> {
    pub(crate) fn new(counter: &'a AtomicU64) -> Self {
        count(counter);
        Self(counter)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
