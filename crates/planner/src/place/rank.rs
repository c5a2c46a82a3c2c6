//! Who should: the order of nodes for one service. A copy goes first where the services it refers to
//! are, where their names resolve there only (without a mesh); then where its own service has the fewest copies, per
//! value of each spread label and per node; then where services that refer to it are; then where there
//! is the most room.

use super::ask::Ask;
use super::filters::admit;
use super::room::Room;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How a node ranks, its spread labels aside: the least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    outer: Outer,
    inner: Inner,
}

/// What counts for more than the spread labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outer {
    /// How often the slot was tried there in vain.
    tries: u32,
    /// Services referred to that are not there.
    apart: u32,
}

/// What counts for less than the spread labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inner {
    own: u32,
    no_referrer: bool,
    tasks: usize,
    room: Reverse<u64>,
    node: usize,
}

fn rank(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> Rank {
    let row = &room.rows[node];
    Rank {
        outer: Outer { tries: ask.tries(node), apart: ask.apart[node] },
        inner: Inner {
            own: ask.own(node),
            no_referrer: !ask.referrer[node],
            tasks: row.tasks,
            room: Reverse(row.memory.min(row.memory_left)),
            node,
        },
    }
}

/// How a node ranks, spread labels included.
pub(crate) fn full(ask: &Ask<'_, '_>, room: &Room<'_>, node: usize) -> (Outer, Vec<u32>, Inner) {
    let rank = rank(ask, room, node);
    (rank.outer, ask.spread(&ask.path(node)), rank.inner)
}

/// The nodes that admit a service, ranked: one heap per path of spread values. While copies are placed
/// ranks only get worse, so the top of a heap is checked when it is looked at, and only then. Each copy
/// makes one node worse, so that of each heap no more are needed than there are copies to place.
pub(crate) struct Ranked {
    heaps: Vec<(Vec<String>, BinaryHeap<Reverse<Rank>>)>,
}

impl Ranked {
    /// For so many `copies` at most.
    pub(crate) fn new(ask: &Ask<'_, '_>, room: &Room<'_>, copies: usize) -> Self {
        let mut by_path: BTreeMap<Vec<String>, BinaryHeap<Rank>> = BTreeMap::new();
        if ask.g.spec.placement.spread.is_empty() {
            let best = by_path.entry(Vec::new()).or_default();
            (0..room.rows.len()).for_each(|node| enlist(best, copies, ask, room, node));
        } else {
            for node in 0..room.rows.len() {
                enlist(by_path.entry(ask.path(node)).or_default(), copies, ask, room, node);
            }
        }
        let least_first = |best: BinaryHeap<Rank>| best.into_iter().map(Reverse).collect();
        let heaps = by_path.into_iter().map(|(path, best)| (path, least_first(best)));
        Self { heaps: heaps.collect() }
    }

    /// The best node now. It stays in the ranking.
    pub(crate) fn next(&mut self, ask: &Ask<'_, '_>, room: &Room<'_>) -> Option<usize> {
        let tops = self.heaps.iter_mut().filter_map(|(path, heap)| {
            let top = top(heap, ask, room)?;
            Some((top.outer, ask.spread(path), top.inner))
        });
        tops.min().map(|(_, _, inner)| inner.node)
    }
}

/// Notes a node among the best so many, if it is one of them and admits the service. Most are not, which
/// their rank says before a filter is asked.
fn enlist(
    best: &mut BinaryHeap<Rank>,
    most: usize,
    ask: &Ask<'_, '_>,
    room: &Room<'_>,
    node: usize,
) {
    let rank = rank(ask, room, node);
    let full = best.len() >= most;
    if full && best.peek().is_none_or(|worst| *worst < rank) || !admit(ask, room, node) {
        return;
    }
    if full {
        best.pop();
    }
    best.push(rank);
}

/// The best node of a heap, after putting right what has changed since it was ranked.
fn top(heap: &mut BinaryHeap<Reverse<Rank>>, ask: &Ask<'_, '_>, room: &Room<'_>) -> Option<Rank> {
    while let Some(mut first) = heap.peek_mut() {
        let node = first.0.inner.node;
        if !admit(ask, room, node) {
            std::collections::binary_heap::PeekMut::pop(first);
            continue;
        }
        let is = rank(ask, room, node);
        if is == first.0 {
            return Some(is);
        }
        first.0 = is;
    }
    None
}
