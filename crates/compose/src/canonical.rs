//! The canonical document of a project: one Compose file with every short form written out, every variable
//! in place and every path absolute, in a fixed order. It is what travels to the cluster, and reading it
//! back gives the same project. `$` is doubled, so Docker Compose understands it the same way.

use crate::ends;
use crate::mounts::short_only;
use crate::scalar::{duration_text, milli_cpus_text};
use crate::traefik;
use crate::writer::{Map, Out, document, flag, list, number, pairs, text, words};
use crate::{canonical_engine, canonical_files, canonical_networks};
use model::{
    ConstraintKey, ContainerSpec, Dependency, DependencyCondition, Engine, FailureAction,
    HealthCheck, Hook, HttpRule, HttpTls, Mode, Mount, MountSource, OnUnknown, Placement, Port,
    PortMode, PreStart, ProjectSpec, Protocol, Pull, Resources, RestartCondition, RestartPolicy,
    ServiceSpec, Share, SharedPart, UpdateOrder, UpdatePolicy, VolumeSpec,
};

/// The canonical document of `project`; its `source` is not looked at. Images that have been resolved
/// carry what they were resolved to under `x-cluster`.
pub fn canonical(project: &ProjectSpec) -> String {
    let mut top = Map::default();
    top.put("name", text(project.name.as_str()));
    let ends = ends::expected(&project.services);
    let written = project.services.iter().filter(|(_, s)| s.once.is_none());
    let depends = |s: &ServiceSpec| {
        let on =
            |d: &&Dependency| project.services.get(&d.service).is_none_or(|s| s.once.is_none());
        s.depends_on.iter().filter(on).cloned().collect::<Vec<_>>()
    };
    let services =
        written.map(|(n, s)| (n.to_string(), service(s, &depends(s), ends.contains(n)))).collect();
    top.put("services", Out::Map(services));
    top.put("networks", canonical_networks::declared(project));
    let volumes = project.volumes.iter().map(|(n, v)| (n.to_string(), volume(v))).collect();
    top.put("volumes", Map(volumes).done());
    canonical_files::declared(&mut top, &project.contents);
    document(&top)
}

fn volume(volume: &VolumeSpec) -> Out {
    let mut out = Map::default();
    let driver = Some(&volume.driver).filter(|d| !d.is_empty());
    out.put("driver", driver.map(text));
    out.put("driver_opts", pairs(&volume.options));
    out.put("labels", pairs(&volume.labels));
    out.put("name", volume.external_name.as_deref().map(text));
    Out::Map(out.0)
}

/// A service. Of one that is expected to end, it is said when it starts again also where that is as usual.
fn service(spec: &ServiceSpec, on: &[Dependency], ends: bool) -> Out {
    let mut out = Map::default();
    container(&mut out, &spec.container, cluster(spec));
    out.put("ports", list(&spec.ports, port));
    shared(&mut out, &spec.shares_with);
    out.put("network_mode", spec.container.engine.network_mode.as_deref().map(text));
    out.put("networks", canonical_networks::of_service(spec));
    out.put("depends_on", depends_on(on));
    let mut deploy = Map::default();
    match spec.mode {
        Mode::Global => deploy.put("mode", text("global")),
        Mode::GlobalJob => deploy.put("mode", text("global-job")),
        Mode::ReplicatedJob { total, .. } => {
            deploy.put("mode", text("replicated-job"));
            deploy.put("replicas", total.map(number));
        }
        Mode::Replicated { replicas } => deploy.put("replicas", replicas.map(number)),
    }
    deploy.put("endpoint_mode", spec.round_robin.then(|| text("dnsrr")));
    deploy.put("resources", resources(&spec.resources, &spec.container.engine));
    deploy.put("placement", placement(&spec.placement));
    deploy.put("restart_policy", restart(&spec.restart, ends));
    deploy.put("update_config", policy(&spec.update));
    deploy.put("rollback_config", policy(&spec.rollback));
    out.put("deploy", deploy.done());
    Out::Map(out.0)
}

