//! What `show` shows: nodes, replicas where they are, replicas that wait and why.

use crate::cluster::Cluster;
use model::{Availability, Node, Readiness, Task, Wanted};

/// The leader, nodes that are not simply ready, every replica, every reason to wait.
pub(super) fn show(cluster: &Cluster) -> Vec<String> {
    let state = &cluster.log.state;
    let leader = match cluster.log.leader() {
        Some(leader) => format!("{} leads", state.node_name(leader)),
        None => "nobody leads".to_owned(),
    };
    let mut lines = vec![leader];
    lines.extend(state.nodes.values().filter_map(odd));
    let mut tasks: Vec<&Task> = state.tasks.values().filter(|t| t.holds()).collect();
    tasks.sort_by_key(|t| (state.replica_name(t), t.id));
    lines.extend(tasks.into_iter().map(|task| {
        let (name, node) = (state.replica_name(task), state.node_name(task.node));
        let ready = state.nodes.get(&task.node).is_some_and(|n| n.readiness == Readiness::Ready);
        let doing = match (task.wanted, task.serving()) {
            (Wanted::Stop, _) => format!("{}, to stop", task.state),
            (Wanted::Run, true) if ready => "serving".to_owned(),
            (Wanted::Run, true) => "out of reach".to_owned(),
            (Wanted::Run, false) => task.state.to_string(),
        };
        format!("{name:<14} {node:<4} {doing}")
    }));
    let now = cluster.log.reign().map_or(state.now, |r| r.cluster_now(cluster.now));
    let plan = planner::plan(state, now, &cluster.settings);
    lines.extend(plan.waiting.iter().map(|w| {
        let service = &state.services[&w.service];
        let name = format!("{}.{}", service.full_name(), w.slot);
        format!("{name:<14} waits: {}", w.reason)
    }));
    lines
}

fn odd(node: &Node) -> Option<String> {
    let usual = node.readiness == Readiness::Ready && node.availability == Availability::Active;
    (!usual).then(|| format!("{} is {}, {}", node.name, node.readiness, node.availability))
}
