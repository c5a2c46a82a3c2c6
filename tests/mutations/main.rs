//! The mutation gate: a simulator that finds nothing proves nothing. Rules of the deciding crates are broken on
//! purpose, one at a time, and the seeded simulation must notice each of them.
//!
//! The rules are broken in a copy of the crates (`copy.rs`), never in the tree: no switch, feature or `cfg` of a
//! product build can turn one on. `list.rs` says which. It takes minutes, and so is run with `E2E=1` or
//! `--include-ignored`. `SEEDS=n` is how many seeds each may take, `MUTATION=name` looks at one alone.

mod copy;
mod list;

use copy::Copy;
use lab::harness::{Trial, Verdict, run};
use list::MUTATIONS;
use std::process::ExitCode;

/// Seeds within which a broken rule must be noticed.
const SEEDS: u64 = 500;
/// Seeds that the copy must pass while no rule is broken.
const SOUND: u64 = 30;

fn main() -> ExitCode {
    run(vec![Trial::long("every_broken_rule_is_noticed", every_broken_rule_is_noticed)])
}

fn every_broken_rule_is_noticed() -> Verdict {
    let variable = |name: &str| std::env::var(name).ok();
    let seeds = variable("SEEDS").map_or(Ok(SEEDS), |n| n.parse())?;
    let only = variable("MUTATION");
    let chosen = || MUTATIONS.iter().filter(|m| only.as_ref().is_none_or(|o| o == m.name));
    assert!(
        chosen().next().is_some(),
        "no rule is named {only:?}; `tests/mutations/list.rs` lists them"
    );
    let copy = Copy::make(&MUTATIONS);
    let sound = copy.run("", SOUND);
    assert!(sound.found.is_none(), "the copy fails as it is: {}", sound.text);
    let mut unnoticed = Vec::new();
    for mutation in chosen() {
        let run = copy.run(mutation.name, seeds);
        if let Some(found) = &run.found {
            let sound = copy.run_one("", found.seed);
            assert!(sound.found.is_none(), "seed {} fails as it is: {}", found.seed, sound.text);
            println!(
                "{:<24} seed {:>3} after {:>3}: {}",
                mutation.name, found.seed, run.seeds, found.what
            );
            println!("{:24} {}", "", found.reduced);
        } else {
            println!("{:<24} not noticed in {seeds} seeds: {}", mutation.name, mutation.wrong);
            unnoticed.push(mutation.name);
        }
    }
    assert!(unnoticed.is_empty(), "not noticed within {seeds} seeds: {unnoticed:?}");
    Ok(())
}
