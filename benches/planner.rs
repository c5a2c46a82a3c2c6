//! Placements per second: 1,000 nodes in memory, planned and applied until nothing is left to do, and what
//! a pass costs that finds nothing to change. Swarm's figure is from the literature and marked so.

use benches::{Aim, Table, heading, large, median, own_seconds, say, seconds, timed};
use model::{Command, State, Time};
use planner::{Settings, plan};

const NOW: Time = Time(60_000);

/// Literature, not measured here: swarmkit's `BenchmarkScheduler1kNodes*` at commit 3e72cb6 gave
/// 4.0-4.8 k/s with 10,000 tasks on a machine of this size. The better end is taken.
const SWARMKIT: f64 = 4_800.0;

fn main() {
    heading("planner: 1,000 nodes in memory, plan and apply together");
    let mut table = Table::default();
    for (services, tasks) in [(100, 10_000), (1_000, 10_000), (100, 100_000)] {
        let settings = Settings::default();
        place(services, tasks, &settings, &mut table);
    }
    table.show();
    say(
        "swarmkit: from the literature, its own scheduler alone; ours includes applying each plan.",
    );
}

fn place(services: usize, tasks: usize, settings: &Settings, table: &mut Table) {
    let rounds: Vec<(State, [f64; 2])> = (0..3).map(|_| fill(services, tasks, settings)).collect();
    for (by, clock) in ["by the clock", "by its processor time"].into_iter().enumerate() {
        let rates: Vec<f64> = rounds.iter().map(|(_, took)| tasks as f64 / took[by]).collect();
        say(&format!("{tasks} tasks of {services} services, {clock}: {rates:.0?} placements/s"));
        let what = format!("placements/s {clock}, {tasks} tasks of {services} services");
        let other = Some((SWARMKIT, "literature"));
        table.row(&what, median(&rates), "/s", other, &Aim::AtLeast(200_000.0));
    }
    let (mut state, _) = rounds.into_iter().next().expect("there were three rounds");
    for report in large::reports(&state) {
        large::apply(&mut state, report);
    }
    let what = format!("a pass with nothing to do, {tasks} tasks of {services} services");
    table.row(&what, quiet_pass(&state, settings), "ms", None, &Aim::None);
}

/// A cluster that everything was placed in, and the seconds which that took by the clock and of its processor.
fn fill(services: usize, tasks: usize, settings: &Settings) -> (State, [f64; 2]) {
    let mut state = large::cluster();
    large::deploy(&mut state, services, tasks / services);
    let (start, own) = (benches::now(), own_seconds());
    loop {
        let plan = plan(&state, NOW, settings);
        if plan.changes.is_empty() {
            assert!(plan.waiting.is_empty(), "{}", plan.waiting[0].reason);
            break;
        }
        large::apply(&mut state, Command::Plan(plan.changes));
    }
    let took = [seconds(start), own_seconds() - own];
    assert_eq!(state.tasks.len(), tasks, "everything was placed");
    (state, took)
}

/// Milliseconds of a pass that finds nothing to change, the median of 21.
fn quiet_pass(state: &State, settings: &Settings) -> f64 {
    let pass = |_| {
        let (plan, took) = timed(|| plan(state, NOW, settings));
        assert!(plan.changes.is_empty(), "nothing is left to do");
        took * 1e3
    };
    median(&(0..21).map(pass).collect::<Vec<f64>>())
}
