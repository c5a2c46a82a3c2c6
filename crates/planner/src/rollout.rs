//! Which copies are exchanged, and in what order: those that are to leave are replaced so that the service stays
//! up. A copy of another generation waits for its turn, and no turn is given while new copies that are not
//! well have all the seats. Never chooses a node, nor a pace.
//!
//! Slots whose newest task is of the current generation have had their turn.

use crate::depends;
use crate::draft::{Deferred, Draft, Opening};
use crate::lost::{out_of_reach, settled};
use crate::pace;
use crate::restart::gate;
use crate::tables::{Group, Held, Tables};
use model::{Cause, Slot, UpdateOrder};
use std::collections::BTreeSet;

/// A slot whose best task is to leave.
pub(crate) struct Leaving<'g, 'a> {
    pub(crate) copies: &'g [Held<'a>],
    pub(crate) best: Held<'a>,
    pub(crate) cause: Cause,
}

/// What moves in a service, gathered slot by slot.
#[derive(Default)]
pub(crate) struct Progress<'g, 'a> {
    /// Slots that there are to be.
    pub(crate) slots: usize,
    /// Slots between two generations, and slots whose copy of the current generation has ended or is not well, but
    /// for those that failed and are not waited for.
    pub(crate) busy: usize,
    /// Slots in which a copy starts or stops.
    pub(crate) moving: usize,
    /// Slots whose new copy is well, and whose seat is not given away yet.
    pub(crate) resting: usize,
    /// The first copy of the current generation is still to be made in some slot that had one before.
    pub(crate) to_come: bool,
    /// Slots that nothing is done about any more, although their copy is not well.
    pub(crate) stuck: BTreeSet<Slot>,
    /// Slots to leave.
    pub(crate) leaving: Vec<Leaving<'g, 'a>>,
}

impl Progress<'_, '_> {
    /// A slot, or several alike, are between two generations or not well.
    pub(crate) fn occupy(&mut self, g: &Group<'_>, slot: Slot, count: usize) {
        if !self.is_let_go(g, slot) {
            self.busy += count;
        }
    }

    /// Whether a slot failed and is not waited for.
    fn is_let_go(&self, g: &Group<'_>, slot: Slot) -> bool {
        pace::let_go(g, slot, self.stuck.contains(&slot))
    }

    /// The new copy of a slot is well; its seat is kept for a while.
    pub(crate) fn rest(
        &mut self,
        t: &Tables<'_>,
        g: &Group<'_>,
        held: &Held<'_>,
        draft: &mut Draft,
    ) {
        if let Some(until) = pace::rests_until(g, held).filter(|until| *until > t.now) {
            self.resting += 1;
            draft.wake(until);
        }
    }

    /// Whether every slot has had its turn, and is well or not waited for.
    pub(crate) fn is_over(&self, g: &Group<'_>) -> bool {
        let to_come = |l: &Leaving<'_, '_>| {
            let slot = l.best.task.slot;
            is_update(&l.cause)
                && !(has_begun(g, l) && (self.is_let_go(g, slot) || is_given_up(g, slot)))
        };
        self.busy == 0 && !self.to_come && !self.leaving.iter().any(to_come)
    }
}

impl<'g, 'a> Progress<'g, 'a> {
    /// The best copy of a slot is to leave.
    pub(crate) fn leave(&mut self, g: &Group<'_>, leaving: Leaving<'g, 'a>) {
        let slot = leaving.best.task.slot;
        let completed = || g.service.slots.get(&slot).is_some_and(|r| r.completed);
        if has_begun(g, &leaving) && is_given_up(g, slot) && !completed() {
            self.stuck.insert(slot);
        }
        self.leaving.push(leaving);
    }
}

/// Whether a slot gets no further copy of the current generation.
fn is_given_up(g: &Group<'_>, slot: Slot) -> bool {
    g.service.slots.get(&slot).is_some_and(|r| r.given_up)
}

/// The order in which a copy is replaced. What cannot run twice in either of its generations stops first, and
/// so does what others are built upon: they can be built upon one only.
pub(crate) fn order(g: &Group<'_>, held: &Held<'_>) -> UpdateOrder {
    if g.spec.runs_alone() || g.spec_of(held.task).runs_alone() || !g.mates.is_empty() {
        return UpdateOrder::StopFirst;
    }
    pace::policy(g).order.unwrap_or(UpdateOrder::StartFirst)
}

