//! The cluster's replies as JSON: field names as in the protocol, lists as arrays. These names are what
//! scripts rely on, so a field is added here, never renamed.

use crate::status::quorum;
use api::v1;
use serde_json::{Value, json};

pub(crate) fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(one).collect())
}

pub(crate) fn node(n: &v1::NodeSummary) -> Value {
    json!({
        "id": n.id, "name": n.name, "role": n.role, "voter": n.voter, "leader": n.leader,
        "address": n.address, "availability": n.availability, "readiness": n.readiness,
        "away": n.away, "engine_ready": n.engine_ready, "engine": n.engine, "version": n.version,
        "milli_cpus": n.milli_cpus, "memory": n.memory,
        "reserved_milli_cpus": n.reserved_milli_cpus, "reserved_memory": n.reserved_memory,
        "memory_free": n.memory_free, "tasks": n.tasks, "labels": n.labels,
        "broken_links": n.broken_links, "busy_ports": n.busy_ports,
        "disk_pressure": n.disk_pressure, "os": n.os, "arch": n.arch,
    })
}

pub(crate) fn finding(f: &v1::Finding) -> Value {
    json!({
        "node": f.node, "to": f.to, "aspect": f.aspect, "problem": f.problem, "fix": f.fix,
        "took_us": f.took_us,
    })
}

pub(crate) fn network(n: &v1::Network) -> Value {
    let subnet = |s: &v1::NetworkSubnet| json!({"node": s.node, "subnet": s.subnet});
    let replica =
        |r: &v1::NetworkReplica| json!({"name": r.name, "node": r.node, "address": r.address});
    let service = |s: &v1::NetworkService| {
        json!({
            "project": s.project, "service": s.service, "aliases": s.aliases,
            "addresses": s.addresses, "replicas": list(&s.replicas, replica),
        })
    };
    json!({
        "project": n.project, "name": n.name, "called": n.called, "internal": n.internal,
        "attachable": n.attachable, "mtu": n.mtu, "subnets": list(&n.subnets, subnet),
        "services": list(&n.services, service),
    })
}

pub(crate) fn project(p: &v1::ProjectSummary) -> Value {
    json!({
        "name": p.name, "generation": p.generation, "release": p.release,
        "deployed_ms": p.deployed_ms, "services": p.services,
    })
}

pub(crate) fn service(s: &v1::ServiceSummary) -> Value {
    let waiting = |w: &v1::WaitingSummary| json!({"replica": w.replica, "reason": w.reason});
    json!({
        "project": s.project, "name": s.name, "mode": s.mode, "image": s.image,
        "wanted": s.wanted, "completed": s.completed, "running": s.running, "healthy": s.healthy, "updated": s.updated,
        "ports": s.ports, "generation": s.generation, "waiting": list(&s.waiting, waiting),
        "removed": s.removed, "rollout": s.rollout.as_ref().map(rollout),
    })
}

fn rollout(r: &v1::RolloutSummary) -> Value {
    json!({
        "state": r.state, "paused": r.paused, "ended": r.ended, "back": r.back, "reason": r.reason,
        "release": r.release, "left": r.left, "failed": r.failed,
        "last_failure": r.last_failure,
    })
}

pub(crate) fn wished(r: &v1::SetRolloutReply) -> Value {
    json!({"index": r.index, "generation": r.generation, "services": r.services})
}

pub(crate) fn replica(r: &v1::ReplicaSummary) -> Value {
    json!({
        "project": r.project, "service": r.service, "name": r.name, "task": r.task,
        "node": r.node, "image": r.image, "state": r.state, "condition": r.condition,
        "healthy": r.healthy, "wanted": r.wanted, "generation": r.generation,
        "age_ms": r.age_ms, "restarts": r.restarts, "reason": r.reason, "memory": r.memory,
        "current": r.current, "address": r.address, "ports": r.ports,
    })
}

pub(crate) fn content(c: &v1::ContentSummary) -> Value {
    json!({"name": c.name, "created_ms": c.created_ms, "used_by": c.used_by})
}

pub(crate) fn read(r: Option<&v1::ReadInfo>) -> Value {
    r.map_or(Value::Null, |r| {
        json!({
            "stale": r.stale, "age_ms": r.age_ms, "index": r.index, "now": r.now,
            "served_by": r.served_by, "why_stale": r.why_stale,
        })
    })
}

pub(crate) fn status(s: &v1::StatusReply) -> Value {
    let loss = |l: &v1::Loss| json!({"node": l.node, "survivable": l.survivable, "why": l.why});
    json!({
        "read": read(s.read.as_ref()), "cluster": s.cluster, "leader": s.leader, "term": s.term,
        "voters": s.voters, "voters_ready": s.voters_ready, "quorum": quorum(s),
        "nodes": list(&s.nodes, node), "services": list(&s.services, service),
        "losses": list(&s.losses, loss), "remarks": s.remarks, "voting": s.voting,
        "mesh": s.mesh,
    })
}

pub(crate) fn event(e: &v1::EventsReply) -> Value {
    json!({"index": e.index, "wall_ms": e.wall_ms, "kind": e.kind, "text": e.text})
}

pub(crate) fn log_line(l: &v1::LogsReply, line: &[u8]) -> Value {
    json!({
        "replica": l.replica, "node": l.node, "stderr": l.stderr, "at": l.at,
        "line": String::from_utf8_lossy(line),
    })
}

pub(crate) fn scaled(s: &v1::Scaled) -> Value {
    json!({"service": s.service, "from": s.from, "to": s.to})
}

pub(crate) fn deployed(project: &str, r: &v1::DeployReply, dry_run: bool) -> Value {
    json!({
        "project": project, "index": r.index, "generation": r.generation, "dry_run": dry_run,
        "remarks": r.remarks, "changed": r.changed, "scaled": list(&r.scaled, scaled),
    })
}

pub(crate) fn written(r: &v1::WriteReply) -> Value {
    json!({"index": r.index, "generation": r.generation, "scaled": list(&r.scaled, scaled)})
}

pub(crate) fn loaded(r: &v1::LoadImageReply) -> Value {
    let one = |n: &v1::LoadedImage| json!({"node": n.node, "loaded": n.loaded, "error": n.error});
    list(&r.nodes, one)
}
