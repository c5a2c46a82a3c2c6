//! How many copies, and which: slots that stay, slots that are too many, slots that are missing. Scaling
//! down takes away what does not run well first, then what unbalances most. Never chooses a node.

use crate::lost::{Standing, standing};
use crate::place::satisfies;
use crate::tables::{Group, Held, Tables, last_word};
use model::{Availability, Cause, Mode, Node, Readiness, Slot, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// Which slots of a service there are to be.
#[derive(Default)]
pub(crate) struct Wish<'g, 'a> {
    /// They have a task that counts, or one whose end is to be answered.
    pub(crate) kept: Vec<&'g [Held<'a>]>,
    /// They are too many.
    pub(crate) surplus: Vec<(&'g [Held<'a>], Cause)>,
    /// They have to be filled.
    pub(crate) missing: Vec<Missing<'g, 'a>>,
}

/// A slot to be filled, or several of which nothing is known.
#[derive(Clone, Copy)]
pub(crate) struct Missing<'g, 'a> {
    pub(crate) slot: Slot,
    /// What tasks it has.
    pub(crate) copies: &'g [Held<'a>],
    /// So many slots with the numbers that follow are missing too, and none of them all has tasks or a
    /// record. None where it counts which numbers there are.
    pub(crate) more: u32,
}

/// Which slots of a service there are to be.
pub(crate) fn wish<'g, 'a>(t: &Tables<'a>, g: &'g Group<'a>) -> Wish<'g, 'a> {
    match g.spec.mode {
        Mode::Global | Mode::GlobalJob => each_node(t, g),
        Mode::ReplicatedJob { .. } => each_number(g),
        Mode::Replicated { .. } if !g.mates.is_empty() => each_number(g),
        Mode::Replicated { .. } => a_number(t, g),
    }
}

/// Whether a slot is in use: a task of it is wanted, or ended by itself.
fn in_use(copies: &[Held<'_>]) -> bool {
    let ended_itself = || last_word(copies).is_some_and(|h| h.task.wanted == Wanted::Run);
    copies.iter().any(Held::live) || ended_itself()
}

fn a_number<'g, 'a>(t: &Tables<'a>, g: &'g Group<'a>) -> Wish<'g, 'a> {
    let mut wish = Wish::default();
    let mut returning: Vec<&[Held<'a>]> = Vec::new();
    for copies in g.slots() {
        match (copies[0].slot, in_use(copies)) {
            (Slot::Node(_), true) => wish.surplus.push((copies, Cause::ScaledDown)),
            (Slot::Number(_), true) => wish.kept.push(copies),
            (Slot::Number(_), false) if is_returning(g, copies) => returning.push(copies),
            _ => {}
        }
    }
    let scale = g.service.scale as usize;
    if wish.kept.len() > scale {
        let victims = too_many(t, g, &wish.kept, wish.kept.len() - scale);
        let (gone, kept): (Vec<_>, Vec<_>) =
            wish.kept.iter().partition(|c| victims.contains(&c[0].slot));
        wish.kept = kept;
        wish.surplus.extend(gone.into_iter().map(|c| (c, Cause::ScaledDown)));
    }
    fill(g, scale, &returning, &mut wish);
    wish
}

/// Whether an unused slot was emptied only to be filled again: its task was unhealthy, is still
/// stopping, or was of an older generation. Such slots keep their number where they can.
fn is_returning(g: &Group<'_>, copies: &[Held<'_>]) -> bool {
    let Some(last) = last_word(copies).map(|h| h.task) else { return false };
    let record = g.service.slots.get(&last.slot);
    record.is_some_and(|r| r.after == Some(last.id)) || !last.state.ended() || !g.fresh(last)
}

/// Fills up to `scale` slots: those that are returning, then the smallest free numbers.
fn fill<'g, 'a>(
    g: &'g Group<'a>,
    scale: usize,
    returning: &[&'g [Held<'a>]],
    wish: &mut Wish<'g, 'a>,
) {
    let lacking = scale.saturating_sub(wish.kept.len());
    if lacking == 0 {
        return;
    }
    let returning = &returning[..returning.len().min(lacking)];
    let one = |copies: &&'g [Held<'a>]| Missing { slot: copies[0].slot, copies, more: 0 };
    wish.missing.extend(returning.iter().map(one));
    let taken = wish.kept.iter().chain(returning).map(|copies| copies[0].slot);
    let mut taken: Vec<Slot> = taken.collect();
    if !returning.is_empty() {
        taken.sort();
    }
    let mut lacking = (lacking - returning.len()) as u32;
    let (mut next, mut taken) = (1, taken.into_iter().peekable());
    for (number, copies) in known(g) {
        push_free(next, number - next, &mut lacking, wish);
        if lacking == 0 {
            return;
        }
        next = number + 1;
        let slot = Slot::Number(number);
        if taken.next_if_eq(&slot).is_none() {
            wish.missing.push(Missing { slot, copies, more: 0 });
            lacking -= 1;
        }
    }
    push_free(next, u32::MAX - next, &mut lacking, wish);
}

