//! With whom: services whose containers are built upon each other have copy `k` of each on one node. What
//! others are built upon starts first; they follow to its node, and are made anew when it is.
//!
//! Never chooses a count, and a node only where another has chosen it.

use crate::Reason;
use crate::lost::{Standing, out_of_reach, standing};
use crate::place::Room;
use crate::scale::tasks_in;
use crate::tables::{Group, Held, Tables};
use model::{DependencyCondition, ServiceName, Slot, Wanted};

/// Notes for each service upon which it is built and which belong together with it.
pub(crate) fn note_mates(t: &mut Tables<'_>) {
    let upon = |g: &Group<'_>| -> Vec<usize> {
        let shares = g.spec.shares_with.iter().filter(|_| !g.service.removed);
        shares.filter_map(|share| t.neighbour(g.service, &share.service)).collect()
    };
    let upon: Vec<Vec<usize>> = t.groups.iter().map(upon).collect();
    if upon.iter().all(Vec::is_empty) {
        return;
    }
    // The least index of a group stands for it.
    let mut least: Vec<usize> = (0..upon.len()).collect();
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for (group, others) in upon.iter().enumerate() {
            for other in others {
                let both = least[group].min(least[*other]);
                moved |= least[group] != both || least[*other] != both;
                (least[group], least[*other]) = (both, both);
            }
        }
    }
    for (group, upon) in upon.into_iter().enumerate() {
        let same = |other: &usize| least[*other] == least[group] && *other != group;
        t.groups[group].mates = (0..least.len()).filter(same).collect();
        t.groups[group].upon = upon;
    }
}

/// The task of a slot that others may be built upon: the newest that lives within reach, else the last that
/// ended there by itself, where none comes after it.
fn base<'g, 'a>(t: &Tables<'_>, g: &'g Group<'a>, slot: Slot) -> Option<&'g Held<'a>> {
    let copies = tasks_in(g, slot);
    let within_reach = |h: &&Held<'_>| out_of_reach(t, t.nodes[h.node]).is_none();
    let live = copies.iter().filter(within_reach).filter(|h| h.task.live());
    let stays = || {
        g.service.slots.get(&slot).filter(|record| record.given_up)?;
        let ended = |h: &&Held<'_>| {
            h.task.state.ended() && h.task.wanted == Wanted::Run && g.current(h.task)
        };
        let all = copies.iter().filter(within_reach).filter(ended);
        all.max_by_key(|h| (h.task.ended_at, h.task.id))
    };
    live.max_by_key(|h| h.task.id).or_else(stays)
}

/// The service that a task is built upon whose own task was made later, if there is one: what it uses is gone.
pub(crate) fn outlived(t: &Tables<'_>, g: &Group<'_>, held: &Held<'_>) -> Option<ServiceName> {
    let newer = |other: &&usize| {
        let base = base(t, &t.groups[**other], held.slot);
        base.is_some_and(|b| b.task.id > held.task.id || b.node != held.node)
    };
    g.upon.iter().find(newer).map(|other| t.groups[*other].service.name.clone())
}

/// Whether others are built upon a slot that has completed, and what it left behind is out of reach.
pub(crate) fn is_missed(t: &Tables<'_>, g: &Group<'_>, slot: Slot) -> bool {
    let built_upon = || {
        let own = t.group_of(g.service.id);
        g.mates.iter().any(|mate| t.groups[*mate].upon.iter().any(|u| Some(*u) == own))
    };
    let left = |h: &Held<'_>| {
        h.task.completed() && g.current(h.task) && out_of_reach(t, t.nodes[h.node]).is_none()
    };
    !g.mates.is_empty() && built_upon() && !tasks_in(g, slot).iter().any(left)
}

/// What a copy waits for before it can be built, if anything: each that it is built upon was started.
pub(crate) fn before_start(t: &Tables<'_>, g: &Group<'_>, slot: Slot) -> Option<Reason> {
    let there = |other: usize| {
        base(t, &t.groups[other], slot).is_some_and(|b| b.task.begun() || b.task.state.ended())
    };
    let missing = g.upon.iter().find(|other| !there(**other))?;
    let service = t.groups[*missing].service.name.clone();
    Some(Reason::Dependency { service, condition: DependencyCondition::Started })
}

/// The node that a copy has to go to, and beside which service: what it is built upon, or what this plan has
/// placed.
pub(crate) fn bound_to(
    t: &Tables<'_>,
    room: &Room<'_>,
    g: &Group<'_>,
    slot: Slot,
) -> Option<(ServiceName, usize)> {
    let below = g.upon.iter().find_map(|o| base(t, &t.groups[*o], slot).map(|b| (*o, b.node)));
    let placed = || g.mates.iter().find_map(|m| Some((*m, *room.slots.get(&(*m, slot))?)));
    let (other, node) = below.or_else(placed)?;
    Some((t.groups[other].service.name.clone(), node))
}

/// The node of another one of the group whose copy may stay where it is: the first choice, because that one
/// need not move then.
pub(crate) fn staying(t: &Tables<'_>, g: &Group<'_>, slot: Slot) -> Option<usize> {
    g.mates.iter().find_map(|mate| {
        let mate = &t.groups[*mate];
        let stays = |h: &&Held<'_>| h.task.live() && standing(t, mate, h) == Standing::Good;
        tasks_in(mate, slot).iter().find(stays).map(|h| h.node)
    })
}

/// The others of the group that this plan has not placed for a slot.
pub(crate) fn lacking(room: &Room<'_>, g: &Group<'_>, slot: Slot) -> Vec<usize> {
    g.mates.iter().copied().filter(|mate| !room.slots.contains_key(&(*mate, slot))).collect()
}
