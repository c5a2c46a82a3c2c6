//! Seeded simulation: many small clusters under crashes, cuts and changes of mind, each of which must keep
//! every invariant at every step, and be whole again in the end. `SEEDS=n` runs more of them, `SEED=n`
//! one.

use simulator::{Report, Size, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Seeds in the ordinary test.
const SEEDS: u64 = 200;
/// Seeds beyond those that once broke.
const BROKE_ONCE: [u64; 3] = [643, 684, 820];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on all cores.
fn run_all(seeds: std::ops::Range<u64>, size: &Size) -> Vec<Report> {
    let next = AtomicU64::new(seeds.start);
    let reports = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(seed, size);
                    reports.lock().expect("no run panics with it").push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("no run panics with it");
    reports.sort_by_key(|r| r.seed);
    reports
}

#[expect(clippy::disallowed_methods, reason = "speed is printed, nothing is decided by it")]
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = what();
    (done, start.elapsed())
}

#[test]
fn many_seeds() {
    let size = Size::small();
    let seeds = match number("SEED") {
        Some(one) => one..one + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    let (reports, took) = timed(|| run_all(seeds, &size));
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let simulated: Duration = reports.iter().map(|r| r.simulated).sum();
    println!(
        "{} seeds: {:.1} simulated hours in {:.1} s ({:.1} hours a minute), {} steps, {} entries, {} elections, {} checks",
        reports.len(),
        simulated.as_secs_f64() / 3600.0,
        took.as_secs_f64(),
        simulated.as_secs_f64() / 60.0 / took.as_secs_f64(),
        sum(|r| r.steps),
        sum(|r| r.entries),
        sum(|r| r.elections),
        sum(|r| r.checks),
    );
    let failures: Vec<&String> = reports.iter().filter_map(|r| r.failure.as_ref()).collect();
    let seeds: Vec<u64> = reports.iter().filter(|r| r.failure.is_some()).map(|r| r.seed).collect();
    for failure in failures.iter().skip(1) {
        println!("{}", failure.lines().next().unwrap_or_default());
    }
    assert!(failures.is_empty(), "{}\n{} failures: seeds {seeds:?}", failures[0], failures.len());
}

#[test]
fn seeds_that_once_broke_hold() {
    for seed in BROKE_ONCE {
        let report = run(seed, &Size::small());
        assert!(report.failure.is_none(), "{}", report.failure.unwrap_or_default());
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
