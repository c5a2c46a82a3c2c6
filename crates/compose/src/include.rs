//! `include`: other files with a folder and variables of their own, taken in as if they were written here. What both
//! declare must be the same.

use crate::complaint::shown;
use crate::dotenv;
use crate::files::Files;
use crate::keys::Section;
use crate::limits::CHAIN;
use crate::reader::plain;
use crate::sources::{Setting, Sources, joined, lay, parent};
use crate::tree::{Entry, Node, Place, Value};
use std::collections::BTreeMap;

/// Keys at the top of a file whose entries are taken in.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "secrets", "configs", "models"];

/// One entry under `include`.
struct Wanted {
    /// From the project folder on.
    paths: Vec<String>,
    /// Where their relative paths start.
    folder: String,
    /// Files with variables; none: `.env` in the folder, if there is one.
    env_files: Vec<String>,
    at: Place,
}

/// Takes in whatever `include` names.
pub(crate) fn take_in(sources: &mut Sources<'_, '_>, tree: &mut Node, setting: &Setting<'_>) {
    let Value::Map(top) = &mut tree.value else { return };
    let Some(i) = top.iter().position(|e| e.key == "include") else { return };
    let entry = top.remove(i);
    sources.r.log.find(entry.at, "include", crate::card::Standing::Honoured, "", "");
    let items = sources.r.items(&entry.node, "include", false).to_vec();
    for item in &items {
        let Some(wanted) = wanted(sources, item, setting) else { continue };
        if let Some(included) = read(sources, &wanted, setting) {
            add(sources, tree, included, &wanted);
        }
    }
}

fn wanted(sources: &mut Sources<'_, '_>, item: &Node, setting: &Setting<'_>) -> Option<Wanted> {
    let from = |path: String| joined(&setting.folder, &path);
    let r = &mut *sources.r;
    if item.scalar().is_some() {
        let path = from(r.scalar(item, "include", plain)?);
        return Some(Wanted {
            folder: parent(&path),
            paths: vec![path],
            env_files: vec![],
            at: item.at,
        });
    }
    r.scope = String::new();
    let inner = r.fields(item, "include", Section::Include);
    let paths: Vec<String> = r.list(&inner, "path", plain).into_iter().map(from).collect();
    let Some(first) = paths.first() else {
        r.log.error(item.at, "`include` needs a `path`");
        return None;
    };
    let folder = r.text(&inner, "project_directory").map(|f| joined(&setting.folder, &f));
    let folder = folder.unwrap_or_else(|| parent(first));
    let folder = if folder == "." { String::new() } else { folder };
    let env_files = r.list(&inner, "env_file", plain).into_iter().map(from).collect();
    Some(Wanted { paths, folder, env_files, at: item.at })
}

/// The files of one entry, laid over each other.
fn read(sources: &mut Sources<'_, '_>, wanted: &Wanted, setting: &Setting<'_>) -> Option<Node> {
    let files = sources.r.rules.deployer.as_ref().map(|d| d.files)?;
    let within = |path: &String| files.inside(path, wanted.at, &mut sources.r.log).is_some();
    if !wanted.paths.iter().all(within) {
        return None;
    }
    let variables = variables(sources, wanted, setting, files);
    let mut merged: Option<Node> = None;
    for path in &wanted.paths {
        if setting.way.contains(path) || setting.way.len() >= CHAIN {
            let way = setting.way.iter().map(String::as_str).chain([path.as_str()]);
            let chain = crate::sharing::chain(way);
            sources.r.log.error(wanted.at, format!("files include each other: {chain}"));
            return None;
        }
        let tree = sources.file(path, wanted.at)?;
        // Of an included file only what is taken in is read later: its other keys are judged here.
        sources.r.scope = String::new();
        sources.r.fields(&tree, "the file", Section::Top);
        let mut way = setting.way.clone();
        way.push(path.clone());
        let setting = Setting {
            name: path.clone(),
            folder: wanted.folder.clone(),
            variables: &variables,
            way,
        };
        let tree = sources.resolved(tree, &setting);
        merged = Some(lay(merged, tree));
    }
    merged
}

/// Variables of what is included: its own files', and over them those of whoever includes it.
fn variables(
    sources: &mut Sources<'_, '_>,
    wanted: &Wanted,
    setting: &Setting<'_>,
    files: Files<'_>,
) -> BTreeMap<String, String> {
    let mut own = BTreeMap::new();
    let usual = [joined(&wanted.folder, ".env")];
    let required = !wanted.env_files.is_empty();
    let paths = if required { &wanted.env_files[..] } else { &usual[..] };
    // The project folder's own is known already.
    let skip = !required && wanted.folder.is_empty();
    for path in paths.iter().filter(|_| !skip) {
        let log = &mut sources.r.log;
        let Some(text) = files.text(path, required, wanted.at, log) else { continue };
        let number = log.file(path);
        for read in dotenv::parse(&text, setting.variables, false) {
            let at = Place { file: number, line: read.line, column: 1, length: 1 };
            match read.read {
                Ok((name, Some(value))) => {
                    own.insert(name, value);
                }
                Ok((_, None)) => {}
                Err(why) => log.error(at, why),
            }
        }
    }
    own.extend(setting.variables.iter().map(|(k, v)| (k.clone(), v.clone())));
    own
}

fn add(sources: &mut Sources<'_, '_>, tree: &mut Node, included: Node, wanted: &Wanted) {
    let (Value::Map(top), Value::Map(from)) = (&mut tree.value, included.value) else { return };
    for section in from.into_iter().filter(|e| SECTIONS.contains(&e.key.as_str())) {
        let Value::Map(entries) = section.node.value else { continue };
        let i = top.iter().position(|e| e.key == section.key).unwrap_or_else(|| {
            let node = Node::new(section.node.at, Value::Map(Vec::new()));
            top.push(Entry { key: section.key.clone(), at: section.at, node });
            top.len() - 1
        });
        if top[i].node.is_null() {
            top[i].node.value = Value::Map(Vec::new());
        }
        // What is no map is complained of when it is read.
        let Value::Map(here) = &mut top[i].node.value else { continue };
        let known: BTreeMap<String, usize> =
            here.iter().enumerate().map(|(i, e)| (e.key.clone(), i)).collect();
        for entry in entries.into_iter().filter(|e| !e.key.starts_with("x-")) {
            match known.get(&entry.key) {
                None => here.push(entry),
                Some(&i) if here[i].node.same(&entry.node) => {}
                Some(_) => {
                    let one = section.key.trim_end_matches('s');
                    let name = shown(&entry.key);
                    let message = format!("{one} `{name}` is declared here too, and differently");
                    let help =
                        "leave one of them out; a file given with `-f` may change what is included";
                    let at = if wanted.at.file == entry.at.file { wanted.at } else { entry.at };
                    sources.r.log.refuse(at, message, help);
                }
            }
        }
    }
}
