//! `volumes` and `tmpfs` of a service: what its containers see of volumes, hosts and memory. A mount that
//! would hand over the host is told apart here, whatever way it is written.

use crate::complaint::shown;
use crate::hostpath;
use crate::keys::Section;
use crate::project::Known;
use crate::reader::{Fields, Reader, plain};
use crate::relative;
use crate::scalar;
use crate::service::undeclared;
use crate::templates;
use crate::tree::{Node, Place, Value};
use model::{Mount, MountOptions, MountSource, VolumeName};
use std::collections::BTreeSet;

/// What mounts of one service need to know about it.
pub(crate) struct Context<'k> {
    pub(crate) known: &'k Known,
    /// A constraint names the one node that it runs on.
    pub(crate) pinned: bool,
}

/// All mounts, in the file's order; `tmpfs` last.
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
    r.at_most_items(fields.at, "volumes", mounts.list.len());
    // The canonical document writes these last.
    mounts.list.sort_by_key(short_only);
    mounts.list
}

/// Whether only the short form of `tmpfs` can say it.
pub(crate) fn short_only(mount: &Mount) -> bool {
    mount.options.tmpfs.iter().any(|o| !o.starts_with("mode="))
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
    let mut finer = MountOptions::default();
    for option in options.split(',') {
        self::option(r, option, at, &mut finer);
    }
    let target = target(r, path, at)?;
    let source = if parts.len() == 1 {
        MountSource::Anonymous
    } else if source.starts_with(['/', '.', '~']) {
        MountSource::Bind(bind(r, source, &target, at, context)?)
    } else {
        MountSource::Volume(volume(r, source, at, context)?)
    };
    let is_bind = matches!(source, MountSource::Bind(_));
    if (finer.no_copy && is_bind) || (finer.propagation.is_some() && !is_bind) {
        let what =
            if is_bind { "`nocopy` is of volumes" } else { "propagation is of paths of the host" };
        r.log.error(at, format!("`volumes`: {what}"));
    }
    Some(Mount { source, target, read_only, options: finer })
}

/// Ways in which later mounts spread between host and container.
const PROPAGATION: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

fn option(r: &mut Reader<'_>, option: &str, at: Place, finer: &mut MountOptions) {
    match option {
        "" | "ro" | "rw" | "cached" | "delegated" | "consistent" => {}
        "nocopy" => finer.no_copy = true,
        "z" | "Z" => {
            let why = "the container might not be allowed to use the mount";
            r.refuse_key(at, "selinux", why, "label the folder on the nodes with `chcon`");
        }
        spread if PROPAGATION.contains(&spread) => propagation(r, spread, at, finer),
        other => {
            let known = ["ro", "rw", "nocopy"].into_iter().chain(PROPAGATION);
            let hint = crate::words::hint(other, known);
            r.log.error(at, format!("unknown option `{}` of a mount{hint}", shown(other)));
        }
    }
}

/// `rprivate` is what the engine does anyway. What is shared goes out to the host, too.
fn propagation(r: &mut Reader<'_>, spread: &str, at: Place, finer: &mut MountOptions) {
    if spread.ends_with("shared") {
        let message = format!("`{spread}`: what the container mounts would appear on its host");
        r.hands_over(at, "volumes", &message);
    }
    finer.propagation = (spread != "rprivate").then(|| spread.to_owned());
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
        _ if name.contains("{{") => {
            let why =
                "a named volume is one for all replicas; placeholders are for paths of the host";
            r.refuse_value(at, "volumes", why, "write an absolute path that exists on the nodes");
            None
        }
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
fn bind(
    r: &mut Reader<'_>,
    path: &str,
    target: &str,
    at: Place,
    context: &Context<'_>,
) -> Option<String> {
    let path = &templates::strict(r, path, "volumes", at)?;
    let absolute = if path.starts_with('/') {
        hostpath::normal(path)
    } else {
        relative::path(r, path, target, at, context)?
    };
    if absolute.split('/').nth(1).is_some_and(|top| top.contains("{{")) {
        r.hands_over(at, "volumes", &format!("`{}` could be any folder of the host", shown(path)));
    }
    if let Some(why) = hostpath::hands_over(&absolute) {
        r.hands_over_value(at, "volumes", &absolute, &format!("`{}` {why}", shown(path)));
    }
    Some(absolute)
}

fn long(r: &mut Reader<'_>, node: &Node, context: &Context<'_>) -> Option<Mount> {
    let inner = r.fields(node, "volumes", Section::Mount);
    let source = r.text(&inner, "source");
    let read_only = r.flag(&inner, "read_only").unwrap_or(false);
    let kind = r.text(&inner, "type").unwrap_or_else(|| "volume".to_owned());
    let path = r.text(&inner, "target");
    let finer = finer(r, &inner);
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
        ("bind", Some(path)) => MountSource::Bind(bind(r, &path, &target, node.at, context)?),
        ("bind", None) => {
            r.log.error(node.at, "a mount of `type: bind` needs a `source`");
            return None;
        }
        ("tmpfs", _) => {
            let size = inner.get("tmpfs").and_then(|part| {
                let part = r.fields_within(part, "tmpfs", Section::MountTmpfs);
                r.value(&part, "size", scalar::bytes)
            });
            MountSource::Tmpfs { size }
        }
        ("image" | "cluster" | "npipe", _) => {
            let why = format!("a mount of `type: {kind}` is no volume, no path and no memory");
            r.refuse_key(node.at, "volumes", &why, "use a named volume");
            return None;
        }
        _ => {
            let hint = crate::words::hint(&kind, ["volume", "bind", "tmpfs"].into_iter());
            r.log.error(node.at, format!("unknown type `{kind}` of a mount{hint}"));
            return None;
        }
    };
    Some(Mount { source, target, read_only, options: finer })
}

