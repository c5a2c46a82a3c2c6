//! A thousand nodes with ten thousand replicas in the simulator, crashes and partitions and all, over many
//! seeds, every invariant checked. `SEEDS=3` runs fewer, `FIRST_SEED=7` others. Fails when an invariant does.

use benches::{Aim, Table, heading, say, timed};
use simulator::{Size, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (seeds, first) = (from_environment("SEEDS", 20), from_environment("FIRST_SEED", 1));
    heading(&format!("simulator: 1,000 nodes, 10,000 replicas, {seeds} seeds from {first}"));
    let (mut simulated, mut real, mut steps, mut checks, mut broken) = (0.0, 0.0, 0.0, 0.0, 0);
    for seed in first..first + seeds {
        let (report, took) = timed(|| run(seed, &Size::large()));
        simulated += report.simulated.as_secs_f64();
        real += took;
        steps += report.steps as f64;
        checks += report.checks as f64;
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
        if let Some(failure) = report.failure {
            broken += 1;
            say(&failure);
        }
    }
    let mut table = Table::default();
    table.row("seeds on which an invariant broke", f64::from(broken), "", None, &Aim::AtMost(0.0));
    table.row("simulated hours a minute", simulated / 60.0 / real, "", None, &Aim::None);
    table.row("steps a second", steps / real, "/s", None, &Aim::None);
    table.row("invariants checked", checks, "", None, &Aim::None);
    table.show();
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