/// Fills slots of which nothing is known, from a number on, as many as there are and as are lacking.
fn push_free(number: u32, free: u32, lacking: &mut u32, wish: &mut Wish<'_, '_>) {
    let count = free.min(*lacking);
    if count > 0 {
        wish.missing.push(Missing { slot: Slot::Number(number), copies: &[], more: count - 1 });
        *lacking -= count;
    }
}

/// The numbers of slots of which something is known, in order, with what tasks they have.
fn known<'g, 'a>(g: &'g Group<'a>) -> impl Iterator<Item = (u32, &'g [Held<'a>])> {
    let number = |slot: Slot| match slot {
        Slot::Number(number) => Some(number),
        Slot::Node(_) => None,
    };
    let mut recorded = g.service.slots.keys().filter_map(move |slot| number(*slot)).peekable();
    let mut tasks = g.slots().filter_map(move |c| Some((number(c[0].slot)?, c))).peekable();
    std::iter::from_fn(move || {
        let with_tasks = tasks.peek().map(|(number, _)| *number);
        let only_recorded = recorded.next_if(|r| with_tasks.is_none_or(|number| *r < number));
        if let Some(number) = only_recorded {
            return Some((number, &[][..]));
        }
        let next = tasks.next()?;
        recorded.next_if_eq(&next.0);
        Some(next)
    })
}

/// Where the numbers count, they are 1 to as many as are asked for: each part of a job is done once, and of
/// services that belong together copy `k` of one needs copy `k` of the other.
fn each_number<'g, 'a>(g: &'g Group<'a>) -> Wish<'g, 'a> {
    let mut wish = Wish::default();
    for copies in g.slots().filter(|copies| in_use(copies)) {
        match copies[0].slot {
            Slot::Number(n) if n <= g.service.scale => wish.kept.push(copies),
            _ => wish.surplus.push((copies, Cause::ScaledDown)),
        }
    }
    for slot in (1..=g.service.scale).map(Slot::Number) {
        let copies = tasks_in(g, slot);
        if !in_use(copies) {
            wish.missing.push(Missing { slot, copies, more: 0 });
        }
    }
    wish
}

pub(crate) fn tasks_in<'g, 'a>(g: &'g Group<'a>, slot: Slot) -> &'g [Held<'a>] {
    let from = g.tasks.partition_point(|h| h.slot < slot);
    let len = g.tasks[from..].partition_point(|h| h.slot == slot);
    &g.tasks[from..from + len]
}

/// How much a slot is worth keeping; the least worthy goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// Nothing of it runs within reach.
    Absent,
    /// Its task does not serve, or its node is not heard at the moment.
    NotServing,
    /// Its task serves, and is to leave anyway.
    Leaving,
    /// All is well.
    Serving,
}

