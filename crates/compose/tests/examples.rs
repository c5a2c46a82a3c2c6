//! The example Compose files of `cluster-config/` load without an error, so they cannot rot.

use compose::{Input, SourceFile, load, parse_canonical};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn compose_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            compose_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_can_be_deployed_on_three_nodes() {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster-config");
    compose_files(&root, &mut files);
    assert!(!files.is_empty(), "no example found below {}", root.display());
    for path in files {
        let folder = path.parent().expect("a file is in a folder").to_owned();
        let read = |name: &str| match fs::read(folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.to_string()),
        };
        let dotenv = fs::read(folder.join(".env")).ok();
        let result = load(Input {
            files: vec![SourceFile {
                name: path.display().to_string(),
                bytes: fs::read(&path).expect("a readable example"),
            }],
            project_name: None,
            folder: folder.display().to_string(),
            environment: BTreeMap::new(),
            dotenv: dotenv
                .map(|bytes| SourceFile { name: ".env".to_owned(), bytes })
                .into_iter()
                .collect(),
            read: &read,
            ignore: BTreeSet::new(),
            allow_host: false,
            granted: std::collections::BTreeMap::new(),
            nodes: Some(3),
            profiles: vec![],
            ..Input::default()
        });
        let loaded = result.unwrap_or_else(|e| panic!("{e}"));
        let again = parse_canonical(&loaded.spec.source, false);
        assert_eq!(again.as_ref(), Ok(&loaded.spec), "{}", path.display());
    }
}
