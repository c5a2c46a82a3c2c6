//! What may be forgotten: ended tasks beyond a number per slot or beyond an age, all of a removed
//! service, and the service itself when it is empty. The newest task of a slot stays when it ended by
//! itself: it is what says that the slot completed, or was given up.

use crate::draft::Draft;
use crate::tables::{Group, Held, Tables};
use model::limits::{ENDED_TASK_KEPT, ENDED_TASKS_PER_SLOT};
use model::{Change, Wanted};

/// Forgets what may be forgotten.
pub(crate) fn ended(t: &Tables<'_>, draft: &mut Draft) {
    for g in &t.groups {
        if g.service.removed {
            removed(g, draft);
            continue;
        }
        if g.tasks.iter().any(|h| h.task.state.ended()) {
            g.slots().for_each(|copies| slot(t, copies, draft));
        }
    }
}

fn removed(g: &Group<'_>, draft: &mut Draft) {
    for held in g.tasks.iter().filter(|h| h.task.state.ended()) {
        draft.push(Change::Forget { task: held.task.id });
    }
    if g.tasks.iter().all(|h| h.task.state.ended()) {
        draft.push(Change::Drop { service: g.service.id });
    }
}

fn slot(t: &Tables<'_>, copies: &[Held<'_>], draft: &mut Draft) {
    let newest = copies.last().map(|h| h.task.id);
    let ended = copies.iter().rev().map(|h| h.task).filter(|task| task.state.ended());
    for (place, task) in ended.enumerate() {
        if Some(task.id) == newest && task.wanted == Wanted::Run {
            continue;
        }
        let until = task.ended_at.unwrap_or(task.created) + ENDED_TASK_KEPT;
        if place >= ENDED_TASKS_PER_SLOT || t.now >= until {
            draft.push(Change::Forget { task: task.id });
        } else {
            draft.wake(until);
        }
    }
}
