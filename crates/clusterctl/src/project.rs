//! Which project a command is about, and reading its Compose files: everything that `compose` is handed
//! comes from the disk and the environment here. What a key means is `compose`'s business.

use crate::args;
use crate::failure::Failure;
use compose::{Complaint, Input, Loaded, Report, Severity, SourceFile};
use model::Permit;
use model::limits::COMPOSE_BYTES;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Names of a Compose file, the one that wins first, each with those of its override.
const FILES: [(&str, [&str; 2]); 4] = [
    ("compose.yaml", ["compose.override.yaml", "compose.override.yml"]),
    ("compose.yml", ["compose.override.yml", "compose.override.yaml"]),
    ("docker-compose.yml", ["docker-compose.override.yml", "docker-compose.override.yaml"]),
    ("docker-compose.yaml", ["docker-compose.override.yaml", "docker-compose.override.yml"]),
];

/// What a project is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Compose files; `-` is standard input. None: those that the environment names, else those of the folder.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) name: Option<String>,
    /// Files with variables. None: those that the environment names, else `.env`.
    pub(crate) env_files: Vec<PathBuf>,
    pub(crate) profiles: Vec<String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) allow_host: bool,
    /// What the cluster's policy lets containers be handed, by project.
    pub(crate) granted: BTreeMap<String, BTreeSet<Permit>>,
    /// Nodes that could run a service; several when it is not said.
    pub(crate) nodes: Option<usize>,
    /// What the images are called that were built, by service.
    pub(crate) built: BTreeMap<String, String>,
}

impl Sources {
    /// As the words say it.
    pub(crate) fn new(words: &args::Input, name: Option<String>) -> Self {
        Self {
            files: words.files.clone(),
            name,
            env_files: words.env_files.clone(),
            profiles: words.profiles.clone(),
            ignore: words.ignore.clone(),
            allow_host: words.allow_host,
            granted: BTreeMap::new(),
            nodes: None,
            built: BTreeMap::new(),
        }
    }
}

/// What was found in files, with their texts.
pub(crate) struct Read {
    pub(crate) report: Report,
    texts: BTreeMap<String, String>,
}

impl Read {
    /// A complaint with the line that it is about, in several lines.
    pub(crate) fn render(&self, complaint: &Complaint) -> String {
        let name = complaint.file.as_str();
        let text = self.texts.get(name).or_else(|| self.texts.get(name.trim_start_matches("./")));
        compose::render(complaint, text.map_or("", String::as_str))
    }

    fn project(self) -> Result<Loaded, Rejected> {
        let errors: Vec<String> = self
            .report
            .complaints
            .iter()
            .filter(|c| c.severity == Severity::Error)
            .map(|c| self.render(c))
            .collect();
        let Report { spec, complaints, card, builds, contents, .. } = self.report;
        if let Some(spec) = spec {
            return Ok(Loaded { spec, remarks: complaints, card, builds, contents });
        }
        let warnings = complaints.into_iter().filter(|c| c.severity == Severity::Warning);
        Err(Rejected { warnings: warnings.collect(), errors })
    }
}

/// Why files make no project.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) warnings: Vec<Complaint>,
    /// Each with the line that it is about, in several lines.
    pub(crate) errors: Vec<String>,
}

/// The name that flag, folder and cluster amount to.
pub(crate) fn choose(
    flag: Option<&str>,
    folder: Option<&str>,
    existing: &[String],
) -> Result<String, Failure> {
    if let Some(name) = flag.or(folder) {
        return Ok(name.to_owned());
    }
    match existing {
        [only] => Ok(only.clone()),
        [] => Err(Failure::refused("no project is deployed")
            .next("`clusterctl deploy -f docker-compose.yml` deploys one")),
        several => {
            Err(Failure::refused(format!("which project? There are {}", several.join(", ")))
                .next("say it with -p NAME"))
        }
    }
}

