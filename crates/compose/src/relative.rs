//! Paths of binds that start at the project folder or at the deployer's home. They mean something on one machine
//! only: where several nodes could run the service they are refused, and what would work there is offered.

use crate::complaint::shown;
use crate::files::Files;
use crate::hostpath;
use crate::limits::CONTENT_BYTES;
use crate::mounts::Context;
use crate::reader::{Reader, plain};
use crate::tree::Place;

const ELSEWHERE: &str = "use a named volume, an absolute path that exists on every node, or pin the service with a placement constraint on node.hostname";

/// The absolute path, if the service may have it.
pub(crate) fn path(
    r: &mut Reader<'_>,
    written: &str,
    target: &str,
    at: Place,
    context: &Context<'_>,
) -> Option<String> {
    let name = shown(written);
    let Some(deployer) = &r.rules.deployer else {
        r.log.error(at, format!("`{name}` is relative; a canonical document has absolute paths"));
        return None;
    };
    let start = match written.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            deployer.variables.get("HOME").map(|home| format!("{home}{rest}"))
        }
        _ => Some(format!("{}/{written}", deployer.files.folder)),
    };
    let Some(start) = start.filter(|s| s.starts_with('/')) else {
        r.log.error(at, format!("`{name}` starts at a folder that is not known here"));
        return None;
    };
    if !context.pinned && r.rules.nodes.is_none_or(|nodes| nodes > 1) {
        let nodes = r.rules.nodes.map_or("several".to_owned(), |nodes| nodes.to_string());
        let message =
            format!("`{name}` is a path of this machine, but {nodes} nodes could run the service");
        // The file is not looked at for complaints that nobody would see.
        let offer = if r.log.full() { None } else { as_config(deployer.files, written, target) };
        let help = offer.map_or(ELSEWHERE.to_owned(), |offer| format!("{offer}; or {ELSEWHERE}"));
        r.refuse_value(at, "volumes", &message, &help);
        return None;
    }
    let path = hostpath::normal(&start);
    // The project folder's name comes from outside and must be as clean as a path that is written.
    if let Err(expected) = plain(&path) {
        r.log.error(at, format!("`{}`: expected {expected}", shown(&path)));
        return None;
    }
    Some(path)
}

/// How to hand over a small file of the project, or the small files of a folder, which works on every node.
fn as_config(files: Files<'_>, written: &str, target: &str) -> Option<String> {
    let inside = hostpath::inside(written)?;
    let (file, target, what) = match (files.read)(&inside) {
        Ok(Some(bytes)) if bytes.len() <= CONTENT_BYTES => {
            (format!("./{inside}"), target.to_owned(), "a file that is only read can be a config")
        }
        Ok(_) => return None,
        Err(_) => {
            let within = |folder: &str| format!("{}/FILE", folder.trim_end_matches('/'));
            let what = "of a folder, small files that are only read can be configs, each by itself";
            (within(&format!("./{inside}")), within(target), what)
        }
    };
    let name = config_name(&inside)?;
    let plain = [&file, &target].into_iter().all(|text| text.chars().all(needs_no_quotes));
    plain.then(|| {
        format!(
            "{what}: `configs: [{{source: {name}, target: {target}}}]` in the service, and `configs: {{{name}: {{file: {file}}}}}` at the top of the file"
        )
    })
}

/// The last part of a path, as the name of a config.
fn config_name(path: &str) -> Option<String> {
    let last = path.rsplit('/').next()?;
    let name: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.trim_matches('_');
    (!name.is_empty() && name.len() <= crate::limits::NAME_BYTES).then(|| name.to_owned())
}

/// Whether YAML takes it as it is, also within braces.
fn needs_no_quotes(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_follows_from_what_is_there() {
        let read = |path: &str| match path {
            "conf/nginx.conf" => Ok(Some(b"events {}".to_vec())),
            "dump.sql" => Ok(Some(vec![b' '; CONTENT_BYTES + 1])),
            "conf" => Err("it is no regular file".to_owned()),
            _ => Ok(None),
        };
        let files = Files { folder: "/srv/shop", read: &read, anywhere: false };
        let offer = |path: &str| as_config(files, path, "/etc/x");
        let file = offer("./conf/nginx.conf").expect("it is small");
        assert!(file.contains("configs: [{source: nginx_conf, target: /etc/x}]"), "{file}");
        assert!(file.contains("configs: {nginx_conf: {file: ./conf/nginx.conf}}"), "{file}");
        let folder = offer("./conf/").expect("it is a folder");
        assert!(folder.contains("{source: conf, target: /etc/x/FILE}"), "{folder}");
        assert!(folder.contains("{conf: {file: ./conf/FILE}}"), "{folder}");
        for path in ["./none", "dump.sql", "../conf", "~/conf"] {
            assert_eq!(offer(path), None, "{path}");
        }
    }

    #[test]
    fn names_of_configs_are_made_of_paths() {
        for (path, name) in [("a/nginx.conf", "nginx_conf"), (".env", "env"), ("a b", "a_b")] {
            assert_eq!(config_name(path).as_deref(), Some(name));
        }
        assert_eq!(config_name("..."), None);
    }
}
