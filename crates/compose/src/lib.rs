//! Compose files to a [`ProjectSpec`], or to pointed complaints about what is wrong with them.
//!
//! This crate is the only one that knows a key of the Compose Specification. It reads no file, no
//! environment and no clock: everything comes in through [`Input`]. Nothing in a file is dropped in silence:
//! of each key it is said what becomes of it, by one table (`keys`).
//!
//! The way through: `yaml` makes a tree that knows its places, `sources` puts variables in (`interpolate`), takes
//! in other files (`include`, `extends`) and lays files over each other (`merge`), `project` and what it calls
//! give types, `canonical` writes the result out again, `card` keeps what was found of each key.
//! Start with [`load`] and [`check`]; the cluster's side is [`parse_canonical`].

mod attach;
mod build;
mod canonical;
mod canonical_engine;
mod canonical_files;
mod canonical_networks;
mod card;
mod complaint;
mod container;
mod deploy;
mod devices;
mod dotenv;
mod ends;
mod engine;
mod environment;
mod extends;
mod files;
mod health;
mod hooks;
mod hostpath;
mod http;
mod include;
mod interpolate;
mod keys;
mod limits;
mod merge;
mod mounts;
mod networks;
mod once;
mod ports;
mod profiles;
mod project;
mod reader;
mod rebase;
mod refers;
mod relative;
mod rights;
mod scalar;
mod secrets;
mod service;
mod sharing;
mod sources;
mod templates;
mod traefik;
mod tree;
mod words;
mod writer;
mod yaml;

pub use build::Build;
pub use canonical::canonical;
pub use card::{Card, Finding, Standing};
pub use complaint::{Complaint, Complaints, Severity, render};
pub use keys::{Rule, rules};
pub use reader::Read;
pub use secrets::Contents;

use complaint::{Log, shown};
use files::Files;
use interpolate::Variables;
use limits::{COMPOSE_BYTES, NAME_BYTES};
use model::{Permit, ProjectName, ProjectSpec};
use profiles::Profiles;
use reader::{Deployer, Reader, Rules};
use sources::{Sources, Spent};
use std::collections::{BTreeMap, BTreeSet};
use tree::{Node, Place};

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
    /// Files with variables, `.env` by default; later ones win. The shell's variables win over all of them.
    pub dotenv: Vec<SourceFile>,
    /// Reads a file that a Compose file names (`env_file`): given a path relative to the project folder,
    /// without `..`, or, with [`Input::allow_host`], any path. `Ok(None)` when there is no such file; `Err`
    /// with the reason when it cannot be read. The implementer refuses links that leave the folder.
    pub read: Read<'a>,
    /// Keys that are refused because dropping them could hurt, and that the user agreed to lose.
    pub ignore: BTreeSet<String>,
    /// Whether containers may be handed the host, and files be read from outside of the folder.
    pub allow_host: bool,
    /// What else containers of a project may be handed.
    pub granted: BTreeMap<String, BTreeSet<Permit>>,
    /// How many nodes could run a service, constraints aside; `None` stands for several.
    pub nodes: Option<usize>,
    /// Active profiles, beside those of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// What the images are called that were built, by service; for services that name none themselves.
    pub built: BTreeMap<String, String>,
}

impl Default for Input<'_> {
    /// No files, and none to be read.
    fn default() -> Self {
        Self {
            files: Vec::new(),
            project_name: None,
            folder: String::new(),
            environment: BTreeMap::new(),
            dotenv: Vec::new(),
            read: &|_| Ok(None),
            ignore: BTreeSet::new(),
            allow_host: false,
            granted: BTreeMap::new(),
            nodes: None,
            profiles: Vec::new(),
            built: BTreeMap::new(),
        }
    }
}

/// A project that can be deployed.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project; its `source` is the canonical document.
    pub spec: ProjectSpec,
    /// Warnings, by place.
    pub remarks: Vec<Complaint>,
    /// What becomes of every key.
    pub card: Card,
    /// Images that are to be made.
    pub builds: Vec<Build>,
    /// What its secrets and configs hold that come from the deployer's files and variables.
    pub contents: Contents,
}

/// What there is to say about the files of a project.
#[derive(Clone, Debug)]
pub struct Report {
    /// The project, if it can be deployed.
    pub spec: Option<ProjectSpec>,
    /// Errors and warnings, by place.
    pub complaints: Vec<Complaint>,
    /// What becomes of every key.
    pub card: Card,
    /// Images that are to be made.
    pub builds: Vec<Build>,
    /// What its secrets and configs hold that come from the deployer's files and variables.
    pub contents: Contents,
    /// What its services ask for of their hosts.
    pub powers: BTreeSet<Permit>,
}

impl Report {
    /// The files are too broken for their keys to be looked at.
    fn without_project(log: Log) -> Self {
        let (complaints, card) = log.done();
        Self {
            spec: None,
            complaints,
            card,
            builds: Vec::new(),
            contents: Contents::default(),
            powers: BTreeSet::new(),
        }
    }
}

/// Reads a project. `Err` holds every error of the files, and the warnings, by place.
pub fn load(input: Input<'_>) -> Result<Loaded, Complaints> {
    let Report { spec, complaints, card, builds, contents, .. } = check(input);
    match spec {
        Some(spec) => Ok(Loaded { spec, remarks: complaints, card, builds, contents }),
        None => Err(Complaints(complaints)),
    }
}

