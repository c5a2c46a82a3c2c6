//! `deploy`, and the older keys of a service that say the same: how many copies, what each may use, where
//! they go, what happens when one ends, and how a new generation replaces the old.

use crate::keys::Section;
use crate::reader::{Fields, Reader};
use crate::scalar::{bytes, count, duration, milli_cpus};
use crate::tree::Place;
use model::{
    Constraint, ConstraintKey, DeviceRequest, FailureAction, Mode, Placement, Resources,
    RestartCondition, RestartPolicy, UpdateOrder, UpdatePolicy,
};
use std::collections::BTreeMap;

/// What `deploy` says about a service.
pub(crate) struct Deploy {
    pub(crate) mode: Mode,
    pub(crate) resources: Resources,
    pub(crate) placement: Placement,
    pub(crate) restart: RestartPolicy,
    /// Where the file says when a copy that ended gets a successor, if it does.
    pub(crate) restart_at: Option<Place>,
    pub(crate) update: UpdatePolicy,
    /// The name stands for the replicas themselves.
    pub(crate) round_robin: bool,
    pub(crate) rollback: UpdatePolicy,
    /// Devices of drivers that are reserved.
    pub(crate) devices: Vec<DeviceRequest>,
    /// Labels that only placeholders can find.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Reads `deploy`, `scale`, `restart`, `mem_limit`, `mem_reservation`, `cpus` and `pids_limit`.
pub(crate) fn read(r: &mut Reader<'_>, service: &Fields<'_>) -> Deploy {
    let empty = crate::tree::Node::new(service.at, crate::tree::Value::Null);
    let inner = r.fields(service.get("deploy").unwrap_or(&empty), "deploy", Section::Deploy);
    let (mode, restart_at) = (mode(r, service, &inner), restart_at(service, &inner));
    Deploy {
        mode,
        resources: resources(r, service, &inner),
        placement: placement(r, &inner),
        restart: restart(r, service, &inner),
        restart_at,
        update: update(r, &inner),
        round_robin: round_robin(r, &inner),
        rollback: rollback(r, &inner),
        labels: inner.get("labels").map(|n| r.labels(n, "labels")).unwrap_or_default(),
        devices: without_effect(r, &inner),
    }
}

/// What the name of a service stands for.
fn round_robin(r: &mut Reader<'_>, deploy: &Fields<'_>) -> bool {
    r.word(deploy, "endpoint_mode", &[("vip", false), ("dnsrr", true)]).unwrap_or_default()
}

/// Checks what the table says has no effect, and reads the devices that stand among it.
fn without_effect(r: &mut Reader<'_>, deploy: &Fields<'_>) -> Vec<DeviceRequest> {
    let resources = deploy.get("resources").and_then(|n| n.entry("reservations"));
    let Some(reservations) = resources else { return Vec::new() };
    if let Some(list) = reservations.entry("generic_resources") {
        for item in r.items(list, "generic_resources", false) {
            let kind = r.fields_within(item, "generic_resources", Section::Generic);
            if let Some(spec) = kind.get("discrete_resource_spec") {
                r.fields_within(spec, "discrete_resource_spec", Section::Discrete);
            }
        }
    }
    let devices = reservations.entry("devices").filter(|n| !n.is_null());
    devices.map(|n| crate::devices::reserved(r, n, n.at)).unwrap_or_default()
}

const ORDERS: [(&str, UpdateOrder); 2] =
    [("start-first", UpdateOrder::StartFirst), ("stop-first", UpdateOrder::StopFirst)];

/// How one generation replaces another, and what happens when that fails.
fn policy(
    r: &mut Reader<'_>,
    inner: &Fields<'_>,
    actions: &[(&str, FailureAction)],
) -> UpdatePolicy {
    UpdatePolicy {
        order: r.word(inner, "order", &ORDERS),
        monitor: r.value(inner, "monitor", duration),
        parallelism: r.value(inner, "parallelism", count(model::limits::REPLICAS)),
        delay: r.value(inner, "delay", duration).filter(|d| !d.is_zero()),
        failure_action: r.word(inner, "failure_action", actions),
        max_failure_ratio: r.value(inner, "max_failure_ratio", crate::scalar::ratio),
    }
}

/// What a failed update may lead to, and before it what a failed way back may.
const ACTIONS: [(&str, FailureAction); 3] = [
    ("continue", FailureAction::Continue),
    ("pause", FailureAction::Pause),
    ("rollback", FailureAction::Rollback),
];

fn mode(r: &mut Reader<'_>, service: &Fields<'_>, deploy: &Fields<'_>) -> Mode {
    let replicas = r.value(deploy, "replicas", count(model::limits::REPLICAS));
    let scale = r.value(service, "scale", count(model::limits::REPLICAS));
    let replicas = agreed(r, service.at("scale"), "scale", scale, replicas);
    let name = r.text(deploy, "mode").unwrap_or_else(|| "replicated".to_owned());
    let at = deploy.at("mode").unwrap_or(deploy.at);
    match name.as_str() {
        "replicated" => {}
        "replicated-job" => return Mode::ReplicatedJob { total: replicas, concurrent: None },
        "global" | "global-job" if replicas.is_some() => {
            let message = "runs one copy per node and takes no number of replicas";
            r.log.error(at, format!("`mode: {name}` {message}"));
        }
        "global" => return Mode::Global,
        "global-job" => return Mode::GlobalJob,
        other => {
            let known = ["replicated", "global", "replicated-job", "global-job"];
            let hint = crate::words::hint(other, known.into_iter());
            r.log.error(at, format!("unknown mode `{}`{hint}", crate::complaint::shown(other)));
        }
    }
    Mode::Replicated { replicas }
}

/// The older key's value and that under `deploy`, which must agree where both are given.
fn agreed<T: PartialEq + Copy>(
    r: &mut Reader<'_>,
    at: Option<Place>,
    old: &str,
    value: Option<T>,
    under_deploy: Option<T>,
) -> Option<T> {
    if let (Some(at), Some(a), Some(b)) = (at, value, under_deploy)
        && a != b
    {
        r.log.error(at, format!("`{old}` and `deploy` say different things; keep one of them"));
    }
    under_deploy.or(value)
}

fn resources(r: &mut Reader<'_>, service: &Fields<'_>, deploy: &Fields<'_>) -> Resources {
    let empty = crate::tree::Node::new(deploy.at, crate::tree::Value::Null);
    let both = r.fields(deploy.get("resources").unwrap_or(&empty), "resources", Section::Resources);
    let limits = r.fields(both.get("limits").unwrap_or(&empty), "limits", Section::Limits);
    let floor = both.get("reservations").unwrap_or(&empty);
    let floor = r.fields(floor, "reservations", Section::Reservations);

    let cpus = (r.value(service, "cpus", milli_cpus), r.value(&limits, "cpus", milli_cpus));
    let memory = (r.value(service, "mem_limit", bytes), r.value(&limits, "memory", bytes));
    let pids = (r.value(service, "pids_limit", pids), r.value(&limits, "pids", pids));
    let reserved = (r.value(service, "mem_reservation", bytes), r.value(&floor, "memory", bytes));

    let cpus = agreed(r, service.at("cpus"), "cpus", cpus.0, cpus.1);
    let memory = agreed(r, service.at("mem_limit"), "mem_limit", memory.0, memory.1);
    let pids = agreed(r, service.at("pids_limit"), "pids_limit", pids.0, pids.1).flatten();
    let reserved =
        agreed(r, service.at("mem_reservation"), "mem_reservation", reserved.0, reserved.1);
    let resources = Resources {
        reserved_milli_cpus: r.value(&floor, "cpus", milli_cpus).unwrap_or(0),
        reserved_memory: reserved.unwrap_or(0),
        // Zero is how the engine spells "no limit".
        milli_cpus: cpus.filter(|c| *c > 0),
        memory: memory.filter(|m| *m > 0),
        pids,
    };
    floor_below_limit(r, &resources, deploy.at("resources").unwrap_or(service.at));
    resources
}

fn floor_below_limit(r: &mut Reader<'_>, resources: &Resources, at: Place) {
    if resources.memory.is_some_and(|limit| limit < resources.reserved_memory) {
        r.log.error(at, "more memory is reserved than the limit allows to use");
    }
    if resources.milli_cpus.is_some_and(|limit| limit < resources.reserved_milli_cpus) {
        r.log.error(at, "more processor time is reserved than the limit allows to use");
    }
}

/// `-1` and `0` mean no limit.
fn pids(text: &str) -> Result<Option<u32>, String> {
    if text == "-1" {
        return Ok(None);
    }
    count(4_194_304)(text).map(|n| (n > 0).then_some(n))
}

fn placement(r: &mut Reader<'_>, deploy: &Fields<'_>) -> Placement {
    let Some(node) = deploy.get("placement") else { return Placement::default() };
    let inner = r.fields(node, "placement", Section::Placement);
    let mut placement = Placement {
        max_replicas_per_node: r
            .value(&inner, "max_replicas_per_node", count(model::limits::REPLICAS))
            .filter(|n| *n > 0),
        ..Placement::default()
    };
    if let Some(list) = inner.get("constraints") {
        for item in r.items(list, "constraints", false) {
            placement.constraints.extend(r.scalar(item, "constraints", constraint));
        }
    }
    if let Some(list) = inner.get("preferences") {
        for item in r.items(list, "preferences", false) {
            let preference = r.fields(item, "preferences", Section::Preference);
            if preference.get("spread").is_none() {
                r.log.error(item.at, "a preference is written `spread: node.labels.zone`");
            }
            placement.spread.extend(r.value(&preference, "spread", spread));
        }
    }
    placement
}

/// `node.labels.zone == east`.
fn constraint(text: &str) -> Result<Constraint, String> {
    let form = "`KEY == VALUE` or `KEY != VALUE`";
    let (key, equal, value) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((key, value)), None) => (key, true, value),
        (None, Some((key, value))) => (key, false, value),
        _ => return Err(form.to_owned()),
    };
    let (key, value) = (key.trim(), value.trim());
    if value.is_empty() || value.contains(crate::complaint::unprintable) {
        return Err(form.to_owned());
    }
    let key = match key {
        "node.id" => ConstraintKey::Id,
        "node.hostname" => ConstraintKey::Hostname,
        "node.role" if !matches!(value, "manager" | "worker") => {
            return Err("`node.role` to be compared with `manager` or `worker`".to_owned());
        }
        "node.role" => ConstraintKey::Role,
        "node.platform.os" => ConstraintKey::Os,
        "node.platform.arch" => ConstraintKey::Arch,
        _ => ConstraintKey::Label(label(key).ok_or_else(|| {
            let all = "node.id, node.hostname, node.role, node.platform.os, node.platform.arch";
            format!("one of {all} or node.labels.NAME before the sign")
        })?),
    };
    Ok(Constraint { key, equal, value: value.to_owned() })
}