/// Name of the project whose Compose file lies in this folder or one above, if any does.
pub(crate) fn of_folder() -> Result<Option<String>, Failure> {
    if find_files(&current_folder()?).is_empty() {
        return Ok(None);
    }
    let sources = Sources { allow_host: true, nodes: Some(1), ..Sources::default() };
    let read = Gathered::new(&sources)?;
    match read.load(&sources).project().map(|loaded| loaded.spec.name.to_string()) {
        Ok(name) => Ok(Some(name)),
        // What cannot be deployed as it stands, because a flag is missing say, may still tell its name.
        Err(_) if read.name().is_some() => Ok(read.name()),
        Err(rejected) => Err(Failure::refused(format!(
            "the Compose file in this folder cannot be read, so it does not say which project is meant\n{}",
            rejected.errors.join("\n")
        ))
        .next("correct it, or name the project with -p NAME")),
    }
}

fn current_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|e| Failure::file("find", Path::new("the current folder"), &e))
}

/// The Compose file of a folder, or of the nearest one above that has one, with its override.
fn find_files(from: &Path) -> Vec<PathBuf> {
    for folder in from.ancestors() {
        let found = FILES.iter().find(|(name, _)| folder.join(name).is_file());
        if let Some((name, overrides)) = found {
            let over = overrides.iter().map(|o| folder.join(o)).find(|path| path.is_file());
            return std::iter::once(folder.join(name)).chain(over).collect();
        }
    }
    Vec::new()
}

/// Reads a project. The outer error is about reading at all, the inner one about what was read.
pub(crate) fn load(sources: &Sources) -> Result<Result<Loaded, Rejected>, Failure> {
    Ok(read(sources)?.project())
}

/// Reads files, and says of each key what becomes of it.
pub(crate) fn read(sources: &Sources) -> Result<Read, Failure> {
    Ok(Gathered::new(sources)?.load(sources))
}

/// Everything read from the disk before it is looked into.
struct Gathered {
    folder: PathBuf,
    files: Vec<SourceFile>,
    dotenv: Vec<SourceFile>,
}

impl Gathered {
    fn new(sources: &Sources) -> Result<Self, Failure> {
        let here = current_folder()?;
        let environment = environment();
        let usual = dotenv(&sources.env_files, &here, &here, &environment)?;
        let paths = if sources.files.is_empty() {
            named_files(&usual, &environment).unwrap_or_else(|| find_files(&here))
        } else {
            sources.files.clone()
        };
        let Some(first) = paths.first() else {
            return Err(Failure::refused("there is no Compose file in this folder or one above")
                .next("name one with -f FILE, or write docker-compose.yml"));
        };
        let folder = folder_of(first, &here)?;
        let files = paths.iter().map(|path| source(path, &here)).collect::<Result<Vec<_>, _>>()?;
        let dotenv = dotenv(&sources.env_files, &folder, &here, &environment)?;
        Ok(Self { folder, files, dotenv })
    }

    fn load(&self, sources: &Sources) -> Read {
        let texts = self
            .files
            .iter()
            .chain(&self.dotenv)
            .map(|f| (f.name.clone(), String::from_utf8_lossy(&f.bytes).into_owned()))
            .collect();
        let texts = RefCell::new(texts);
        let report = self.parse(self.files.clone(), sources, &texts);
        Read { report, texts: texts.into_inner() }
    }

    fn parse(
        &self,
        files: Vec<SourceFile>,
        sources: &Sources,
        texts: &RefCell<BTreeMap<String, String>>,
    ) -> Report {
        let reader = |path: &str| {
            let read = read_beside(&self.folder, path, sources.allow_host);
            // Lines of other files than Compose files may be secrets, and are never shown.
            if let Ok(Some(bytes)) = &read
                && Path::new(path).extension().is_some_and(|e| e == "yml" || e == "yaml")
            {
                let text = String::from_utf8_lossy(bytes).into_owned();
                texts.borrow_mut().insert(path.to_owned(), text);
            }
            read
        };
        compose::check(Input {
            files,
            project_name: sources.name.clone(),
            folder: self.folder.to_string_lossy().into_owned(),
            environment: environment(),
            dotenv: self.dotenv.clone(),
            read: &reader,
            ignore: sources.ignore.iter().cloned().collect::<BTreeSet<_>>(),
            allow_host: sources.allow_host,
            granted: sources.granted.clone(),
            nodes: sources.nodes,
            built: sources.built.clone(),
            profiles: sources.profiles.clone(),
        })
    }

