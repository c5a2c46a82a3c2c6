//! What is done once it ended well: each slot of a job runs until a task of the current generation ended
//! with exit code 0, and never again after that; a loss before it runs it elsewhere, unless it is to be
//! run once and its file rather waits. So many run at once as the job allows. Never chooses a node.
//!
//! That a slot is done is a field of the state (`SlotRecord::completed`), and stays when its node is removed.

use crate::Reason;
use crate::draft::Draft;
use crate::lost::out_of_reach;
use crate::restart::gate;
use crate::rollout::{Progress, turns};
use crate::scale::{Missing, Wish};
use crate::service::{fill, keep};
use crate::tables::{Group, Held, Tables};
use model::{Cause, Mode, NodeName, OnUnknown, Slot, Task};

/// A slot and its tasks.
type Copies<'g, 'a> = (Slot, &'g [Held<'a>]);

/// Decides all of one job but the nodes of its new copies.
pub(crate) fn decide(t: &Tables<'_>, index: usize, wish: Wish<'_, '_>, draft: &mut Draft) {
    let g = &t.groups[index];
    let kept = wish.kept.into_iter().map(|copies| (copies[0].slot, copies));
    let missing = wish.missing.iter().map(|missing| (missing.slot, missing.copies));
    let mut slots: Vec<Copies<'_, '_>> = kept.chain(missing).collect();
    slots.sort_by_key(|(slot, _)| *slot);
    let (done, open): (Vec<_>, Vec<_>) =
        slots.into_iter().partition(|(slot, copies)| done(g, *slot, copies));
    for (slot, copies) in done {
        finish(t, g, slot, copies, draft);
    }
    let old = |h: &&Held<'_>| h.task.live() && !g.current(h.task);
    for held in open.iter().flat_map(|(_, copies)| copies.iter()).filter(old) {
        draft.stop(held.task.id, Cause::Update { generation: g.service.generation });
    }
    let (running, rest): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|(_, copies)| copies.iter().any(|h| is_up(t, g, h)));
    let mut progress = Progress::default();
    // What is to be run once is not taken off its node half-way.
    for &(_, copies) in running.iter().filter(|_| g.spec.once.is_none()) {
        keep(t, index, copies, &mut progress, draft);
    }
    start(t, index, running.len(), &rest, &mut progress, draft);
    turns(t, index, progress, draft);
}

/// Fills slots in their order as long as more may run.
fn start<'g, 'a>(
    t: &Tables<'_>,
    index: usize,
    running: usize,
    rest: &[Copies<'g, 'a>],
    progress: &mut Progress<'g, 'a>,
    draft: &mut Draft,
) {
    let g = &t.groups[index];
    let most = match g.spec.mode {
        Mode::ReplicatedJob { concurrent: Some(most), .. } => most.max(1),
        _ => u32::MAX,
    };
    let opened = draft.openings.len();
    for &(slot, copies) in rest {
        if let Some(node) = unknown(t, g, copies) {
            draft.wait(g.service.id, slot, Reason::Unknown { node });
        } else if running + draft.openings.len() - opened < most as usize {
            fill(t, index, &Missing { slot, copies, more: 0 }, progress, draft);
        } else {
            draft.wait(g.service.id, slot, Reason::Turn { most });
        }
    }
}

/// Of what is to be run once: the node out of reach on which it may run, or may have ended.
fn unknown(t: &Tables<'_>, g: &Group<'_>, copies: &[Held<'_>]) -> Option<NodeName> {
    let waits = g.spec.once.as_ref().is_some_and(|once| once.on_unknown == OnUnknown::Wait);
    let lost = |h: &&Held<'_>| h.task.holds() && out_of_reach(t, t.nodes[h.node]).is_some();
    let held = copies.iter().filter(|_| waits).find(lost)?;
    Some(t.nodes[held.node].name.clone())
}

/// Whether a task runs, or is about to, where it is to be.
fn is_up(t: &Tables<'_>, g: &Group<'_>, held: &Held<'_>) -> bool {
    held.calm()
        || held.live() && g.current(held.task) && out_of_reach(t, t.nodes[held.node]).is_none()
}

/// Whether a slot's work is done: a task of the current generation ended well.
pub(crate) fn done(g: &Group<'_>, slot: Slot, copies: &[Held<'_>]) -> bool {
    let recorded = || g.service.slots.get(&slot).is_some_and(|r| r.completed);
    copies.iter().any(|h| ended_well(g, h.task)) || recorded()
}

/// Whether it is this task that says that its slot of a job is done.
pub(crate) fn is_done_by(g: &Group<'_>, task: &Task) -> bool {
    g.spec.mode.job() && ended_well(g, task)
}

fn ended_well(g: &Group<'_>, task: &Task) -> bool {
    g.current(task) && task.completed()
}

/// A slot that is done: its end is accounted for, and a copy that was made while the one that did it was
/// out of reach is stopped.
fn finish(t: &Tables<'_>, g: &Group<'_>, slot: Slot, copies: &[Held<'_>], draft: &mut Draft) {
    gate(t, g, slot, copies, draft);
    let by = copies.iter().find(|h| ended_well(g, h.task)).map(|h| h.task.id);
    for held in copies.iter().filter(|h| h.task.live()) {
        draft.stop(held.task.id, Cause::Duplicate(by.unwrap_or(held.task.id)));
    }
    draft.wait(g.service.id, slot, Reason::Completed);
}
