//! Which generation, and how fast: copies that are to leave are replaced in an order and at a pace that
//! keeps the service up. A copy of an older generation waits for its turn, and no turn is given while a
//! new copy is not well. Never chooses a node.
//!
//! The position of a rollout is the state itself: slots whose newest task is of the current generation
//! have had their turn.

use crate::depends;
use crate::draft::{Deferred, Draft, Opening};
use crate::lost::{out_of_reach, settled};
use crate::restart::gate;
use crate::tables::{Group, Held, Tables};
use model::{Cause, UpdateOrder};

/// Slots of a service that may be between two generations at once.
const PARALLELISM: usize = 1;

/// A slot whose best task is to leave.
pub(crate) struct Leaving<'g, 'a> {
    pub(crate) copies: &'g [Held<'a>],
    pub(crate) best: Held<'a>,
    pub(crate) cause: Cause,
}

/// What moves in a service, gathered slot by slot.
#[derive(Default)]
pub(crate) struct Progress<'g, 'a> {
    /// Slots between two generations, and slots whose copy of the current generation is not well.
    pub(crate) busy: usize,
    /// Of these, slots in which a copy starts or stops.
    pub(crate) moving: usize,
    /// Slots to leave.
    pub(crate) leaving: Vec<Leaving<'g, 'a>>,
}

/// The order in which a copy is replaced: the stricter one of the old and the new spec. What others are
/// built upon stops first: they can be built upon one only.
pub(crate) fn order(g: &Group<'_>, held: &Held<'_>) -> UpdateOrder {
    match (g.spec.update_order(), g.spec_of(held.task).update_order()) {
        (UpdateOrder::StartFirst, UpdateOrder::StartFirst) if g.mates.is_empty() => {
            UpdateOrder::StartFirst
        }
        _ => UpdateOrder::StopFirst,
    }
}

/// Gives turns. A slot that had its turn goes on; those forced off their node go at once where nothing
/// is risked by it; the rest go one after the other, those that do not serve first.
pub(crate) fn turns(
    t: &Tables<'_>,
    index: usize,
    mut progress: Progress<'_, '_>,
    draft: &mut Draft,
) {
    let g = &t.groups[index];
    let (mut updates, forced): (Vec<_>, Vec<_>) =
        progress.leaving.drain(..).partition(|l| is_update(&l.cause));
    let begun: Vec<_> = updates.extract_if(.., |l| has_begun(g, l)).collect();
    progress.busy += begun.len();
    off_their_node(t, index, &progress, &forced, draft);
    updates.sort_by_key(|l| (l.best.task.serving(), l.best.task.slot));
    let turns = PARALLELISM.saturating_sub(progress.busy);
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
            Some(reason) => draft.wait(g.service.id, leaving.best.task.slot, reason.clone()),
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

/// Where two copies of a slot are to leave, the wish changed while one was starting for the other: the
/// one that is of less use goes first, so that there are never three. True when one was told to.
fn make_way(t: &Tables<'_>, leaving: &Leaving<'_, '_>, draft: &mut Draft) -> bool {
    let within_reach = |h: &&Held<'_>| h.task.live() && out_of_reach(t, t.nodes[h.node]).is_none();
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
