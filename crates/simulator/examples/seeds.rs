//! Seed by seed, for long runs and for the profiler: `cargo run --release -p simulator --example seeds --
//! small|large FROM TO`. Prints the seeds that broke, and a sum.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use simulator::{Size, run};
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let size =
        if args.first().is_some_and(|a| a == "large") { Size::large() } else { Size::small() };
    let number = |at: usize| args.get(at).and_then(|n| n.parse().ok());
    let (from, to) = (number(1).unwrap_or(0), number(2).unwrap_or(1));
    let (mut simulated, mut broken) = (Duration::ZERO, 0);
    for seed in from..to {
        let report = run(seed, &size);
        simulated += report.simulated;
        if let Some(failure) = report.failure {
            broken += 1;
            println!("{}", failure.lines().next().unwrap_or_default());
        }
    }
    let hours = simulated.as_secs_f64() / 3600.0;
    println!("seeds {from} to {to}: {hours:.1} simulated hours, {broken} broken");
}
