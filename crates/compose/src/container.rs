//! How a service's containers are made: image, command, environment and the engine's smaller settings.

use crate::complaint::{shown, unprintable};
use crate::keys::Section;
use crate::reader::{Fields, Pair, Reader, plain};
use crate::tree::{Node, Value};
use crate::{engine, environment, health, scalar, templates, words};
use model::{ContainerSpec, Image, Logging, Mount, Pull};
use std::collections::BTreeMap;

/// Reads everything about the container except its mounts, which are given, and its hooks.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, mounts: Vec<Mount>) -> ContainerSpec {
    ContainerSpec {
        image: image(r, fields),
        command: command(r, fields, "command"),
        entrypoint: command(r, fields, "entrypoint"),
        environment: environment::read(r, fields),
        labels: labels(r, fields),
        user: r.text(fields, "user"),
        working_dir: r.text(fields, "working_dir"),
        hostname: own_hostname(r, fields),
        mounts,
        files: Vec::new(),
        healthcheck: health::read(r, fields),
        stop_signal: r.value(fields, "stop_signal", signal),
        stop_grace: r.value(fields, "stop_grace_period", scalar::duration),
        init: r.flag(fields, "init"),
        tty: r.flag(fields, "tty").unwrap_or(false),
        stdin_open: r.flag(fields, "stdin_open").unwrap_or(false),
        extra_hosts: extra_hosts(r, fields),
        logging: logging(r, fields),
        engine: engine::read(r, fields),
        hooks: model::Hooks::default(),
    }
}

/// Those of `label_file`, and over them those of `labels`.
fn labels(r: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let mut labels = environment::label_files(r, fields);
    if let Some(node) = fields.get("labels") {
        labels.extend(r.labels(node, "labels"));
    }
    labels
}

fn image(r: &mut Reader<'_>, fields: &Fields<'_>) -> Image {
    Image {
        reference: r.value(fields, "image", reference).unwrap_or_default(),
        resolved: resolved(r, fields),
        pull: pull(r, fields),
    }
}

/// What the deploy resolved the image to; only a canonical document may say so.
fn resolved(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    if r.rules.deployer.is_some() {
        return None;
    }
    let node = fields.get("x-cluster")?;
    let ours = r.fields(node, "x-cluster", Section::Cluster);
    r.value(&ours, "resolved", reference)
}

/// The name of an image.
pub(crate) fn reference(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@[]+".contains(&b);
    let good = text.len() <= 512
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && text.bytes().all(allowed)
        && !text.ends_with([':', '/', '@']);
    if good {
        Ok(text.to_owned())
    } else {
        Err("the name of an image, such as `nginx:1.29`".to_owned())
    }
}

fn pull(r: &mut Reader<'_>, fields: &Fields<'_>) -> Pull {
    let Some(policy) = r.text(fields, "pull_policy") else { return Pull::default() };
    let at = fields.at("pull_policy").unwrap_or(fields.at);
    match policy.as_str() {
        "always" => Pull::Always,
        "never" => Pull::Never,
        "missing" | "if_not_present" => Pull::Missing,
        "build" => {
            let why = "nothing is built on deploy";
            r.refuse_key(at, "pull_policy", why, "build the image before, and remove it");
            Pull::Never
        }
        other if other == "daily" || other == "weekly" || other.starts_with("every_") => {
            let how =
                format!("`{other}` is read as `missing`: images are resolved once per deploy");
            r.emulated(at, "pull_policy", &how);
            Pull::Missing
        }
        other => {
            let near =
                words::nearest(other, ["always", "never", "missing", "if_not_present"].into_iter());
            let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            r.log.error(at, format!("unknown pull policy `{other}`{hint}"));
            Pull::default()
        }
    }
}

/// A list of words, or one text that is split as a shell would, without one.
fn command(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Vec<String>> {
    let node = fields.get(key)?;
    words_of(r, node, key)
}

pub(crate) fn words_of(r: &mut Reader<'_>, node: &Node, key: &str) -> Option<Vec<String>> {
    if let Value::Scalar(line) = &node.value {
        return match words::split(line) {
            Ok(words) => {
                r.at_most_items(node.at, key, words.len());
                Some(words)
            }
            Err(open) => {
                r.log.error(node.at, format!("`{key}`: {open} is not closed"));
                None
            }
        };
    }
    Some(strings(r, node, key))
}

/// The texts of a list.
pub(crate) fn strings(r: &mut Reader<'_>, node: &Node, key: &str) -> Vec<String> {
    let items = r.items(node, key, false);
    items.iter().filter_map(|item| r.scalar(item, key, |s| Ok(s.to_owned()))).collect()
}

fn own_hostname(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get("hostname")?;
    templates::checked(r, node, "hostname", hostname)
}

/// A name in the network.
pub(crate) fn hostname(text: &str) -> Result<String, String> {
    let good = (1..=model::limits::NAME_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good {
        Ok(text.to_owned())
    } else {
        Err("a host name of letters, digits, `-`, `_` and `.`".to_owned())
    }
}

fn signal(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let good = (1..=16).contains(&upper.len())
        && upper.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'-');
    if good { Ok(upper) } else { Err("a signal such as `SIGTERM`".to_owned()) }
}

/// `name:address`, `name=address`, or a map; a name may have several addresses.
fn extra_hosts(r: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<String> {
    let Some(node) = fields.get("extra_hosts") else { return Vec::new() };
    let mut found: Vec<Pair> = Vec::new();
    if let Value::Map(entries) = &node.value {
        for entry in entries {
            for address in r.items(&entry.node, "extra_hosts", true) {
                let value = r.scalar(address, "extra_hosts", plain);
                found.push(Pair { key: entry.key.clone(), value, at: entry.at });
            }
        }
    } else {
        for item in r.items(node, "extra_hosts", false) {
            let Some(line) = r.scalar(item, "extra_hosts", plain) else { continue };
            let cut = line.find('=').or_else(|| line.find(':'));
            let (key, value) = match cut {
                Some(i) => (line[..i].to_owned(), Some(line[i + 1..].to_owned())),
                None => (line, None),
            };
            found.push(Pair { key, value, at: item.at });
        }
    }
    let mut lines = Vec::new();
    for Pair { key, value, at } in found {
        let address = value
            .as_deref()
            .map(|v| v.trim_matches(['[', ']']))
            .filter(|v| *v == "host-gateway" || v.parse::<std::net::IpAddr>().is_ok());
        match address {
            Some(address) if !key.is_empty() && !key.contains(unprintable) => {
                lines.push(format!("{key}:{address}"));
            }
            _ => {
                let key = shown(&key);
                r.log.error(at, format!("`extra_hosts`: expected `name:address` for `{key}`"));
            }
        }
    }
    r.at_most_items(node.at, "extra_hosts", lines.len());
    lines
}

fn logging(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Logging> {
    let node = fields.get("logging")?;
    let inner = r.fields(node, "logging", Section::Logging);
    Some(Logging {
        driver: r.text(&inner, "driver").unwrap_or_else(|| "json-file".to_owned()),
        options: inner.get("options").map(|n| r.labels(n, "options")).unwrap_or_default(),
    })
}
