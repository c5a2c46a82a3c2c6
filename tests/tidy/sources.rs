//! Rules for source files that no lint can hold.

use crate::DECIDING;
use crate::tree::{File, Tree};

/// Lines a source file may have.
const LINES: usize = 600;

/// Words of things left for later. In two halves, so that this file passes itself.
const LATER: [[&str; 2]; 4] = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]];

/// What a value has no use for: clocks, threads, files, sockets, async, printing, unordered maps.
const DOING: [&str; 13] = [
    "HashMap",
    "HashSet",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "async",
    "await",
    "TcpStream",
    "UnixStream",
    "println!",
];

/// Home folders and work folders of machines, in two halves each.
const MACHINES: [[&str; 2]; 3] = [["/wo", "rk/"], ["/ro", "ot/."], ["/ho", "me/runner"]];

/// Every file says what it owns, and is short enough to be read.
pub(crate) fn shape(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = file.text.lines().count();
    if lines > LINES {
        complaints.push(format!("{} has {lines} lines; {LINES} is the most", file.path));
    }
    match file.text.lines().next().and_then(|line| line.strip_prefix("//!")) {
        Some(words) if words.trim().trim_end_matches('.') != "Placeholder" => {}
        Some(_) => complaints.push(format!("{} does not say what it owns", file.path)),
        None => complaints.push(format!("{} does not open with `//!`", file.path)),
    }
    complaints
}

/// Nothing is left for later, switched off, or framed.
pub(crate) fn leftovers(file: &File) -> Vec<String> {
    let rust = file.is("rs");
    if !rust && !["proto", "toml", "service"].iter().any(|e| file.is(e)) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let mut say = |what: &str| {
            complaints.push(format!("{}:{}: {what}: {}", file.path, number + 1, line.trim()));
        };
        if LATER.iter().any(|halves| has_word(line, &halves.concat())) {
            say("left for later");
        }
        if rust && is_banner(line) {
            say("banner");
        }
        if rust && is_dead_code(line) {
            say("commented-out code");
        }
        if rust && line.trim_start().starts_with(&["#[ig", "nore"].concat()) {
            say("a test that does not run");
        }
    }
    if rust {
        complaints.extend(unreasoned(file));
    }
    complaints
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

/// The words of a line comment that is not documentation.
fn comment(line: &str) -> Option<&str> {
    let words = line.trim_start().strip_prefix("//")?;
    (!words.starts_with(['/', '!'])).then(|| words.trim())
}

fn is_banner(line: &str) -> bool {
    // In documentation such a line is part of a table.
    let frame = |words: &str| {
        ["====", "----", "****", "####", "~~~~"].iter().any(|rule| words.contains(rule))
    };
    line.trim_start().starts_with("////") || comment(line).is_some_and(frame)
}

/// Comments that end or begin as code does and prose does not.
fn is_dead_code(line: &str) -> bool {
    let Some(words) = comment(line) else { return false };
    let begins = ["let ", "pub fn ", "fn ", "use ", "mod ", "impl ", "#["]
        .iter()
        .any(|word| words.starts_with(word));
    let ends = words.ends_with(['{', ';']);
    (begins && ends)
        || [");", "};", "?;", "})"].iter().any(|end| words.ends_with(end))
        || words == "}"
}

/// `expect` and `allow` attributes without a reason.
fn unreasoned(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in ["expect(", "allow("] {
        for begin in ["#[", "#!["] {
            let attribute = format!("{begin}{name}");
            for (at, _) in file.text.match_indices(&attribute) {
                // In this file the attribute would be a piece of text, not the beginning of a line.
                let before = file.text[..at].rsplit('\n').next().unwrap_or_default();
                let end = file.text[at..].find(")]").map_or(file.text.len(), |end| at + end);
                if before.trim().is_empty() && !file.text[at..end].contains("reason =") {
                    let line = file.text[..at].lines().count() + 1;
                    complaints
                        .push(format!("{}:{line}: `{attribute}` without a reason", file.path));
                }
            }
        }
    }
    complaints
}

