//! An object in full, as JSON. Values that may be confidential are left out: environment variables show
//! their names only, logins and sealed keys do not appear.

use model::{Node, Service, State, Task};
use serde_json::{Value, json};

/// Finds what `name` names: a node, a replica (`web.2`, `shop/web.2`), a service or a project.
pub(crate) fn inspect(state: &State, project: &str, name: &str) -> Option<Value> {
    let (project, name) = name.split_once('/').unwrap_or((project, name));
    let ours = |s: &&Service| (project.is_empty() || s.project.as_str() == project) && !s.removed;
    if let Some(node) =
        state.nodes.values().find(|n| n.name.as_str() == name || n.id.to_string() == name)
    {
        return Some(node_json(state, node));
    }
    if let Some(service) = state.services.values().filter(ours).find(|s| s.name.as_str() == name) {
        return Some(service_json(state, service));
    }
    let replica = |t: &&Task| {
        let service = state.service_of(t);
        ours(&service) && state.replica_name(t).ends_with(&format!("/{name}"))
            || t.id.to_string() == name
    };
    let tasks: Vec<Value> =
        state.tasks.values().filter(replica).map(|t| task_json(state, t)).collect();
    if !tasks.is_empty() {
        return Some(json!({ "kind": "replica", "tasks": tasks }));
    }
    let project = state.projects.values().find(|p| p.name.as_str() == name)?;
    let services: Vec<&str> = project.services.keys().map(model::ServiceName::as_str).collect();
    Some(json!({
        "kind": "project",
        "name": project.name,
        "generation": project.generation,
        "release": project.release,
        "deployed_ms": project.deployed.0,
        "services": services,
        "volumes": project.volumes.keys().map(model::VolumeName::as_str).collect::<Vec<_>>(),
    }))
}

fn node_json(state: &State, node: &Node) -> Value {
    let tasks: Vec<Value> = state.tasks_on(node.id).map(|t| task_json(state, t)).collect();
    let mut value = serde_json::to_value(node).unwrap_or_default();
    value["kind"] = "node".into();
    value["voter"] = state.voters.contains(&node.id).into();
    value["tasks"] = tasks.into();
    value
}

fn service_json(state: &State, service: &Service) -> Value {
    let mut spec = serde_json::to_value(&**service.spec()).unwrap_or_default();
    let names: Vec<&String> = service.spec().container.environment.keys().collect();
    spec["container"]["environment"] = json!(names);
    json!({
        "kind": "service",
        "id": service.id,
        "project": service.project,
        "name": service.name,
        "generation": service.generation,
        "release": service.release,
        "rollout": service.rollout.as_ref().map(|r| json!({
            "state": r.word(), "reason": r.reason, "failed": r.failed.len(),
        })),
        "scale": service.scale,
        "spec": spec,
        "tasks": state.tasks_of(service.id).map(|t| task_json(state, t)).collect::<Vec<_>>(),
    })
}

fn task_json(state: &State, task: &Task) -> Value {
    let mut value = serde_json::to_value(task).unwrap_or_default();
    value["id"] = task.id.to_string().into();
    value["replica"] = state.replica_name(task).into();
    value["node"] = state.node_name(task.node).into();
    value["state"] = task.state.to_string().into();
    value
}