fn label(key: &str) -> Option<String> {
    let name = key.strip_prefix("node.labels.")?;
    let good = !name.is_empty()
        && name.len() <= model::limits::LABEL_BYTES
        && !name.contains(|c: char| c.is_whitespace() || crate::complaint::unprintable(c));
    good.then(|| name.to_owned())
}

fn spread(text: &str) -> Result<String, String> {
    label(text.trim()).ok_or_else(|| "a label of nodes such as `node.labels.zone`".to_owned())
}

fn restart(r: &mut Reader<'_>, service: &Fields<'_>, deploy: &Fields<'_>) -> RestartPolicy {
    let simple = r.value(service, "restart", simple).unwrap_or_default();
    let Some(node) = deploy.get("restart_policy") else { return simple };
    let inner = r.fields(node, "restart_policy", Section::Restart);
    let default = RestartPolicy::default();
    let conditions = [
        ("none", RestartCondition::Never),
        ("on-failure", RestartCondition::OnFailure),
        ("any", RestartCondition::Any),
    ];
    let condition = r.word(&inner, "condition", &conditions);
    if let Some(at) =
        service.at("restart").filter(|_| condition.is_some_and(|c| c != simple.condition))
    {
        r.log.warn(at, "`restart` has no effect: `deploy.restart_policy` says something else");
    }
    RestartPolicy {
        condition: condition.unwrap_or(RestartCondition::Any),
        delay: r.value(&inner, "delay", duration).unwrap_or(default.delay),
        max_attempts: r.value(&inner, "max_attempts", count(1_000_000)).filter(|n| *n > 0),
        window: r.value(&inner, "window", duration).unwrap_or(default.window),
    }
}

/// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
fn simple(text: &str) -> Result<RestartPolicy, String> {
    let expected = || {
        let words = ["no", "always", "on-failure", "unless-stopped"];
        let near = crate::words::nearest(text, words.into_iter());
        let hint = near.map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default();
        format!("one of `no`, `always`, `on-failure`, `on-failure:N`, `unless-stopped`{hint}")
    };
    let default = RestartPolicy::default();
    let with = |condition| RestartPolicy { condition, ..default };
    match text {
        "no" => Ok(with(RestartCondition::Never)),
        "always" | "unless-stopped" => Ok(with(RestartCondition::Any)),
        "on-failure" => Ok(with(RestartCondition::OnFailure)),
        _ => {
            let times = text.strip_prefix("on-failure:").ok_or_else(expected)?;
            let max = count(1_000_000)(times).map_err(|_| expected())?;
            let max_attempts = (max > 0).then_some(max);
            Ok(RestartPolicy { max_attempts, ..with(RestartCondition::OnFailure) })
        }
    }
}

fn restart_at(service: &Fields<'_>, deploy: &Fields<'_>) -> Option<Place> {
    let condition = deploy.get("restart_policy").and_then(|policy| policy.entry("condition"));
    let condition = condition.filter(|node| !node.is_null()).map(|node| node.at);
    condition.or_else(|| service.at("restart"))
}