/// Gives turns. A slot that had its turn goes on; those forced off their node go at once where nothing
/// is risked by it; the rest go one after the other: first those that have two copies already, the wish changed
/// while one was starting for the other, then those that do not serve.
pub(crate) fn turns(
    t: &Tables<'_>,
    index: usize,
    mut progress: Progress<'_, '_>,
    draft: &mut Draft,
) {
    let g = &t.groups[index];
    let (mut updates, forced): (Vec<_>, Vec<_>) =
        progress.leaving.drain(..).partition(|l| is_update(&l.cause));
    // What stops first and runs nevertheless came back with its node, and waits for its turn like the others.
    let goes_on =
        |l: &mut Leaving<'_, '_>| has_begun(g, l) && order(g, &l.best) == UpdateOrder::StartFirst;
    let begun: Vec<_> = updates.extract_if(.., goes_on).collect();
    for leaving in &begun {
        progress.occupy(g, leaving.best.task.slot, 1);
    }
    off_their_node(t, index, &progress, &forced, draft);
    updates.sort_by_key(|l| (!has_two(t, l), l.best.task.serving(), l.best.task.slot));
    let turns = pace::seats(g).saturating_sub(progress.busy + progress.resting);
    let later = updates.split_off(turns.min(updates.len()));
    for leaving in later.iter().filter(|l| settled(t, g, &l.best)) {
        make_way(t, leaving, draft);
    }
    let next: Vec<_> = begun.into_iter().chain(updates).collect();
    if next.is_empty() {
        return;
    }
    let held = depends::before_update(t, index, draft);
    for leaving in &next {
        match &held {
            Some(reason) => {
                make_way(t, leaving, draft);
                draft.wait(g.service.id, leaving.best.task.slot, reason.clone());
            }
            None => replace(t, index, leaving, draft),
        }
    }
}

/// Whether a copy leaves for a newer one, not for another node.
fn is_update(cause: &Cause) -> bool {
    matches!(cause, Cause::Update { .. } | Cause::RestartedWith(_))
}

/// Whether a slot to be updated has had its turn: a task that is not out of date was tried.
fn has_begun(g: &Group<'_>, leaving: &Leaving<'_, '_>) -> bool {
    leaving.copies.last().is_some_and(|h| g.fresh(h.task))
}

/// Drained nodes and broken constraints. Starting first risks nothing. What holds data goes at once,
/// because it can go nowhere else. The rest goes one by one.
fn off_their_node(
    t: &Tables<'_>,
    index: usize,
    progress: &Progress<'_, '_>,
    forced: &[Leaving<'_, '_>],
    draft: &mut Draft,
) {
    let g = &t.groups[index];
    let mut one_by_one = progress.moving == 0;
    for leaving in forced {
        let stateful = g.spec.stateful() || g.spec_of(leaving.best.task).stateful();
        match order(g, &leaving.best) {
            UpdateOrder::StartFirst => replace(t, index, leaving, draft),
            UpdateOrder::StopFirst if stateful => {
                draft.stop(leaving.best.task.id, leaving.cause.clone());
            }
            UpdateOrder::StopFirst if one_by_one => {
                one_by_one = false;
                let (task, cause) = (leaving.best.task.id, leaving.cause.clone());
                draft.deferred.push(Deferred { group: index, task, cause });
            }
            UpdateOrder::StopFirst => {}
        }
    }
}

/// Replaces a copy: opens its slot beside it, or stops it so that its slot is filled afterwards.
fn replace(t: &Tables<'_>, index: usize, leaving: &Leaving<'_, '_>, draft: &mut Draft) {
    let g = &t.groups[index];
    if make_way(t, leaving, draft) {
        return;
    }
    let slot = leaving.best.task.slot;
    if let Some(reason) = gate(t, g, slot, leaving.copies, draft) {
        draft.wait(g.service.id, slot, reason);
        return;
    }
    if order(g, &leaving.best) == UpdateOrder::StopFirst {
        draft.stop(leaving.best.task.id, leaving.cause.clone());
        return;
    }
    draft.openings.push(Opening {
        group: index,
        slot,
        more: 0,
        newest: leaving.copies.last().map(|h| h.task.id),
        cause: leaving.cause.clone(),
        replaces: Some(leaving.best.node),
    });
}

fn is_within_reach(t: &Tables<'_>, held: &Held<'_>) -> bool {
    held.task.live() && out_of_reach(t, t.nodes[held.node]).is_none()
}

fn has_two(t: &Tables<'_>, leaving: &Leaving<'_, '_>) -> bool {
    leaving.copies.iter().filter(|h| is_within_reach(t, h)).nth(1).is_some()
}

/// Where two copies of a slot are to leave, the wish changed while one was starting for the other: the
/// one that is of less use goes first, so that there are never three. True when one was told to.
fn make_way(t: &Tables<'_>, leaving: &Leaving<'_, '_>, draft: &mut Draft) -> bool {
    let within_reach = |h: &&Held<'_>| is_within_reach(t, h);
    let of_use = |h: &&Held<'_>| (h.task.serving(), h.task.id == leaving.best.task.id);
    let Some(kept) = leaving.copies.iter().filter(within_reach).max_by_key(of_use) else {
        return false;
    };
    let others = leaving.copies.iter().filter(within_reach).filter(|h| h.task.id != kept.task.id);
    let others: Vec<_> = others.collect();
    for held in &others {
        draft.stop(held.task.id, leaving.cause.clone());
    }
    !others.is_empty()
}

/// Stops the copies that go one by one, of services for which this plan makes no copy.
pub(crate) fn moves_left(t: &Tables<'_>, draft: &mut Draft) {
    for Deferred { group, task, cause } in std::mem::take(&mut draft.deferred) {
        if !draft.creates(t.groups[group].service.id) {
            draft.stop(task, cause);
        }
    }
}