/// Deciding crates name nothing that does.
pub(crate) fn doing(file: &File) -> Vec<String> {
    let deciding = file.krate().is_some_and(|name| DECIDING.contains(&name));
    if !deciding || !file.path.contains("/src/") {
        return Vec::new();
    }
    let code = file.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let mut complaints = Vec::new();
    for (number, line) in lines {
        for word in DOING.iter().filter(|word| names(line, word)) {
            complaints.push(format!("{}:{}: `{word}` in a deciding crate", file.path, number + 1));
        }
    }
    complaints
}

/// Whether code names it: as a whole word, outside of text.
fn names(line: &str, word: &str) -> bool {
    let outside: String = line.split('"').step_by(2).collect();
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    outside.match_indices(word).any(|(at, _)| {
        !part(outside[..at].chars().next_back()) && !part(outside[at + word.len()..].chars().next())
    })
}

/// Paths of somebody's machine.
pub(crate) fn machine_paths(file: &File) -> Vec<String> {
    let found =
        MACHINES.iter().map(|halves| halves.concat()).filter(|path| file.text.contains(path));
    found.map(|path| format!("{} names {path}", file.path)).collect()
}

/// Every package of the workspace says `[lints] workspace = true`; stand-ins for published crates are none of it.
pub(crate) fn lints(tree: &Tree) -> Vec<String> {
    let manifests =
        tree.files.iter().filter(|f| f.name() == "Cargo.toml" && f.path != "Cargo.toml");
    manifests
        .filter(|file| !file.path.starts_with("patches/"))
        .filter(|file| {
            let manifest: toml::Table = file.text.parse().expect("cargo has read it too");
            let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
            lints.and_then(toml::Value::as_bool) != Some(true)
        })
        .map(|file| format!("{} has no `[lints] workspace = true`", file.path))
        .collect()
}

fn rust(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

#[test]
fn misshapen_files_are_noticed() {
    assert_eq!(shape(&rust("a.rs", "//! Owns a.\n")), Vec::<String>::new());
    for wrong in ["fn a() {}\n", "//! Placeholder.\n"] {
        assert_eq!(shape(&rust("a.rs", wrong)).len(), 1, "{wrong}");
    }
    assert_eq!(shape(&rust("a.rs", &format!("//! A.\n{}", "\n".repeat(LINES)))).len(), 1);
}

#[test]
fn leftovers_are_noticed() {
    let later = format!("// {}: later", LATER[0].concat());
    let idle = format!("{}]", ["#[ig", "nore"].concat());
    for wrong in [
        &later,
        "// ==== part ====",
        "// let a = b();",
        "// }",
        "// f(x);",
        &idle,
        "#[allow(dead_code)]",
    ] {
        assert_eq!(leftovers(&rust("a.rs", wrong)).len(), 1, "{wrong}");
    }
    let fine = [
        "// Use it; then go on.",
        "/// let x = f();",
        "//! |----|----|",
        "#[expect(\n dead_code,\n reason = \"why\"\n)]",
        "// (a, b)",
    ];
    for text in fine {
        assert_eq!(leftovers(&rust("a.rs", text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_value_that_does_is_noticed() {
    for wrong in
        ["use std::time::Instant;", "let a: HashMap<u8, u8>;", "pub async fn f() {}", "x.await"]
    {
        assert_eq!(doing(&rust("crates/model/src/a.rs", wrong)).len(), 1, "{wrong}");
        assert_eq!(doing(&rust("crates/docker/src/a.rs", wrong)), Vec::<String>::new());
    }
    for fine in ["// Instant", "let a = \"await\";", "instantiate()", "asynchronous()"] {
        assert_eq!(doing(&rust("crates/model/src/a.rs", fine)), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn a_path_of_a_machine_is_noticed() {
    let text = format!("cd {}main", MACHINES[0].concat());
    assert_eq!(machine_paths(&rust("a.md", &text)).len(), 1);
}
