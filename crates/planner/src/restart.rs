//! What ended, and when it may come back: accounts for tasks that ended by themselves or are unhealthy,
//! with a back-off that doubles per failure in a row, and says which slots must not be filled yet.
//!
//! What is remembered of a slot lives in the state (`SlotRecord`), so a new leader goes on with it. A new
//! generation starts with a clean record.

use crate::Reason;
use crate::draft::Draft;
use crate::pace;
use crate::tables::{Group, Held, Tables, last_word};
use model::{
    Change, NodeId, RestartCondition, RestartPolicy, Slot, SlotRecord, Task, TaskState, Time,
    Wanted,
};
use std::time::Duration;

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Shortest wait from the second failure in a row on, whatever the file says.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Failures in a row on one node after which another node is tried.
pub(crate) const FAILURES_PER_NODE: u32 = 3;

/// Accounts for every task of the slot that ended by itself and is not accounted for, then says what
/// keeps the slot from being filled, if anything.
pub(crate) fn gate(
    t: &Tables<'_>,
    g: &Group<'_>,
    slot: Slot,
    copies: &[Held<'_>],
    draft: &mut Draft,
) -> Option<Reason> {
    let mut record = g.service.slots.get(&slot).cloned().unwrap_or_default();
    for task in copies.iter().map(|h| h.task) {
        let itself = task.state.ended() && task.wanted == Wanted::Run && g.current(task);
        if itself && record.after < Some(task.id) {
            let at = task.ended_at.unwrap_or(t.now);
            account(g, &mut record, task, at, draft);
        }
    }
    let last = copies.iter().map(|h| h.task).find(|task| record.after == Some(task.id));
    let emptied = last_word(copies).is_some_and(|h| h.task.wanted == Wanted::Stop);
    if record.given_up && !emptied {
        return Some(given_up(g, &record, last));
    }
    if record.not_before > t.now {
        draft.wake(record.not_before);
        return Some(Reason::BackingOff {
            left: record.not_before.since(t.now),
            failures: record.failures,
            last: last.map(ended),
        });
    }
    None
}

/// Tells an unhealthy task to stop and accounts for it as a failure, unless its policy would not bring
/// it back: then it is better than nothing and stays. False when it stays.
pub(crate) fn unhealthy(t: &Tables<'_>, g: &Group<'_>, task: &Task, draft: &mut Draft) -> bool {
    let mut record = g.service.slots.get(&task.slot).cloned().unwrap_or_default();
    let accounted = record.after >= Some(task.id);
    let failures = failures_after(&record, task, t.now, g.spec.restart.window);
    let over = g.spec.restart_condition() == RestartCondition::Never
        || g.spec.restart.max_attempts.is_some_and(|most| failures > most);
    if over && !accounted {
        return false;
    }
    if !accounted {
        account(g, &mut record, task, t.now, draft);
    }
    draft.wake(record.not_before);
    draft.stop(task.id, model::Cause::Unhealthy(task.id));
    true
}

/// Writes down the end, or the failing health, of one task.
fn account(g: &Group<'_>, record: &mut SlotRecord, task: &Task, at: Time, draft: &mut Draft) {
    let policy = &g.spec.restart;
    let completed = task.state == TaskState::Exited { code: 0 };
    let failures = failures_after(record, task, at, policy.window);
    let give_up = match g.spec.restart_condition() {
        RestartCondition::Never => true,
        RestartCondition::OnFailure if completed => true,
        _ => policy.max_attempts.is_some_and(|most| failures > most),
    };
    let failed_here = if completed {
        0
    } else if failures == 1 {
        1
    } else {
        record.failed_on.get(&task.node).copied().unwrap_or(0) + 1
    };
    record.after = Some(task.id);
    record.failures = failures;
    record.given_up = give_up;
    record.completed = completed;
    record.not_before = at + back_off(policy, failures);
    draft.push(Change::Account {
        service: g.service.id,
        slot: task.slot,
        task: task.id,
        failures,
        restart: !give_up,
        not_before: record.not_before,
        give_up,
        failed_here,
        against_rollout: !(completed && give_up) && pace::counts(g, task, at),
    });
}

/// Ends in a row, this one included: a run as long as the policy's window starts the count anew.
fn failures_after(record: &SlotRecord, task: &Task, at: Time, window: Duration) -> u32 {
    let stable = task.running_since.is_some_and(|since| at.since(since) >= window);
    if stable { 1 } else { record.failures.saturating_add(1) }
}

/// How long to wait after the given number of ends in a row.
fn back_off(policy: &RestartPolicy, failures: u32) -> Duration {
    if failures <= 1 {
        return policy.delay;
    }
    let doubled = policy.delay.max(SHORTEST_WAIT).saturating_mul(1 << (failures - 1).min(16));
    doubled.min(LONGEST_WAIT.max(policy.delay))
}

fn given_up(g: &Group<'_>, record: &SlotRecord, last: Option<&Task>) -> Reason {
    let completed =
        record.completed || last.is_some_and(|n| n.state == TaskState::Exited { code: 0 });
    let most = g.spec.restart.max_attempts;
    let tried_enough = most.is_some_and(|most| record.failures > most);
    let last = last.map(ended);
    match g.spec.restart_condition() {
        RestartCondition::Never if !completed => Reason::NotRestarted { last },
        _ if tried_enough && !completed => Reason::GivenUp { restarts: record.restarts, last },
        _ => Reason::Completed,
    }
}

fn ended(task: &Task) -> String {
    if task.state.ended() { task.state.to_string() } else { "unhealthy".to_owned() }
}

/// How often the slot has failed on a node, in whole tries of that node: nodes with fewer go first.
pub(crate) fn tries(record: Option<&SlotRecord>, node: NodeId) -> u32 {
    record.and_then(|r| r.failed_on.get(&node)).map_or(0, |n| n / FAILURES_PER_NODE)
}
