//! What is going to happen, in order of time; among equals, in the order it was scheduled.

use std::collections::BTreeMap;

/// What is going to happen.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    due: BTreeMap<(u64, u64), T>,
    count: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeMap::new(), count: 0 }
    }

    pub(crate) fn push(&mut self, at: u64, what: T) {
        self.count += 1;
        self.due.insert((at, self.count), what);
    }

    /// The next thing due at `until` or before, and when.
    pub(crate) fn pop(&mut self, until: u64) -> Option<(u64, T)> {
        let entry = self.due.first_entry()?;
        let at = entry.key().0;
        (at <= until).then(|| (at, entry.remove()))
    }

    /// How much was ever scheduled.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}
