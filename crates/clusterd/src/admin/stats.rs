//! What replicas and nodes have used: this manager's own picture says who runs where, each node says the rest. A node
//! that does not answer is said to, and holds up no other.

use crate::managing::Managing;
use crate::node::Node;
use api::v1::{self, containers_client::ContainersClient};
use futures::future::join_all;
use model::{NodeId, Readiness, State, Task, TaskState};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Status;

/// How long a node may take to answer: an engine measures a container in a few milliseconds.
const DEADLINE: Duration = Duration::from_secs(4);

/// What the chosen replicas and their nodes have used so far; without a choice, all.
pub(crate) async fn stats(
    node: &Node,
    managing: &Managing,
    request: &v1::StatsRequest,
) -> Result<v1::StatsReply, Status> {
    let state = managing.log.state();
    let mut by_node: BTreeMap<NodeId, Vec<&Task>> = BTreeMap::new();
    if request.names.is_empty() {
        by_node = state.nodes.keys().map(|id| (*id, Vec::new())).collect();
    }
    for task in state.tasks.values().filter(|t| chosen(&state, t, request)) {
        by_node.entry(task.node).or_default().push(task);
    }
    if by_node.is_empty() {
        return Err(Status::not_found("there is no such replica; `clusterctl ps` lists them"));
    }
    let asked = by_node.iter().map(|(id, tasks)| ask(node, &state, *id, tasks));
    let mut reply = v1::StatsReply::default();
    for ((on, used), tasks) in join_all(asked).await.into_iter().zip(by_node.values()) {
        reply.replicas.extend(tasks.iter().map(|task| replica(&state, task, &on.name, &used)));
        reply.nodes.push(on);
    }
    let key = |r: &v1::ReplicaStats| (r.project.clone(), r.service.clone(), slot(&r.name));
    reply.replicas.sort_by_cached_key(key);
    Ok(reply)
}

/// The number of a replica, or the name of its node.
fn slot(name: &str) -> (u32, String) {
    let slot = name.rsplit('.').next().unwrap_or_default();
    (slot.parse().unwrap_or(0), slot.to_owned())
}

fn chosen(state: &State, task: &Task, request: &v1::StatsRequest) -> bool {
    let service = state.service_of(task);
    let replica = state.replica_name(task);
    let short = replica.split_once('/').map_or("", |(_, short)| short);
    let named = |n: &String| n == service.name.as_str() || n == short || *n == replica;
    matches!(task.state, TaskState::Starting | TaskState::Running | TaskState::Stopping)
        && (request.project.is_empty() || request.project == service.project.as_str())
        && (request.names.is_empty() || request.names.iter().any(named))
}

type Used = BTreeMap<(u64, u32), v1::Usage>;

async fn ask(node: &Node, state: &State, id: NodeId, tasks: &[&Task]) -> (v1::NodeStats, Used) {
    let Some(on) = state.nodes.get(&id) else { return Default::default() };
    let mut found = v1::NodeStats { name: on.name.to_string(), ..v1::NodeStats::default() };
    if on.readiness == Readiness::Lost {
        "it is lost".clone_into(&mut found.error);
        return (found, Used::new());
    }
    let of = |t: &&Task| v1::TaskRef { index: t.id.index, position: t.id.position };
    let request = v1::UsageRequest { tasks: tasks.iter().map(of).collect() };
    let mut client = ContainersClient::new(node.dialer.to(id, on.control()));
    let reply = match tokio::time::timeout(DEADLINE, client.usage(request)).await {
        Ok(Ok(reply)) => reply.into_inner(),
        Ok(Err(why)) => {
            why.message().clone_into(&mut found.error);
            return (found, Used::new());
        }
        Err(_) => {
            found.error = format!("no answer within {} s", DEADLINE.as_secs());
            return (found, Used::new());
        }
    };
    found.usage = reply.host;
    let used = reply.tasks.into_iter().filter_map(|measured| {
        let task = measured.task?;
        Some(((task.index, task.position), measured.usage?))
    });
    (found, used.collect())
}

fn replica(state: &State, task: &Task, on: &str, used: &Used) -> v1::ReplicaStats {
    let service = state.service_of(task);
    let full = state.replica_name(task);
    v1::ReplicaStats {
        project: service.project.to_string(),
        service: service.name.to_string(),
        name: full.split_once('/').map_or(full.as_str(), |(_, short)| short).to_owned(),
        task: task.id.to_string(),
        node: on.to_owned(),
        usage: used.get(&(task.id.index, task.id.position)).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_in_order_of_their_numbers() {
        let mut names = ["web.10", "web.9", "web.node2", "web.1"];
        names.sort_by_key(|name| slot(name));
        assert_eq!(names, ["web.node2", "web.1", "web.9", "web.10"]);
    }
}
