//! Rules that the mutation gate breaks on purpose: each is found where its mutation says, and nothing in the tree
//! has a switch that breaks one.

use crate::list::Mutation;
use crate::tree::{File, Tree};

/// How the copy that is broken on purpose asks whether it is. In halves, so that this file passes itself.
const SWITCH: [&str; 2] = ["broken::", "is("];

/// Complaints about mutations.
pub(crate) fn check(tree: &Tree, mutations: &[Mutation]) -> Vec<String> {
    let mut complaints = Vec::new();
    for Mutation { name, wrong, edits } in mutations {
        if wrong.is_empty() || edits.is_empty() {
            complaints.push(format!("mutation {name} does not say what it breaks"));
        }
        for edit in *edits {
            if !edit.to.contains("BROKEN") {
                complaints.push(format!("mutation {name} has no switch: {}", edit.to));
            }
            let count = tree.find(edit.file).map_or(0, |f| f.text.matches(edit.from).count());
            if count != 1 {
                complaints.push(format!(
                    "mutation {name}: {} says `{}` {count} times, not once: write the mutation anew in tests/mutations/list.rs",
                    edit.file, edit.from
                ));
            }
        }
    }
    complaints
}

/// Sources that ask whether they are broken on purpose.
pub(crate) fn switches(file: &File) -> Vec<String> {
    let own = file.path.starts_with("tests/mutations/");
    let asks = !own && file.text.contains(&SWITCH.concat());
    asks.then(|| format!("{} asks whether a rule is broken on purpose", file.path))
        .into_iter()
        .collect()
}

#[test]
fn a_rule_that_moved_is_noticed() {
    let text = "fn f() { if a { b } }".to_owned();
    let file = File { path: "crates/x/src/f.rs".to_owned(), text };
    let tree = Tree { root: std::path::PathBuf::new(), files: vec![file] };
    let edits: &'static [crate::list::Edit] = &[
        crate::list::Edit { file: "crates/x/src/f.rs", from: "if a {", to: "if a && !BROKEN {" },
        crate::list::Edit { file: "crates/x/src/f.rs", from: "if c {", to: "if c && !BROKEN {" },
        crate::list::Edit { file: "crates/x/src/f.rs", from: "if a {", to: "if c {" },
    ];
    let mutations = [Mutation { name: "m", wrong: "it is not so", edits }];
    let complaints = check(&tree, &mutations);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    let switch = File { path: "crates/x/src/f.rs".to_owned(), text: SWITCH.concat() };
    assert_eq!(switches(&switch).len(), 1);
}
