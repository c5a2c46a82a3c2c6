//! Which project a command is about, and reading its Compose files: everything that `compose` is handed
//! comes from the disk and the environment here. What a key means is `compose`'s business.

use crate::failure::Failure;
use compose::{Complaint, Complaints, Input, Loaded, Severity, SourceFile};
use model::limits::COMPOSE_BYTES;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
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
    /// Compose files; `-` is standard input. None: those of the folder.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) name: Option<String>,
    pub(crate) env_file: Option<PathBuf>,
    pub(crate) ignore: Vec<String>,
    pub(crate) allow_host: bool,
    /// Nodes that could run a service, when known.
    pub(crate) nodes: Option<usize>,
}

/// Why files make no project.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) warnings: Vec<Complaint>,
    /// Each with the line that it is about, in several lines.
    pub(crate) errors: Vec<String>,
}

impl Rejected {
    fn new(complaints: &Complaints, texts: &BTreeMap<String, String>) -> Self {
        let warnings = complaints.0.iter().filter(|c| c.severity == Severity::Warning);
        let text = |c: &Complaint| texts.get(&c.file).map_or("", String::as_str);
        let errors = complaints.errors().map(|c| compose::render(c, text(c)));
        Self { warnings: warnings.cloned().collect(), errors: errors.collect() }
    }
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
    let sources = Sources { allow_host: true, ..Sources::default() };
    let read = Gathered::new(&sources)?;
    match read.load(&sources).map(|loaded| loaded.spec.name.to_string()) {
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
    Ok(Gathered::new(sources)?.load(sources))
}

/// Everything read from the disk before it is looked into.
struct Gathered {
    folder: PathBuf,
    files: Vec<SourceFile>,
    dotenv: Option<SourceFile>,
}

impl Gathered {
    fn new(sources: &Sources) -> Result<Self, Failure> {
        let here = current_folder()?;
        let paths =
            if sources.files.is_empty() { find_files(&here) } else { sources.files.clone() };
        let Some(first) = paths.first() else {
            return Err(Failure::refused("there is no Compose file in this folder or one above")
                .next("name one with -f FILE, or write docker-compose.yml"));
        };
        let folder = folder_of(first, &here)?;
        let files = paths.iter().map(|path| source(path, &here)).collect::<Result<Vec<_>, _>>()?;
        let dotenv = dotenv(sources.env_file.as_deref(), &folder, &here)?;
        Ok(Self { folder, files, dotenv })
    }

    fn load(&self, sources: &Sources) -> Result<Loaded, Rejected> {
        let texts: BTreeMap<String, String> = self
            .files
            .iter()
            .chain(&self.dotenv)
            .map(|f| (f.name.clone(), String::from_utf8_lossy(&f.bytes).into_owned()))
            .collect();
        let loaded = self.parse(self.files.clone(), sources);
        loaded.map_err(|complaints| Rejected::new(&complaints, &texts))
    }

    fn parse(&self, files: Vec<SourceFile>, sources: &Sources) -> Result<Loaded, Complaints> {
        let reader = |path: &str| read_beside(&self.folder, path, sources.allow_host);
        compose::load(Input {
            files,
            project_name: sources.name.clone(),
            folder: self.folder.to_string_lossy().into_owned(),
            environment: environment(),
            dotenv: self.dotenv.clone(),
            read: &reader,
            ignore: sources.ignore.iter().cloned().collect::<BTreeSet<_>>(),
            allow_host: sources.allow_host,
            nodes: sources.nodes,
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
        self.parse(vec![file], &Sources::default()).ok().map(|l| l.spec.name.to_string())
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
pub(crate) fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(COMPOSE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn dotenv(named: Option<&Path>, folder: &Path, here: &Path) -> Result<Option<SourceFile>, Failure> {
    if let Some(path) = named {
        return source(path, here).map(Some);
    }
    let path = folder.join(".env");
    if path.is_file() { source(&path, here).map(Some) } else { Ok(None) }
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
    fn files_beside_a_compose_file_do_not_lead_out_of_its_folder() {
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
            dotenv: None,
        };
        let refused = "services: {web: {image: x, cap_drop: [ALL]}}\n";
        assert!(gathered(refused).load(&Sources::default()).is_err());
        assert_eq!(gathered(refused).name().as_deref(), Some("myshop"));
        let named = format!("{refused}name: blog # ours\n");
        assert_eq!(gathered(&named).name().as_deref(), Some("blog"));
        assert_eq!(gathered("name: [").name(), None);
    }

    #[test]
    fn endless_files_are_cut() {
        assert_eq!(limited(io::repeat(0)).unwrap().len(), COMPOSE_BYTES + 1);
    }
}
