//! Faults at random, said in the commands of a scenario.

use crate::cluster::Cluster;
use crate::host::Standing;
use crate::random::Random;
use model::{Node, NodeId, Role};

/// A node, as a scenario names it.
fn name(cluster: &Cluster, node: NodeId) -> String {
    cluster.log.state.node_name(node)
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster.log.state.nodes.values().map(|n| n.name.to_string()).collect()
}

/// Who leads, if it is still one of the nodes.
fn leader(cluster: &Cluster) -> Option<String> {
    let leader = cluster.log.leader().filter(|l| cluster.log.state.nodes.contains_key(l))?;
    Some(name(cluster, leader))
}

/// One fault, or the end of one.
pub(crate) fn strike(cluster: &Cluster, random: &mut Random) -> Vec<String> {
    let names = names(cluster);
    let any = |random: &mut Random| random.pick(&names).expect("a cluster has nodes");
    let node = match leader(cluster) {
        Some(leader) if random.per_mille(250) => leader,
        _ => any(random),
    };
    let mut said = vec![match random.between(0, 18) {
        0 => format!("cut {node}"),
        1..=2 => format!("rejoin {node}"),
        3 => {
            let other = any(random);
            let verb = if random.per_mille(500) { "deafen" } else { "cut-link" };
            format!("{verb} {other} {node}")
        }
        4 => split(&names, random),
        5 => "heal".to_owned(),
        6 => format!("rough {} {}ms", random.between(0, 150), random.between(0, 40)),
        7 => format!("crash {node}"),
        8 => format!("boot {node}"),
        9 => format!("kill {node}"),
        10 => format!("freeze {node} {}ms", random.between(100, 8_000)),
        11 => engine(&node, random),
        12 => format!("stop {node}"),
        13 => bridge(&names, &node, random),
        16 => format!("clock {node} {}", random.between(0, 7_200) as i64 - 3_600),
        15 => match disposable(cluster, random) {
            Some(node) => format!("wipe {node}"),
            None => "heal".to_owned(),
        },
        14 => format!("flap {node} {} {}ms", random.between(2, 6), random.between(200, 4_000)),
        _ => {
            let verb = if random.per_mille(500) { "end-container" } else { "take-container" };
            format!("{verb} {node} {}", random.between(1, 20))
        }
    }];
    // A host that is off, or whose daemon is, comes back some time.
    let back = any(random);
    if random.per_mille(400) {
        said.push(format!("boot {back}"));
        said.push(format!("start {back}"));
    }
    said
}

/// Something that may start and stop nothing, and its end.
pub(crate) fn blip(cluster: &Cluster, random: &mut Random) -> Vec<String> {
    let names = names(cluster);
    let node = random.pick(&names).expect("a cluster has nodes");
    let leader = leader(cluster).unwrap_or_else(|| node.clone());
    let (during, millis, after) = match random.between(0, 6) {
        0 => (format!("cut {node}"), 1_200, "heal".to_owned()),
        1 => (format!("kill {node}"), 1_000, format!("start {node}")),
        2 => (format!("cut {}", names.join(" ")), 8_000, "heal".to_owned()),
        3 => (format!("stop {node}"), 12_000, format!("start {node}")),
        4 => {
            (format!("freeze {leader} {}ms", random.between(500, 2_500)), 3_000, "heal".to_owned())
        }
        // Out of sight for long enough to be suspect, and not to be lost.
        5 => (format!("cut {node}"), 2_500, "heal".to_owned()),
        _ => (format!("kill {leader}"), 1_000, format!("start {leader}")),
    };
    vec![during, format!("wait {millis}ms"), after]
}

/// A node whose loss loses nothing for good: it is no volume's home, enough managers are left, and none is wiped
/// already.
pub(crate) fn disposable(cluster: &Cluster, random: &mut Random) -> Option<String> {
    let state = &cluster.log.state;
    let managers = state.managers().count();
    let fit = |n: &&Node| {
        let home = state.volumes.values().any(|v| v.home == n.id);
        !home
            && wiped(cluster).is_empty()
            && (n.role == Role::Worker || managers > 3)
            && state.nodes.len() > 3
    };
    let names: Vec<String> = state.nodes.values().filter(fit).map(|n| n.name.to_string()).collect();
    random.pick(&names)
}

/// Nodes whose disk was lost, and which have not come back as another node.
pub(crate) fn wiped(cluster: &Cluster) -> Vec<(String, Role)> {
    let lost = |n: &&Node| cluster.hosts.get(&n.id).is_some_and(|h| h.standing == Standing::Wiped);
    cluster.log.state.nodes.values().filter(lost).map(|n| (n.name.to_string(), n.role)).collect()
}

/// These hosts on one side, the others on the other.
fn split(names: &[String], random: &mut Random) -> String {
    let half: Vec<&str> =
        names.iter().filter(|_| random.per_mille(500)).map(String::as_str).collect();
    format!("split {}", half.join(" "))
}

/// Two sides that only one host reaches.
fn bridge(names: &[String], node: &str, random: &mut Random) -> String {
    let half: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != node && random.per_mille(500))
        .collect();
    format!("bridge {node} {}", half.join(" "))
}

fn engine(node: &str, random: &mut Random) -> String {
    let how = match random.between(0, 5) {
        0 => "stop",
        1 => "restart",
        2 => "hang",
        3 => "slow",
        _ => "answer",
    };
    format!("engine {node} {how}")
}
