//! The README's table of keys is the table of rules, printed. `UPDATE=1` rewrites it.

use compose::{Rule, rules};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- what becomes of the keys: printed by a test -->\n";
const END: &str = "<!-- end of the keys -->\n";

/// A key as people know it: those of a service without saying so.
fn short(path: &str) -> String {
    match path.strip_prefix("services.*.") {
        Some(key) => format!("`{key}`"),
        None => format!("top-level `{path}`"),
    }
}

/// Whether a key stands inside of another one with the same verdict.
fn told_with_another(rules: &[&Rule], path: &str) -> bool {
    let outer = rules.iter().filter(|outer| outer.path != "services");
    let mut rests = outer.filter_map(|outer| path.strip_prefix(outer.path.as_str()));
    rests.any(|rest| rest.starts_with(['.', '[']))
}

/// One cell: each reason after its keys.
fn cell(rules: &[Rule], word: &str) -> String {
    let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.word == word).collect();
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for rule in rules.iter().filter(|rule| !told_with_another(&rules, &rule.path)) {
        let instead = Some(rule.instead).filter(|i| !i.is_empty()).map(|i| format!("; {i}"));
        let why = format!("{}{}", rule.why, instead.unwrap_or_default());
        let key = short(&rule.path);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, keys)) => keys.push(key),
            None => reasons.push((why, vec![key])),
        }
    }
    let said = reasons.iter().map(|(why, keys)| match why.as_str() {
        "" => keys.join(", "),
        why => format!("{}: {why}", keys.join(", ")),
    });
    said.collect::<Vec<_>>().join(". ").replace('|', "\\|")
}

fn printed() -> String {
    let rules = rules();
    let of_a_service =
        |rule: &&Rule| rule.path.strip_prefix("services.*.").is_some_and(|key| !key.contains('.'));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in rules.iter().filter(of_a_service) {
        *counts.entry(rule.word).or_default() += 1;
    }
    let words = ["honoured", "emulated", "harmless", "refused"];
    let count = |word: &&str| format!("{} {word}", counts.get(word).unwrap_or(&0));
    let line = words.iter().map(count).collect::<Vec<_>>().join(", ");
    let rows = words.map(|word| format!("| {word} | {} |\n", cell(&rules, word))).concat();
    format!("Of the keys of a service: {line}.\n\n| | |\n|---|---|\n{rows}")
}

#[test]
fn the_readme_says_what_becomes_of_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join("README.md");
    let readme = fs::read_to_string(&path).expect("it is there");
    let (before, rest) = readme.split_once(BEGIN).expect("the README marks where they begin");
    let (said, after) = rest.split_once(END).expect("and where they end");
    let printed = printed();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, [before, BEGIN, &printed, END, after].concat())
            .expect("it can be written");
    } else {
        assert!(said == printed, "run with UPDATE=1; the README does not say:\n{printed}");
    }
}
