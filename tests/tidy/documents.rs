//! Documents are true of the tree: what they name exists, what they list is complete.

use crate::floors::Member;
use crate::tree::Tree;
use model::limits;
use std::collections::BTreeSet;

/// Documents whose paths are looked at.
const DOCUMENTS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/faults.md"];
/// Beginnings of paths that are ours.
const OURS: [&str; 7] =
    ["crates/", "proto/", "tests/", "benches/", "cluster-config/", "packaging/", ".ci/"];

/// Paths in documents, and documents named in source files, that do not exist.
pub(crate) fn paths(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in DOCUMENTS {
        for path in quoted(tree.text(name)).filter(|p| OURS.iter().any(|ours| p.starts_with(ours)))
        {
            if !path.contains(['*', ' ']) && !tree.root.join(path).exists() {
                complaints.push(format!("{name} names {path}, which does not exist"));
            }
        }
    }
    for file in tree.rust() {
        let words = file.text.split(|c: char| !c.is_alphanumeric() && !"/._-".contains(c));
        // Documents of ours are written in capitals.
        let ours = |word: &&str| {
            word.strip_suffix(".md")
                .is_some_and(|stem| stem.len() > 3 && stem == stem.to_uppercase())
        };
        let named: BTreeSet<&str> = words.filter(ours).collect();
        for word in named.into_iter().filter(|word| tree.find(word).is_none()) {
            complaints.push(format!("{} names {word}, which does not exist", file.path));
        }
    }
    complaints
}

/// What stands between single backticks, outside of blocks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Every crate has a paragraph that says what it hides.
pub(crate) fn codemap(text: &str, members: &[Member]) -> Vec<String> {
    let crates = members.iter().filter(|member| member.folder.starts_with("crates/"));
    let missing = crates.filter(|member| !text.contains(&format!("\n- **{}**: ", member.name)));
    missing.map(|m| format!("ARCHITECTURE.md does not say what `{}` hides", m.name)).collect()
}

/// Every port that the product uses by itself is in a table of the README.
pub(crate) fn ports(readme: &str) -> Vec<String> {
    let rows: String = readme.lines().filter(|line| line.starts_with('|')).collect();
    let needed = [limits::CONTROL_PORT, limits::EDGE_PORT, limits::METRICS_PORT];
    let missing = needed.iter().filter(|port| !rows.contains(&format!("| {port} ")));
    missing.map(|port| format!("the README's table of ports lacks {port}")).collect()
}

/// The README's table of the data folder is the one in the source.
pub(crate) fn data_folder(source: &str, readme: &str) -> Vec<String> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').take(2).map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! |")).skip(2);
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "the source has a table of the data folder");
    let theirs: Vec<Vec<String>> =
        readme.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let missing = rows.iter().filter(|row| !theirs.contains(row));
    missing
        .map(|row| format!("the README's table of the data folder lacks {}", row.join(" ")))
        .collect()
}

/// The words that a `clap` enum takes: its variants and their aliases.
pub(crate) fn subcommands(source: &str, name: &str) -> BTreeSet<String> {
    let start = source
        .find(&format!("enum {name} {{"))
        .unwrap_or_else(|| panic!("there is an enum {name}"));
    let body = source[start..].split("\n}").next().unwrap_or_default();
    let mut words = BTreeSet::new();
    for line in body.lines() {
        if let Some(alias) = line.split("alias = \"").nth(1).and_then(|rest| rest.split('"').next())
        {
            words.insert(alias.to_owned());
        }
        let variant = line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase));
        if let Some(variant) = variant.and_then(|v| v.split(|c: char| !c.is_alphanumeric()).next())
        {
            words.insert(kebab(variant));
        }
    }
    words
}

fn kebab(variant: &str) -> String {
    let mut word = String::new();
    for c in variant.chars() {
        if c.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(c.to_lowercase());
    }
    word
}

/// Commands in the README that the program does not have.
pub(crate) fn commands(readme: &str, program: &str, known: &BTreeSet<String>) -> Vec<String> {
    let lead = format!("{program} ");
    let code = readme.split('`').skip(1).step_by(2).chain(readme.split("```").skip(1).step_by(2));
    let lines = code
        .flat_map(str::lines)
        .filter_map(|line| line.trim_start_matches("sudo ").strip_prefix(&lead));
    let words =
        lines.filter_map(|rest| rest.split_whitespace().find(|word| !word.starts_with('-')));
    let plain = words.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    plain
        .filter(|word| !known.contains(*word))
        .map(|word| format!("there is no `{program} {word}`"))
        .collect()
}

