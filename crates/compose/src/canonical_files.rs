//! The canonical form of secrets and configs: where each comes from, never what one holds that is read from a file
//! or a variable.

use crate::writer::{Map, Out, flag, list, text};
use model::{ContentKey, ContentKind, ContentSource, GivenFile};
use std::collections::BTreeMap;

/// The declarations at the top.
pub(crate) fn declared(top: &mut Map, contents: &BTreeMap<ContentKey, ContentSource>) {
    for (kind, what) in [(ContentKind::Secret, "secrets"), (ContentKind::Config, "configs")] {
        let of = contents.iter().filter(|(key, _)| key.kind == kind);
        top.put(
            what,
            Map(of.map(|(key, from)| (key.name.to_string(), source(from))).collect()).done(),
        );
    }
}

fn source(source: &ContentSource) -> Out {
    let mut out = Map::default();
    match source {
        ContentSource::File(path) => out.put("file", text(path)),
        ContentSource::Environment(name) => out.put("environment", text(name)),
        ContentSource::Written(content) => out.put("content", text(content)),
        ContentSource::External(name) => {
            out.put("external", flag(true));
            out.put("name", text(name.as_str()));
        }
    }
    Out::Map(out.0)
}

/// What a service is handed.
pub(crate) fn handed(out: &mut Map, files: &[GivenFile]) {
    for (kind, what) in [(ContentKind::Secret, "secrets"), (ContentKind::Config, "configs")] {
        let of: Vec<&GivenFile> = files.iter().filter(|f| f.content.kind == kind).collect();
        out.put(what, list(&of, |f| file(f)));
    }
}

fn file(file: &GivenFile) -> Out {
    let owner = |id: u32| (id > 0).then(|| text(id.to_string()));
    let mut out = Map::default();
    out.put("source", text(file.content.name.as_str()));
    out.put("target", text(&file.target));
    out.put("uid", owner(file.uid));
    out.put("gid", owner(file.gid));
    out.put("mode", text(format!("0{:03o}", file.mode)));
    Out::Map(out.0)
}