/// The finer points of the long form.
fn finer(r: &mut Reader<'_>, mount: &Fields<'_>) -> MountOptions {
    let mut finer = MountOptions::default();
    if let Some(part) = mount.get("bind") {
        let part = r.fields(part, "bind", Section::MountBind);
        r.flag(&part, "create_host_path");
        let spread = r.word(&part, "propagation", &PROPAGATION.map(|p| (p, p)));
        if let (Some(spread), Some(at)) = (spread, part.at("propagation")) {
            propagation(r, spread, at, &mut finer);
        }
        let modes =
            [("enabled", false), ("disabled", true), ("writable", false), ("readonly", false)];
        finer.not_recursive = r.word(&part, "recursive", &modes).unwrap_or(false);
        r.word(&part, "selinux", &[("z", ()), ("Z", ())]);
    }
    if let Some(part) = mount.get("volume") {
        let part = r.fields(part, "volume", Section::MountVolume);
        finer.no_copy = r.flag(&part, "nocopy").unwrap_or(false);
        finer.subpath = r.value(&part, "subpath", |text| {
            hostpath::inside(text)
                .filter(|p| !p.is_empty())
                .ok_or_else(|| "a path inside of the volume".to_owned())
        });
        if let Some(labels) = part.get("labels") {
            r.labels(labels, "labels");
        }
    }
    if let Some(part) = mount.get("tmpfs") {
        let part = r.fields(part, "tmpfs", Section::MountTmpfs);
        if let Some(mode) = r.value(&part, "mode", scalar::mode) {
            finer.tmpfs.push(format!("mode={mode:o}"));
        }
    }
    if let Some(part) = mount.get("image") {
        r.fields_within(part, "image", Section::MountImage);
    }
    finer
}

/// `/run:size=64m,ro`.
fn tmpfs(r: &mut Reader<'_>, text: &str, at: Place) -> Option<Mount> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let target = target(r, path, at)?;
    let (mut size, mut read_only) = (None, false);
    let mut finer = MountOptions::default();
    for option in options.split(',') {
        match option.split_once('=').unwrap_or((option, "")) {
            ("" | "rw", _) => {}
            ("ro", _) => read_only = true,
            ("size", value) => match scalar::bytes(value) {
                Ok(bytes) => size = Some(bytes),
                Err(expected) => r.log.error(at, format!("`tmpfs`: `size`: expected {expected}")),
            },
            _ => match tmpfs_option(option) {
                Ok(option) => finer.tmpfs.push(option),
                Err(expected) => {
                    r.log.error(
                        at,
                        format!("`tmpfs`: expected {expected}, found `{}`", shown(option)),
                    );
                }
            },
        }
    }
    Some(Mount { source: MountSource::Tmpfs { size }, target, read_only, options: finer })
}

/// An option of a file system in memory (tmpfs(5), mount(8)).
fn tmpfs_option(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match name {
        "mode" if u32::from_str_radix(value, 8).is_ok_and(|m| m <= 0o7777) => Ok(text.to_owned()),
        "uid" | "gid" | "nr_inodes" | "nr_blocks" if number => Ok(text.to_owned()),
        "exec" | "noexec" | "suid" | "nosuid" | "dev" | "nodev" | "sync" | "async" | "atime"
        | "noatime" | "diratime" | "nodiratime" | "relatime" | "norelatime" | "strictatime"
            if value.is_empty() =>
        {
            Ok(text.to_owned())
        }
        _ => Err("an option such as `size=64m`, `mode=1777`, `uid=1000` or `noexec`".to_owned()),
    }
}
