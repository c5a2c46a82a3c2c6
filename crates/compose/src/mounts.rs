//! `volumes`, `tmpfs` and `shm_size` of a service: what its containers see of volumes, hosts and memory.
//! A mount that would hand over the host is refused here, whatever way it is written.

use crate::complaint::shown;
use crate::hostpath;
use crate::keys::Section;
use crate::project::Known;
use crate::reader::{Fields, Reader, plain};
use crate::scalar;
use crate::service::undeclared;
use crate::tree::{Node, Place, Value};
use model::{Mount, MountSource, VolumeName};
use std::collections::BTreeSet;

/// How to allow what hands over the host.
pub(crate) const ALLOW_HOST: &str =
    "whoever uses it rules the host; if that is meant, allow it by `--allow-host`";

/// What mounts of one service need to know about it.
pub(crate) struct Context<'k> {
    pub(crate) known: &'k Known,
    /// A constraint names the one node that it runs on.
    pub(crate) pinned: bool,
}

/// All mounts, in the file's order; `tmpfs` and `shm_size` last.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, context: &Context<'_>) -> Vec<Mount> {
    let mut mounts = Mounts::default();
    if let Some(node) = fields.get("volumes") {
        for item in r.items(node, "volumes", false) {
            let mount = match &item.value {
                Value::Map(_) => long(r, item, context),
                _ => r.scalar(item, "volumes", plain).and_then(|s| short(r, &s, item.at, context)),
            };
            mounts.add(r, mount, item.at);
        }
    }
    if let Some(node) = fields.get("tmpfs") {
        for item in r.items(node, "tmpfs", true) {
            let mount = r.scalar(item, "tmpfs", plain).and_then(|s| tmpfs(r, &s, item.at));
            mounts.add(r, mount, item.at);
        }
    }
    if let Some(size) = r.value(fields, "shm_size", scalar::bytes) {
        let source = MountSource::Tmpfs { size: Some(size) };
        let mount = Mount { source, target: "/dev/shm".to_owned(), read_only: false };
        let at = fields.at("shm_size").unwrap_or(fields.at);
        mounts.add(r, Some(mount), at);
    }
    r.at_most_items(fields.at, "volumes", mounts.list.len());
    mounts.list
}

/// The mounts so far, one per target.
#[derive(Default)]
struct Mounts {
    list: Vec<Mount>,
    targets: BTreeSet<String>,
}

impl Mounts {
    fn add(&mut self, r: &mut Reader<'_>, mount: Option<Mount>, at: Place) {
        let Some(mount) = mount else { return };
        if self.targets.insert(mount.target.clone()) {
            self.list.push(mount);
        } else {
            r.log.error(at, format!("two mounts at `{}`", shown(&mount.target)));
        }
    }
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
fn short(r: &mut Reader<'_>, text: &str, at: Place, context: &Context<'_>) -> Option<Mount> {
    if is_windows(text) {
        r.log.error(at, format!("`{}` is a path of Windows; nodes run Linux", shown(text)));
        return None;
    }
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, options) = match parts[..] {
        [path] => ("", path, ""),
        [source, path] => (source, path, ""),
        [source, path, options] => (source, path, options),
        _ => {
            let help = "write `source:/target` or `source:/target:ro`";
            r.log.refuse(at, format!("`{}` has too many parts for a mount", shown(text)), help);
            return None;
        }
    };
    let read_only = options.split(',').any(|o| o == "ro");
    for option in options.split(',') {
        self::option(r, option, at);
    }
    let target = target(r, path, at)?;
    let source = if parts.len() == 1 {
        MountSource::Anonymous
    } else if source.starts_with(['/', '.', '~']) {
        MountSource::Bind(bind(r, source, at, context)?)
    } else {
        MountSource::Volume(volume(r, source, at, context)?)
    };
    Some(Mount { source, target, read_only })
}

fn option(r: &mut Reader<'_>, option: &str, at: Place) {
    match option {
        "" | "ro" | "rw" | "cached" | "delegated" | "consistent" | "private" | "rprivate" => {}
        "nocopy" => {
            r.refuse_key(at, "nocopy", "the engine would fill a new volume from the image");
        }
        "z" | "Z" => {
            r.refuse_key(at, "selinux", "the container might not be allowed to use the mount");
        }
        "shared" | "rshared" | "slave" | "rslave" => {
            let why = "it changes what the container and the host see of each other's mounts";
            r.refuse_key(at, "propagation", why);
        }
        other => r.log.error(at, format!("unknown option `{}` of a mount", shown(other))),
    }
}

fn is_windows(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/')
        && path[2..].contains([':', '\\'])
}

fn target(r: &mut Reader<'_>, path: &str, at: Place) -> Option<String> {
    let normal = hostpath::normal(path);
    if !path.starts_with('/') || normal == "/" {
        let help = "a mount is written `source:/target`";
        let message =
            format!("`{}` is not an absolute path below `/` in the container", shown(path));
        r.log.refuse(at, message, help);
        return None;
    }
    Some(normal)
}

fn volume(r: &mut Reader<'_>, name: &str, at: Place, context: &Context<'_>) -> Option<VolumeName> {
    match name.parse::<VolumeName>() {
        Ok(name) if context.known.volumes.contains(&name) => Some(name),
        Ok(_) => {
            let near = r.near(name, context.known.volumes.iter().map(VolumeName::as_str));
            r.log.error(at, undeclared("volume", name, near, "volumes"));
            None
        }
        Err(e) => {
            r.log.refuse(at, e.to_string(), "a path of the host starts with `/` or `./`");
            None
        }
    }
}

