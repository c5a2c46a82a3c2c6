//! The canonical document of a project: one Compose file with every short form written out, every variable
//! in place and every path absolute, in a fixed order. It is what travels to the cluster, and reading it
//! back gives the same project. `$` is doubled, so Docker Compose understands it the same way.

use crate::scalar::{duration_text, milli_cpus_text};
use model::{
    ConstraintKey, ContainerSpec, HealthCheck, Mode, Mount, MountSource, Placement, Port, PortMode,
    ProjectSpec, Protocol, Pull, Resources, RestartCondition, RestartPolicy, ServiceSpec,
    UpdateOrder, VolumeSpec,
};
use std::collections::{BTreeMap, BTreeSet};

/// A value of the document.
enum Out {
    /// Numbers, booleans and words that need no quotes.
    Bare(String),
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

/// A map being filled; what is empty is left out.
#[derive(Default)]
struct Map(Vec<(String, Out)>);

impl Map {
    fn put(&mut self, key: &str, value: Option<Out>) {
        if let Some(value) = value {
            self.0.push((key.to_owned(), value));
        }
    }

    fn done(self) -> Option<Out> {
        (!self.0.is_empty()).then_some(Out::Map(self.0))
    }
}

fn text(text: &str) -> Option<Out> {
    Some(Out::Text(text.to_owned()))
}

fn number(n: impl ToString) -> Option<Out> {
    Some(Out::Bare(n.to_string()))
}

fn flag(on: bool) -> Option<Out> {
    on.then(|| Out::Bare("true".to_owned()))
}

fn words(words: &[String]) -> Out {
    Out::List(words.iter().map(|w| Out::Text(w.clone())).collect())
}

fn pairs(map: &BTreeMap<String, String>) -> Option<Out> {
    let out = |(k, v): (&String, &String)| (k.clone(), Out::Text(v.clone()));
    (!map.is_empty()).then(|| Out::Map(map.iter().map(out).collect()))
}

/// The canonical document of `project`; its `source` is not looked at. Images that have been resolved
/// carry what they were resolved to under `x-cluster`.
pub fn canonical(project: &ProjectSpec) -> String {
    let mut top = Map::default();
    top.put("name", text(project.name.as_str()));
    let services = project.services.iter();
    let services = services.map(|(n, s)| (n.to_string(), service(s))).collect();
    top.put("services", Some(Out::Map(services)));
    let networks: BTreeSet<&String> = project.services.values().flat_map(|s| &s.networks).collect();
    let networks = networks.into_iter().filter(|n| *n != "default");
    top.put("networks", Map(networks.map(|n| (n.clone(), Out::Map(vec![]))).collect()).done());
    let volumes = project.volumes.iter().map(|(n, v)| (n.to_string(), volume(v))).collect();
    top.put("volumes", Map(volumes).done());
    let mut out = String::new();
    write_map(&mut out, &top.0, 0);
    out
}

fn volume(volume: &VolumeSpec) -> Out {
    let mut out = Map::default();
    let driver = Some(&volume.driver).filter(|d| !d.is_empty());
    out.put("driver", driver.and_then(|d| text(d)));
    out.put("driver_opts", pairs(&volume.options));
    out.put("labels", pairs(&volume.labels));
    out.put("name", volume.external_name.as_deref().and_then(text));
    Out::Map(out.0)
}

fn service(spec: &ServiceSpec) -> Out {
    let mut out = Map::default();
    container(&mut out, &spec.container);
    out.put("ports", list(&spec.ports, port));
    let plain = spec.networks.len() == 1 && spec.networks[0] == "default";
    out.put("networks", (!plain).then(|| words(&spec.networks)));
    let mut deploy = Map::default();
    match spec.mode {
        Mode::Global => deploy.put("mode", text("global")),
        Mode::Replicated { replicas } => deploy.put("replicas", replicas.and_then(number)),
    }
    deploy.put("resources", resources(&spec.resources));
    deploy.put("placement", placement(&spec.placement));
    deploy.put("restart_policy", restart(&spec.restart));
    let mut update = Map::default();
    update.put(
        "order",
        spec.update.order.and_then(|o| match o {
            UpdateOrder::StartFirst => text("start-first"),
            UpdateOrder::StopFirst => text("stop-first"),
        }),
    );
    update.put("monitor", spec.update.monitor.and_then(|d| text(&duration_text(d))));
    deploy.put("update_config", update.done());
    out.put("deploy", deploy.done());
    Out::Map(out.0)
}

fn container(out: &mut Map, spec: &ContainerSpec) {
    out.put("image", text(&spec.image.reference));
    let mut ours = Map::default();
    ours.put("resolved", spec.image.resolved.as_deref().and_then(text));
    out.put("x-cluster", ours.done());
    out.put(
        "pull_policy",
        match spec.image.pull {
            Pull::Missing => None,
            Pull::Always => text("always"),
            Pull::Never => text("never"),
        },
    );
    out.put("entrypoint", spec.entrypoint.as_deref().map(words));
    out.put("command", spec.command.as_deref().map(words));
    out.put("environment", pairs(&spec.environment));
    out.put("labels", pairs(&spec.labels));
    out.put("user", spec.user.as_deref().and_then(text));
    out.put("working_dir", spec.working_dir.as_deref().and_then(text));
    out.put("hostname", spec.hostname.as_deref().and_then(text));
    out.put("volumes", list(&spec.mounts, mount));
    out.put("healthcheck", spec.healthcheck.as_ref().and_then(health));
    out.put("stop_signal", spec.stop_signal.as_deref().and_then(text));
    out.put("stop_grace_period", spec.stop_grace.and_then(|d| text(&duration_text(d))));
    out.put("init", spec.init.map(|on| Out::Bare(on.to_string())));
    out.put("tty", flag(spec.tty));
    out.put("stdin_open", flag(spec.stdin_open));
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

fn list<T>(items: &[T], out: impl Fn(&T) -> Out) -> Option<Out> {
    (!items.is_empty()).then(|| Out::List(items.iter().map(out).collect()))
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
    out.put("source", source.and_then(text));
    out.put("target", text(&mount.target));
    out.put("read_only", flag(mount.read_only));
    let mut tmpfs = Map::default();
    tmpfs.put("size", size.and_then(number));
    out.put("tmpfs", tmpfs.done());
    Out::Map(out.0)
}

fn health(check: &HealthCheck) -> Option<Out> {
    let mut out = Map::default();
    out.put("test", (!check.test.is_empty()).then(|| words(&check.test)));
    out.put("interval", check.interval.and_then(|d| text(&duration_text(d))));
    out.put("timeout", check.timeout.and_then(|d| text(&duration_text(d))));
    out.put("retries", check.retries.and_then(number));
    out.put("start_period", check.start_period.and_then(|d| text(&duration_text(d))));
    out.done()
}

fn port(port: &Port) -> Out {
    let mut out = Map::default();
    out.put("mode", text(if port.mode == PortMode::Host { "host" } else { "ingress" }));
    out.put("host_ip", port.host_ip.and_then(|ip| text(&ip.to_string())));
    out.put("target", number(port.target));
    out.put("published", text(&port.published.to_string()));
    out.put("protocol", text(if port.protocol == Protocol::Udp { "udp" } else { "tcp" }));
    Out::Map(out.0)
}

fn resources(resources: &Resources) -> Option<Out> {
    let (mut limits, mut floor, mut out) = (Map::default(), Map::default(), Map::default());
    limits.put("cpus", resources.milli_cpus.and_then(|c| text(&milli_cpus_text(c))));
    limits.put("memory", resources.memory.and_then(|m| text(&m.to_string())));
    limits.put("pids", resources.pids.and_then(number));
    let cpus = resources.reserved_milli_cpus;
    floor.put("cpus", (cpus > 0).then(|| Out::Text(milli_cpus_text(cpus))));
    let memory = resources.reserved_memory;
    floor.put("memory", (memory > 0).then(|| Out::Text(memory.to_string())));
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
    out.put("max_replicas_per_node", placement.max_replicas_per_node.and_then(number));
    out.done()
}

fn restart(policy: &RestartPolicy) -> Option<Out> {
    if *policy == RestartPolicy::default() {
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
    out.put("delay", text(&duration_text(policy.delay)));
    out.put("max_attempts", policy.max_attempts.and_then(number));
    out.put("window", text(&duration_text(policy.window)));
    out.done()
}

fn write_map(out: &mut String, entries: &[(String, Out)], depth: usize) {
    for (i, (key, value)) in entries.iter().enumerate() {
        // The first key of a list's item stands on the line of its dash.
        if i > 0 || !out.ends_with("- ") {
            out.push_str(&"  ".repeat(depth));
        }
        // Keys are never interpolated, so a `$` in one stays single.
        quote(out, key, false);
        out.push(':');
        write(out, value, depth + 1);
    }
}

fn write(out: &mut String, value: &Out, depth: usize) {
    match value {
        Out::Bare(word) => out.push_str(&format!(" {word}\n")),
        Out::Text(text) => {
            out.push(' ');
            quote(out, text, true);
            out.push('\n');
        }
        Out::List(items) if items.is_empty() => out.push_str(" []\n"),
        Out::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Out::Map(entries) => {
            out.push('\n');
            write_map(out, entries, depth);
        }
        Out::List(items) => {
            out.push('\n');
            items.iter().for_each(|item| write_item(out, item, depth));
        }
    }
}

fn write_item(out: &mut String, item: &Out, depth: usize) {
    out.push_str(&"  ".repeat(depth));
    match item {
        Out::Map(entries) if !entries.is_empty() => {
            out.push_str("- ");
            write_map(out, entries, depth + 1);
        }
        other => {
            out.push('-');
            write(out, other, depth + 1);
        }
    }
}

/// Bare where no reader of YAML, old or new, could take it for anything but this text; else in double quotes.
fn quote(out: &mut String, text: &str, value: bool) {
    if bare(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '$' if value => out.push_str("$$"),
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", c as u32))
            }
            c if special(c) => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Characters that YAML breaks lines at, does not print, or that could fool a reader.
fn special(c: char) -> bool {
    crate::complaint::unprintable(c) || matches!(c, '\u{85}' | '\u{A0}' | '\u{FFFE}' | '\u{FFFF}')
}

fn bare(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let word = matches!(
        lower.as_str(),
        "y" | "n"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "true"
            | "false"
            | "null"
            | "nan"
            | "inf"
            | "infinity"
    );
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
        && !word
}
