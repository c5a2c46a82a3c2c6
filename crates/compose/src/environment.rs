//! `environment` and `env_file`. Values may be secrets: no message quotes one.

use crate::complaint::shown;
use crate::dotenv::{self, Setting, valid_name};
use crate::hostpath;
use crate::keys::Section;
use crate::reader::{Deployer, Fields, Pair, Reader};
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
    let pairs = fields.get("environment").map(|n| r.pairs(n, "environment")).unwrap_or_default();
    for Pair { key, value, at } in pairs {
        if !valid_name(&key) {
            r.log.error(at, format!("`environment`: `{}` is no name of a variable", shown(&key)));
            continue;
        }
        match value.or_else(|| from_deployer(r, &key, at)) {
            Some(value) => out.insert(key, value),
            None => out.remove(&key),
        };
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
    let Some(text) = text_of(r, &path, required, item.at) else { return };
    let Some(deployer) = &r.rules.deployer else { return };
    let settings = dotenv::parse(&text, &deployer.variables, raw);
    let number = r.log.file(&path);
    for setting in settings {
        if let Some((name, value)) = take(r, setting, number) {
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

/// The text of a file of the project. Paths that leave the project folder are refused here by their
/// spelling; whoever implements the reading refuses links that leave it.
fn text_of(r: &mut Reader<'_>, path: &str, required: bool, at: Place) -> Option<String> {
    let Some(deployer) = &r.rules.deployer else {
        r.log.error(at, "a canonical document refers to no files");
        return None;
    };
    let name = shown(path);
    if path.contains("://") {
        r.log.error(at, format!("`{name}` is no path: files are not fetched from elsewhere"));
        return None;
    }
    let inside = match hostpath::inside(path).or_else(|| inside_folder(deployer, path)) {
        Some(inside) => inside,
        None if r.rules.allow_host => path.to_owned(),
        None => {
            let help = "copy it into the folder, or allow it by `--allow-host`";
            r.log.refuse(at, format!("`{name}` is outside of the project's folder"), help);
            return None;
        }
    };
    match (deployer.read)(&inside) {
        Ok(Some(bytes)) => text(r, bytes, &name, at),
        Ok(None) if !required => None,
        Ok(None) => {
            r.log.error(at, format!("there is no file `{name}`"));
            None
        }
        Err(why) => {
            r.log.error(at, format!("`{name}` cannot be read: {}", shown(&why)));
            None
        }
    }
}

fn inside_folder(deployer: &Deployer<'_>, path: &str) -> Option<String> {
    let path = path.starts_with('/').then(|| hostpath::normal(path))?;
    let folder = hostpath::normal(deployer.folder);
    path.strip_prefix(&folder)?.strip_prefix('/').map(str::to_owned)
}

fn text(r: &mut Reader<'_>, bytes: Vec<u8>, name: &str, at: Place) -> Option<String> {
    if bytes.len() > model::limits::COMPOSE_BYTES {
        let most = model::limits::COMPOSE_BYTES >> 20;
        r.log.error(at, format!("`{name}` is larger than {most} MiB"));
        return None;
    }
    String::from_utf8(bytes)
        .map_err(|_| r.log.error(at, format!("`{name}` is not UTF-8 text")))
        .ok()
}