/// The absolute path of the host that a bind shows, if it may.
fn bind(r: &mut Reader<'_>, path: &str, at: Place, context: &Context<'_>) -> Option<String> {
    let absolute = if path.starts_with('/') {
        hostpath::normal(path)
    } else {
        relative(r, path, at, context)?
    };
    if let Some(why) = hostpath::hands_over(&absolute).filter(|_| !r.rules.allow_host) {
        r.log.refuse(at, format!("`{}` {why}", shown(path)), ALLOW_HOST);
        return None;
    }
    Some(absolute)
}

/// A path that starts at the project folder or at the deployer's home means something on one machine only.
fn relative(r: &mut Reader<'_>, path: &str, at: Place, context: &Context<'_>) -> Option<String> {
    let name = shown(path);
    let Some(deployer) = &r.rules.deployer else {
        r.log.error(at, format!("`{name}` is relative; a canonical document has absolute paths"));
        return None;
    };
    let start = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            deployer.variables.get("HOME").map(|home| format!("{home}{rest}"))
        }
        _ => Some(format!("{}/{path}", deployer.folder)),
    };
    let Some(start) = start.filter(|s| s.starts_with('/')) else {
        r.log.error(at, format!("`{name}` starts at a folder that is not known here"));
        return None;
    };
    let help = "use a named volume, an absolute path that exists on every node, or pin the service with a \
                placement constraint on node.hostname";
    match r.rules.nodes {
        _ if context.pinned => {}
        Some(0 | 1) => {}
        Some(nodes) => {
            let message = format!(
                "`{name}` is a path of this machine, but {nodes} nodes could run the service"
            );
            r.log.refuse(at, message, help);
            return None;
        }
        None => {
            r.log.warn(at, format!("`{name}` works only while a single node can run the service"));
        }
    }
    let path = hostpath::normal(&start);
    // The project folder's name comes from outside and must be as clean as a path that is written.
    if let Err(expected) = plain(&path) {
        r.log.error(at, format!("`{}`: expected {expected}", shown(&path)));
        return None;
    }
    Some(path)
}

fn long(r: &mut Reader<'_>, node: &Node, context: &Context<'_>) -> Option<Mount> {
    let inner = r.fields(node, "volumes", Section::Mount);
    let source = r.text(&inner, "source");
    let read_only = r.flag(&inner, "read_only").unwrap_or(false);
    let kind = r.text(&inner, "type").unwrap_or_else(|| "volume".to_owned());
    let path = r.text(&inner, "target");
    for (key, section) in [("bind", Section::MountBind), ("volume", Section::MountVolume)] {
        let Some(part) = inner.get(key) else { continue };
        let part = r.fields(part, key, section);
        if r.flag(&part, "create_host_path") == Some(true) {
            let at = part.at("create_host_path").unwrap_or(part.at);
            r.log.warn(
                at,
                "`create_host_path` has no effect: a missing folder is an error, never made",
            );
        }
    }
    let Some(path) = path else {
        r.log.error(node.at, "a mount needs a `target`");
        return None;
    };
    let target = target(r, &path, node.at)?;
    let source = match (kind.as_str(), source) {
        ("volume", None) => MountSource::Anonymous,
        ("volume", Some(name)) => MountSource::Volume(volume(r, &name, node.at, context)?),
        ("bind", Some(path)) if is_windows(&path) => {
            r.log.error(
                node.at,
                format!("`{}` is a path of Windows; nodes run Linux", shown(&path)),
            );
            return None;
        }
        ("bind", Some(path)) => MountSource::Bind(bind(r, &path, node.at, context)?),
        ("bind", None) => {
            r.log.error(node.at, "a mount of `type: bind` needs a `source`");
            return None;
        }
        ("tmpfs", _) => {
            let size = inner.get("tmpfs").and_then(|part| {
                let part = r.fields(part, "tmpfs", Section::MountTmpfs);
                r.value(&part, "size", scalar::bytes)
            });
            MountSource::Tmpfs { size }
        }
        ("image" | "cluster" | "npipe", _) => {
            r.log.error(node.at, format!("mounts of `type: {kind}` are not supported"));
            return None;
        }
        _ => {
            let near = r.near(&kind, ["volume", "bind", "tmpfs"].into_iter());
            let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            r.log.error(node.at, format!("unknown type `{kind}` of a mount{hint}"));
            return None;
        }
    };
    Some(Mount { source, target, read_only })
}

/// `/run:size=64m,ro`.
fn tmpfs(r: &mut Reader<'_>, text: &str, at: Place) -> Option<Mount> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let target = target(r, path, at)?;
    let (mut size, mut read_only) = (None, false);
    for option in options.split(',') {
        match option.split_once('=').unwrap_or((option, "")) {
            ("" | "rw" | "noexec" | "nosuid" | "nodev", _) => {}
            ("ro", _) => read_only = true,
            ("size", value) => match scalar::bytes(value) {
                Ok(bytes) => size = Some(bytes),
                Err(expected) => r.log.error(at, format!("`tmpfs`: `size`: expected {expected}")),
            },
            (other, _) => {
                r.log.warn(at, format!("`tmpfs`: option `{}` has no effect", shown(other)));
            }
        }
    }
    Some(Mount { source: MountSource::Tmpfs { size }, target, read_only })
}
