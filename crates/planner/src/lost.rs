//! Which tasks no longer count: those whose node is lost or whose engine is out for long are out of
//! reach; those whose node is drained, does not satisfy the constraints any more, or whose generation
//! is old are to leave. Never says what takes their place.

use crate::draft::Draft;
use crate::place::satisfies;
use crate::tables::{Group, Held, Tables};
use model::{Availability, Cause, HealthCheck, Node, Readiness, ServiceSpec, Task, Time};
use std::time::Duration;

/// How long a copy without a health check must run before it is believed to be well, unless the file
/// says otherwise (`update_config.monitor`). One with a check is believed once that has passed.
const MONITOR: Duration = Duration::from_secs(2);

/// How a live task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts and may stay.
    Good,
    /// It counts, and another is to take its place.
    Leaving(Cause),
    /// It is out of reach and does not count. It keeps its wish to run: it may come back.
    Absent(Cause),
}

/// How a live task stands.
pub(crate) fn standing(t: &Tables<'_>, g: &Group<'_>, held: &Held<'_>) -> Standing {
    let node = t.nodes[held.node];
    if let Some(cause) = out_of_reach(t, node) {
        return Standing::Absent(cause);
    }
    if node.readiness == Readiness::Suspect {
        return Standing::Good;
    }
    if node.availability == Availability::Drain {
        return Standing::Leaving(Cause::Drained(node.id));
    }
    if !g.spec.placement.constraints.is_empty() && !satisfies(node, g.spec) {
        return Standing::Leaving(Cause::Constraint(node.id));
    }
    if !g.current(held.task) {
        return Standing::Leaving(Cause::Update { generation: g.service.generation });
    }
    match g.renewed {
        Some((_, with)) if !g.fresh(held.task) => {
            Standing::Leaving(Cause::RestartedWith(with.clone()))
        }
        _ => Standing::Good,
    }
}

/// Why tasks of a node do not count, if they do not.
pub(crate) fn out_of_reach(t: &Tables<'_>, node: &Node) -> Option<Cause> {
    if node.readiness == Readiness::Lost {
        return Some(Cause::NodeLost(node.id));
    }
    let since = node.engine_out_since?;
    (t.now >= since + t.settings.engine_out).then_some(Cause::EngineOut(node.id))
}

/// Whether a task is believed to be well: others of its slot may be stopped for it, and the next one's
/// turn has come.
pub(crate) fn settled(t: &Tables<'_>, g: &Group<'_>, held: &Held<'_>) -> bool {
    let watched = || t.now >= watched_until(g.spec_of(held.task), held.task);
    held.calm() || held.task.serving() && believed(t, t.nodes[held.node]) && watched()
}

/// Whether tasks on a node may be let be: it is believed, and is not to be emptied.
pub(crate) fn sound(t: &Tables<'_>, node: &Node) -> bool {
    believed(t, node) && node.availability != Availability::Drain
}

/// Whether a task on a sound node may stay there, so that it is let be once it is well. Whether one that is built
/// upon others may is for them to say.
pub(crate) fn stays(g: &Group<'_>, node: &Node, task: &Task) -> bool {
    g.upon.is_empty()
        && g.fresh(task)
        && (g.spec.placement.constraints.is_empty() || satisfies(node, g.spec))
}

/// Whether what a node says of its tasks is believed. What one that was lost said earlier is, once it is
/// heard steadily again.
fn believed(t: &Tables<'_>, node: &Node) -> bool {
    node.readiness == Readiness::Ready && node.facts.engine_ready && t.now >= heard_from(t, node)
}

/// When a task, if it stays healthy, will have been watched for long enough.
pub(crate) fn watched_until(spec: &ServiceSpec, task: &Task) -> Time {
    let Some(since) = task.healthy_since else { return Time(u64::MAX) };
    let checked = spec.container.healthcheck.as_ref().is_some_and(checks);
    let unless_said = if checked { Duration::ZERO } else { MONITOR };
    since + spec.update.monitor.unwrap_or(unless_said)
}

/// Whether a health check of the file checks anything.
fn checks(check: &HealthCheck) -> bool {
    check.test.first().is_some_and(|word| word != "NONE")
}

/// From when on a node that was lost has been heard for long enough to be believed.
pub(crate) fn heard_from(t: &Tables<'_>, node: &Node) -> Time {
    if node.flaps == 0 { Time::ZERO } else { node.readiness_since + t.settings.steady }
}

/// Asks to be woken when a node's condition changes by the mere passing of time.
pub(crate) fn wakes(t: &Tables<'_>, draft: &mut Draft) {
    for node in &t.nodes {
        if let Some(since) = node.engine_out_since {
            draft.wake(since + t.settings.engine_out);
        }
        if let Some(until) = node.away_until {
            draft.wake(until);
        }
        if node.flaps > 0 && node.readiness == Readiness::Ready {
            draft.wake(heard_from(t, node));
            draft.wake(node.trusted_from(t.settings.steady, t.settings.steady_max));
        }
    }
}