/// Reads a project and says of every key what becomes of it, also when it cannot be deployed.
pub fn check(input: Input<'_>) -> Report {
    let mut log = Log::default();
    let mut spent = Spent::default();
    let trees = sources::written(&input.files, &mut log, &mut spent);
    let mut variables = variables(&input.dotenv, &input.environment, &mut log);
    let Some(trees) = trees else { return Report::without_project(log) };
    let name = project_name(&input, &trees, &variables, &mut log);
    if let Some(name) = &name {
        variables.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert_with(|| name.to_string());
    }
    let files = Files { folder: &input.folder, read: input.read, anywhere: input.allow_host };
    let profiles = Profiles {
        asked: input.profiles,
        environment: variables.get("COMPOSE_PROFILES").cloned().unwrap_or_default(),
    };
    let rules = Rules {
        ignore: input.ignore,
        allow_host: input.allow_host,
        granted: input.granted,
        nodes: input.nodes,
        profiles,
        deployer: Some(Deployer { files, variables: variables.clone(), built: input.built }),
    };
    let mut reader = Reader::new(rules, log);
    let mut sources =
        Sources { r: &mut reader, spent, bases: BTreeMap::new(), circles: BTreeSet::new() };
    match sources.merged(trees, &variables) {
        Some(root) => finish(reader, &root, name),
        None => Report::without_project(reader.log),
    }
}

/// Reads a canonical document, as a [`ProjectSpec`]'s `source` holds it and as it travels to the cluster:
/// no variables, no references to files or to anybody's environment, absolute paths. The same rules hold
/// as for [`load`], and what hands over the host is refused unless `allow_host`. Only here does
/// `x-cluster.resolved` of a service set what its image was resolved to.
pub fn parse_canonical(text: &str, allow_host: bool) -> Result<ProjectSpec, Complaints> {
    let Report { spec, complaints, .. } = parse(text, allow_host);
    spec.ok_or(Complaints(complaints))
}

/// The same, with what its services ask for of their hosts: whether they may is the caller's to say.
pub fn parse_with_powers(text: &str) -> Result<(ProjectSpec, BTreeSet<Permit>), Complaints> {
    let Report { spec, complaints, powers, .. } = parse(text, true);
    spec.map(|spec| (spec, powers)).ok_or(Complaints(complaints))
}

fn parse(text: &str, allow_host: bool) -> Report {
    let mut log = Log::default();
    let file =
        SourceFile { name: "canonical document".to_owned(), bytes: text.as_bytes().to_vec() };
    let mut spent = Spent::default();
    let trees = sources::written(&[file], &mut log, &mut spent);
    let Some((_, mut root)) = trees.and_then(|mut trees| trees.pop()) else {
        return Report::without_project(log);
    };
    interpolate::tree(&mut root, Variables::Canonical, &mut log, &mut spent.grown);
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
    let rules = Rules {
        ignore: BTreeSet::new(),
        allow_host,
        granted: BTreeMap::new(),
        nodes: None,
        profiles: Profiles::default(),
        deployer: None,
    };
    finish(Reader::new(rules, log), &root, name)
}

/// Gives the tree its types, and the project its canonical document.
fn finish(mut reader: Reader<'_>, root: &Node, name: Option<ProjectName>) -> Report {
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
    let builds = std::mem::take(&mut reader.builds);
    let contents = std::mem::take(&mut reader.contents);
    let powers = std::mem::take(&mut reader.powers);
    let (complaints, card) = reader.log.done();
    Report { spec: (!failed).then_some(spec), complaints, card, builds, contents, powers }
}

/// What a variable holds, by the shell's environment and the files with variables. For the few variables that say
/// which files to read at all.
pub fn variable(
    dotenv: &[SourceFile],
    environment: &BTreeMap<String, String>,
    name: &str,
) -> Option<String> {
    variables(dotenv, environment, &mut Log::default()).remove(name)
}

/// The shell's variables over those of files.
fn variables(
    dotenv: &[SourceFile],
    environment: &BTreeMap<String, String>,
    log: &mut Log,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for file in dotenv {
        let number = log.file(&file.name);
        let Some(text) = sources::text(file, number, log) else { continue };
        let mut outer = variables.clone();
        outer.extend(environment.iter().map(|(k, v)| (k.clone(), v.clone())));
        for setting in dotenv::parse(text, &outer, false) {
            let at = Place { file: number, line: setting.line, column: 1, length: 1 };
            for name in setting.unset {
                log.warn(at, format!("variable `{name}` is not set; using an empty text"));
            }
            match setting.read {
                Ok((name, Some(value))) => {
                    variables.insert(name, value);
                }
                Ok((_, None)) => {}
                Err(why) => log.error(at, why),
            }
        }
    }
    variables.extend(environment.iter().map(|(k, v)| (k.clone(), v.clone())));
    variables
}

fn named(root: &Node) -> Option<&Node> {
    root.entry("name").filter(|n| !n.is_null())
}

/// The caller's name, else `COMPOSE_PROJECT_NAME`, else the file's, else the folder's made to fit.
fn project_name(
    input: &Input<'_>,
    trees: &[(String, Node)],
    variables: &BTreeMap<String, String>,
    log: &mut Log,
) -> Option<ProjectName> {
    let start = trees.first().map_or_else(|| Place::whole(0), |(_, tree)| tree.at);
    let given = input.project_name.clone();
    let given =
        given.or_else(|| variables.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()).cloned());
    if let Some(given) = given {
        return given.parse().map_err(|e: model::InvalidName| log.error(start, e.to_string())).ok();
    }
    if let Some(node) = trees.iter().rev().find_map(|(_, tree)| named(tree)) {
        let mut node = node.clone();
        interpolate::tree(&mut node, Variables::Known(variables), log, &mut 0);
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
