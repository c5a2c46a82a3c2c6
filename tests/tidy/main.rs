//! Tidy: the rules of the tree, as ordinary tests. Reads the tree and `cargo metadata`; runs nothing else.
//!
//! Each check is a function from what was read to complaints, so that it can be shown to fail. Start with
//! the tests below; what they read is in `tree.rs`. Length of functions, unsafe code and documented items are lints.

mod documents;
mod floors;
#[path = "../mutations/list.rs"]
mod list;
mod mutations;
mod numbered;
mod sources;
mod tree;

use tree::Tree;

/// Crates that decide: values without clock, chance, I/O, logging or async.
const DECIDING: [&str; 5] = ["agent", "compose", "manager", "model", "planner"];

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

#[test]
fn arrows_between_crates_are_those_of_the_architecture() {
    let tree = Tree::read();
    let table =
        floors::table(tree.text("ARCHITECTURE.md")).expect("the table of crates can be read");
    none(&floors::check(&table, &floors::members(&floors::metadata(&tree.root))));
}

#[test]
fn deciding_crates_depend_on_nothing_that_does() {
    let tree = Tree::read();
    none(&floors::doing_dependencies(&floors::members(&floors::metadata(&tree.root))));
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    none(&sources::lints(&Tree::read()));
}

#[test]
fn source_files_are_short_and_say_what_they_own() {
    let tree = Tree::read();
    none(&tree.rust().flat_map(sources::shape).collect::<Vec<_>>());
    let mut lines: Vec<usize> = tree.rust().map(|file| file.text.lines().count()).collect();
    lines.sort_unstable();
    let at = |percent: usize| lines[(lines.len() - 1) * percent / 100];
    println!(
        "lines per file: median {}, p95 {}, max {}; {} files",
        at(50),
        at(95),
        at(100),
        lines.len()
    );
}

#[test]
fn source_files_hold_no_leftovers() {
    none(&Tree::read().files.iter().flat_map(sources::leftovers).collect::<Vec<_>>());
}

#[test]
fn deciding_crates_are_values() {
    none(&Tree::read().rust().flat_map(sources::doing).collect::<Vec<_>>());
}

#[test]
fn rules_broken_on_purpose_are_found_and_are_nowhere_else() {
    let tree = Tree::read();
    none(&mutations::check(&tree, &list::MUTATIONS));
    none(&tree.rust().flat_map(mutations::switches).collect::<Vec<_>>());
}

#[test]
fn there_is_one_clippy_toml() {
    let named = |name: &str| name == "clippy.toml" || name == ".clippy.toml";
    let tree = Tree::read();
    let found: Vec<_> = tree.files.iter().filter(|f| named(f.name())).map(|f| &f.path).collect();
    assert_eq!(found, ["clippy.toml"], "a crate's own file silently replaces the one at the root");
}

#[test]
fn nothing_names_a_machine() {
    none(&Tree::read().files.iter().flat_map(sources::machine_paths).collect::<Vec<_>>());
}

#[test]
fn documents_name_what_exists() {
    none(&documents::paths(&Tree::read()));
}

#[test]
fn the_codemap_has_every_crate() {
    let tree = Tree::read();
    let members = floors::members(&floors::metadata(&tree.root));
    none(&documents::codemap(tree.text("ARCHITECTURE.md"), &members));
}

#[test]
fn the_readme_has_every_port() {
    none(&documents::ports(tree_readme(&Tree::read())));
}

#[test]
fn the_readme_has_the_data_folder() {
    let tree = Tree::read();
    none(&documents::data_folder(tree.text("crates/clusterd/src/folder.rs"), tree_readme(&tree)));
}

#[test]
fn the_readme_names_commands_that_exist() {
    let tree = Tree::read();
    let words = |path: &str, name: &str| documents::subcommands(tree.text(path), name);
    let control = words("crates/clusterctl/src/args.rs", "Command");
    let lab = words("crates/lab/src/bin/cluster-lab/main.rs", "Word");
    none(&documents::commands(tree_readme(&tree), "clusterctl", &control));
    none(&documents::commands(tree_readme(&tree), "cluster-lab", &lab));
}

#[test]
fn every_example_is_used_and_has_only_keys_that_exist() {
    let tree = Tree::read();
    none(&documents::examples(&tree));
}

#[test]
fn documents_are_short_enough_to_be_read() {
    let tree = Tree::read();
    let limits = [
        ("README.md", 250),
        ("ARCHITECTURE.md", 220),
        ("CONTRIBUTING.md", 90),
        ("SECURITY.md", 90),
        (numbered::PAGE, 100),
    ];
    none(&documents::lengths(&tree, &limits));
    none(&documents::checklists(tree.text("CONTRIBUTING.md")));
}

#[test]
fn faults_and_attacks_have_tests_or_reasons() {
    let tree = Tree::read();
    let (page, tests) = (tree.text(numbered::PAGE), numbered::tests(&tree));
    let mut complaints = Vec::new();
    for list in &numbered::LISTS {
        let (rows, carried) = (numbered::rows(page, list), numbered::carried(&tests, list));
        println!("{}\n", numbered::table(&rows, &carried, list));
        complaints.extend(numbered::check(&rows, &carried, list));
    }
    none(&complaints);
}

fn tree_readme(tree: &Tree) -> &str {
    tree.text("README.md")
}
