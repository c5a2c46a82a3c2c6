//! What the replicated state costs: applying, cloning, one node's view, and its way to bytes and back, at
//! 1,000 nodes and 10,000 tasks.

use benches::{Aim, Table, heading, large, median, timed};
use model::{Command, State, Time};
use planner::{Settings, plan};
use std::hint::black_box;

const TASKS: usize = 10_000;
const ROUNDS: usize = 7;

fn main() {
    heading("state: 1,000 nodes, 10,000 tasks in memory");
    let mut table = Table::default();
    let mut state = placed();
    let reports = large::reports(&state);
    let statuses = state.tasks.len();
    table.row(
        "entries applied, reports of ten changes each",
        applying(&state, &reports),
        "/s",
        None,
        &Aim::None,
    );
    for report in reports {
        large::apply(&mut state, report);
    }
    let same = large::reports(&state);
    table.row(
        "entries applied, reports without news",
        applying(&state, &same),
        "/s",
        None,
        &Aim::None,
    );
    table.row(
        "a clone",
        1e9 * each(1_000, || drop(black_box(state.clone()))),
        "ns",
        None,
        &Aim::None,
    );
    views(&state, &mut table);
    encoding(&state, &mut table);
    assert_eq!(state.tasks.len(), statuses, "measuring changes nothing");
    table.show();
}

/// A cluster with everything placed and nothing reported yet.
fn placed() -> State {
    let mut state = large::cluster();
    large::deploy(&mut state, 100, TASKS / 100);
    loop {
        let plan = plan(&state, Time(60_000), &Settings::default());
        if plan.changes.is_empty() {
            return state;
        }
        large::apply(&mut state, Command::Plan(plan.changes));
    }
}

/// Entries per second; each round begins with the same state, which stays alive, as under a snapshot.
fn applying(state: &State, commands: &[Command]) -> f64 {
    let round = |_| {
        let (mut copy, commands) = (state.clone(), commands.to_vec());
        let count = commands.len() as f64;
        count / timed(|| commands.into_iter().for_each(|c| large::apply(&mut copy, c))).1
    };
    median(&(0..ROUNDS).map(round).collect::<Vec<f64>>())
}

fn views(state: &State, table: &mut Table) {
    let shared = 1e6 * each(5, || drop(black_box(state.shared())));
    table.row("what all views have in common, once per index", shared, "us", None, &Aim::None);
    let shared = state.shared();
    let nodes: Vec<_> = state.nodes.keys().copied().collect();
    let all = each(1, || nodes.iter().for_each(|n| drop(black_box(state.view_for(*n, &shared)))));
    table.row("one node's view", 1e6 * all / nodes.len() as f64, "us", None, &Aim::None);
}

/// The same encoding as in snapshots: `MessagePack` with named fields.
fn encoding(state: &State, table: &mut Table) {
    let encode = || rmp_serde::to_vec_named(state).expect("a state can be encoded");
    let bytes = encode();
    table.row("a snapshot, encoded", bytes.len() as f64 / 1e6, "MB", None, &Aim::None);
    table.row("encoding it", 1e3 * each(1, || drop(black_box(encode()))), "ms", None, &Aim::None);
    let decode = || {
        let state: State = rmp_serde::from_slice(&bytes).expect("it was encoded above");
        state.reindexed()
    };
    assert!(decode() == *state, "it comes back as it went");
    table.row("decoding it", 1e3 * each(1, || drop(black_box(decode()))), "ms", None, &Aim::None);
}

/// Seconds of one call, the median of rounds of `times` calls.
fn each(times: usize, mut call: impl FnMut()) -> f64 {
    let round = |_| timed(|| (0..times).for_each(|_| call())).1 / times as f64;
    median(&(0..ROUNDS).map(round).collect::<Vec<f64>>())
}
