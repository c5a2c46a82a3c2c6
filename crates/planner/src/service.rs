//! One service, slot by slot: asks the questions of the other files in their order, and sorts what it
//! hears into changes, openings and reasons.

use crate::Reason;
use crate::draft::{Draft, Opening, slots};
use crate::jobs;
use crate::lost::{Standing, out_of_reach, settled, standing, watched_until};
use crate::pace;
use crate::restart::{gate, unhealthy};
use crate::rollout::{Leaving, Progress, turns};
use crate::scale::{Missing, wish};
use crate::standstill;
use crate::tables::{Group, Held, Stage, Tables, last_word};
use crate::together;
use model::{Availability, Cause, Readiness, TaskId, TaskState, Time, UpdateOrder, Wanted};
use std::cmp::Reverse;

/// Decides all of one service but the nodes of its new copies.
pub(crate) fn decide(t: &Tables<'_>, index: usize, draft: &mut Draft) {
    let g = &t.groups[index];
    if g.service.removed {
        for held in g.tasks.iter().filter(|h| h.task.live()) {
            draft.stop(held.task.id, Cause::Removed);
        }
        return;
    }
    let wish = wish(t, g);
    for (copies, cause) in &wish.surplus {
        give_up(g, copies, cause, draft);
    }
    if g.spec.mode.job() {
        return jobs::decide(t, index, wish, draft);
    }
    let missing: usize = wish.missing.iter().map(|m| 1 + m.more as usize).sum();
    let mut progress = Progress { slots: wish.kept.len() + missing, ..Progress::default() };
    let opened = draft.openings.len();
    for copies in wish.kept {
        keep(t, index, copies, &mut progress, draft);
    }
    for missing in &wish.missing {
        fill(t, index, missing, &mut progress, draft);
    }
    if pace::conclude(t, g, &progress, draft) {
        draft.openings.truncate(opened);
        return;
    }
    standstill::note(g, index, &progress, draft);
    turns(t, index, progress, draft);
}

/// Takes back the wish for every live task, and for the last one where it ended by itself, so that nothing
/// follows it. What a job has done stays done.
fn give_up(g: &Group<'_>, copies: &[Held<'_>], cause: &Cause, draft: &mut Draft) {
    let last = last_word(copies).map(|h| h.task.id).filter(|_| !g.spec.mode.job());
    for task in copies.iter().map(|h| h.task).filter(|task| task.wanted == Wanted::Run) {
        if task.live() || Some(task.id) == last {
            draft.stop(task.id, cause.clone());
        }
    }
}

/// A slot that stays: looks after its best task, and fills it when it has none.
pub(crate) fn keep<'g, 'a>(
    t: &Tables<'_>,
    index: usize,
    copies: &'g [Held<'a>],
    progress: &mut Progress<'g, 'a>,
    draft: &mut Draft,
) {
    let g = &t.groups[index];
    match copies {
        [held @ Held { stage: Stage::Calm, .. }] => return progress.rest(t, g, held, draft),
        [Held { stage: Stage::Starting, slot, .. }] => {
            progress.occupy(g, *slot, 1);
            progress.moving += 1;
            return;
        }
        _ => {}
    }
    let Some((best, standing)) = best(t, g, copies) else {
        let missing = Missing { slot: copies[0].slot, copies, more: 0 };
        return fill(t, index, &missing, progress, draft);
    };
    if let Some(with) = together::outlived(t, g, best) {
        progress.occupy(g, best.slot, 1);
        progress.moving += 1;
        return draft.stop(best.task.id, Cause::RestartedWith(with));
    }
    let ready = t.nodes[best.node].readiness == Readiness::Ready;
    if ready && best.task.state == TaskState::Running && !best.task.healthy {
        return ailing(t, g, best, progress, draft);
    }
    match standing {
        Standing::Leaving(cause) => progress.leave(g, Leaving { copies, best: *best, cause }),
        _ if settled(t, g, best) => {
            stop_others(t, g, copies, best.task.id, draft);
            progress.rest(t, g, best, draft);
        }
        _ => {
            progress.occupy(g, best.slot, 1);
            progress.moving += 1;
            if best.task.serving() {
                draft.wake(watched_until(g.spec_of(best.task), best.task));
            }
        }
    }
}

