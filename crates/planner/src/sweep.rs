//! What may be forgotten: ended tasks beyond a number per slot or beyond an age, all of a removed
//! service, and the service itself when it is empty. The last task of a slot stays when it ended by
//! itself: it is what says that the slot completed, or was given up. So does the one that did a job.

use crate::draft::Draft;
use crate::jobs;
use crate::tables::{Group, Held, Tables, last_word};
use model::limits::{ENDED_TASK_KEPT, ENDED_TASKS_PER_SLOT};
use model::{Change, Task, TaskId, Wanted};

/// Forgets what may be forgotten.
pub(crate) fn ended(t: &Tables<'_>, draft: &mut Draft) {
    for g in &t.groups {
        if g.service.removed {
            removed(g, draft);
            continue;
        }
        if g.service.one_off {
            one_off(t, g, draft);
        } else if g.tasks.iter().any(|h| !h.holds()) {
            let slots = g.slots().filter(|copies| copies.iter().any(|h| !h.holds()));
            slots.for_each(|copies| slot(t, g, copies, draft));
        }
    }
}

fn removed(g: &Group<'_>, draft: &mut Draft) {
    for held in g.tasks.iter().filter(|h| !h.holds()) {
        draft.push(Change::Forget { task: held.task.id });
    }
    if g.tasks.iter().all(|h| !h.holds()) {
        draft.push(Change::Drop { service: g.service.id });
    }
}

/// What was run once, and was not taken away by who ran it, goes as a whole when it is old.
fn one_off(t: &Tables<'_>, g: &Group<'_>, draft: &mut Draft) {
    let newest = g.tasks.iter().filter_map(|h| h.task.ended_at).max();
    let Some(ended) = newest.filter(|_| g.tasks.iter().all(|h| !h.holds())) else { return };
    if t.now >= ended + ENDED_TASK_KEPT {
        removed(g, draft);
    } else {
        draft.wake(ended + ENDED_TASK_KEPT);
    }
}

fn slot(t: &Tables<'_>, g: &Group<'_>, copies: &[Held<'_>], draft: &mut Draft) {
    let last = last_word(copies).map(|h| h.task.id);
    let mut ended: Vec<&Task> =
        copies.iter().map(|h| h.task).filter(|task| task.state.ended()).collect();
    ended.sort_by_key(|task| (task.ended_at, task.id));
    let beyond = ended.len().saturating_sub(ENDED_TASKS_PER_SLOT);
    for (place, task) in ended.into_iter().enumerate() {
        if jobs::is_done_by(g, task) {
            continue;
        }
        let until = task.ended_at.unwrap_or(task.created) + ENDED_TASK_KEPT;
        if place < beyond || (t.now >= until && !says_it_all(task, last)) {
            draft.push(Change::Forget { task: task.id });
        } else {
            draft.wake(until);
        }
    }
}

fn says_it_all(task: &Task, last: Option<TaskId>) -> bool {
    Some(task.id) == last && task.wanted == Wanted::Run
}
