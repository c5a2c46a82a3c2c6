//! Roll-outs that stand still: nothing of one moves, because a replica waits for a place, or for a service that it
//! depends on and that is not on its way. One that has stood for as long as the settings allow fails, and what the file
//! says of failures follows. Where the wait comes of lost hosts alone, the release before would wait just as long: the
//! roll-out waits too, and goes on by itself when they are back.
//!
//! A file that says `failure_action: continue` is taken at its word: its roll-out waits, however long.

use crate::draft::Draft;
use crate::lost::out_of_reach;
use crate::pace;
use crate::rollout::Progress;
use crate::scale::tasks_in;
use crate::tables::{Group, Tables};
use crate::{Reason, Waiting};
use model::{Change, FailureAction, Phase, Rollout, Time};

/// A service whose roll-out is under way while none of its copies starts, stops or is watched.
pub(crate) struct Still {
    /// Index of the service in the tables.
    group: usize,
    /// Slots that there are to be.
    slots: usize,
}

/// Notes a roll-out of which nothing moves, before nodes are looked for.
pub(crate) fn note(g: &Group<'_>, index: usize, progress: &Progress<'_, '_>, draft: &mut Draft) {
    let forever = pace::policy(g).failure_action == Some(FailureAction::Continue);
    if pace::running(g).is_some() && !forever && progress.moving + progress.resting == 0 {
        draft.still.push(Still { group: index, slots: progress.slots });
    }
}

/// Ends those that have stood for too long. To be asked once nodes were looked for: what still waits is known then.
pub(crate) fn end(t: &Tables<'_>, draft: &mut Draft) {
    for Still { group, slots } in std::mem::take(&mut draft.still) {
        let g = &t.groups[group];
        let moves = draft.touches(g.service.id) || g.tasks.iter().any(|h| draft.stops(h.task.id));
        let Some(rollout) = pace::running(g).filter(|_| !moves) else { continue };
        let waiting: Vec<Waiting> = draft.waits_of(g.service.id).cloned().collect();
        let stuck: Vec<Waiting> =
            waiting.into_iter().filter(|w| is_stuck(t, g, w, draft)).collect();
        let Some(first) = stuck.first() else { continue };
        if stuck.iter().all(|w| is_lost(t, g, w)) {
            continue;
        }
        let deadline = last_move(t, g, rollout) + t.settings.standstill;
        if t.now < deadline {
            draft.wake(deadline);
            continue;
        }
        let has = if stuck.len() == 1 { "has" } else { "have" };
        let minutes = t.settings.standstill.as_secs() / 60;
        let reason = format!(
            "{} of {slots} replicas {has} waited for {minutes} min: {}",
            stuck.len(),
            first.reason
        );
        let step = pace::answer(t, g, rollout, reason);
        draft.push(Change::Rollout { service: g.service.id, moved: rollout.moved, step });
    }
}

/// Whether a replica that has run before waits for what does not come by itself. One that never ran keeps no
/// roll-out from its end.
fn is_stuck(t: &Tables<'_>, g: &Group<'_>, waiting: &Waiting, draft: &mut Draft) -> bool {
    if tasks_in(g, waiting.slot).is_empty() || pace::let_go(g, waiting.slot, false) {
        return false;
    }
    match &waiting.reason {
        Reason::BackingOff { .. }
        | Reason::Completed
        | Reason::NotRestarted { .. }
        | Reason::GivenUp { .. }
        | Reason::Turn { .. }
        | Reason::Stopping { .. } => false,
        Reason::Dependency { service, .. } => {
            t.neighbour(g.service, service).is_none_or(|other| !is_on_its_way(t, other, draft))
        }
        Reason::NoNode(_)
        | Reason::Pinned { .. }
        | Reason::Home { .. }
        | Reason::HomesApart { .. }
        | Reason::Condemned { .. }
        | Reason::Together { .. }
        | Reason::Beside { .. }
        | Reason::Unknown { .. } => true,
    }
}

/// Whether a service that another waits for starts, or has a roll-out of its own whose end tells.
fn is_on_its_way(t: &Tables<'_>, other: usize, draft: &mut Draft) -> bool {
    let rollout = t.groups[other].service.rollout.as_ref();
    rollout.is_some_and(|r| r.phase == Phase::Running) || draft.stands.comes_by_itself(t, other)
}

/// Whether a copy of a slot is out of reach, so that the slot would have to be filled in any generation.
fn is_lost(t: &Tables<'_>, g: &Group<'_>, waiting: &Waiting) -> bool {
    let mut copies = tasks_in(g, waiting.slot).iter().filter(|h| h.task.live());
    copies.any(|h| out_of_reach(t, t.nodes[h.node]).is_some())
}

/// When something of a roll-out moved last, or a node that holds some of it came or went.
fn last_move(t: &Tables<'_>, g: &Group<'_>, rollout: &Rollout) -> Time {
    let moves = g.tasks.iter().flat_map(|held| {
        let (task, node) = (held.task, t.nodes[held.node]);
        [Some(task.created), task.running_since, task.ended_at, Some(node.readiness_since)]
    });
    moves.flatten().fold(rollout.since, Time::max)
}
