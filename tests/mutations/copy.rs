//! A copy of the crates that decide and of the simulator, with a switch at every rule that is broken on purpose.
//! It lives among what cargo builds, is a workspace of its own, and is not what anything else is built from.

use crate::list::Mutation;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is copied.
const CRATES: [&str; 6] = ["agent", "compose", "manager", "model", "planner", "simulator"];

/// Runs that making a scenario short may take.
const TRIES: usize = 100;

/// The switch: which mutation is on is read once from the environment.
const SWITCH: &str = "//! Which rule is broken.\n\
    static ON: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| std::env::var(\"MUTATION\").unwrap_or_default());\n\
    /// Whether this rule is broken.\n\
    pub fn is(name: &str) -> bool { *ON == name }\n";

/// The package of the copy that runs seeds.
const PACKAGE: &str = "[package]\nname = \"tests\"\nversion = \"0.1.0\"\nedition = \"2024\"\nautotests = false\n\
    [lib]\npath = \"lib.rs\"\n[dependencies]\nsimulator.workspace = true\n\
    [[test]]\nname = \"simulation\"\npath = \"simulation.rs\"\n";

/// The copy, built.
pub(crate) struct Copy {
    program: PathBuf,
}

/// What came of seeds with one rule broken.
pub(crate) struct Run {
    /// The failure of the lowest seed that failed.
    pub(crate) found: Option<Found>,
    /// Seeds that were run.
    pub(crate) seeds: u64,
    /// All that was said.
    pub(crate) text: String,
}

/// A failure.
pub(crate) struct Found {
    /// The seed.
    pub(crate) seed: u64,
    /// What broke.
    pub(crate) what: String,
    /// How short a scenario that breaks the same is.
    pub(crate) reduced: String,
}

impl Copy {
    /// Makes and builds it.
    pub(crate) fn make(mutations: &[Mutation]) -> Self {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the tree");
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
        for name in CRATES {
            let from = format!("crates/{name}");
            copy_all(tree, &root, &from, mutations);
        }
        write(&root.join("crates/model/src/broken.rs"), SWITCH);
        write(&root.join("Cargo.toml"), &manifest(tree));
        write(&root.join("tests/Cargo.toml"), PACKAGE);
        let text = |path: &str| fs::read_to_string(tree.join(path)).expect("a file of the tree");
        write(&root.join("tests/lib.rs"), &text("tests/lib.rs"));
        write(&root.join("tests/simulation.rs"), &text("tests/simulation.rs"));
        if !root.join("Cargo.lock").exists() {
            write(&root.join("Cargo.lock"), &text("Cargo.lock"));
        }
        Self { program: build(&root) }
    }

    /// Runs seeds with one rule broken, up to the first failure.
    pub(crate) fn run(&self, mutation: &str, seeds: u64) -> Run {
        self.run_from(mutation, 0, seeds)
    }

    /// Runs one seed with one rule broken.
    pub(crate) fn run_one(&self, mutation: &str, seed: u64) -> Run {
        self.run_from(mutation, seed, 1)
    }

    fn run_from(&self, mutation: &str, first: u64, seeds: u64) -> Run {
        let output = Command::new(&self.program)
            .args(["--exact", "many_seeds", "--nocapture"])
            .env("MUTATION", mutation)
            .env("FIRST_SEED", first.to_string())
            .env("SEEDS", seeds.to_string())
            .env("SMALL", "1")
            .env("STOP", "1")
            .env("TRIES", TRIES.to_string())
            .output()
            .expect("what was built can be run");
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let text = text.into_owned();
        let line =
            |begins: &str| text.lines().find_map(|l| Some(l.strip_prefix(begins)?.to_owned()));
        let failed = (!output.status.success()).then(|| line("seed ")).flatten();
        let found = failed.and_then(|line| {
            let (seed, what) = line.split_once(": ")?;
            Some((seed.parse().ok()?, what.to_owned()))
        });
        assert!(output.status.success() || found.is_some(), "{mutation}: {text}");
        let found = found.map(|(seed, what)| {
            let reduced = line(&format!("seed {seed}, ")).unwrap_or_default();
            Found { seed, what, reduced }
        });
        let told =
            text.lines().filter_map(|l| l.split_once(" seeds up to ")?.0.parse().ok()).next_back();
        Run { found, seeds: told.unwrap_or(0), text }
    }
}

/// Copies a folder of a crate: its sources and its manifest.
fn copy_all(tree: &Path, root: &Path, folder: &str, mutations: &[Mutation]) {
    for entry in fs::read_dir(tree.join(folder)).expect("a folder of the tree") {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            let sources = folder.contains("/src") || name == "src";
            if sources {
                copy_all(tree, root, &path, mutations);
            }
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a text");
        let text = match name.as_str() {
            "Cargo.toml" => without_tests(&text),
            _ => broken(&path, text, mutations),
        };
        write(&root.join(&path), &text);
    }
}

/// The text of a file with a switch at every rule in it that is broken on purpose.
fn broken(path: &str, mut text: String, mutations: &[Mutation]) -> String {
    let krate = if path.starts_with("crates/model/") { "crate" } else { "model" };
    for mutation in mutations {
        for edit in mutation.edits.iter().filter(|edit| edit.file == path) {
            let count = text.matches(edit.from).count();
            assert_eq!(count, 1, "{}: not once in {path}: {}", mutation.name, edit.from);
            let switch = format!("{krate}::broken::is(\"{}\")", mutation.name);
            text = text.replace(edit.from, &edit.to.replace("BROKEN", &switch));
        }
    }
    if path == "crates/model/src/lib.rs" {
        text.push_str("\npub mod broken;\n");
    }
    text
}

/// A manifest without what only the crate's own tests need.
fn without_tests(text: &str) -> String {
    let mut manifest: toml::Table = text.parse().expect("a manifest");
    for part in ["dev-dependencies", "test", "bench", "example"] {
        manifest.remove(part);
    }
    manifest.to_string()
}

/// The manifest of the copy: that of the tree, with fewer members, built to run fast.
fn manifest(tree: &Path) -> String {
    let text = fs::read_to_string(tree.join("Cargo.toml")).expect("a manifest");
    let mut manifest: toml::Table = text.parse().expect("a manifest");
    let members = toml::Value::from(vec!["crates/*", "tests"]);
    let workspace = manifest["workspace"].as_table_mut().expect("a workspace");
    workspace.insert("members".to_owned(), members);
    workspace.remove("exclude");
    manifest.remove("patch");
    let profile = "[dev]\nopt-level = 1\ndebug = false\noverflow-checks = true\n";
    let profile: toml::Table = profile.parse().expect("a profile");
    manifest.insert("profile".to_owned(), toml::Value::Table(profile));
    manifest.to_string()
}

/// Writes a file unless it says that already: cargo looks at when it was written.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|is| is == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a writable folder");
    fs::write(path, text).expect("a writable file");
}

fn build(root: &Path) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--offline", "--no-run", "-p", "tests", "--test", "simulation"])
        .args(["--message-format", "json"])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .output()
        .expect("cargo can be run");
    let messages = String::from_utf8_lossy(&output.stdout);
    let errors = || {
        let parsed = messages.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        let told = parsed.filter_map(|m| Some(m["message"]["rendered"].as_str()?.to_owned()));
        told.collect::<String>() + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(output.status.success(), "the copy cannot be built: {}", errors());
    let parsed = messages.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let program = parsed.filter_map(|m| Some(PathBuf::from(m["executable"].as_str()?))).next_back();
    program.expect("the test was built")
}