/// The task that speaks for its slot: one that may stay before one that is to leave, then the newest
/// generation, then the longest healthy, then the oldest.
fn best<'g, 'a>(
    t: &Tables<'_>,
    g: &Group<'_>,
    copies: &'g [Held<'a>],
) -> Option<(&'g Held<'a>, Standing)> {
    let within_reach = copies.iter().filter(|h| h.task.live()).filter_map(|h| {
        let standing = standing(t, g, h);
        (!matches!(standing, Standing::Absent(_))).then_some((h, standing))
    });
    within_reach.max_by_key(|(h, standing)| {
        let healthy_since = h.task.healthy_since.unwrap_or(Time(u64::MAX));
        let stays = *standing == Standing::Good;
        (stays, h.task.generation, Reverse(healthy_since), Reverse(h.task.id))
    })
}

/// A task that runs and fails its health check.
fn ailing(
    t: &Tables<'_>,
    g: &Group<'_>,
    best: &Held<'_>,
    progress: &mut Progress<'_, '_>,
    draft: &mut Draft,
) {
    if !g.current(best.task) {
        draft.stop(best.task.id, Cause::Update { generation: g.service.generation });
    } else if !unhealthy(t, g, best.task, draft) && pace::counts(g, best.task, t.now) {
        progress.stuck.insert(best.slot);
    }
    progress.occupy(g, best.slot, 1);
    progress.moving += 1;
}

/// Stops every other task of the slot that is within reach: the winner is well.
fn stop_others(
    t: &Tables<'_>,
    g: &Group<'_>,
    copies: &[Held<'_>],
    winner: TaskId,
    draft: &mut Draft,
) {
    for held in copies.iter().filter(|h| h.task.live() && h.task.id != winner) {
        match standing(t, g, held) {
            Standing::Absent(_) => {}
            Standing::Leaving(cause) => draft.stop(held.task.id, cause),
            Standing::Good => draft.stop(held.task.id, Cause::Duplicate(winner)),
        }
    }
}

/// A slot in which nothing counts: opens it, or says why it has to wait. Slots of which nothing is known are
/// opened as one, or wait for the same reason.
pub(crate) fn fill(
    t: &Tables<'_>,
    index: usize,
    missing: &Missing<'_, '_>,
    progress: &mut Progress<'_, '_>,
    draft: &mut Draft,
) {
    let g = &t.groups[index];
    let Missing { slot, copies, more } = *missing;
    let held_back = gate(t, g, slot, copies, draft)
        .filter(|reason| *reason != Reason::Completed || !together::is_missed(t, g, slot));
    let failing = held_back.as_ref().is_some_and(|reason| *reason != Reason::Completed);
    let reason = held_back.or_else(|| blocked(t, g, copies));
    let stopping = matches!(reason, Some(Reason::Stopping { .. }));
    let count = 1 + more as usize;
    if matches!(reason, Some(Reason::NotRestarted { .. } | Reason::GivenUp { .. })) {
        progress.stuck.insert(slot);
    }
    // An older copy that is out of reach does not hide that a newer one was tried.
    let ended =
        [last_word(copies), copies.last()].into_iter().flatten().any(|h| h.task.state.ended());
    let follows = ended && reason != Some(Reason::Completed) || is_updating(g, copies);
    // That its old copy is out of reach gives a replica no turn.
    progress.to_come |=
        reason != Some(Reason::Completed) && copies.last().is_some_and(|h| !g.fresh(h.task));
    if failing || stopping || follows {
        progress.occupy(g, slot, count);
    }
    progress.moving += count * usize::from(stopping);
    match reason {
        Some(reason) => {
            slots(slot, more).for_each(|slot| draft.wait(g.service.id, slot, reason.clone()));
        }
        None => draft.openings.push(Opening {
            group: index,
            slot,
            more,
            newest: copies.last().map(|h| h.task.id),
            cause: cause(t, g, copies),
            replaces: None,
        }),
    }
}

/// Whether a slot was emptied to be filled with the current generation. A copy out of reach does not tell.
fn is_updating(g: &Group<'_>, copies: &[Held<'_>]) -> bool {
    let newest = copies.iter().rev().find(|h| !h.task.live());
    newest.is_some_and(|h| h.task.wanted == Wanted::Stop && !g.fresh(h.task))
}

