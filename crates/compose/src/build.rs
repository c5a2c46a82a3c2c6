//! `build`: how a service's image is made, for whoever has an engine to make it with. And what else of a service is for
//! others than its containers: `develop`, `provider`, `models`, `credential_spec`. Their form is checked; nothing is
//! done with them.

use crate::complaint::shown;
use crate::environment;
use crate::keys::Section;
use crate::reader::{Fields, Reader, plain};
use crate::scalar;
use crate::tree::{Entry, Node, Value};
use model::ServiceName;
use std::collections::BTreeMap;

/// How the image of a service is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The service.
    pub service: String,
    /// What the file calls the image; without a name it is called after the project, the service and its content.
    pub image: Option<String>,
    /// Absolute path of the folder that is built from.
    pub context: String,
    /// Path of the Dockerfile, from the context on.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    pub dockerfile_inline: Option<String>,
    /// Stage to stop at.
    pub target: Option<String>,
    /// Network of the commands that are run.
    pub network: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Images whose layers may be used.
    pub cache_from: Vec<String>,
    /// Layers made before are not used.
    pub no_cache: bool,
    /// Images built upon are pulled although they are there.
    pub pull: bool,
}

/// Checks them, and that the service has something to run. Returns the image, where only `build` says how it is
/// called.
pub(crate) fn read(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &ServiceName,
    entry: &Entry,
) -> Option<String> {
    let named = fields.get("image").is_some();
    let made = fields.get("build").and_then(|node| build(r, node, name));
    let ignored = r.rules.ignore.contains("provider");
    let provided = fields.get("provider").is_some() && !ignored;
    if !named && fields.get("build").is_none() && !provided {
        let message = format!("service `{name}` has no `image`");
        r.log.refuse(entry.at, message, "name what to run under `image`, or how to `build` it");
    }
    develop(r, fields);
    foreign(r, fields);
    let mut build = made?;
    build.image = fields.get("image").and_then(Node::scalar).map(str::to_owned);
    let called = r.rules.deployer.as_ref().and_then(|d| d.built.get(name.as_str()).cloned());
    let called = called.unwrap_or_else(|| format!("{}-{name}", r.project).to_lowercase());
    if !r.inactive {
        r.builds.push(build);
    }
    (!named).then_some(called)
}

/// A path, or a map. Nothing for a canonical document: what is deployed has been built.
fn build(r: &mut Reader<'_>, node: &Node, name: &ServiceName) -> Option<Build> {
    let mut made = Build { service: name.to_string(), ..Build::default() };
    let Value::Map(_) = &node.value else {
        made.context = r.scalar(node, "build", plain)?;
        return located(r, node, made);
    };
    let inner = r.fields(node, "build", Section::Build);
    made.context = r.text(&inner, "context").unwrap_or_else(|| ".".to_owned());
    made.dockerfile = r.text(&inner, "dockerfile");
    made.dockerfile_inline = r.text(&inner, "dockerfile_inline");
    made.target = r.text(&inner, "target");
    made.network = r.text(&inner, "network");
    made.no_cache = r.flag(&inner, "no_cache").unwrap_or(false);
    made.pull = r.flag(&inner, "pull").unwrap_or(false);
    made.cache_from = r.list(&inner, "cache_from", plain);
    if let Some(node) = inner.get("labels") {
        made.labels = r.labels(node, "labels");
    }
    if let Some(node) = inner.get("args") {
        made.args = environment::arguments(r, node);
    }
    if let Some(at) = inner.at("dockerfile").filter(|_| made.dockerfile_inline.is_some()) {
        r.log.error(at, "`dockerfile` and `dockerfile_inline` exclude each other");
    }
    not_passed_on(r, &inner);
    located(r, node, made)
}

