//! A thousand nodes with ten thousand replicas, seed by seed: `cargo run --release -p simulator --example
//! large [SEEDS]`. The same run as in the benches, for the profiler.

use simulator::{Size, run};

fn main() {
    let seeds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    for seed in 0..seeds {
        let report = run(seed, &Size::large());
        let lines = report.failure.as_deref().unwrap_or("all well");
        let short = lines.lines().next().unwrap_or_default();
        #[expect(clippy::print_stdout, reason = "an example shows what it did")]
        {
            println!("{short}: {:?}", simulator::Report { failure: None, ..report.clone() });
        }
    }
}
