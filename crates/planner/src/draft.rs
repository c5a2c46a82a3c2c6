//! The plan while it is being made: changes up to the limit, reasons, wakes, and copies still to be
//! placed. Decides nothing.

use crate::depends::Stands;
use crate::standstill::Still;
use crate::{Plan, Reason, Waiting};
use model::{Cause, Change, ServiceId, Slot, TaskId, Time};
use std::collections::BTreeSet;

/// A copy that is to be made, once a node is found for it, or several alike.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Index of its service in the tables.
    pub(crate) group: usize,
    pub(crate) slot: Slot,
    /// So many slots with the numbers that follow get a copy of the same kind.
    pub(crate) more: u32,
    /// The newest task of the slot.
    pub(crate) newest: Option<TaskId>,
    pub(crate) cause: Cause,
    /// Index of the node whose copy this one replaces, when that one runs until this one is healthy.
    pub(crate) replaces: Option<usize>,
}

impl Opening {
    /// Each copy by itself.
    pub(crate) fn one_by_one(&self) -> impl Iterator<Item = Self> + '_ {
        slots(self.slot, self.more).map(|slot| Self { slot, more: 0, ..self.clone() })
    }
}

/// A slot, and as many `more` with the numbers that follow.
pub(crate) fn slots(first: Slot, more: u32) -> impl Iterator<Item = Slot> {
    (0..=more).map(move |after| match first {
        Slot::Number(number) => Slot::Number(number + after),
        Slot::Node(_) => first,
    })
}

/// A copy that must stop before its successor starts; it is stopped when nothing else of its service is
/// on the move.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) group: usize,
    pub(crate) task: TaskId,
    pub(crate) cause: Cause,
}

/// The plan while it is being made.
pub(crate) struct Draft {
    now: Time,
    limit: usize,
    changes: Vec<Change>,
    stopped: BTreeSet<TaskId>,
    waiting: Vec<Waiting>,
    wake_at: Option<Time>,
    pub(crate) openings: Vec<Opening>,
    pub(crate) deferred: Vec<Deferred>,
    /// Roll-outs of which nothing moves.
    pub(crate) still: Vec<Still>,
    /// How services stand for those that depend on them.
    pub(crate) stands: Stands,
}

impl Draft {
    pub(crate) fn new(limit: usize, now: Time) -> Self {
        Self {
            now,
            limit,
            changes: Vec::new(),
            stopped: BTreeSet::new(),
            waiting: Vec::new(),
            wake_at: None,
            openings: Vec::new(),
            deferred: Vec::new(),
            still: Vec::new(),
            stands: Stands::default(),
        }
    }

    /// How many more changes fit. What does not fit is found again by the next pass.
    pub(crate) fn left(&self) -> usize {
        self.limit - self.changes.len()
    }

    /// Whether another `more` changes fit.
    pub(crate) fn fits(&self, more: usize) -> bool {
        more <= self.left()
    }

    pub(crate) fn push(&mut self, change: Change) {
        if self.fits(1) {
            self.changes.push(change);
        }
    }

    /// Stops a task, once: of several reasons the first is told.
    pub(crate) fn stop(&mut self, task: TaskId, cause: Cause) {
        if self.stopped.insert(task) {
            self.push(Change::Stop { task, cause });
        }
    }

    pub(crate) fn wait(&mut self, service: ServiceId, slot: Slot, reason: Reason) {
        self.waiting.push(Waiting { service, slot, reason });
    }

    /// Asks to be woken at `at`; a time that has come needs no waking.
    pub(crate) fn wake(&mut self, at: Time) {
        if at > self.now {
            self.wake_at = Some(self.wake_at.map_or(at, |w| w.min(at)));
        }
    }

    /// Whether this plan makes a copy of `service`.
    pub(crate) fn creates(&self, service: ServiceId) -> bool {
        self.changes.iter().any(|c| matches!(c, Change::Create { service: s, .. } if *s == service))
    }

    /// Whether this plan accounts for the end of a task of `service`.
    pub(crate) fn accounts(&self, service: ServiceId) -> bool {
        let of_it = |c: &Change| matches!(c, Change::Account { service: s, .. } if *s == service);
        self.changes.iter().any(of_it)
    }

    /// Whether this plan makes, accounts for or moves on anything of `service`.
    pub(crate) fn touches(&self, service: ServiceId) -> bool {
        let of_it = |c: &Change| match c {
            Change::Create { service: s, .. }
            | Change::Account { service: s, .. }
            | Change::Rollout { service: s, .. } => *s == service,
            _ => false,
        };
        self.changes.iter().any(of_it)
    }

    /// Whether this plan stops a task.
    pub(crate) fn stops(&self, task: TaskId) -> bool {
        self.stopped.contains(&task)
    }

    /// Those of `service` that wait.
    pub(crate) fn waits_of(&self, service: ServiceId) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |w| w.service == service)
    }

    pub(crate) fn finish(self) -> Plan {
        Plan { changes: self.changes, waiting: self.waiting, wake_at: self.wake_at }
    }
}
