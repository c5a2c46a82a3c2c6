//! Our side: `clusterctl` against the daemons that the lab runs.

use crate::engines::{FEW, IMAGE};
use crate::measure::{Figures, PORT};
use crate::side::{Side, Trials, count};
use anyhow::Context;
use lab::{Lab, Part};
use std::time::Duration;

/// Longest that a write may take by itself; it retries inside.
const WRITE: Duration = Duration::from_secs(70);

/// Deploys the service and measures.
pub(crate) fn figures(lab: &Lab) -> anyhow::Result<Figures> {
    let file = lab.options().root.join("bench.yml");
    let text = format!(
        "name: bench\nservices:\n  web:\n    image: {IMAGE}\n    ports: [\"{PORT}:80\"]\n    \
         stop_grace_period: 3s\n    deploy: {{ replicas: {FEW} }}\n"
    );
    std::fs::write(&file, text)?;
    lab.deploy(1, &file).context("deploying")?;
    let trials =
        Trials { cuts: count("CUTS", 3), kills: count("KILLS", 20), scales: count("SCALES", 3) };
    let side = Side {
        name: "ours",
        lab,
        part: Part::Daemon,
        scale,
        leader,
        well,
        write,
        restart: |lab, host| Ok(lab.start_daemon(host)?),
        answers: true,
        trials,
    };
    side.measure()
}

/// Removes the service and stops daemons and edges, so that they take nothing from the other side.
pub(crate) fn stop(lab: &Lab) -> anyhow::Result<()> {
    lab.undeploy(1, "bench")?;
    for host in lab.numbers() {
        lab.terminate_daemon(host)?;
        lab.kill(host, Part::Edge)?;
    }
    Ok(())
}

fn scale(lab: &Lab, via: u8, replicas: usize) -> anyhow::Result<()> {
    let wish = format!("web={replicas}");
    lab.clusterctl_within(via, &["scale", "-p", "bench", &wish, "-d"], WRITE)?.ok()?;
    Ok(())
}

fn leader(lab: &Lab, via: u8) -> anyhow::Result<u8> {
    lab.leader(via)?.context("nobody leads")
}

fn well(lab: &Lab, via: u8) -> anyhow::Result<bool> {
    let nodes = lab.nodes(via)?;
    let status = lab.cluster_status(via)?;
    let ready = nodes.iter().filter(|node| node.readiness == "ready").count();
    Ok(ready == 3 && status.quorum && status.leader.is_some_and(|leader| !leader.is_empty()))
}

fn write(lab: &Lab, via: u8, trial: usize) -> bool {
    let label = format!("bench={trial}");
    let said = lab.clusterctl_within(via, &["nodes", "label", "host1", &label], WRITE);
    said.is_ok_and(|said| said.success())
}
