//! `cluster-lab demo`: the product's promise, kept before your eyes. It fails unless the cluster heals.

use crate::{
    app, show,
    watch::{self, Look},
};
use anyhow::{Context, ensure};
use lab::{Binaries, Lab, LabGuard, Load, LoadPlan, LoadReport, Options};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

const PROJECT: &str = "demo";
const REPLICAS: usize = 4;
const LIMIT: Duration = Duration::from_secs(90);

/// What the demo has measured, all since the cut.
struct Healing {
    whole: Duration,
    leader: String,
}

/// The whole demo.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let marker = options.root.join("demo-run");
    if marker.exists() {
        show::line("Removing what an interrupted demo left behind.");
        Lab::remove(&options)?;
    }
    lab::install(&mut std::io::stdout())?;
    let binaries = Some(Binaries::find_or_build()?.folder().to_owned());
    show::line("Three hosts on this machine. If you interrupt this: cluster-lab down");
    let started = lab::now();
    let lab = Lab::up(Options { hosts: 3, binaries, ..options })?.guard();
    fs::write(marker, "")?;
    step(started, "three hosts with a Docker Engine each are up");
    let result = story(&lab, started);
    if result.is_err() {
        keep_logs(&lab);
    }
    remove(lab, started)?;
    result
}

fn story(lab: &LabGuard, started: Instant) -> anyhow::Result<()> {
    lab.form().context("forming the cluster")?;
    step(started, "clusterctl init, and two joins: they are one cluster");
    let app = app::unpack(lab)?;
    lab.deploy(1, &app.compose).context("deploying the example")?;
    step(started, &format!("clusterctl deploy: the example runs, image {}", app.image.name));
    lab.scale(1, PROJECT, &format!("web={REPLICAS}")).context("scaling the example")?;
    step(started, &format!("clusterctl scale web={REPLICAS}"));

    let mut look = Look::default();
    watch::until(lab, 1, started, LIMIT, &mut look, |l| serving(l) == REPLICAS)?;
    let leader = lab.leader(1)?.context("the cluster has no leader")?;
    let survivors: Vec<u8> = lab.numbers().filter(|host| *host != leader).collect();
    let targets = targets(lab, &survivors)?;
    let load = Load::start(LoadPlan::steady(targets));
    step(started, "200 requests a second, a new connection each, through both other hosts");
    lab::pause(Duration::from_secs(3));
    let calm = load.report();
    ensure!(calm.failed() == 0, "requests failed before anything was broken: {:?}", calm.errors());

    let (cut, healing) = lose(lab, leader, &survivors, &mut look)?;
    let back = recover(lab, leader, survivors[0], &mut look)?;
    let report = load.stop().since(cut);
    sum_up(&healing, back, cut, &report);
    lab.undeploy(survivors[0], PROJECT).context("removing the example")?;
    Ok(())
}

/// Cuts the leader's host off and waits until the others have made up for it.
fn lose(
    lab: &Lab,
    leader: u8,
    survivors: &[u8],
    look: &mut Look,
) -> anyhow::Result<(Instant, Healing)> {
    let gone = lab.host(leader)?.name.clone();
    show::line(&format!("\nThe cable of {gone} is pulled. It leads the cluster."));
    lab.cut(leader)?;
    let cut = lab::now();
    let healed = |look: &Look| {
        let led = look.leader.as_ref().is_some_and(|name| *name != gone);
        led && look.serving_without(&gone) == REPLICAS
    };
    let whole = watch::until(lab, survivors[0], cut, LIMIT, look, healed)?;
    let leader = look.leader.clone().unwrap_or_default();
    show::line(&format!("  healed: all {REPLICAS} replicas serve on the other hosts"));
    // Long enough to show that it stays so, with requests flowing.
    lab::pause(Duration::from_secs(2));
    Ok((cut, Healing { whole, leader }))
}

/// Plugs the cable in again and waits until the cluster is as before.
fn recover(lab: &Lab, host: u8, via: u8, look: &mut Look) -> anyhow::Result<Duration> {
    let name = lab.host(host)?.name.clone();
    show::line(&format!("\nThe cable of {name} is back in."));
    lab.heal(host)?;
    let back = lab::now();
    let ready = |look: &Look| {
        let all_ready = look.nodes.values().all(|readiness| readiness == "ready");
        all_ready && look.nodes.len() == 3 && serving(look) == REPLICAS
    };
    let took = watch::until(lab, via, back, LIMIT, look, ready)?;
    Ok(took)
}

fn serving(look: &Look) -> usize {
    look.serving.values().sum()
}

fn targets(lab: &Lab, hosts: &[u8]) -> anyhow::Result<Vec<SocketAddr>> {
    let address = |host: &u8| Ok(SocketAddr::from((lab.host(*host)?.address, 8080)));
    hosts.iter().map(address).collect()
}

fn sum_up(healing: &Healing, back: Duration, cut: Instant, report: &LoadReport) {
    let answered = report.samples.iter().filter(|sample| sample.error.is_none());
    let first = answered.clone().map(|sample| (sample.sent + sample.took) - cut).min();
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let row = |what: &str, value: String| show::line(&format!("  {what:<44} {value}"));
    show::line("\nWhat the loss of the leader's host cost:");
    row("first answer to a request after the cut", seconds(first.unwrap_or_default()));
    row("all replicas serving on the other hosts", seconds(healing.whole));
    row("the lost host ready again, once plugged in", seconds(back));
    row("the new leader", healing.leader.clone());
    row("requests since the cut", report.samples.len().to_string());
    row("failed, for a client without retries", report.failed().to_string());
    row("failed, for a client with one retry", report.failed_with_retry().to_string());
    for (error, count) in report.errors() {
        show::line(&format!("    {count} x {error}"));
    }
}

/// Removes the lab; only when nothing is left has the demo ended.
fn remove(lab: LabGuard, started: Instant) -> anyhow::Result<()> {
    let options = lab.options().clone();
    drop(lab);
    Lab::remove(&options)?;
    step(started, "everything is removed");
    Ok(())
}

/// Copies the daemons' logs to where removing the lab does not reach.
fn keep_logs(lab: &Lab) {
    let folder = std::env::temp_dir().join(format!("cluster-lab-logs-{}", std::process::id()));
    let copy = |host: u8| -> anyhow::Result<()> {
        let host = lab.host(host)?;
        for log in [host.daemon_log(), host.engine_log()] {
            let name = log.file_name().unwrap_or_default().to_string_lossy();
            fs::copy(&log, Path::new(&folder).join(format!("{}-{name}", host.name)))?;
        }
        Ok(())
    };
    let copied =
        fs::create_dir_all(&folder).is_ok() && lab.numbers().all(|host| copy(host).is_ok());
    if copied {
        show::error(&format!("The hosts' logs are kept in {}", folder.display()));
    }
}

fn step(started: Instant, text: &str) {
    show::line(&format!("{:>7.2} s  {text}", started.elapsed().as_secs_f64()));
}
