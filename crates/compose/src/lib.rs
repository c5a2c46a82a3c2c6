//! Compose files to a [`ProjectSpec`], or to pointed complaints about what is wrong with them.
//!
//! This crate is the only one that knows a key of the Compose Specification. It reads no file, no
//! environment and no clock: everything comes in through [`Input`]. Nothing in a file is dropped in silence:
//! a key is honoured, harmless, warned of or refused, by one table (`keys`).
//!
//! The way through: `yaml` makes a tree that knows its places, `interpolate` puts variables in, `merge` lays
//! files over each other, `project` and what it calls give types, `canonical` writes the result out again.
//! Start with [`load`]; the cluster's side is [`parse_canonical`].

mod canonical;
mod complaint;
mod container;
mod deploy;
mod dotenv;
mod environment;
mod health;
mod hostpath;
mod interpolate;
mod keys;
mod merge;
mod mounts;
mod ports;
mod project;
mod reader;
mod refers;
mod scalar;
mod service;
mod tree;
mod words;
mod writer;
mod yaml;

pub use canonical::canonical;
pub use complaint::{Complaint, Complaints, Severity, render};
pub use reader::Read;

use complaint::{Log, shown};
use interpolate::Variables;
use model::limits::{COMPOSE_BYTES, NAME_BYTES};
use model::{ProjectName, ProjectSpec};
use reader::{Deployer, Reader, Rules};
use std::collections::{BTreeMap, BTreeSet};
use tree::{Node, Place, Value};

/// Files of one project; far more than anybody lays over each other.
const FILES: usize = 64;

/// A file as it was read, unchecked.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// What to call it in complaints.
    pub name: String,
    /// Its bytes: neither their size nor their encoding has been looked at.
    pub bytes: Vec<u8>,
}

/// Everything that a project is read from.
pub struct Input<'a> {
    /// Compose files; each changes what those before it say.
    pub files: Vec<SourceFile>,
    /// Name of the project, over whatever the files and the environment say (`-p`).
    pub project_name: Option<String>,
    /// Absolute path of the project folder: where relative paths start, and the source of the name where
    /// nothing else gives one.
    pub folder: String,
    /// The shell's environment.
    pub environment: BTreeMap<String, String>,
    /// The `.env` file, when there is one. The shell's variables win over it.
    pub dotenv: Option<SourceFile>,
    /// Reads a file that a Compose file names (`env_file`): given a path relative to the project folder,
    /// without `..`, or, with [`Input::allow_host`], any path. `Ok(None)` when there is no such file; `Err`
    /// with the reason when it cannot be read. The implementer refuses links that leave the folder.
    pub read: Read<'a>,
    /// Keys that are refused because dropping them could hurt, and that the user agreed to lose.
    pub ignore: BTreeSet<String>,
    /// Whether mounts may hand a container the host, and files be read from outside of the folder.
    pub allow_host: bool,
    /// How many nodes could run a service, constraints aside; `None` when that is not known.
    pub nodes: Option<usize>,
}

/// A project that can be deployed.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project; its `source` is the canonical document.
    pub spec: ProjectSpec,
    /// Warnings, by place.
    pub remarks: Vec<Complaint>,
}

/// Reads a project. `Err` holds every error of the files, and the warnings, by place.
pub fn load(input: Input<'_>) -> Result<Loaded, Complaints> {
    let mut log = Log::default();
    let root = trees(&input.files, &mut log);
    let variables = variables(&input, &mut log);
    let Some(mut root) = root else {
        return Err(Complaints(log.into_complaints()));
    };
    let name = project_name(&input, &root, &variables, &mut log);
    let mut variables = variables;
    if let Some(name) = &name {
        variables.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert_with(|| name.to_string());
    }
    interpolate::tree(&mut root, Variables::Known(&variables), &mut log);
    let deployer = Deployer { folder: &input.folder, variables, read: input.read };
    let rules = Rules {
        ignore: input.ignore,
        allow_host: input.allow_host,
        nodes: input.nodes,
        deployer: Some(deployer),
    };
    finish(Reader { rules, log }, &root, name)
}

/// Reads a canonical document, as a [`ProjectSpec`]'s `source` holds it and as it travels to the cluster:
/// no variables, no references to files or to anybody's environment, absolute paths. The same rules hold
/// as for [`load`], and a mount that hands over the host is refused unless `allow_host`. Only here does
/// `x-cluster.resolved` of a service set what its image was resolved to.
pub fn parse_canonical(text: &str, allow_host: bool) -> Result<ProjectSpec, Complaints> {
    let mut log = Log::default();
    let file =
        SourceFile { name: "canonical document".to_owned(), bytes: text.as_bytes().to_vec() };
    let Some(mut root) = trees(&[file], &mut log) else {
        return Err(Complaints(log.into_complaints()));
    };
    interpolate::tree(&mut root, Variables::Canonical, &mut log);
    let name = match named(&root).and_then(Node::scalar).map(str::parse::<ProjectName>) {
        Some(Ok(name)) => Some(name),
        Some(Err(e)) => {
            log.error(root.at, e.to_string());
            None
        }
        None => {
            log.error(root.at, "a canonical document has a `name`");
            None
        }
    };
    let rules = Rules { ignore: BTreeSet::new(), allow_host, nodes: None, deployer: None };
    finish(Reader { rules, log }, &root, name).map(|loaded| loaded.spec)
}