    /// The project's name by the rules of `compose`, from the line that says it alone.
    fn name(&self) -> Option<String> {
        let said = self.files.iter().rev().find_map(|file| {
            let text = std::str::from_utf8(&file.bytes).ok()?;
            text.lines().find(|line| line.starts_with("name:")).map(str::to_owned)
        });
        let text = format!("{}\nservices: {{x: {{image: x}}}}\n", said.unwrap_or_default());
        let file = SourceFile { name: "name".into(), bytes: text.into_bytes() };
        let texts = RefCell::default();
        self.parse(vec![file], &Sources::default(), &texts).spec.map(|s| s.name.to_string())
    }
}

/// The project's folder: that of its first file.
fn folder_of(file: &Path, here: &Path) -> Result<PathBuf, Failure> {
    let folder = match file.parent() {
        _ if file == Path::new("-") => here.to_path_buf(),
        Some(parent) => here.join(parent),
        None => here.to_path_buf(),
    };
    folder.canonicalize().map_err(|e| Failure::file("find the folder of", file, &e))
}

fn source(path: &Path, here: &Path) -> Result<SourceFile, Failure> {
    let failed = |e: io::Error| Failure::file("read", path, &e);
    let stdin = path == Path::new("-");
    let read = if stdin { limited(io::stdin().lock()) } else { File::open(path).and_then(limited) };
    let bytes = read.map_err(failed)?;
    if bytes.len() > COMPOSE_BYTES {
        let most = COMPOSE_BYTES >> 20;
        return Err(Failure::refused(format!(
            "{} is too large: more than {most} MiB",
            path.display()
        )));
    }
    if stdin {
        return Ok(SourceFile { name: "<stdin>".into(), bytes });
    }
    // As short as it can be said from here: it stands before every complaint.
    let name = path.strip_prefix(here).unwrap_or(path);
    Ok(SourceFile { name: name.to_string_lossy().into_owned(), bytes })
}

