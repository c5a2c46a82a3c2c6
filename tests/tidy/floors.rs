//! Floors: which crate may import which, as the table in ARCHITECTURE.md says, held against what cargo says.

use crate::DECIDING;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Crates there may be under `crates/`.
const CRATES: usize = 18;

/// Crates of others that do things, by the beginning of their names.
const DOING: [&str; 16] = [
    "tokio",
    "tonic",
    "tracing",
    "log",
    "rand",
    "getrandom",
    "futures",
    "async",
    "hyper",
    "bollard",
    "openraft",
    "reqwest",
    "rustix",
    "chrono",
    "jiff",
    "libc",
];

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) floor: u32,
    /// `None`: all.
    pub(crate) imports: Option<BTreeSet<String>>,
}

pub(crate) type Table = BTreeMap<String, Row>;

/// A package of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Of this workspace.
    pub(crate) ours: bool,
    /// For tests only.
    pub(crate) dev: bool,
}

/// Reads the table of crates: `| crate | owns | may import | floor |`.
pub(crate) fn table(text: &str) -> Result<Table, String> {
    let mut lines =
        text.lines().skip_while(|l| !l.starts_with("| crate | owns | may import | floor |"));
    lines.next().ok_or("ARCHITECTURE.md has no table of crates")?;
    lines.skip(1).take_while(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &str) -> Result<(String, Row), String> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, _, imports, floor] = cells[..] else {
        return Err(format!("not four cells: {line}"));
    };
    let floor = floor.parse().map_err(|_| format!("no floor: {line}"))?;
    let imports = match imports {
        "all" => None,
        "nothing" => Some(BTreeSet::new()),
        names => Some(names.split(", ").map(str::to_owned).collect()),
    };
    Ok((name.trim_matches('`').to_owned(), Row { floor, imports }))
}

/// What cargo knows of the workspace, without looking at anybody else's crates.
pub(crate) fn metadata(root: &Path) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