/// Gives the tree its types, and the project its canonical document.
fn finish(
    mut reader: Reader<'_>,
    root: &Node,
    name: Option<ProjectName>,
) -> Result<Loaded, Complaints> {
    // Without a name the load fails in the end; everything else is still looked at.
    let stand_in = || "unnamed".parse::<ProjectName>().expect("it is a valid name");
    let mut spec = project::read(&mut reader, root, name.unwrap_or_else(stand_in));
    spec.source = canonical(&spec);
    if spec.source.len() > COMPOSE_BYTES {
        let most = COMPOSE_BYTES >> 20;
        let message = format!("the project is larger than {most} MiB with every value in place");
        reader.log.error(Place::whole(0), message);
    }
    let failed = reader.log.failed();
    let complaints = reader.log.into_complaints();
    if failed { Err(Complaints(complaints)) } else { Ok(Loaded { spec, remarks: complaints }) }
}

/// All files laid over each other. Each is looked at, even when one before it is broken.
fn trees(files: &[SourceFile], log: &mut Log) -> Option<Node> {
    let mut merged: Option<Node> = None;
    let mut broken = files.is_empty() || files.len() > FILES;
    for file in files.iter().take(FILES) {
        let number = log.file(&file.name);
        let tree = text(file, number, log).and_then(|text| yaml::parse(text, number, log));
        let tree = tree.filter(|tree| is_map(tree, log));
        broken |= tree.is_none();
        merged = match (merged, tree) {
            (Some(below), Some(above)) => Some(merge::files(below, above)),
            (below, above) => above.or(below),
        };
    }
    if files.is_empty() || files.len() > FILES {
        let number = log.file("project");
        log.error(
            Place::whole(number),
            format!("expected 1 to {FILES} files, got {}", files.len()),
        );
    }
    let mut merged = merged.filter(|_| !broken)?;
    merge::without_resets(&mut merged);
    Some(merged)
}

fn is_map(tree: &Node, log: &mut Log) -> bool {
    match &tree.value {
        Value::Map(_) => true,
        Value::Null => {
            log.error(tree.at, "the file is empty");
            false
        }
        _ => {
            log.error(tree.at, format!("a Compose file is a map, not {}", tree.kind()));
            false
        }
    }
}

/// The text of a file, whose size and encoding are checked before anything else happens to it.
fn text<'f>(file: &'f SourceFile, number: u16, log: &mut Log) -> Option<&'f str> {
    if file.bytes.len() > COMPOSE_BYTES {
        let (size, most) = (file.bytes.len() >> 20, COMPOSE_BYTES >> 20);
        log.error(
            Place::whole(number),
            format!("the file has {size} MiB; at most {most} are read"),
        );
        return None;
    }
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => Some(text),
        Err(e) => {
            let good = String::from_utf8_lossy(&file.bytes[..e.valid_up_to()]);
            let line = u32::try_from(good.matches('\n').count() + 1).unwrap_or(u32::MAX);
            let column = good.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
            let column = u32::try_from(column).unwrap_or(u32::MAX);
            log.error(
                Place { file: number, line, column, length: 1 },
                "the file is not UTF-8 text",
            );
            None
        }
    }
}

/// The shell's variables over those of `.env`.
fn variables(input: &Input<'_>, log: &mut Log) -> BTreeMap<String, String> {
    let mut variables = input.environment.clone();
    let Some(file) = &input.dotenv else { return variables };
    let number = log.file(&file.name);
    let Some(text) = text(file, number, log) else { return variables };
    for setting in dotenv::parse(text, &input.environment, false) {
        let at = Place { file: number, line: setting.line, column: 1, length: 1 };
        for name in setting.unset {
            log.warn(at, format!("variable `{name}` is not set; using an empty text"));
        }
        match setting.read {
            Ok((name, Some(value))) => {
                variables.entry(name).or_insert(value);
            }
            Ok((_, None)) => {}
            Err(why) => log.error(at, why),
        }
    }
    variables
}

fn named(root: &Node) -> Option<&Node> {
    let Value::Map(entries) = &root.value else { return None };
    entries.iter().find(|e| e.key == "name").map(|e| &e.node).filter(|n| !n.is_null())
}

/// The caller's name, else `COMPOSE_PROJECT_NAME`, else the file's, else the folder's made to fit.
fn project_name(
    input: &Input<'_>,
    root: &Node,
    variables: &BTreeMap<String, String>,
    log: &mut Log,
) -> Option<ProjectName> {
    let given = input.project_name.clone();
    let given =
        given.or_else(|| variables.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()).cloned());
    if let Some(given) = given {
        return given
            .parse()
            .map_err(|e: model::InvalidName| log.error(root.at, e.to_string()))
            .ok();
    }
    if let Some(node) = named(root) {
        let mut node = node.clone();
        interpolate::tree(&mut node, Variables::Known(variables), log);
        let name = node.scalar().unwrap_or_default().parse::<ProjectName>();
        return name.map_err(|e| log.error(node.at, e.to_string())).ok();
    }
    let folder = input.folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = fitted(folder).parse::<ProjectName>();
    if name.is_err() {
        let message = format!("the folder's name `{}` makes no name for a project", shown(folder));
        log.refuse(Place::whole(0), message, "add a top-level `name:`, or give one with `-p`");
    }
    name.ok()
}

/// A folder's name as Docker Compose makes it a project's: small letters, what does not fit left out.
fn fitted(folder: &str) -> String {
    let lower = folder.to_lowercase();
    let fit =
        lower.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(*c));
    let fit: String = fit.collect();
    fit.trim_start_matches(['-', '_']).chars().take(NAME_BYTES).collect()
}
