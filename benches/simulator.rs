//! A thousand nodes with ten thousand replicas in the simulator, crashes and partitions and all, over many
//! seeds, every invariant checked. `SEEDS=3` runs fewer, `FIRST_SEED=7` others. Fails when an invariant does.

use benches::{Aim, Table, heading, say, timed};
use simulator::{Report, Size, run};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

fn main() -> ExitCode {
    let (seeds, first) = (from_environment("SEEDS", 20), from_environment("FIRST_SEED", 1));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    heading(&format!(
        "simulator: 1,000 nodes, 10,000 replicas, {seeds} seeds from {first}, {workers} at once"
    ));
    let todo = Mutex::new(first..first + seeds);
    let (reports, took): (Vec<Report>, f64) = timed(|| {
        thread::scope(|scope| {
            let work = || -> Vec<Report> {
                let next = || todo.lock().expect("no holder panics").next();
                std::iter::from_fn(next).map(one).collect()
            };
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|w| w.join().expect("a run does not panic")).collect()
        })
    });
    show(&reports, took)
}

/// Runs one seed and says what came of it.
fn one(seed: u64) -> Report {
    let (report, took) = timed(|| run(seed, &Size::large()));
    say(&format!(
        "seed {seed}: {took:.1} s for {:.0} s, {} nodes, {} entries, {} elections, {} steps, {} checks: {}",
        report.simulated.as_secs_f64(),
        report.nodes,
        report.entries,
        report.elections,
        report.steps,
        report.checks,
        if report.failure.is_none() { "holds" } else { "BROKEN" },
    ));
    if let Some(failure) = &report.failure {
        say(failure);
    }
    report
}

fn show(reports: &[Report], took: f64) -> ExitCode {
    let sum = |of: &dyn Fn(&Report) -> f64| reports.iter().map(of).sum::<f64>();
    let broken = sum(&|r| f64::from(u8::from(r.failure.is_some())));
    let mut table = Table::default();
    table.row("seeds on which an invariant broke", broken, "", None, &Aim::AtMost(0.0));
    table.row(
        "simulated hours a minute",
        sum(&|r| r.simulated.as_secs_f64()) / 60.0 / took,
        "",
        None,
        &Aim::None,
    );
    table.row("steps a second", sum(&|r| r.steps as f64) / took, "/s", None, &Aim::None);
    table.row("invariants checked", sum(&|r| r.checks as f64), "", None, &Aim::None);
    table.show();
    let failed = reports.iter().any(|r| r.failure.is_some());
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
