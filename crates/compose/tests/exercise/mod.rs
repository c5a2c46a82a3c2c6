//! What is done with a text that could be anything: shared by the property tests, the mutated cases and the fuzz
//! target.

use compose::{Input, SourceFile, load, parse_canonical, render};
use std::collections::BTreeSet;

#[expect(clippy::unnecessary_wraps, reason = "it has the shape of a reader of files")]
fn nothing(_: &str) -> Result<Option<Vec<u8>>, String> {
    Ok(None)
}

/// A load of this one file, with itself as `.env`.
pub(crate) fn input(text: &str) -> Input<'static> {
    Input {
        files: vec![SourceFile { name: "compose.yml".to_owned(), bytes: text.as_bytes().to_vec() }],
        project_name: None,
        folder: "/srv/shop".to_owned(),
        environment: [("A".to_owned(), "one".to_owned())].into(),
        dotenv: vec![SourceFile { name: ".env".to_owned(), bytes: text.as_bytes().to_vec() }],
        read: &nothing,
        ignore: BTreeSet::new(),
        allow_host: false,
        granted: std::collections::BTreeMap::new(),
        nodes: Some(1),
        profiles: vec![],
        built: std::collections::BTreeMap::new(),
    }
}

/// Reads a text every way there is, and shows what it is told. Whatever loads reads the same from its canonical
/// document; whatever does not has an error.
pub(crate) fn exercise(text: &str) {
    for dotenv in [true, false] {
        let mut input = input(text);
        input.dotenv.retain(|_| dotenv);
        match load(input) {
            Ok(loaded) => {
                let again = parse_canonical(&loaded.spec.source, false);
                assert_eq!(again.as_ref(), Ok(&loaded.spec));
            }
            Err(complaints) => {
                assert!(complaints.errors().next().is_some(), "refused without an error");
                for complaint in &complaints.0 {
                    assert!(!render(complaint, text).is_empty());
                }
            }
        }
    }
    drop(parse_canonical(text, true));
}