/// The context as an absolute path. Nothing is fetched from elsewhere.
fn located(r: &mut Reader<'_>, node: &Node, mut made: Build) -> Option<Build> {
    let deployer = r.rules.deployer.as_ref()?;
    let remote = ["://", "git@"].iter().any(|mark| made.context.contains(mark));
    if remote {
        let message = format!("`build`: `{}` is not a folder here", shown(&made.context));
        r.log.refuse(node.at, message, "fetch it, and name the folder");
        return None;
    }
    if !made.context.starts_with('/') {
        let folder = deployer.files.folder.trim_end_matches('/');
        made.context = format!("{folder}/{}", made.context);
    }
    Some(made)
}

/// What the builder is not told; only the form is checked.
fn not_passed_on(r: &mut Reader<'_>, inner: &Fields<'_>) {
    r.text(inner, "isolation");
    r.flag(inner, "privileged");
    r.value(inner, "shm_size", scalar::bytes);
    for key in ["cache_to", "entitlements", "tags", "platforms"] {
        r.list(inner, key, plain);
    }
    for key in ["additional_contexts", "ssh"] {
        if let Some(node) = inner.get(key).filter(|n| key != "ssh" || n.scalar().is_none()) {
            r.pairs(node, key);
        }
    }
    if let Some(node) = inner.get("ulimits") {
        for limit in r.map(node, "ulimits") {
            if let Value::Map(_) = limit.node.value {
                r.fields(&limit.node, "ulimits", Section::BuildUlimit);
            }
        }
    }
    if let Some(node) = inner.get("secrets") {
        for item in r.items(node, "secrets", false) {
            if let Value::Map(_) = item.value {
                let secret = r.fields(item, "secrets", Section::BuildSecret);
                r.value(&secret, "mode", scalar::mode);
            }
        }
    }
}

fn develop(r: &mut Reader<'_>, fields: &Fields<'_>) {
    let Some(node) = fields.get("develop") else { return };
    let inner = r.fields(node, "develop", Section::Develop);
    let Some(list) = inner.get("watch") else { return };
    for item in r.items(list, "watch", false) {
        let watch = r.fields(item, "watch", Section::Watch);
        let actions = ["rebuild", "sync", "restart", "sync+restart", "sync+exec"];
        r.word(&watch, "action", &actions.map(|a| (a, ())));
        r.text(&watch, "path");
        for key in ["path", "action"] {
            if watch.get(key).is_none() {
                r.log.error(item.at, format!("what is watched needs `{key}`"));
            }
        }
        r.flag(&watch, "initial_sync");
        if let Some(exec) = watch.get("exec") {
            r.fields(exec, "exec", Section::WatchExec);
        }
    }
}

fn foreign(r: &mut Reader<'_>, fields: &Fields<'_>) {
    if let Some(node) = fields.get("provider") {
        let inner = r.fields_within(node, "provider", Section::Provider);
        if inner.get("type").is_none() {
            r.log.error(node.at, "a provider needs a `type`");
        }
    }
    if let Some(node) = fields.get("credential_spec") {
        r.fields_within(node, "credential_spec", Section::Credential);
    }
    if let Some(Node { value: Value::Map(models), .. }) = fields.get("models") {
        for model in models {
            r.fields_within(&model.node, "models", Section::ServiceModel);
        }
    }
    for key in ["attach", "use_api_socket"] {
        r.flag(fields, key);
    }
    if let Some(node) = fields.get("expose") {
        for item in r.items(node, "expose", false) {
            r.scalar(item, "expose", exposed);
        }
    }
    if fields.get("isolation").is_some() {
        r.value(fields, "isolation", |text| match text {
            "default" | "process" | "hyperv" => Ok(()),
            other => Err(format!("`default`, `process` or `hyperv`, not `{}`", shown(other))),
        });
    }
}

/// `8000`, `8000-8010/udp`.
fn exposed(text: &str) -> Result<(), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err("a port such as `8000` or `8000/udp`".to_owned());
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    if scalar::port(first)? > scalar::port(last)? {
        return Err("a range that goes up".to_owned());
    }
    Ok(())
}