pub(crate) fn members(metadata: &Value) -> Vec<Member> {
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let folder = |manifest: &str| {
        let path = manifest.strip_prefix(root).unwrap_or(manifest);
        path.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned()
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependency = |d: &Value| Dependency {
        name: text(&d["name"]),
        ours: d["path"].is_string(),
        dev: d["kind"] == "dev",
    };
    let member = |p: &Value| Member {
        name: text(&p["name"]),
        folder: folder(&text(&p["manifest_path"])),
        dependencies: list(&p["dependencies"]).iter().map(dependency).collect(),
    };
    list(&metadata["packages"]).iter().map(member).collect()
}

/// Complaints about the shape of the workspace.
pub(crate) fn check(table: &Table, members: &[Member]) -> Vec<String> {
    let mut complaints: Vec<String> =
        members.iter().flat_map(|member| check_member(table, member)).collect();
    for name in table.keys().filter(|name| !members.iter().any(|m| m.name == **name)) {
        complaints.push(format!("the table has `{name}`, the workspace has not"));
    }
    complaints.extend(table.iter().flat_map(|(name, row)| check_row(table, name, row)));
    let crates = members.iter().filter(|m| m.folder.starts_with("crates/")).count();
    if crates > CRATES {
        complaints.push(format!("{crates} crates; {CRATES} is the most"));
    }
    complaints
}

/// An arrow only goes down, whatever the table says.
fn check_row(table: &Table, name: &str, row: &Row) -> Vec<String> {
    let up = |import: &&String| table.get(*import).is_none_or(|below| below.floor >= row.floor);
    let wrong = row.imports.iter().flatten().filter(up);
    wrong
        .map(|import| format!("the table lets `{name}` import `{import}`, which is not below it"))
        .collect()
}

fn check_member(table: &Table, member: &Member) -> Vec<String> {
    let name = &member.name;
    let mut complaints = Vec::new();
    if member.folder.rsplit('/').next() != Some(name) {
        complaints.push(format!("`{name}` lies in {}", member.folder));
    }
    let Some(row) = table.get(name) else {
        complaints.push(format!("`{name}` is not in the table of ARCHITECTURE.md"));
        return complaints;
    };
    for dependency in member.dependencies.iter().filter(|d| d.ours) {
        let import = &dependency.name;
        let listed = row.imports.as_ref().is_none_or(|imports| imports.contains(import));
        // Tests of doing crates may reach sideways; those of deciding crates live by the table too.
        let sideways = table.get(import).is_some_and(|other| other.floor <= row.floor);
        let tests = dependency.dev && sideways && !DECIDING.contains(&name.as_str());
        if !listed && !tests {
            complaints.push(format!("`{name}` imports `{import}`, which the table does not have"));
        }
    }
    complaints
}

/// Deciding crates that depend on a crate that does things, in tests too.
pub(crate) fn doing_dependencies(members: &[Member]) -> Vec<String> {
    let does = |name: &str| {
        DOING.iter().any(|doing| {
            name == *doing || name.strip_prefix(doing).is_some_and(|r| r.starts_with(['-', '_']))
        })
    };
    let deciding = members.iter().filter(|member| DECIDING.contains(&member.name.as_str()));
    deciding
        .flat_map(|m| m.dependencies.iter().map(move |d| (&m.name, &d.name)))
        .filter(|(_, dependency)| does(dependency))
        .map(|(name, dependency)| format!("`{name}` decides, and depends on {dependency}"))
        .collect()
}

fn sample(rows: &[&str]) -> Table {
    let text =
        format!("| crate | owns | may import | floor |\n|---|---|---|--:|\n{}\n", rows.join("\n"));
    table(&text).expect("a sound table")
}

fn package(name: &str, folder: &str, imports: &[(&str, bool)]) -> Member {
    let dependency =
        |(name, dev): &(&str, bool)| Dependency { name: (*name).into(), ours: true, dev: *dev };
    Member {
        name: name.into(),
        folder: folder.into(),
        dependencies: imports.iter().map(dependency).collect(),
    }
}

#[test]
fn wrong_arrows_are_noticed() {
    let table = sample(&[
        "| `model` | x | nothing | 0 |",
        "| `agent` | x | model | 1 |",
        "| `api` | x | model | 1 |",
    ]);
    let model = || package("model", "crates/model", &[]);
    let ok = [
        model(),
        package("agent", "crates/agent", &[("model", false)]),
        package("api", "crates/api", &[]),
    ];
    assert_eq!(check(&table, &ok), Vec::<String>::new());
    let wrong = [
        package("model", "crates/model", &[("agent", false)]),
        package("agent", "crates/agents", &[("api", true)]),
        package("api", "crates/api", &[("agent", true)]),
        package("utils", "crates/utils", &[]),
    ];
    let complaints = check(&table, &wrong).join("\n");
    for part in [
        "`model` imports `agent`",
        "lies in crates/agents",
        "`agent` imports `api`",
        "`utils` is not in",
    ] {
        assert!(complaints.contains(part), "{part}: {complaints}");
    }
    assert_eq!(
        complaints.lines().count(),
        4,
        "tests of a doing crate may reach sideways: {complaints}"
    );
}

#[test]
fn a_table_whose_arrows_go_up_is_refused() {
    let table = sample(&["| `model` | x | api | 0 |", "| `api` | x | nothing | 1 |"]);
    let members =
        [package("model", "crates/model", &[("api", false)]), package("api", "crates/api", &[])];
    assert_eq!(check(&table, &members).len(), 1);
}

#[test]
fn a_runtime_in_a_deciding_crate_is_noticed() {
    let names = ["tokio-stream", "serde", "logos", "rand"].map(|name| (name, true));
    let found = doing_dependencies(&[package("planner", "crates/planner", &names)]);
    assert_eq!(
        found,
        [
            "`planner` decides, and depends on tokio-stream",
            "`planner` decides, and depends on rand"
        ]
    );
}
