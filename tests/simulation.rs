//! Seeded simulation: many small clusters under crashes, cuts and changes of mind, each of which must keep
//! every invariant at every step, and be whole again in the end.
//!
//! `SEEDS=n` runs so many, `HOURS=n` as many as that takes in simulated hours, from `FIRST_SEED=n` on, one in ten with up
//! to 200 nodes unless `SMALL=1`; `SEED=n` runs one (`WIDE=1` as such a run does). `STOP=1` ends at the first failure. What the first failing seed did is printed as
//! a scenario, as short as it can be made in `TRIES=n` runs.

use simulator::{Report, Size, reduce, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Seeds in the ordinary test.
const SEEDS: u64 = 200;
/// Runs that making a scenario short may take.
const TRIES: u64 = 300;
/// Seeds after which a long run says how far it is.
const MILESTONE: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What is to be run.
struct Campaign {
    first: u64,
    /// The seed after the last, at most.
    end: u64,
    /// Simulated time after which no further seed is begun.
    enough: Duration,
    size: Size,
    stops: bool,
}

impl Campaign {
    fn asked_for() -> Self {
        let first = number("FIRST_SEED").unwrap_or(0);
        let hours = number("HOURS");
        let seeds = number("SEEDS").or(hours.map(|_| u64::MAX - first));
        let wide = seeds.is_some() && number("SMALL").is_none();
        let size = if wide { Size::wide() } else { Size::small() };
        Self {
            first,
            end: first + seeds.unwrap_or(SEEDS),
            enough: Duration::from_secs(hours.unwrap_or(u64::MAX / 3600) * 3600),
            size,
            stops: number("STOP").is_some(),
        }
    }

    /// Runs it on all cores, and says now and then how far it is.
    fn run(&self, say: impl Fn(&[Report]) + Sync) -> Vec<Report> {
        let (next, over) = (AtomicU64::new(self.first), AtomicBool::new(false));
        let reports = Mutex::new(Vec::new());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.end {
                            return;
                        }
                        let report = run(seed, &self.size);
                        let mut all = reports.lock().expect("no run panics with it");
                        let failed = report.failure.is_some();
                        all.push(report);
                        let simulated: Duration = all.iter().map(|r: &Report| r.simulated).sum();
                        if simulated >= self.enough || failed && self.stops {
                            over.store(true, Ordering::Relaxed);
                        }
                        if (all.len() as u64).is_multiple_of(MILESTONE) {
                            say(&all);
                        }
                    }
                });
            }
        });
        let mut reports = reports.into_inner().expect("no run panics with it");
        reports.sort_by_key(|r| r.seed);
        reports
    }
}

/// What was done, how fast.
fn told(reports: &[Report], took: Duration) -> String {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let simulated: Duration = reports.iter().map(|r| r.simulated).sum();
    let nodes = reports.iter().map(|r| r.nodes).max().unwrap_or(0);
    format!(
        "{} seeds up to {}, of up to {nodes} nodes: {:.1} simulated hours in {:.1} s ({:.1} hours a minute), {} events, {} entries, {} elections, {} invariants checked, {} failed",
        reports.len(),
        reports.iter().map(|r| r.seed).max().unwrap_or(0),
        simulated.as_secs_f64() / 3600.0,
        took.as_secs_f64(),
        simulated.as_secs_f64() / 60.0 / took.as_secs_f64(),
        sum(|r| r.steps),
        sum(|r| r.entries),
        sum(|r| r.elections),
        sum(|r| r.checks),
        reports.iter().filter(|r| r.failure.is_some()).count(),
    )
}

#[expect(clippy::disallowed_methods, reason = "speed is printed, nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn many_seeds() {
    let start = now();
    if let Some(seed) = number("SEED") {
        let size = if number("WIDE").is_some() { Size::wide() } else { Size::small() };
        let report = run(seed, &size);
        println!("{}", told(std::slice::from_ref(&report), start.elapsed()));
        if let Some(failure) = report.failure {
            panic!("{failure}\n{}", scenario_of(seed, &size));
        }
        return;
    }
    let campaign = Campaign::asked_for();
    let reports = campaign.run(|reports| println!("{}", told(reports, start.elapsed())));
    println!("{}", told(&reports, start.elapsed()));
    let failed: Vec<(u64, &String)> =
        reports.iter().filter_map(|r| Some((r.seed, r.failure.as_ref()?))).collect();
    for (_, failure) in &failed {
        println!("{}", failure.lines().next().unwrap_or_default());
    }
    if let Some((seed, failure)) = failed.first() {
        panic!("{failure}\n{}", scenario_of(*seed, &campaign.size));
    }
}

/// What a failing seed did, as a scenario.
fn scenario_of(seed: u64, size: &Size) -> String {
    let tries = number("TRIES").unwrap_or(TRIES) as usize;
    match reduce(seed, size, tries) {
        None => "it fails no more".to_owned(),
        Some(reduced) => format!(
            "seed {seed}, {} commands made {}: {}\n{}",
            reduced.commands.0, reduced.commands.1, reduced.what, reduced.scenario
        ),
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let size = Size::small();
    let traces = |seed: u64| (run(seed, &size).trace, run(seed, &size).trace);
    let all: Vec<u64> = (1_000..1_005)
        .map(|seed| {
            let (first, second) = traces(seed);
            assert_eq!(first, second, "seed {seed}");
            first
        })
        .collect();
    assert_ne!(all[0], all[1], "seeds differ");
}