fn update(r: &mut Reader<'_>, deploy: &Fields<'_>) -> UpdatePolicy {
    let Some(node) = deploy.get("update_config") else { return UpdatePolicy::default() };
    let inner = r.fields(node, "update_config", Section::Update);
    policy(r, &inner, &ACTIONS)
}

fn rollback(r: &mut Reader<'_>, deploy: &Fields<'_>) -> UpdatePolicy {
    let Some(node) = deploy.get("rollback_config") else { return UpdatePolicy::default() };
    let inner = r.fields(node, "rollback_config", Section::Rollback);
    policy(r, &inner, &ACTIONS[..2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        let parsed = constraint("node.labels.zone==east").expect("well-formed");
        assert_eq!((parsed.key, parsed.equal), (ConstraintKey::Label("zone".into()), true));
        let parsed = constraint("node.hostname != b").expect("well-formed");
        assert_eq!(
            (parsed.key, parsed.equal, parsed.value),
            (ConstraintKey::Hostname, false, "b".into())
        );
        for wrong in [
            "",
            "node.id",
            "node.id ==",
            "node.id = a",
            "engine.labels.x == y",
            "node.role == boss",
            "node.labels. == x",
            "a == b == c",
            "node.id == a != b",
            "node.id == \u{1b}[31m",
        ] {
            assert!(constraint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_simple_restart_key() {
        let of = |s| simple(s).map(|p| (p.condition, p.max_attempts));
        assert_eq!(of("no"), Ok((RestartCondition::Never, None)));
        assert_eq!(of("on-failure:3"), Ok((RestartCondition::OnFailure, Some(3))));
        assert_eq!(of("unless-stopped"), Ok((RestartCondition::Any, None)));
        assert!(of("on-failure:x").is_err() && of("never").is_err() && of("false").is_err());
    }
}
