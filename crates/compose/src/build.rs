//! `build`, and what else of a service is for others than its containers: `develop`, `provider`, `models`,
//! `credential_spec`. Their form is checked; nothing is done with them.

use crate::complaint::shown;
use crate::keys::Section;
use crate::reader::{Fields, Reader, plain};
use crate::scalar;
use crate::tree::{Entry, Node, Value};
use model::ServiceName;

/// Checks them, and that the service has something to run.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, name: &ServiceName, entry: &Entry) {
    if let Some(node) = fields.get("build") {
        build(r, node);
    }
    let ignored = r.rules.ignore.contains("provider");
    match (fields.at("build"), fields.get("image").is_some()) {
        (Some(at), true) => {
            let why = "the image is taken as it is; build it before";
            r.harmless(at, "build", why);
        }
        (Some(at), false) => {
            let why = "nothing is built on deploy, and no `image` says what to run";
            r.refuse_for_good(at, "build", why, "build the image, and name it under `image`");
        }
        (None, true) => {}
        (None, false) if fields.get("provider").is_some() && !ignored => {}
        (None, false) => {
            let message = format!("service `{name}` has no `image`");
            r.log.refuse(entry.at, message, "name what to run under `image`");
        }
    }
    develop(r, fields);
    foreign(r, fields);
}

/// A path, or a map.
fn build(r: &mut Reader<'_>, node: &Node) {
    let Value::Map(_) = &node.value else {
        r.scalar(node, "build", plain);
        return;
    };
    let inner = r.fields(node, "build", Section::Build);
    for key in ["context", "dockerfile", "isolation", "network", "target"] {
        r.text(&inner, key);
    }
    if let Some(at) = inner.at("dockerfile").filter(|_| inner.get("dockerfile_inline").is_some()) {
        r.log.error(at, "`dockerfile` and `dockerfile_inline` exclude each other");
    }
    for key in ["privileged", "no_cache", "pull"] {
        r.flag(&inner, key);
    }
    r.value(&inner, "shm_size", scalar::bytes);
    for key in ["cache_from", "cache_to", "entitlements", "tags", "platforms"] {
        r.list(&inner, key, plain);
    }
    for key in ["args", "labels", "additional_contexts", "ssh"] {
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
