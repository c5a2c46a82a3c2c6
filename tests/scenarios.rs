//! Golden scenarios: every file in `scenarios/` is played through the simulator, and must come out as it
//! is written. `UPDATE=1` rewrites the files.

use std::fs;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(folder).expect("the folder is part of the tree");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
    files.sort();
    files
}

/// The first line in which two texts differ, with its number.
fn difference(expected: &str, actual: &str) -> String {
    let mut lines = expected.lines().zip(actual.lines()).zip(1..);
    match lines.find(|((e, a), _)| e != a) {
        Some(((e, a), n)) => format!("line {n}:\n  written:  {e}\n  happened: {a}"),
        None => format!(
            "{} lines written, {} happened",
            expected.lines().count(),
            actual.lines().count()
        ),
    }
}

#[test]
fn scenarios_come_out_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let files = files();
    assert!(files.len() >= 12, "scenarios are missing");
    let mut wrong = Vec::new();
    for file in files {
        let expected = fs::read_to_string(&file).expect("a readable file");
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        match simulator::scenario::replay(&expected) {
            Err(reason) => wrong.push(format!("{name}: {reason}")),
            Ok(actual) if actual == expected => {}
            Ok(actual) if update => fs::write(&file, actual).expect("a writable file"),
            Ok(actual) => wrong.push(format!("{name}: {}", difference(&expected, &actual))),
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE=1 rewrites them", wrong.join("\n"));
}
