//! `environment` and `env_file`. Values may be secrets: no message quotes one.

use crate::complaint::shown;
use crate::dotenv::{self, Setting, valid_name};
use crate::keys::Section;
use crate::reader::{Fields, Pair, Reader};
use crate::templates;
use crate::tree::{Node, Place, Value};
use std::collections::BTreeMap;

/// The container's environment: files in their order, then `environment` over them.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    if let Some(node) = fields.get("env_file") {
        for item in r.items(node, "env_file", true) {
            file(r, item, &mut out);
        }
    }
    if let Some(node) = fields.get("environment") {
        set(r, node, &mut out);
    }
    out
}

/// Sets the variables of an `environment`, over those that are there.
pub(crate) fn set(r: &mut Reader<'_>, node: &Node, out: &mut BTreeMap<String, String>) {
    for Pair { key, value, at } in r.pairs(node, "environment") {
        if !valid_name(&key) {
            r.log.error(at, format!("`environment`: `{}` is no name of a variable", shown(&key)));
            continue;
        }
        match value.or_else(|| from_deployer(r, &key, at)) {
            Some(value) => {
                let value = templates::loose(r, value, "environment", at);
                out.insert(key, value)
            }
            None => out.remove(&key),
        };
    }
}

/// Arguments of a build: one without a value takes the deployer's, or is left to the Dockerfile.
pub(crate) fn arguments(r: &mut Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for Pair { key, value, at } in r.pairs(node, "args") {
        if !valid_name(&key) {
            r.log.error(at, format!("`args`: `{}` is no name of an argument", shown(&key)));
            continue;
        }
        let known = |d: &crate::reader::Deployer<'_>| d.variables.get(&key).cloned();
        if let Some(value) = value.or_else(|| r.rules.deployer.as_ref().and_then(known)) {
            out.insert(key, value);
        }
    }
    out
}

/// A variable without a value takes the deployer's.
fn from_deployer(r: &mut Reader<'_>, key: &str, at: Place) -> Option<String> {
    let Some(deployer) = &r.rules.deployer else {
        r.log.error(at, format!("variable `{key}` has no value in a canonical document"));
        return None;
    };
    let value = deployer.variables.get(key).cloned();
    if value.is_none() {
        r.log.warn(
            at,
            format!("variable `{key}` has no value here, so the container will not have it"),
        );
    }
    value
}

fn file(r: &mut Reader<'_>, item: &Node, out: &mut BTreeMap<String, String>) {
    let (mut required, mut raw) = (true, false);
    let path = if let Value::Map(_) = item.value {
        let inner = r.fields(item, "env_file", Section::EnvFile);
        required = r.flag(&inner, "required").unwrap_or(true);
        raw = r.word(&inner, "format", &[("raw", true), ("compose", false)]).unwrap_or(false);
        if inner.get("path").is_none() {
            r.log.error(item.at, "`env_file` needs a `path`");
        }
        r.text(&inner, "path")
    } else {
        r.scalar(item, "env_file", crate::reader::plain)
    };
    let Some(path) = path else { return };
    let Some(deployer) = &r.rules.deployer else {
        r.log.error(item.at, "a canonical document refers to no files");
        return;
    };
    let Some(text) = deployer.files.text(&path, required, item.at, &mut r.log) else { return };
    let settings = dotenv::parse(&text, &deployer.variables, raw);
    let number = r.log.file(&path);
    for setting in settings {
        let at = Place { file: number, line: setting.line, column: 1, length: 1 };
        if let Some((name, value)) = take(r, setting, number) {
            let value = templates::loose(r, value, "env_file", at);
            out.insert(name, value);
        }
    }
}

/// One setting of a file, after its complaints; without a value it takes the deployer's.
fn take(r: &mut Reader<'_>, setting: Setting, file: u16) -> Option<(String, String)> {
    let at = Place { file, line: setting.line, column: 1, length: 1 };
    for name in setting.unset {
        r.log.warn(at, format!("variable `{name}` is not set; using an empty text"));
    }
    match setting.read {
        Ok((name, Some(value))) => Some((name, value)),
        Ok((name, None)) => from_deployer(r, &name, at).map(|value| (name, value)),
        Err(why) => {
            r.log.error(at, why);
            None
        }
    }
}

/// Labels of files, in their order: they are read as variables are.
pub(crate) fn label_files(r: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let Some(node) = fields.get("label_file") else { return out };
    for item in r.items(node, "label_file", true) {
        let Some(path) = r.scalar(item, "label_file", crate::reader::plain) else { continue };
        let Some(deployer) = &r.rules.deployer else {
            r.log.error(item.at, "a canonical document refers to no files");
            continue;
        };
        let Some(text) = deployer.files.text(&path, true, item.at, &mut r.log) else { continue };
        let settings = dotenv::parse(&text, &deployer.variables, false);
        let number = r.log.file(&path);
        for setting in settings {
            if let Some((name, value)) = take(r, setting, number) {
                out.insert(name, value);
            }
        }
    }
    out
}