/// What of a slot's earlier tasks keeps a new one from starting: one that stops first and has not
/// stopped yet; one with data whose end nobody can confirm.
fn blocked(t: &Tables<'_>, g: &Group<'_>, copies: &[Held<'_>]) -> Option<Reason> {
    let of_slot = copies.iter().filter(|h| h.task.holds()).find_map(|held| {
        let node = t.nodes[held.node];
        let stateful = g.spec.stateful() || g.spec_of(held.task).stateful();
        if out_of_reach(t, node).is_some() {
            return stateful.then(|| unconfirmed(t, g, held));
        }
        (crate::rollout::order(g, held) == UpdateOrder::StopFirst)
            .then(|| Reason::Stopping { node: node.name.clone() })
    });
    of_slot.or_else(|| written_by_removed(t, g))
}

/// A task of a removed service that still writes to a volume that this one would write to: the project
/// was taken down and deployed again.
fn written_by_removed(t: &Tables<'_>, g: &Group<'_>) -> Option<Reason> {
    if !g.spec.stateful() {
        return None;
    }
    let removed =
        t.groups.iter().filter(|o| o.service.removed && o.service.project == g.service.project);
    removed.flat_map(|o| o.tasks.iter().map(move |h| (o, h))).find_map(|(o, held)| {
        let mut written = o.spec_of(held.task).writable_volumes();
        let shared =
            held.task.holds() && written.any(|v| g.spec.writable_volumes().any(|w| w == v));
        let node = t.nodes[held.node];
        shared.then(|| match out_of_reach(t, node) {
            Some(_) => unconfirmed(t, g, held),
            None => Reason::Stopping { node: node.name.clone() },
        })
    })
}

/// A task with data that is out of reach: names its volume and its node.
fn unconfirmed(t: &Tables<'_>, g: &Group<'_>, held: &Held<'_>) -> Reason {
    let node = t.nodes[held.node];
    let why = crate::place::closed(t, node).unwrap_or(crate::Why::Lost);
    let spec = if g.spec.stateful() { g.spec } else { g.spec_of(held.task) };
    let volume = spec.writable_volumes().next();
    match volume {
        Some(volume) => Reason::Home {
            volume: model::VolumeKey { project: g.service.project.clone(), volume: volume.clone() },
            node: node.name.clone(),
            why,
        },
        None => Reason::Stopping { node: node.name.clone() },
    }
}

/// Why a slot is filled.
fn cause(t: &Tables<'_>, g: &Group<'_>, copies: &[Held<'_>]) -> Cause {
    let mut absent = copies.iter().rev().filter(|h| h.task.live());
    if let Some(cause) = absent.find_map(|h| out_of_reach(t, t.nodes[h.node])) {
        return cause;
    }
    let Some(held) = last_word(copies) else { return Cause::Wanted };
    let (task, node) = (held.task, t.nodes[held.node]);
    let accounted = g.service.slots.get(&task.slot).is_some_and(|r| r.after == Some(task.id));
    if !g.current(task) {
        Cause::Update { generation: g.service.generation }
    } else if task.wanted == Wanted::Run {
        Cause::Ended(task.id)
    } else if let Some((_, with)) = g.renewed.filter(|_| !g.fresh(task)) {
        Cause::RestartedWith(with.clone())
    } else if accounted {
        Cause::Unhealthy(task.id)
    } else if node.availability == Availability::Drain {
        Cause::Drained(node.id)
    } else {
        Cause::Wanted
    }
}
