//! Prints durable writes per second of three members in one process, over gRPC on loopback without TLS,
//! next to what one fsync costs on this disk; and how long a cluster takes no write when its leader dies.
//!
//! `cargo run --release -p consensus --example writes [FOLDER]`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example may panic, and prints")]

#[path = "../tests/support/mod.rs"]
mod support;

use consensus::Log;
use model::{Command, NodeId, Readiness, Verdict};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use support::{Cluster, label};
use tokio::time::Instant;

const CLIENTS: u64 = 64;
const EACH: u64 = 250;
const SERIAL: usize = 500;

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn shown(mut taken: Vec<Duration>) -> String {
    taken.sort_unstable();
    format!("p50 {:?}, p99 {:?}", percentile(&taken, 50), percentile(&taken, 99))
}

fn probe(dir: &Path) -> String {
    let mut file = File::create(dir.join("probe")).unwrap();
    let mut once = || {
        let started = Instant::now();
        file.write_all(&[7; 1024]).unwrap();
        file.sync_data().unwrap();
        started.elapsed()
    };
    shown((0..300).map(|_| once()).collect())
}

/// About 1 KiB that changes nothing much.
fn write(n: u64) -> Command {
    label("bench", &format!("{n:01000}"))
}

async fn serial(log: &Log) -> String {
    let mut taken = Vec::new();
    for n in 0..SERIAL {
        let started = Instant::now();
        log.propose(write(n as u64), None).await.unwrap();
        taken.push(started.elapsed());
    }
    shown(taken)
}

async fn concurrent(log: &Log) -> f64 {
    let started = Instant::now();
    let client = |log: Log| async move {
        for n in 0..EACH {
            log.propose(write(n), None).await.unwrap();
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(log.clone()))).collect();
    for client in clients {
        client.await.unwrap();
    }
    (CLIENTS * EACH) as f64 / started.elapsed().as_secs_f64()
}

async fn without_leader(cluster: &mut Cluster) -> Duration {
    let old = cluster.leader().await;
    let other = cluster.followers().await[0];
    let log = cluster.log(other).clone();
    let verdict = Command::Judge(vec![Verdict { node: NodeId(1), readiness: Readiness::Ready }]);
    let started = Instant::now();
    cluster.kill(old).await;
    while log.propose(verdict.clone(), None).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let taken = started.elapsed();
    cluster.start(old).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    taken
}

#[tokio::main]
async fn main() {
    let mut cluster = Cluster::new();
    if let Some(folder) = std::env::args().nth(1) {
        cluster.dir = tempfile::TempDir::new_in(folder).unwrap();
    }
    cluster.timers = model::Timers::LAN;
    let mut cluster = cluster.of(3).await;
    println!("one 1 KiB write and fdatasync: {}", probe(cluster.dir.path()));
    let leader = cluster.leader().await;
    let follower = cluster.followers().await[0];
    println!("3 members, 1 client at the leader: {}", serial(cluster.log(leader)).await);
    println!("3 members, 1 client at a follower: {}", serial(cluster.log(follower)).await);
    println!(
        "3 members, {CLIENTS} clients at the leader: {:.0} writes/s",
        concurrent(cluster.log(leader)).await
    );
    println!(
        "3 members, {CLIENTS} clients at a follower: {:.0} writes/s",
        concurrent(cluster.log(follower)).await
    );
    let reads = Instant::now();
    for _ in 0..SERIAL {
        cluster.log(follower).read_index().await.unwrap();
    }
    println!("3 members, linearizable read at a follower: {:?}", reads.elapsed() / SERIAL as u32);
    let mut taken = Vec::new();
    for _ in 0..7 {
        taken.push(without_leader(&mut cluster).await);
    }
    println!("leader killed -> next accepted write: {}", shown(taken));
    println!("probe again: {}", probe(cluster.dir.path()));
}