/// The `count` slots to give up.
fn too_many(t: &Tables<'_>, g: &Group<'_>, kept: &[&[Held<'_>]], count: usize) -> BTreeSet<Slot> {
    let worth: Vec<(Worth, Option<usize>)> = kept.iter().map(|c| worth(t, g, c)).collect();
    let crowding = crowding(t, g, &worth);
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|i| {
        let slot = kept[*i][0].slot;
        (worth[*i].0, std::cmp::Reverse(crowding[*i]), std::cmp::Reverse(slot))
    });
    order.into_iter().take(count).map(|i| kept[i][0].slot).collect()
}

fn worth(t: &Tables<'_>, g: &Group<'_>, copies: &[Held<'_>]) -> (Worth, Option<usize>) {
    let live = copies.iter().filter(|h| h.task.live());
    let worth = live.filter_map(|h| match standing(t, g, h) {
        Standing::Absent(_) => None,
        _ if !h.task.serving() || t.nodes[h.node].readiness != Readiness::Ready => {
            Some((Worth::NotServing, Some(h.node)))
        }
        Standing::Leaving(_) => Some((Worth::Leaving, Some(h.node))),
        Standing::Good => Some((Worth::Serving, Some(h.node))),
    });
    worth.max_by_key(|(w, _)| *w).unwrap_or((Worth::Absent, None))
}

/// For each slot, its place in the queue of its node's copies and, outside of that, in the queue of each
/// spread label's value: taking away the highest first is the same as always taking one from where
/// there are most.
fn crowding(t: &Tables<'_>, g: &Group<'_>, slots: &[(Worth, Option<usize>)]) -> Vec<usize> {
    let spread = &g.spec.placement.spread;
    let value = |node: usize, label: &String| t.nodes[node].labels.get(label).cloned();
    let mut rank = vec![0; slots.len()];
    queue_up(&mut rank, slots, |node| node);
    for depth in (1..=spread.len()).rev() {
        let path = |node: usize| -> Vec<Option<String>> {
            spread[..depth].iter().map(|label| value(node, label)).collect()
        };
        queue_up(&mut rank, slots, path);
    }
    rank
}

/// Numbers the slots of each queue anew, in the order they had.
fn queue_up<K: Ord>(
    rank: &mut [usize],
    slots: &[(Worth, Option<usize>)],
    queue_of: impl Fn(usize) -> K,
) {
    let mut queues: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (i, (_, node)) in slots.iter().enumerate() {
        if let Some(node) = node {
            queues.entry(queue_of(*node)).or_default().push(i);
        }
    }
    for queue in queues.values_mut() {
        queue.sort_by_key(|i| rank[*i]);
        for (place, i) in queue.iter().enumerate() {
            rank[*i] = place;
        }
    }
}

/// One copy on each node that admits the service: paused nodes keep theirs, drained ones do not, and of
/// lost ones nothing is asked.
fn each_node<'g, 'a>(t: &Tables<'a>, g: &'g Group<'a>) -> Wish<'g, 'a> {
    let mut wish = Wish::default();
    for copies in g.slots().filter(|c| in_use(c)) {
        let node = match copies[0].slot {
            Slot::Node(id) => t.node_of(id).map(|i| t.nodes[i]),
            Slot::Number(_) => None,
        };
        match node {
            None => wish.surplus.push((copies, Cause::ScaledDown)),
            Some(n) if n.readiness == Readiness::Lost => {}
            Some(n) if n.availability == Availability::Drain => {
                wish.surplus.push((copies, Cause::Drained(n.id)));
            }
            Some(n) if !satisfies(n, g.spec) => {
                wish.surplus.push((copies, Cause::Constraint(n.id)));
            }
            Some(_) => wish.kept.push(copies),
        }
    }
    let asked = |n: &&&Node| {
        n.availability == Availability::Active
            && n.readiness != Readiness::Lost
            && satisfies(n, g.spec)
    };
    for slot in t.nodes.iter().filter(asked).map(|n| Slot::Node(n.id)) {
        let copies = tasks_in(g, slot);
        if !in_use(copies) {
            wish.missing.push(Missing { slot, copies, more: 0 });
        }
    }
    wish
}
