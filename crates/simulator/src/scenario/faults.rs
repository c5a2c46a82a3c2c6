//! The faults of a scenario, and their end.

use super::perform::{duration, host, number};
use crate::cluster::Cluster;
use crate::engine::Mode;
use agent::ContainerId;
use model::NodeId;

/// Makes a fault happen, or end.
pub(super) fn fault(cluster: &mut Cluster, verb: &str, args: &[&str]) -> Result<(), String> {
    let each = |cluster: &Cluster| -> Result<Vec<NodeId>, String> {
        args.iter().map(|a| host(cluster, Some(a))).collect()
    };
    match verb {
        "cut" => each(cluster)?.into_iter().for_each(|n| cluster.network.isolate(n)),
        "rejoin" => each(cluster)?.into_iter().for_each(|n| cluster.network.rejoin(n)),
        "crash" => each(cluster)?.into_iter().for_each(|n| cluster.crash(n)),
        "wipe" => each(cluster)?.into_iter().for_each(|n| cluster.wipe(n)),
        "boot" => each(cluster)?.into_iter().for_each(|n| cluster.boot(n)),
        "kill" => each(cluster)?.into_iter().for_each(|n| cluster.kill_daemon(n)),
        "start" => each(cluster)?.into_iter().for_each(|n| cluster.start_daemon(n)),
        "stop" => each(cluster)?.into_iter().for_each(|n| cluster.stop_daemon(n)),
        "heal" => cluster.network.heal(),
        "end" => end(cluster),
        "cut-link" | "deafen" => {
            let (a, b) = (host(cluster, args.first())?, host(cluster, args.get(1))?);
            cluster.network.cut(b, a);
            if verb == "cut-link" {
                cluster.network.cut(a, b);
            }
        }
        "split" => apart(cluster, &each(cluster)?, &[]),
        "bridge" => {
            let all = each(cluster)?;
            let (bridge, half) = all.split_first().ok_or("a host is missing")?;
            apart(cluster, half, &[*bridge]);
        }
        "flap" => {
            let (node, times) = (host(cluster, args.first())?, number(args.get(1).unwrap_or(&""))?);
            let millis = duration(args.get(2))?;
            cluster.flap(node, times, millis);
        }
        "rough" => {
            cluster.network.loss = number(args.first().unwrap_or(&""))?;
            cluster.network.slow = duration(args.get(1))?;
        }
        "freeze" => {
            let (node, millis) = (host(cluster, args.first())?, duration(args.get(1))?);
            cluster.freeze(node, millis);
        }
        "clock" => {
            let (node, ahead) =
                (host(cluster, args.first())?, args.get(1).ok_or("a time is missing")?);
            let ahead: i64 = ahead.parse().map_err(|_| format!("{ahead} is not a number"))?;
            if let Some(host) = cluster.hosts.get_mut(&node) {
                host.wall = ahead * 1_000;
            }
        }
        "engine" => engine(cluster, args)?,
        "end-container" | "take-container" => {
            let node = host(cluster, args.first())?;
            let position = number(args.get(1).unwrap_or(&""))?;
            by_hand(cluster, node, position as usize, verb == "take-container");
        }
        _ => return Err("no such command".to_owned()),
    }
    Ok(())
}

/// Cuts the links between these hosts and all others but those that are a bridge.
fn apart(cluster: &mut Cluster, half: &[NodeId], bridge: &[NodeId]) {
    let others = cluster.hosts.keys().filter(|n| !half.contains(n) && !bridge.contains(n));
    let others: Vec<NodeId> = others.copied().collect();
    cluster.network.partition(half, &others);
}

fn engine(cluster: &mut Cluster, args: &[&str]) -> Result<(), String> {
    let node = host(cluster, args.first())?;
    let (mode, kills) = match args.get(1) {
        Some(&"stop") => (Mode::Stopped, true),
        // Its containers live on without it.
        Some(&"restart") => (Mode::Stopped, false),
        Some(&"hang") => (Mode::Hangs, false),
        Some(&"slow") => (Mode::Slow, false),
        Some(&"answer") => (Mode::Answers, false),
        _ => return Err("what about the engine?".to_owned()),
    };
    cluster.set_engine(node, mode, kills);
    Ok(())
}

/// Somebody ends a container behind everybody's back, and removes it or does not.
fn by_hand(cluster: &mut Cluster, node: NodeId, position: usize, removes: bool) {
    let Some(host) = cluster.hosts.get_mut(&node) else { return };
    let count = host.engine.containers.len().max(1);
    let ids: Vec<ContainerId> = host.engine.containers.keys().cloned().collect();
    let Some(id) = ids.get(position % count) else { return };
    host.engine.end(id, 137);
    if removes {
        host.engine.containers.remove(id);
    }
    cluster.announce_container(node, id);
}

/// No fault is left.
pub(super) fn end(cluster: &mut Cluster) {
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
