//! One seeded run: a cluster is founded, given work, tormented, healed, and looked at.

use crate::cluster::{Cluster, Nastiness};
use crate::founding::{Shape, entries};
use crate::invariants::healed;
use crate::random::Random;
use crate::trouble::{end, strike};
use crate::workload::Workload;
use model::{NodeId, Task, TaskId};
use std::ops::RangeInclusive;
use std::time::Duration;

/// For this long nothing may be due by itself when calm is looked at: longer than what a node said of its
/// memory before its last copies ran is taken for old, because it says it anew when it comes back.
const CALM: Duration = Duration::from_secs(65);

/// How large a run is.
#[derive(Clone, Debug)]
pub struct Size {
    /// Nodes, drawn from this range.
    pub nodes: RangeInclusive<usize>,
    /// Replicas asked for in all, about.
    pub replicas: usize,
    /// How long faults happen.
    pub trouble: Duration,
    /// Longest wait until the cluster must be whole again.
    pub heal: Duration,
}

impl Size {
    /// Small clusters, for many seeds.
    pub fn small() -> Self {
        Self {
            nodes: 3..=20,
            replicas: 12,
            trouble: Duration::from_secs(40),
            heal: Duration::from_secs(700),
        }
    }

    /// A thousand nodes with ten thousand replicas.
    pub fn large() -> Self {
        Self {
            nodes: 1_000..=1_000,
            replicas: 10_000,
            trouble: Duration::from_secs(30),
            heal: Duration::from_secs(700),
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Fingerprint of all that happened.
    pub trace: u64,
    /// Virtual time that passed.
    pub simulated: Duration,
    /// Things that happened.
    pub steps: u64,
    /// Invariants checked.
    pub checks: u64,
    /// Entries committed.
    pub entries: u64,
    /// Elections held.
    pub elections: u64,
    /// What broke, with the last of what happened; `None` when all was well.
    pub failure: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, size: &Size) -> Report {
    let mut random = Random::new(seed);
    let shape = shape(&mut random, size);
    let mut cluster = Cluster::new(random.next(), entries(shape), Nastiness::SOME);
    let failure = play(&mut cluster, &mut random, size)
        .err()
        .map(|what| format!("seed {seed}: {what}\n{}", cluster.trace.tail()));
    Report {
        seed,
        nodes: shape.managers + shape.workers,
        trace: cluster.trace.hash(),
        simulated: Duration::from_millis(cluster.now),
        steps: cluster.queue.count(),
        checks: cluster.invariants.checks,
        entries: cluster.log.index(),
        elections: cluster.log.elections,
        failure,
    }
}

fn shape(random: &mut Random, size: &Size) -> Shape {
    // Small ones more often: they are where two of three is a majority.
    let (low, high) = (*size.nodes.start() as u64, *size.nodes.end() as u64);
    let nodes = random.between(low, high).min(random.between(low, high)) as usize;
    let managers = if nodes >= 5 && random.per_mille(300) { 5 } else { 3 };
    let memory = random.between(2, 8) << 30;
    Shape { managers, workers: nodes - managers, memory, milli_cpus: 4_000 }
}

fn play(cluster: &mut Cluster, random: &mut Random, size: &Size) -> Result<(), String> {
    let mut workload = Workload::new(random, size.replicas, cluster.hosts.len());
    workload.deploy_all(cluster);
    pass(cluster, 8_000)?;
    let until = cluster.now + size.trouble.as_millis() as u64;
    while cluster.now < until {
        if random.per_mille(300) {
            workload.change_something(cluster, random);
        } else {
            strike(cluster, random);
        }
        pass(cluster, random.between(50, 2_500))?;
    }
    end(cluster);
    workload.be_reasonable(cluster);
    wait_until_whole(cluster, size.heal.as_millis() as u64)?;
    stay_calm(cluster, random)
}

fn pass(cluster: &mut Cluster, millis: u64) -> Result<(), String> {
    let mut left = millis;
    while left > 0 {
        let step = left.min(250);
        cluster.run(step);
        left -= step;
        if let Some(broken) = &cluster.invariants.broken {
            return Err(broken.clone());
        }
    }
    Ok(())
}

fn wait_until_whole(cluster: &mut Cluster, limit: u64) -> Result<(), String> {
    let until = cluster.now + limit;
    loop {
        pass(cluster, 5_000)?;
        let wrong = healed(cluster);
        if wrong.is_empty() && quiet(cluster) {
            return Ok(());
        }
        if cluster.now >= until {
            return Err(format!("not healed: {}", wrong.join("; ")));
        }
    }
}

/// Whether the planner wants nothing now, and expects to want nothing for a while: nor is anything under way
/// that it would follow up.
fn quiet(cluster: &Cluster) -> bool {
    let state = &cluster.log.state;
    let Some(reign) = cluster.log.reign() else { return false };
    let now = reign.cluster_now(cluster.now);
    let plan = planner::plan(state, now, &cluster.settings);
    let crashes = |s: &model::Service| s.spec().container.image.reference == "crashes";
    let noisy = state.services.values().any(crashes);
    let under_way = |t: &Task| t.holds() && !t.serving();
    let still = plan.changes.is_empty() && !state.tasks.values().any(under_way);
    noisy || still && plan.wake_at.is_none_or(|at| at > now + CALM)
}

/// What no blip may change: which tasks live. Forgetting one that ended moves nothing.
fn live(cluster: &Cluster) -> Vec<TaskId> {
    let tasks = cluster.log.state.tasks.values();
    tasks.filter(|t| t.live()).map(|t| t.id).collect()
}

/// A blip below the limits starts and stops nothing, and neither does an election, a planned stop, or a
/// time in which nobody heard anybody.
fn stay_calm(cluster: &mut Cluster, random: &mut Random) -> Result<(), String> {
    if cluster.log.state.services.values().any(|s| s.spec().container.image.reference == "crashes")
    {
        return Ok(());
    }
    let before = live(cluster);
    let nodes: Vec<NodeId> = cluster.hosts.keys().copied().collect();
    let node = random.pick(&nodes).expect("a cluster has nodes");
    match random.between(0, 4) {
        0 => {
            cluster.network.isolate(node);
            pass(cluster, 1_200)?;
            cluster.network.heal();
        }
        1 => {
            cluster.kill_daemon(node);
            pass(cluster, 1_000)?;
            cluster.start_daemon(node);
        }
        2 => {
            for node in &nodes {
                cluster.network.isolate(*node);
            }
            pass(cluster, 8_000)?;
            cluster.network.heal();
        }
        3 => {
            cluster.stop_daemon(node);
            pass(cluster, 12_000)?;
            cluster.start_daemon(node);
        }
        _ => {
            let leader = cluster.log.leader().unwrap_or(node);
            cluster.kill_daemon(leader);
            pass(cluster, 1_000)?;
            cluster.start_daemon(leader);
        }
    }
    pass(cluster, 6_000)?;
    let after = live(cluster);
    if after == before {
        return Ok(());
    }
    let only = |these: &[TaskId], those: &[TaskId]| -> Vec<String> {
        these.iter().filter(|t| !those.contains(t)).map(ToString::to_string).collect()
    };
    let (gone, new) = (only(&before, &after), only(&after, &before));
    Err(format!("a blip moved something: {gone:?} gone, {new:?} new"))
}
