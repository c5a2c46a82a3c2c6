//! Faults at random, and their end.

use crate::cluster::Cluster;
use crate::engine::Mode;
use crate::random::Random;
use agent::ContainerId;
use model::NodeId;

/// One fault, or the end of one.
pub(crate) fn strike(cluster: &mut Cluster, random: &mut Random) {
    let nodes: Vec<NodeId> = cluster.hosts.keys().copied().collect();
    let node = random.pick(&nodes).expect("a cluster has nodes");
    let node = match cluster.log.leader() {
        Some(leader) if random.per_mille(250) => leader,
        _ => node,
    };
    cluster.note(&format_args!("trouble at {node}"));
    match random.between(0, 13) {
        0 => cluster.network.isolate(node),
        1..=2 => cluster.network.rejoin(node),
        3 => {
            let other = random.pick(&nodes).expect("a cluster has nodes");
            cluster.network.cut(node, other);
            if random.per_mille(500) {
                cluster.network.cut(other, node);
            }
        }
        4 => split(cluster, random, &nodes),
        5 => cluster.network.heal(),
        6 => {
            cluster.network.loss = random.between(0, 150);
            cluster.network.slow = random.between(0, 40);
        }
        7 => cluster.crash(node),
        8 => cluster.boot(node),
        9 => cluster.kill_daemon(node),
        10 => cluster.freeze(node, random.between(100, 8_000)),
        11 => engine(cluster, random, node),
        12 => cluster.stop_daemon(node),
        _ => by_hand(cluster, random, node),
    }
    // A host that is off, or whose daemon is, comes back some time.
    let back = random.pick(&nodes).expect("a cluster has nodes");
    if random.per_mille(400) {
        cluster.boot(back);
        cluster.start_daemon(back);
    }
}

/// No fault is left.
pub(crate) fn end(cluster: &mut Cluster) {
    cluster.network.heal();
    let nodes: Vec<NodeId> = cluster.hosts.keys().copied().collect();
    for node in nodes {
        cluster.boot(node);
        cluster.start_daemon(node);
        cluster.stay(node);
        if cluster.hosts[&node].engine.mode != Mode::Answers {
            cluster.set_engine(node, Mode::Answers, false);
        }
    }
}

fn split(cluster: &mut Cluster, random: &mut Random, nodes: &[NodeId]) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for node in nodes {
        if random.per_mille(500) { a.push(*node) } else { b.push(*node) }
    }
    cluster.network.partition(&a, &b);
}

fn engine(cluster: &mut Cluster, random: &mut Random, node: NodeId) {
    match random.between(0, 3) {
        0 => cluster.set_engine(node, Mode::Stopped, random.per_mille(500)),
        1 => cluster.set_engine(node, Mode::Hangs, false),
        _ => cluster.set_engine(node, Mode::Answers, false),
    }
}

/// Somebody kills or removes a container behind everybody's back.
fn by_hand(cluster: &mut Cluster, random: &mut Random, node: NodeId) {
    let Some(host) = cluster.hosts.get_mut(&node) else { return };
    let ids: Vec<ContainerId> = host.engine.containers.keys().cloned().collect();
    let Some(id) = random.pick(&ids) else { return };
    host.engine.end(&id, 137);
    if random.per_mille(500) {
        host.engine.containers.remove(&id);
    }
    cluster.announce_container(node, &id);
}