/// At most one byte more than is allowed, so that the excess is noticed and nothing endless is read.
pub(crate) fn limited(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(COMPOSE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Files with variables: those named, else those that the environment names, else `.env` where there is one.
fn dotenv(
    named: &[PathBuf],
    folder: &Path,
    here: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<SourceFile>, Failure> {
    let from_environment: Vec<PathBuf> = environment
        .get("COMPOSE_ENV_FILES")
        .map(|list| list.split(',').filter(|p| !p.is_empty()).map(PathBuf::from).collect())
        .unwrap_or_default();
    let named = if named.is_empty() { &from_environment[..] } else { named };
    if !named.is_empty() {
        return named.iter().map(|path| source(path, here)).collect();
    }
    let path = folder.join(".env");
    if path.is_file() { Ok(vec![source(&path, here)?]) } else { Ok(Vec::new()) }
}

/// Files that `COMPOSE_FILE` names, in the environment or in the files with variables.
fn named_files(
    dotenv: &[SourceFile],
    environment: &BTreeMap<String, String>,
) -> Option<Vec<PathBuf>> {
    let value = |name| compose::variable(dotenv, environment, name).filter(|v| !v.is_empty());
    let separator = value("COMPOSE_PATH_SEPARATOR").unwrap_or_else(|| ":".to_owned());
    let list = value("COMPOSE_FILE")?;
    Some(list.split(&separator).filter(|p| !p.is_empty()).map(PathBuf::from).collect())
}

/// Variables whose names or values are no text cannot be used in a file that is.
fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// A file that a Compose file names. Without `any` it must lie in the folder, after all links.
fn read_beside(folder: &Path, path: &str, any: bool) -> Result<Option<Vec<u8>>, String> {
    let real = match folder.join(path).canonicalize() {
        Ok(real) => real,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    if !any && !real.starts_with(folder) {
        return Err("it leads out of the project's folder; --allow-host lets it".into());
    }
    // Opening a pipe would wait for whoever writes to it.
    if !real.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is no regular file".into());
    }
    File::open(&real).and_then(limited).map(Some).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_then_folder_then_the_only_one() {
        let existing = ["blog".to_owned(), "shop".to_owned()];
        assert_eq!(choose(Some("a"), Some("b"), &existing).unwrap(), "a");
        assert_eq!(choose(None, Some("b"), &existing).unwrap(), "b");
        assert_eq!(choose(None, None, &existing[..1]).unwrap(), "blog");
        let failure = choose(None, None, &existing).unwrap_err();
        assert_eq!(failure.message, "which project? There are blog, shop");
        assert_eq!(failure.next.as_deref(), Some("say it with -p NAME"));
        assert_eq!(choose(None, None, &[]).unwrap_err().exit.code(), 1);
    }

    #[test]
    fn the_nearest_file_counts_with_its_override() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(root.path().join("docker-compose.yml"), "").unwrap();
        std::fs::write(root.path().join("docker-compose.override.yml"), "").unwrap();
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            files.iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(find_files(&deep)), ["docker-compose.yml", "docker-compose.override.yml"]);
        std::fs::write(deep.join("compose.yaml"), "").unwrap();
        assert_eq!(names(find_files(&deep)), ["compose.yaml"]);
    }

    #[test]
    fn attack_12_files_beside_a_compose_file_do_not_lead_out_of_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let folder = root.join("project");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(root.join("secret"), "s").unwrap();
        std::fs::write(folder.join("api.env"), "A=1").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        assert_eq!(read_beside(&folder, "api.env", false), Ok(Some(b"A=1".to_vec())));
        assert_eq!(read_beside(&folder, "none", false), Ok(None));
        assert!(read_beside(&folder, "link", false).unwrap_err().contains("--allow-host"));
        assert!(read_beside(&folder, "../secret", false).is_err());
        assert_eq!(read_beside(&folder, "link", true), Ok(Some(b"s".to_vec())));
    }

    #[test]
    fn a_file_that_cannot_be_deployed_still_tells_its_name() {
        let gathered = |text: &str| Gathered {
            folder: "/srv/My Shop".into(),
            files: vec![SourceFile { name: "c.yml".into(), bytes: text.as_bytes().to_vec() }],
            dotenv: Vec::new(),
        };
        let refused = "services: {web: {image: x, privileged: true}}\n";
        assert!(gathered(refused).load(&Sources::default()).project().is_err());
        assert_eq!(gathered(refused).name().as_deref(), Some("myshop"));
        let named = format!("{refused}name: blog # ours\n");
        assert_eq!(gathered(&named).name().as_deref(), Some("blog"));
        assert_eq!(gathered("name: [").name(), None);
    }

    #[test]
    fn the_environment_names_files_with_a_separator_of_its_own() {
        let dotenv =
            |text: &str| vec![SourceFile { name: ".env".into(), bytes: text.as_bytes().to_vec() }];
        let names = |text: &str, environment: &[(&str, &str)]| {
            let environment =
                environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            named_files(&dotenv(text), &environment)
        };
        let two = || Some(vec![PathBuf::from("a.yml"), PathBuf::from("b.yml")]);
        assert_eq!(names("", &[]), None);
        assert_eq!(names("", &[("COMPOSE_FILE", "a.yml:b.yml")]), two());
        assert_eq!(names("COMPOSE_FILE=a.yml,b.yml\nCOMPOSE_PATH_SEPARATOR=,", &[]), two());
        let shell = [("COMPOSE_FILE", "c.yml")];
        assert_eq!(names("COMPOSE_FILE=a.yml", &shell), Some(vec![PathBuf::from("c.yml")]));
    }

    #[test]
    fn endless_files_are_cut() {
        assert_eq!(limited(io::repeat(0)).unwrap().len(), COMPOSE_BYTES + 1);
    }
}
