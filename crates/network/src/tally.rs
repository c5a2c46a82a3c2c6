//! How many are inside, in all and of each kind: a door-keeper for whatever outsiders can make us hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts those inside and lets no more in than it may.
#[derive(Debug)]
pub(crate) struct Tally<K: Ord> {
    most: usize,
    most_each: usize,
    inside: Mutex<(usize, BTreeMap<K, usize>)>,
}

impl<K: Ord + Clone> Tally<K> {
    /// At most `most` in all, and `most_each` of one kind.
    pub(crate) fn new(most: usize, most_each: usize) -> Self {
        Self { most, most_each, inside: Mutex::default() }
    }

    /// Lets one in, unless it is full; it is inside until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, kind: K) -> Option<Inside<K>> {
        let mut inside = self.lock();
        let (all, each) = &mut *inside;
        let of_kind = each.get(&kind).copied().unwrap_or(0);
        if *all >= self.most || of_kind >= self.most_each {
            return None;
        }
        *all += 1;
        each.insert(kind.clone(), of_kind + 1);
        Some(Inside { tally: Arc::clone(self), kind })
    }

    fn lock(&self) -> MutexGuard<'_, (usize, BTreeMap<K, usize>)> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is inside.
#[derive(Debug)]
pub(crate) struct Inside<K: Ord + Clone> {
    tally: Arc<Tally<K>>,
    kind: K,
}

impl<K: Ord + Clone> Drop for Inside<K> {
    fn drop(&mut self) {
        let mut inside = self.tally.lock();
        inside.0 -= 1;
        match inside.1.get_mut(&self.kind) {
            Some(n) if *n > 1 => *n -= 1,
            _ => {
                inside.1.remove(&self.kind);
            }
        }
    }
}
