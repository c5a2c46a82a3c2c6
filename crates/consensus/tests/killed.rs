//! The whole process is killed while it writes, again and again; what it acknowledged is there.

mod support;

use consensus::FOUNDER;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Cluster, label, labelled};

const FOLDER: &str = "CONSENSUS_KILLED_FOLDER";

/// What the killed process runs: the test below starts it again in a process of its own. In any other it has
/// nothing to write to, and ends at once.
#[tokio::test(flavor = "multi_thread")]
async fn writer() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let mut cluster = Cluster::new();
    cluster.snapshot_every = 40;
    cluster.keep = 5;
    let log = cluster.open(FOUNDER, &dir).await.unwrap();
    log.leads().wait_for(Option::is_some).await.unwrap();
    let from = labelled(&log, "n").map_or(0, |n| n.parse::<u64>().unwrap() + 1);
    for n in from.. {
        log.propose(label("n", &n.to_string()), None).await.unwrap();
        println!("acknowledged {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_23_what_was_acknowledged_survives_a_kill() {
    let mut cluster = Cluster::new().of(1).await;
    let dir = cluster.folder(FOUNDER);
    cluster.kill(FOUNDER).await;
    let mut acknowledged = 0;
    for round in 1..=6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture"])
            .env(FOLDER, &dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = acknowledged + 20 + round * 17;
        let mut take = || {
            let line = lines.next()?.unwrap();
            Some(line.rsplit_once("acknowledged ").and_then(|(_, n)| n.parse::<u64>().ok()))
        };
        while acknowledged < wanted {
            acknowledged = take().expect("it writes on").unwrap_or(acknowledged);
        }
        tokio::time::sleep(Duration::from_micros(round * 731)).await;
        child.kill().unwrap();
        while let Some(line) = take() {
            acknowledged = line.unwrap_or(acknowledged);
        }
        child.wait().unwrap();
        let log = cluster.open(FOUNDER, &dir).await.unwrap();
        log.leads().wait_for(Option::is_some).await.unwrap();
        let held: u64 = labelled(&log, "n").unwrap().parse().unwrap();
        assert!(held >= acknowledged, "round {round}: {held} held, {acknowledged} acknowledged");
        acknowledged = held;
        log.shutdown().await;
    }
}
