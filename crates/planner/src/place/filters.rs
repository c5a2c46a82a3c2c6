//! Who may: plain functions in arrays, each of which refuses a node or has nothing against it. The same
//! functions admit and explain.

use super::ask::Ask;
use super::room::Room;
use crate::Why;
use crate::lost::heard_from;
use crate::tables::Tables;
use model::limits::TASKS_PER_NODE;
use model::{Availability, Constraint, ConstraintKey, Node, Readiness, ServiceSpec};
use std::sync::Arc;

/// Refuses a node to everything new, or has nothing against it.
type Gate = fn(&Tables<'_>, &Node) -> Option<Why>;

/// What closes a node to what could go elsewhere.
const CLOSED: [Gate; 6] = [silent, drained_or_paused, away, engine_out, unsteady, disk_pressure];

/// What closes a node to what can go nowhere else.
const CLOSED_TO_BOUND: [Gate; 6] =
    [silent, drained_or_paused, away, engine_out, unheard, disk_pressure];

/// Refuses the node at an index, or has nothing against it.
type Filter = fn(&Ask<'_, '_>, &Room<'_>, usize) -> Option<Why>;

/// What closes a node to one service, whatever the slot.
const UNFIT: [Filter; 7] = [constraint, max_replicas, host_port, cpus, memory, full, no_addresses];

/// Why a node takes nothing that could go elsewhere, if it does not.
pub(crate) fn closed(t: &Tables<'_>, node: &Node) -> Option<Why> {
    CLOSED.iter().find_map(|filter| filter(t, node))
}

/// Why a node does not take another copy, if it does not.
pub(crate) fn refusal(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    match &room.rows[node].closed {
        Some(why) => Some(why.clone()),
        None => unfit(ask, room, node),
    }
}

/// Why a node does not take a copy that can go nowhere else, if it does not. The longer wait of a node
/// that is lost again and again keeps others away from it; this one would only be down for longer.
pub(crate) fn refusal_of_bound(
    t: &Tables<'_>,
    ask: &Ask<'_, '_>,
    room: &Room<'_>,
    node: usize,
) -> Option<Why> {
    let closed = CLOSED_TO_BOUND.iter().find_map(|filter| filter(t, room.nodes[node]));
    closed.or_else(|| unfit(ask, room, node))
}

fn unfit(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    UNFIT.iter().find_map(|filter| filter(ask, room, node))
}

/// Why a node that takes a copy does not take those that belong to it too, if it does not.
pub(crate) fn refusal_of_group(
    t: &Tables<'_>,
    ask: &Ask<'_, '_>,
    room: &Room<'_>,
    mates: &[usize],
    node: usize,
) -> Option<Why> {
    let (row, on) = (&room.rows[node], room.nodes[node]);
    let (mut need, mut cpus) = (0, 0);
    for g in std::iter::once(ask.g).chain(mates.iter().map(|mate| &t.groups[*mate])) {
        if let Some(broken) = g.spec.placement.constraints.iter().find(|c| !holds(on, c)) {
            return Some(Why::Constraint { rule: rule(broken) });
        }
        let taken = |p: &&model::Port| row.ports.contains(&(p.published, p.protocol));
        if let Some(port) = g.spec.host_ports().find(taken) {
            return Some(Why::Port { port: port.published });
        }
        need += g.spec.resources.reserved_memory;
        cpus += g.spec.resources.reserved_milli_cpus;
    }
    if cpus > row.milli_cpus {
        return Some(Why::Cpus { need: cpus, free: row.milli_cpus });
    }
    (need > row.memory).then_some(Why::Memory { need, free: row.memory })
}

/// Whether a node takes another copy.
pub(crate) fn admit(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> bool {
    refusal(ask, room, node).is_none()
}

fn silent(_: &Tables<'_>, node: &Node) -> Option<Why> {
    match node.readiness {
        Readiness::Ready => None,
        Readiness::Suspect => Some(Why::Suspect),
        Readiness::Lost => Some(Why::Lost),
    }
}

fn drained_or_paused(_: &Tables<'_>, node: &Node) -> Option<Why> {
    match node.availability {
        Availability::Active => None,
        Availability::Pause => Some(Why::Paused),
        Availability::Drain => Some(Why::Drained),
    }
}

fn away(t: &Tables<'_>, node: &Node) -> Option<Why> {
    node.away(t.now).then_some(Why::Away)
}

fn engine_out(_: &Tables<'_>, node: &Node) -> Option<Why> {
    (!node.facts.engine_ready).then_some(Why::EngineOut)
}

fn unsteady(t: &Tables<'_>, node: &Node) -> Option<Why> {
    let from = node.trusted_from(t.settings.steady, t.settings.steady_max);
    (t.now < from).then_some(Why::Unsteady)
}

fn unheard(t: &Tables<'_>, node: &Node) -> Option<Why> {
    (t.now < heard_from(t, node)).then_some(Why::Unsteady)
}

fn disk_pressure(_: &Tables<'_>, node: &Node) -> Option<Why> {
    node.facts.disk_pressure.then_some(Why::DiskPressure)
}

fn constraint(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    let constraints = &ask.g.spec.placement.constraints;
    let broken = constraints.iter().position(|c| !holds(room.nodes[node], c))?;
    Some(Why::Constraint { rule: Arc::clone(&ask.rules[broken]) })
}

fn max_replicas(ask: &Ask<'_, '_>, _: &Room<'_>, node: usize) -> Option<Why> {
    let most = ask.g.spec.placement.max_replicas_per_node?;
    (ask.own(node) >= most).then_some(Why::MaxReplicas { most })
}

fn host_port(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    let taken = |port: &&model::Port| {
        room.rows[node].ports.contains(&(port.published, port.protocol))
            || room.nodes[node].facts.busy_ports.contains(&port.published)
    };
    ask.g.spec.host_ports().find(taken).map(|p| Why::Port { port: p.published })
}

fn cpus(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    let (need, free) = (ask.g.spec.resources.reserved_milli_cpus, room.rows[node].milli_cpus);
    (need > free).then_some(Why::Cpus { need, free })
}

/// What is reserved counts against what the node has; what reserves nothing is judged by what is
/// really left.
fn memory(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    let (need, free) = match ask.g.spec.resources.reserved_memory {
        0 => (ask.charge, room.rows[node].memory_left),
        reserved => (reserved, room.rows[node].memory),
    };
    (need > free).then_some(Why::Memory { need, free })
}

fn full(_: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Option<Why> {
    (room.rows[node].tasks >= TASKS_PER_NODE).then_some(Why::Full { most: TASKS_PER_NODE })
}

fn no_addresses(ask: &Ask<'_, '_>, _: &Room<'_>, node: usize) -> Option<Why> {
    ask.unaddressed.get(node).copied().unwrap_or_default().then_some(Why::NoAddresses)
}

/// Whether a node satisfies all constraints of a spec.
pub(crate) fn satisfies(node: &Node, spec: &ServiceSpec) -> bool {
    spec.placement.constraints.iter().all(|c| holds(node, c))
}

fn holds(node: &Node, constraint: &Constraint) -> bool {
    let value = constraint.value.as_str();
    let same = match &constraint.key {
        ConstraintKey::Id => node.id.to_string() == value,
        ConstraintKey::Hostname => node.name.as_str() == value,
        ConstraintKey::Role => node.role.to_string() == value,
        ConstraintKey::Os => node.facts.os == value,
        ConstraintKey::Arch => node.facts.arch == value,
        ConstraintKey::Label(key) => node.labels.get(key).is_some_and(|v| v == value),
    };
    same == constraint.equal
}

/// A constraint as people write it.
pub(crate) fn rule(constraint: &Constraint) -> Arc<str> {
    let key = match &constraint.key {
        ConstraintKey::Id => "node.id",
        ConstraintKey::Hostname => "node.hostname",
        ConstraintKey::Role => "node.role",
        ConstraintKey::Os => "node.platform.os",
        ConstraintKey::Arch => "node.platform.arch",
        ConstraintKey::Label(key) => &format!("node.labels.{key}"),
    };
    let operator = if constraint.equal { "==" } else { "!=" };
    format!("{key} {operator} {}", constraint.value).into()
}
