//! One seeded run: a cluster is founded, given work, tormented, healed, and looked at. All of it is said in the
//! commands of a scenario, so that what a seed does can be read, replayed without it, and made shorter.

use crate::founding::Shape;
use crate::invariants::hopeless;
use crate::random::Random;
use crate::scenario::{Line, Player};
use crate::trouble::{blip, strike};
use crate::workload::Workload;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How large a run is.
#[derive(Clone, Debug)]
pub struct Size {
    /// Nodes, drawn from this range.
    pub nodes: RangeInclusive<usize>,
    /// One run of ten has more nodes, up to so many.
    pub most_nodes: usize,
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
            nodes: 3..=10,
            most_nodes: 20,
            replicas: 12,
            trouble: Duration::from_secs(40),
            heal: Duration::from_secs(700),
        }
    }

    /// As [`Size::small`], and one in ten of up to 200 nodes.
    pub fn wide() -> Self {
        Self { most_nodes: 200, ..Self::small() }
    }

    /// A thousand nodes with ten thousand replicas.
    pub fn large() -> Self {
        Self {
            nodes: 1_000..=1_000,
            most_nodes: 1_000,
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
    let mut player = Player::new();
    let failure = play(&mut player, seed, size).err();
    let cluster = player.cluster();
    Report {
        seed,
        nodes: cluster.hosts.len(),
        trace: cluster.trace.hash(),
        simulated: Duration::from_millis(cluster.now),
        steps: cluster.queue.count(),
        checks: cluster.invariants.checks,
        entries: cluster.log.index(),
        elections: cluster.log.elections,
        failure: failure.map(|what| format!("seed {seed}: {what}\n{}", cluster.trace.tail())),
    }
}

/// What a seed does, up to where it broke, and what broke; `None` when all was well.
pub(crate) fn script(seed: u64, size: &Size) -> Option<(Vec<Line>, String)> {
    let mut player = Player::new();
    let what = play(&mut player, seed, size).err()?;
    Some((player.said, what))
}

fn shape(random: &mut Random, size: &Size) -> Shape {
    let (low, high) = (*size.nodes.start() as u64, *size.nodes.end() as u64);
    // Small ones more often: they are where two of three is a majority.
    let mut nodes = random.between(low, high).min(random.between(low, high));
    if size.most_nodes as u64 > high && random.per_mille(100) {
        let most = random.between(high, size.most_nodes as u64);
        nodes = random.between(high, most);
    }
    let nodes = nodes as usize;
    let managers = match random.between(0, 9) {
        0..=2 if nodes >= 5 => 5,
        3 if nodes >= 4 => 4,
        _ => 3,
    };
    let memory = random.between(2, 8) << 30;
    Shape { managers, workers: nodes - managers, memory, milli_cpus: 4_000 }
}

fn play(player: &mut Player, seed: u64, size: &Size) -> Result<(), String> {
    let random = &mut Random::new(seed);
    let shape = shape(random, size);
    let (managers, workers, memory) = (shape.managers, shape.workers, shape.memory >> 20);
    let seed = random.next();
    player.say(&format!("hosts {managers} {workers} memory={memory} seed={seed} nasty"))?;
    let mut workload = Workload::new(random, size.replicas, managers + workers);
    player.say_all(workload.deploy_all())?;
    player.say("wait 8s")?;
    let until = player.cluster().now + size.trouble.as_millis() as u64;
    while player.cluster().now < until {
        if random.per_mille(300) {
            let lines = workload.change_something(player.cluster(), random);
            player.say_all(lines)?;
        } else {
            for command in strike(player.cluster(), random) {
                player.say(&command)?;
            }
        }
        player.say(&format!("wait {}ms", random.between(50, 2_500)))?;
    }
    player.say("end")?;
    let lines = workload.be_reasonable(player.cluster());
    player.say_all(lines)?;
    player.say(&format!("whole {}s", size.heal.as_secs()))?;
    stay_calm(player, random)
}

/// A blip below the limits starts and stops nothing, and neither does an election, a planned stop, or a
/// time in which nobody heard anybody.
fn stay_calm(player: &mut Player, random: &mut Random) -> Result<(), String> {
    if player.cluster().log.state.services.values().any(hopeless) {
        return Ok(());
    }
    player.say("calm")?;
    for command in blip(player.cluster(), random) {
        player.say(&command)?;
    }
    player.say("wait 6s")?;
    player.say("still")
}
