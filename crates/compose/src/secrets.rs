//! `secrets` and `configs`: declared at the top of a file, handed to services as files. What they hold is read once
//! a service that is wanted uses them, and kept apart from the project, so that no document ever shows it.

use crate::complaint::shown;
use crate::hostpath;
use crate::keys::Section;
use crate::limits::{CONTENT_BYTES, PROJECT_CONTENT_BYTES};
use crate::project::external;
use crate::reader::{Fields, Reader, plain};
use crate::scalar;
use crate::service::undeclared;
use crate::tree::{Entry, Node, Place, Value};
use model::{
    ContentKey, ContentKind, ContentName, ContentSource, GivenFile, GivenSecret, Mount, VolumeName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What secrets and configs hold that come from files or variables of the deployer. Its `Debug` form shows the
/// names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents(pub BTreeMap<ContentKey, Vec<u8>>);

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(ToString::to_string)).finish()
    }
}

/// Permission bits without any for writing: what a file in a container may have.
const NOT_WRITABLE: u32 = 0o555;
/// What it has when nothing else is said.
const READABLE: u32 = 0o444;

const KINDS: [(ContentKind, &str, &str); 2] =
    [(ContentKind::Secret, "secrets", "/run/secrets/"), (ContentKind::Config, "configs", "/")];

/// One that a file declares.
pub(crate) struct Declared {
    /// Where it comes from; `None` once it was complained about.
    source: Option<ContentSource>,
    at: Place,
}

/// Those of a file, by kind and name.
pub(crate) type AllDeclared = BTreeMap<ContentKey, Declared>;

/// Reads the declarations under `secrets` and `configs`.
pub(crate) fn declared(r: &mut Reader<'_>, top: &Fields<'_>) -> AllDeclared {
    let mut all = AllDeclared::new();
    for (kind, what, _) in KINDS {
        let Some(node) = top.get(what) else { continue };
        for entry in r.map(node, what).iter().filter(|e| !e.key.starts_with("x-")) {
            match named(kind, &entry.key) {
                Ok(name) => {
                    let source = declaration(r, entry, kind, what);
                    let declared = Declared { source, at: entry.at };
                    all.insert(ContentKey { kind, name }, declared);
                }
                Err(why) => r.log.error(entry.at, why),
            }
        }
    }
    all
}

/// They follow the rule of volumes; the message says which was meant.
fn named(kind: ContentKind, text: &str) -> Result<ContentName, String> {
    let fits = text
        .parse::<VolumeName>()
        .map_err(|e| e.to_string().replacen("volume name", &format!("{kind} name"), 1));
    fits.and_then(|_| text.parse().map_err(|e: model::InvalidName| e.to_string()))
}

fn declaration(
    r: &mut Reader<'_>,
    entry: &Entry,
    kind: ContentKind,
    what: &'static str,
) -> Option<ContentSource> {
    r.scope = format!("{what}.{}", entry.key);
    let section = if kind == ContentKind::Secret { Section::Secret } else { Section::Config };
    let fields = r.fields(&entry.node, what, section);
    let (is_external, old_name) = external(r, &fields);
    let mut sources = Vec::new();
    if is_external {
        let name = r.text(&fields, "name").or(old_name);
        let name = named(kind, name.as_deref().unwrap_or(&entry.key));
        let name = name.map_err(|why| r.log.error(entry.at, why)).ok();
        sources.push(name.map(ContentSource::External));
    } else if r.text(&fields, "name").is_some()
        && let Some(at) = fields.at("name")
    {
        r.harmless(at, "name", "only those of `external: true` have a name in the cluster");
    }
    if fields.get("file").is_some() {
        let path = r.text(&fields, "file");
        if let (Some(path), Some(at)) = (&path, fields.at("file")) {
            crate::files::place(r, path, at);
        }
        sources.push(path.map(ContentSource::File));
    }
    if fields.get("environment").is_some() {
        sources.push(r.text(&fields, "environment").map(ContentSource::Environment));
    }
    // A configuration may be of any length, and of several lines.
    if fields.get("content").is_some() {
        let text = r.value(&fields, "content", |text| Ok(text.to_owned()));
        sources.push(text.map(ContentSource::Written));
    }
    if let Some(node) = fields.get("labels") {
        r.labels(node, "labels");
    }
    let refused = fields.get("driver").is_some();
    match <[_; 1]>::try_from(sources) {
        Ok([source]) => source,
        Err(none) if none.is_empty() && refused => None,
        Err(_) => {
            let from = if kind == ContentKind::Secret { "" } else { ", `content`" };
            let message = format!(
                "{kind} `{}` is to come from one of `file`, `environment`{from} or `external`",
                shown(&entry.key)
            );
            r.log.error(entry.at, message);
            None
        }
    }
}

/// The files that a service is handed.
pub(crate) fn files(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    all: &AllDeclared,
    mounts: &[Mount],
) -> Vec<GivenFile> {
    let mut taken: BTreeSet<String> = mounts.iter().map(|m| m.target.clone()).collect();
    let mut files = Vec::new();
    for (kind, what, folder) in KINDS {
        let Some(node) = fields.get(what) else { continue };
        for item in r.items(node, what, false) {
            let Some(file) = file(r, item, all, (kind, what, folder)) else { continue };
            if taken.insert(file.target.clone()) {
                files.push(file);
            } else {
                r.log.error(item.at, format!("two mounts at `{}`", shown(&file.target)));
            }
        }
    }
    r.at_most_items(fields.at, "secrets", files.len());
    files
}