/// How one generation replaces another, as far as something is said about it.
fn policy(policy: &UpdatePolicy) -> Option<Out> {
    let mut out = Map::default();
    let order = policy.order.map(|order| match order {
        UpdateOrder::StartFirst => text("start-first"),
        UpdateOrder::StopFirst => text("stop-first"),
    });
    let action = policy.failure_action.map(|action| match action {
        FailureAction::Pause => text("pause"),
        FailureAction::Continue => text("continue"),
        FailureAction::Rollback => text("rollback"),
    });
    out.put("parallelism", policy.parallelism.map(number));
    out.put("delay", policy.delay.map(|d| text(duration_text(d))));
    out.put("failure_action", action);
    out.put("monitor", policy.monitor.map(|d| text(duration_text(d))));
    out.put("max_failure_ratio", policy.max_failure_ratio.map(|r| text(ratio_text(r))));
    out.put("order", order);
    out.done()
}

/// Millionths as a decimal number.
fn ratio_text(millionths: u32) -> String {
    let digits = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is used of other services. A name space is either another's or is said among the engine's settings.
fn shared(out: &mut Map, shares: &[Share]) {
    let mut volumes = Vec::new();
    for Share { service, what } in shares {
        let key = match what {
            SharedPart::Network => "network_mode",
            SharedPart::Ipc => "ipc",
            SharedPart::Pid => "pid",
            SharedPart::Volumes { read_only } => {
                volumes.push(format!("{service}{}", if *read_only { ":ro" } else { "" }));
                continue;
            }
        };
        out.put(key, text(format!("service:{service}")));
    }
    out.put("volumes_from", (!volumes.is_empty()).then(|| words(&volumes)));
}

fn depends_on(on: &[Dependency]) -> Option<Out> {
    let entry = |dependency: &Dependency| {
        let mut out = Map::default();
        out.put(
            "condition",
            text(match dependency.condition {
                DependencyCondition::Started => "service_started",
                DependencyCondition::Healthy => "service_healthy",
                DependencyCondition::Completed => "service_completed_successfully",
            }),
        );
        out.put("restart", flag(dependency.restart));
        out.put("required", (!dependency.required).then(|| Out::Bare("false".to_owned())));
        (dependency.service.to_string(), Out::Map(out.0))
    };
    Map(on.iter().map(entry).collect()).done()
}

/// What is said in words of this product's own. That nothing comes of labels about routers is said too.
fn cluster(spec: &ServiceSpec) -> Option<Out> {
    let mut ours = Map::default();
    ours.put("resolved", spec.container.image.resolved.as_deref().map(text));
    let told = || Out::List(spec.told.iter().map(|port| number(*port)).collect());
    ours.put("proxy_protocol", (!spec.told.is_empty()).then(told));
    let rules = || Out::List(spec.http.iter().map(http_rule).collect());
    let said = !spec.http.is_empty() || traefik::speaks(spec.container.labels.keys());
    ours.put("http", said.then(rules));
    ours.put("prefer", spec.networking.prefer_local.then(|| text("local")));
    ours.done()
}

fn http_rule(rule: &HttpRule) -> Out {
    let mut out = Map::default();
    out.put("host", rule.matches.host.as_deref().map(text));
    out.put("path", text(&rule.matches.path));
    out.put("port", number(rule.port));
    out.put("tls", rule.tls.as_ref().map(http_tls));
    Out::Map(out.0)
}

fn http_tls(tls: &HttpTls) -> Out {
    let mut out = Map::default();
    out.put("certificate", text(tls.certificate.name.as_str()));
    out.put("key", text(tls.key.name.as_str()));
    out.put("redirect", flag(tls.redirect));
    Out::Map(out.0)
}

fn container(out: &mut Map, spec: &ContainerSpec, cluster: Option<Out>) {
    out.put("image", text(&spec.image.reference));
    out.put("x-cluster", cluster);
    out.put(
        "pull_policy",
        match spec.image.pull {
            Pull::Missing => None,
            Pull::Always => Some(text("always")),
            Pull::Never => Some(text("never")),
        },
    );
    out.put("entrypoint", spec.entrypoint.as_deref().map(words));
    out.put("command", spec.command.as_deref().map(words));
    out.put("environment", pairs(&spec.environment));
    out.put("labels", pairs(&spec.labels));
    out.put("user", spec.user.as_deref().map(text));
    out.put("working_dir", spec.working_dir.as_deref().map(text));
    out.put("hostname", spec.hostname.as_deref().map(text));
    let long: Vec<&Mount> = spec.mounts.iter().filter(|m| !short_only(m)).collect();
    out.put("volumes", list(&long, |m| mount(m)));
    let short: Vec<&Mount> = spec.mounts.iter().filter(|m| short_only(m)).collect();
    out.put("tmpfs", list(&short, |m| tmpfs(m)));
    canonical_files::handed(out, &spec.files);
    out.put("healthcheck", spec.healthcheck.as_ref().and_then(health));
    out.put("stop_signal", spec.stop_signal.as_deref().map(text));
    out.put("stop_grace_period", spec.stop_grace.map(|d| text(duration_text(d))));
    out.put("init", spec.init.map(|on| Out::Bare(on.to_string())));
    out.put("tty", flag(spec.tty));
    out.put("stdin_open", flag(spec.stdin_open));
    canonical_engine::put(out, &spec.engine);
    out.put("pre_start", list(&spec.hooks.pre_start, step));
    out.put("post_start", list(&spec.hooks.post_start, hook));
    out.put("pre_stop", list(&spec.hooks.pre_stop, hook));
    out.put("extra_hosts", (!spec.extra_hosts.is_empty()).then(|| words(&spec.extra_hosts)));
    out.put(
        "logging",
        spec.logging.as_ref().and_then(|logging| {
            let mut out = Map::default();
            out.put("driver", text(&logging.driver));
            out.put("options", pairs(&logging.options));
            out.done()
        }),
    );
}

fn step(step: &PreStart) -> Out {
    let mut out = Map::default();
    out.put("image", step.image.as_ref().map(|image| text(&image.reference)));
    let mut ours = Map::default();
    let resolved = step.image.as_ref().and_then(|image| image.resolved.as_deref());
    ours.put("resolved", resolved.map(text));
    ours.put("on-unknown", (step.on_unknown == OnUnknown::Rerun).then(|| text("rerun")));
    out.put("x-cluster", ours.done());
    out.put("per_replica", step.once.then(|| Out::Bare("false".to_owned())));
    command(&mut out, &step.hook);
    Out::Map(out.0)
}

fn hook(hook: &Hook) -> Out {
    let mut out = Map::default();
    command(&mut out, hook);
    Out::Map(out.0)
}

fn command(out: &mut Map, hook: &Hook) {
    out.put("command", words(&hook.command));
    out.put("user", hook.user.as_deref().map(text));
    out.put("privileged", flag(hook.privileged));
    out.put("working_dir", hook.working_dir.as_deref().map(text));
    out.put("environment", pairs(&hook.environment));
}

fn mount(mount: &Mount) -> Out {
    let mut out = Map::default();
    let (kind, source, size) = match &mount.source {
        MountSource::Volume(name) => ("volume", Some(name.as_str()), None),
        MountSource::Anonymous => ("volume", None, None),
        MountSource::Bind(path) => ("bind", Some(path.as_str()), None),
        MountSource::Tmpfs { size } => ("tmpfs", None, *size),
    };
    out.put("type", text(kind));
    out.put("source", source.map(text));
    out.put("target", text(&mount.target));
    out.put("read_only", flag(mount.read_only));
    let options = &mount.options;
    let mut bind = Map::default();
    bind.put("propagation", options.propagation.as_deref().map(text));
    bind.put("recursive", options.not_recursive.then(|| text("disabled")));
    out.put("bind", bind.done());
    let mut volume = Map::default();
    volume.put("nocopy", flag(options.no_copy));
    volume.put("subpath", options.subpath.as_deref().map(text));
    out.put("volume", volume.done());
    let mut tmpfs = Map::default();
    tmpfs.put("size", size.map(number));
    let mode = options.tmpfs.iter().find_map(|o| o.strip_prefix("mode="));
    tmpfs.put("mode", mode.map(|m| text(format!("0{m}"))));
    out.put("tmpfs", tmpfs.done());
    Out::Map(out.0)
}

/// `/run:size=64,noexec`.
fn tmpfs(mount: &Mount) -> Out {
    let MountSource::Tmpfs { size } = mount.source else { return text(&mount.target) };
    let size = size.map(|s| format!("size={s}"));
    let read_only = mount.read_only.then(|| "ro".to_owned());
    let options: Vec<String> =
        mount.options.tmpfs.iter().cloned().chain(size).chain(read_only).collect();
    text(format!("{}:{}", mount.target, options.join(",")))
}

fn health(check: &HealthCheck) -> Option<Out> {
    let mut out = Map::default();
    out.put("test", (!check.test.is_empty()).then(|| words(&check.test)));
    out.put("interval", check.interval.map(|d| text(duration_text(d))));
    out.put("timeout", check.timeout.map(|d| text(duration_text(d))));
    out.put("retries", check.retries.map(number));
    out.put("start_period", check.start_period.map(|d| text(duration_text(d))));
    out.put("start_interval", check.start_interval.map(|d| text(duration_text(d))));
    out.done()
}

fn port(port: &Port) -> Out {
    let mut out = Map::default();
    out.put("mode", text(if port.mode == PortMode::Host { "host" } else { "ingress" }));
    out.put("host_ip", port.host_ip.map(|ip| text(ip.to_string())));
    out.put("target", number(port.target));
    out.put("published", text(port.published.to_string()));
    out.put("protocol", text(if port.protocol == Protocol::Udp { "udp" } else { "tcp" }));
    Out::Map(out.0)
}

fn resources(resources: &Resources, engine: &Engine) -> Option<Out> {
    let (mut limits, mut floor, mut out) = (Map::default(), Map::default(), Map::default());
    limits.put("cpus", resources.milli_cpus.map(|c| text(milli_cpus_text(c))));
    limits.put("memory", resources.memory.map(|m| text(m.to_string())));
    limits.put("pids", resources.pids.map(number));
    let cpus = resources.reserved_milli_cpus;
    floor.put("cpus", (cpus > 0).then(|| Out::Text(milli_cpus_text(cpus))));
    let memory = resources.reserved_memory;
    floor.put("memory", (memory > 0).then(|| Out::Text(memory.to_string())));
    floor.put("devices", canonical_engine::requests(&engine.device_requests));
    out.put("limits", limits.done());
    out.put("reservations", floor.done());
    out.done()
}

fn placement(placement: &Placement) -> Option<Out> {
    let mut out = Map::default();
    out.put(
        "constraints",
        list(&placement.constraints, |c| {
            let key = match &c.key {
                ConstraintKey::Id => "node.id".to_owned(),
                ConstraintKey::Hostname => "node.hostname".to_owned(),
                ConstraintKey::Role => "node.role".to_owned(),
                ConstraintKey::Os => "node.platform.os".to_owned(),
                ConstraintKey::Arch => "node.platform.arch".to_owned(),
                ConstraintKey::Label(label) => format!("node.labels.{label}"),
            };
            Out::Text(format!("{key} {} {}", if c.equal { "==" } else { "!=" }, c.value))
        }),
    );
    out.put(
        "preferences",
        list(&placement.spread, |label| {
            Out::Map(vec![("spread".to_owned(), Out::Text(format!("node.labels.{label}")))])
        }),
    );
    out.put("max_replicas_per_node", placement.max_replicas_per_node.map(number));
    out.done()
}

fn restart(policy: &RestartPolicy, ends: bool) -> Option<Out> {
    if !ends && *policy == RestartPolicy::default() {
        return None;
    }
    let mut out = Map::default();
    out.put(
        "condition",
        text(match policy.condition {
            RestartCondition::Never => "none",
            RestartCondition::OnFailure => "on-failure",
            RestartCondition::Any => "any",
        }),
    );
    out.put("delay", text(duration_text(policy.delay)));
    out.put("max_attempts", policy.max_attempts.map(number));
    out.put("window", text(duration_text(policy.window)));
    out.done()
}
