//! Whole clusters on real engines: three hosts on this machine with ours, then Docker Swarm on the same
//! engines with the same image. Hosts are cut off, leaders killed, a service is scaled, requests flow.
//!
//! Needs root; says so and does nothing otherwise. `ours.rs` and `swarm.rs` know how each side is told what to
//! do, `measure.rs` measures both in the same way. `CUTS` (3), `KILLS` (20) and `SCALES` (3) are the trials of
//! ours, `SWARM_CUTS` (2), `SWARM_KILLS` (3) and `SWARM=0` those of Swarm. A run takes about fifteen minutes.

mod engines;
mod measure;
mod ours;
mod side;
mod swarm;

use anyhow::Context;
use benches::{Aim, Table, heading, median, percentile, say};
use lab::{Lab, LabGuard, Options};
use measure::Figures;
use std::process::ExitCode;

fn main() -> ExitCode {
    if !std::fs::exists("/proc/self").unwrap_or(false) || !root() {
        say("cluster: skipped, it needs root (it makes network namespaces and starts engines)");
        return ExitCode::SUCCESS;
    }
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|line| line.split_whitespace().nth(1)).is_some_and(|uid| uid == "0")
}

/// A lab of its own name and network, so that a user's lab may be up at the same time.
fn options() -> Options {
    Options {
        hosts: 3,
        root: std::env::temp_dir().join("clabb"),
        name: "clabb".to_owned(),
        subnet: "172.30.9".to_owned(),
        ..Options::default()
    }
}

fn bench() -> anyhow::Result<()> {
    heading("cluster: 3 hosts on this machine, one Docker Engine each, 30 small replicas");
    lab::install(&mut std::io::stdout())?;
    let options = options();
    let lab = Lab::fresh_cluster(options.clone()).context("making the lab")?;
    let done = both(&lab);
    if done.is_err() {
        keep_logs(&lab);
    }
    drop(lab);
    Lab::remove(&options)?;
    done
}

fn both(lab: &LabGuard) -> anyhow::Result<()> {
    let image = engines::load_image(lab)?;
    let engines = engines::parallel_starts(lab, &image.name)?;
    let ours = ours::figures(lab)?;
    let swarm = if std::env::var("SWARM").is_ok_and(|word| word == "0") {
        None
    } else {
        ours::stop(lab)?;
        // Half a comparison is worth showing.
        swarm::figures(lab).inspect_err(|error| say(&format!("Swarm: {error:#}"))).ok()
    };
    report(engines, &ours, swarm.as_ref());
    Ok(())
}

fn report(engines: f64, ours: &Figures, swarm: Option<&Figures>) {
    let mut table = Table::default();
    let mut times = |what: &str, aim: &Aim, pick: &dyn Fn(&Figures) -> f64| {
        table.row(what, pick(ours), "s", swarm.map(|s| (pick(s), "Swarm")), aim);
    };
    let cut = |ratio: f64| Aim::All(vec![Aim::AtMost(6.0), Aim::RatioAtMost(1.0 / ratio)]);
    times("a follower's host cut off -> 30 run elsewhere", &cut(3.0), &|f| median(&f.follower));
    times("the leader's host cut off -> 30 run elsewhere", &cut(8.0), &|f| median(&f.leader));
    let p50 = |f: &Figures| percentile(&f.killed, 0.5);
    let p99 = |f: &Figures| percentile(&f.killed, 0.99);
    times("leader killed -> next accepted write, p50", &Aim::AtMost(1.0), &p50);
    times("leader killed -> next accepted write, p99", &Aim::AtMost(2.0), &p99);
    times("scale 4 -> 30", &Aim::RatioAtMost(1.0), &|f| median(&f.scaled));
    let scaled = median(&ours.scaled);
    let other = Some((engines, "docker run"));
    table.row(
        "scale 4 -> 30, against the engines alone",
        scaled,
        "s",
        other,
        &Aim::RatioAtMost(1.1),
    );
    let (tried, failed, flying, again) = ours.requests();
    table.row("requests while hosts were lost, 200/s", tried, "", None, &Aim::None);
    table.row("... failed with one retry", again, "", None, &Aim::AtMost(0.0));
    table.row(
        "... failed without",
        failed,
        "",
        Some((flying, "in flight at the cut")),
        &Aim::AtMost(flying),
    );
    if let Some(idle) = ours.idle {
        table.row("resident, leading daemon", idle.daemon_memory, "MB", None, &Aim::AtMost(30.0));
        table.row("resident, its edge", idle.edge_memory, "MB", None, &Aim::AtMost(15.0));
        table.row("processor, leading daemon, idle", idle.daemon_cpu, "%", None, &Aim::AtMost(1.0));
        table.row("processor, its edge, idle", idle.edge_cpu, "%", None, &Aim::AtMost(1.0));
    }
    table.row(
        "fdatasync probe, p50",
        ours.disk.map_or(f64::NAN, |d| d.p50),
        "ms",
        None,
        &Aim::None,
    );
    table.show();
}

/// Copies the daemons' logs to where removing the lab does not reach.
fn keep_logs(lab: &Lab) {
    let folder = std::env::temp_dir().join(format!("bench-logs-{}", std::process::id()));
    if std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    for host in lab.numbers().filter_map(|number| lab.host(number).ok()) {
        for log in [host.daemon_log(), host.engine_log()] {
            let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What cannot be kept is lost; the failure itself has been shown.
            let _ = std::fs::copy(&log, folder.join(format!("{}-{name}", host.name)));
        }
    }
    say(&format!("the hosts' logs are kept in {}", folder.display()));
}