/// One reference, in the short or the long form.
fn file(
    r: &mut Reader<'_>,
    item: &Node,
    all: &AllDeclared,
    (kind, what, folder): (ContentKind, &'static str, &str),
) -> Option<GivenFile> {
    let (mut target, mut uid, mut gid, mut mode) = (None, None, None, None);
    let source = if let Value::Map(_) = item.value {
        let inner = r.fields_within(item, what, Section::Reference);
        if inner.get("source").is_none() {
            r.log.error(item.at, format!("`{what}` needs a `source`"));
        }
        target = r.text(&inner, "target");
        uid = r.value(&inner, "uid", id);
        gid = r.value(&inner, "gid", id);
        mode = r.value(&inner, "mode", scalar::mode);
        r.text(&inner, "source")
    } else {
        r.scalar(item, what, plain)
    }?;
    let target = self::target(r, target.as_deref().unwrap_or(&source), folder, item.at);
    let (content, external) = declared_as(r, kind, &source, item.at, all)?;
    Some(GivenFile {
        content,
        external,
        version: String::new(),
        target: target?,
        uid: uid.unwrap_or(0),
        gid: gid.unwrap_or(0),
        mode: mode.unwrap_or(READABLE) & NOT_WRITABLE,
    })
}

/// A secret that the cluster itself is to use.
pub(crate) fn one(
    r: &mut Reader<'_>,
    name: &str,
    at: Place,
    all: &AllDeclared,
) -> Option<GivenSecret> {
    let (content, external) = declared_as(r, ContentKind::Secret, name, at, all)?;
    Some(GivenSecret { name: content.name, external, version: String::new() })
}

/// A secret or config that is referred to, and its name in the cluster when no project owns it.
fn declared_as(
    r: &mut Reader<'_>,
    kind: ContentKind,
    source: &str,
    at: Place,
    all: &AllDeclared,
) -> Option<(ContentKey, Option<ContentName>)> {
    let known = source.parse().ok().map(|name| ContentKey { kind, name });
    let Some((content, declared)) = known.and_then(|key| all.get(&key).map(|d| (key, d))) else {
        let names = all.keys().filter(|k| k.kind == kind).map(|k| k.name.as_str());
        let near = r.near(source, names);
        r.log.error(at, undeclared(&kind.to_string(), source, near, &format!("{kind}s")));
        return None;
    };
    if !r.inactive {
        r.handed.insert(content.clone());
    }
    let external = match &declared.source {
        Some(ContentSource::External(name)) => Some(name.clone()),
        _ => None,
    };
    Some((content, external))
}

/// A user or group inside a container, which has its own list of their names.
fn id(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| "the number of a user or group, such as `1000`".to_owned())
}

/// Where it appears: a relative path starts at the kind's own folder.
fn target(r: &mut Reader<'_>, path: &str, folder: &str, at: Place) -> Option<String> {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{folder}{path}") };
    let normal = hostpath::normal(&full);
    if normal == "/" || full.ends_with('/') || full.split('/').any(|part| part == "..") {
        r.log.error(at, format!("`{}` is not the path of a file in the container", shown(path)));
        return None;
    }
    Some(normal)
}

/// Those that services use, with where they come from; what they hold goes to the reader.
pub(crate) fn settle(r: &mut Reader<'_>, all: AllDeclared) -> BTreeMap<ContentKey, ContentSource> {
    let mut used = BTreeMap::new();
    let mut bytes = 0;
    for (key, declared) in all {
        let Declared { source: Some(source), at } = declared else { continue };
        if !r.handed.contains(&key) {
            continue;
        }
        let length = match (&source, content(r, &key, &source, at)) {
            (ContentSource::Written(text), _) => text.len(),
            (_, Some(content)) => {
                let length = content.len();
                r.contents.0.insert(key.clone(), content);
                length
            }
            (_, None) => 0,
        };
        if length > CONTENT_BYTES {
            let most = CONTENT_BYTES >> 10;
            r.log.error(at, format!("{key} is larger than {most} KiB"));
        }
        bytes += length;
        used.insert(key, source);
    }
    if bytes > PROJECT_CONTENT_BYTES {
        let most = PROJECT_CONTENT_BYTES >> 20;
        let message = format!("secrets and configs are larger than {most} MiB together");
        r.log.error(Place::whole(0), message);
    }
    used
}

/// What one holds, from the deployer's machine; `None` also when it comes from elsewhere.
fn content(
    r: &mut Reader<'_>,
    key: &ContentKey,
    source: &ContentSource,
    at: Place,
) -> Option<Vec<u8>> {
    let deployer = r.rules.deployer.as_ref()?;
    match source {
        ContentSource::File(path) => {
            // Where it lies was looked at, and complained about, when it was declared.
            let silent = &mut crate::complaint::Log::default();
            deployer.files.inside(path, at, silent)?;
            deployer.files.bytes(path, true, at, &mut r.log)
        }
        ContentSource::Environment(name) => {
            let value = deployer.variables.get(name);
            if value.is_none() {
                let name = shown(name);
                let message = format!("variable `{name}`, which {key} comes from, is not set");
                r.log.error(at, message);
            }
            value.map(|value| value.clone().into_bytes())
        }
        ContentSource::Written(_) | ContentSource::External(_) => None,
    }
}