/// Every example is named by the README or a test; those for nodes have the daemon's keys, the first all of them.
pub(crate) fn examples(tree: &Tree) -> Vec<String> {
    let source = tree.text("crates/clusterd/src/config.rs");
    let known = keys(source);
    let mut complaints = Vec::new();
    let tests = tree
        .rust()
        .filter(|file| file.path.contains("tests/") || file.text.contains("#[cfg(test)]"));
    let users: Vec<&str> = tests.map(|f| f.text.as_str()).chain([tree.text("README.md")]).collect();
    for file in tree.files.iter().filter(|file| file.path.starts_with("cluster-config/")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let name = if folder == "cluster-config" { file.path.as_str() } else { folder };
        let short = name.trim_start_matches("cluster-config/");
        if !users.iter().any(|text| text.contains(name) || text.contains(&format!("\"{short}"))) {
            complaints
                .push(format!("{} is used by no test, and the README does not name it", file.path));
        }
        if file.is("toml") {
            complaints.extend(unknown_keys(&file.path, &file.text, &known));
        }
    }
    let first = tree.text("cluster-config/node1.toml");
    let told = |key: &str| {
        first.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")))
    };
    let missing = known.iter().filter(|key| !told(key) && !first.contains(&format!("[{key}]")));
    complaints
        .extend(missing.map(|key| format!("cluster-config/node1.toml does not tell of `{key}`")));
    complaints
}

fn unknown_keys(path: &str, text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let inner = table.values().filter_map(toml::Value::as_table).flat_map(toml::Table::keys);
    let unknown = table.keys().chain(inner).filter(|key| !known.contains(*key));
    unknown.map(|key| format!("{path}: clusterd knows no `{key}`")).collect()
}

/// The keys of the configuration file: fields of the structs, and the list of timers.
fn keys(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let skipped = |line: &str| line.contains("file: Option<PathBuf>");
    let field = |line: &str| {
        let (name, _) = line.trim().trim_start_matches("pub(crate) ").split_once(": ")?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (plain && line.starts_with("    ") && line.ends_with(',')).then(|| name.to_owned())
    };
    let structs = code
        .split("struct ")
        .skip(1)
        .filter_map(|part| part.split_once('{')?.1.split("\n}").next());
    let mut keys: BTreeSet<String> =
        structs.flat_map(str::lines).filter(|line| !skipped(line)).filter_map(field).collect();
    let list =
        code.split("timers!(").nth(1).and_then(|rest| rest.split(");").next()).unwrap_or_default();
    keys.extend(list.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned));
    keys
}

/// Documents that are longer than anybody reads.
pub(crate) fn lengths(tree: &Tree, limits: &[(&str, usize)]) -> Vec<String> {
    let long = limits.iter().filter(|(name, most)| tree.text(name).lines().count() > *most);
    long.map(|(name, most)| format!("{name} has more than {most} lines")).collect()
}

/// The three lists of CONTRIBUTING.md: there, and six steps at most.
pub(crate) fn checklists(contributing: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for title in ["## Add a field", "## Add a command", "## Add a decision"] {
        let section = contributing.split(title).nth(1).and_then(|rest| rest.split("\n## ").next());
        let steps = section
            .unwrap_or_default()
            .lines()
            .filter(|l| l.starts_with(|c: char| c.is_ascii_digit()))
            .count();
        if !(1..=6).contains(&steps) {
            complaints.push(format!("CONTRIBUTING.md, \"{title}\": {steps} steps, not one to six"));
        }
    }
    complaints
}

#[test]
fn commands_and_words_are_found() {
    let known = subcommands(
        "enum Word {\n    /// Cut\n    CutLink { a: u8 },\n    #[command(alias = \"x\")]\n    Up,\n}\n",
        "Word",
    );
    assert_eq!(known.iter().map(String::as_str).collect::<Vec<_>>(), ["cut-link", "up", "x"]);
    let readme = "`prog up` and `prog --flag nope`\n```\nsudo prog cut-link 1 2\nprog gone\n```\n";
    let found = commands(readme, "prog", &known);
    assert!(
        found.iter().any(|c| c.contains("nope")) && found.iter().any(|c| c.contains("gone")),
        "{found:?}"
    );
    assert!(!found.iter().any(|c| c.contains("cut-link") || c.contains("`prog up`")), "{found:?}");
}

#[test]
fn gaps_in_tables_are_noticed() {
    assert_eq!(ports("no table").len(), 3);
    let source =
        "//! | path | mode | content |\n//! |---|---|---|\n//! | `key.pem` | 0600 | a key |\n";
    assert_eq!(data_folder(source, "| `key.pem` | 0600 | its key |\n"), Vec::<String>::new());
    assert_eq!(data_folder(source, "| `key.pem` | 0644 | its key |\n").len(), 1);
    assert_eq!(
        unknown_keys("a.toml", "lisen = 1", &BTreeSet::from(["listen".to_owned()])).len(),
        1
    );
    assert_eq!(checklists("## Add a field\n1. a\n## Add a command\n1. a\n").len(), 1);
}
