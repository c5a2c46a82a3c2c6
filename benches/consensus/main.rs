//! Durable writes: three members of ours against three of etcd, each a process on loopback without TLS, with
//! their default settings, asked by the same client in the same way; and how long a write waits when the
//! leader is killed. A probe of the disk stands beside every figure.
//!
//! `kv.rs` is the client (and the call that both sides answer), `member.rs` a member of ours, `sides.rs` starts
//! and stops both. `TRIALS=5` kills fewer leaders.

mod kv;
mod member;
mod sides;

use benches::{Aim, Table, heading, median, percentile, probe, say};
use sides::Side;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const CLIENTS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["member", number, folder] => member::run(number, Path::new(folder)),
        _ => bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn bench() -> anyhow::Result<()> {
    heading("consensus: 3 members each on loopback, values of 256 bytes");
    let folder = tempfile::tempdir()?;
    let mut sides = vec![Side::ours(folder.path()).await?];
    match Side::etcd(folder.path()).await? {
        Some(etcd) => sides.push(etcd),
        None => {
            say("etcd is not installed (Debian: apt-get install etcd-server): ours stands alone");
        }
    }
    let mut table = Table::default();
    writes(&mut sides, folder.path(), &mut table).await?;
    killed(&mut sides, folder.path(), &mut table).await?;
    table.show();
    say(&format!("the leading member after all this: {}", memory(&sides)));
    Ok(())
}

/// What one side gave in all rounds.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    serial: Vec<f64>,
    cpu: Vec<f64>,
}

async fn writes(sides: &mut [Side], folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let mut all: Vec<Figures> = sides.iter().map(|_| Figures::default()).collect();
    let mut probes = Vec::new();
    for round in 1..=ROUNDS {
        for (side, figures) in sides.iter_mut().zip(&mut all) {
            let disk = probe(folder)?;
            let before = side.cpu();
            let rate = side.together(CLIENTS, ROUND).await?;
            let cpu = (side.cpu() - before) / (rate * ROUND.as_secs_f64()) * 1e6;
            let serial = side.serial(300).await?;
            say(&format!(
                "round {round}, {:>4}: {rate:.0} writes/s ({cpu:.0} us of processor each, 3 members); serial \
                 p50 {:.2} ms, p99 {:.2} ms; fdatasync before it p50 {:.2} ms, p99 {:.2} ms",
                side.name,
                percentile(&serial, 0.5),
                percentile(&serial, 0.99),
                disk.p50,
                disk.p99
            ));
            figures.rates.push(rate);
            figures.serial.extend(serial);
            figures.cpu.push(cpu);
            probes.push(disk.p50);
        }
    }
    let other = |pick: &dyn Fn(&Figures) -> f64| all.get(1).map(|f| (pick(f), "etcd"));
    let mut row = |what: &str, unit: &str, aim: &Aim, pick: &dyn Fn(&Figures) -> f64| {
        table.row(what, pick(&all[0]), unit, other(pick), aim);
    };
    let p50 = |f: &Figures| percentile(&f.serial, 0.5);
    let limit = all.get(1).map_or(Aim::None, |etcd| Aim::AtMost(p50(etcd) + 1.0));
    row("durable writes/s, 64 clients", "/s", &Aim::RatioAtLeast(1.0), &|f| median(&f.rates));
    row("serial write, p50", "ms", &limit, &p50);
    row("serial write, p99", "ms", &Aim::None, &|f| percentile(&f.serial, 0.99));
    row("processor time of a write, 3 members", "us", &Aim::None, &|f| median(&f.cpu));
    table.row("fdatasync probe, p50", median(&probes), "ms", None, &Aim::None);
    Ok(())
}

/// Kills leaders and waits for the next write that is accepted.
async fn killed(sides: &mut [Side], folder: &Path, table: &mut Table) -> anyhow::Result<()> {
    let trials = std::env::var("TRIALS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let disk = probe(folder)?;
    let mut waits = Vec::new();
    for side in sides.iter_mut() {
        let mut gaps = Vec::new();
        for _ in 0..trials {
            gaps.push(side.kill_leader().await?);
        }
        say(&format!(
            "{}: next write after {gaps:.2?} s; fdatasync p50 {:.2} ms",
            side.name, disk.p50
        ));
        waits.push(gaps);
    }
    for (share, aim) in [(0.5, 1.0), (0.99, 2.0)] {
        let other = waits.get(1).map(|gaps| (percentile(gaps, share), "etcd"));
        let ours = percentile(&waits[0], share);
        let what = format!("leader killed -> next write, p{:.0} of {trials}", share * 100.0);
        table.row(&what, ours, "s", other, &Aim::AtMost(aim));
    }
    Ok(())
}

fn memory(sides: &[Side]) -> String {
    let one = |side: &Side| format!("{} {:.0} MB", side.name, side.resident());
    sides.iter().map(one).collect::<Vec<_>>().join(", ")
}
