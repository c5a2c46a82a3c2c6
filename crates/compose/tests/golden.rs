//! Every file under `cases/`: a Compose file in, its complaints as a person sees them and its canonical
//! document out. The first comment lines of a case give its options. `UPDATE=1` rewrites what is expected.

use compose::{Finding, Input, Report, SourceFile, Standing, check, parse_canonical, render};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// `# nodes: 3` (`# nodes: unknown`), `# ignore: a b`, `# allow-host: yes`, `# env: A=1 B=2`, `# dotenv: A=1`.
fn options(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().map_while(|l| l.strip_prefix("# "));
    lines.filter_map(|l| l.split_once(": ")).collect()
}

/// Files that cases include and extend from.
fn beside() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/files")
}

fn show(name: &str, text: &str) -> String {
    let options = options(text);
    let words =
        |key| options.get(key).copied().unwrap_or_default().split(' ').filter(|w| !w.is_empty());
    let pair = |w: &str| w.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    let read = |path: &str| match path {
        "web.env" => Ok(Some(b"FROM_FILE=file\nSHARED=file\nREF=${SET}\n".to_vec())),
        "broken.env" => Ok(Some(b"FINE=1\nnot fine\n".to_vec())),
        "locked.env" => Err("permission denied".to_owned()),
        _ if beside().join(path).is_dir() => Err("it is no regular file".to_owned()),
        _ => Ok(fs::read(beside().join(path)).ok()),
    };
    let mut files = Vec::new();
    for (i, part) in text.split("\n# --- next file\n").enumerate() {
        let name = if i == 0 { name.to_owned() } else { format!("{name}+{i}") };
        files.push(SourceFile { name, bytes: part.as_bytes().to_vec() });
    }
    let report = check(Input {
        files: files.clone(),
        project_name: None,
        folder: "/home/dev/My Shop".to_owned(),
        environment: words("env").filter_map(pair).collect(),
        dotenv: options
            .get("dotenv")
            .map(|text| SourceFile {
                name: ".env".to_owned(),
                bytes: text.replace(' ', "\n").into_bytes(),
            })
            .into_iter()
            .collect(),
        read: &read,
        ignore: words("ignore").map(str::to_owned).collect::<BTreeSet<_>>(),
        allow_host: options.contains_key("allow-host"),
        granted: std::collections::BTreeMap::new(),
        nodes: match options.get("nodes").copied() {
            Some("unknown") => None,
            nodes => Some(nodes.map_or(3, |n| n.parse().expect("a number of nodes"))),
        },
        profiles: words("profiles").map(str::to_owned).collect(),
        ..Input::default()
    });
    let document = report.spec.as_ref().map_or("refused\n", |spec| spec.source.as_str());
    if let Some(spec) = &report.spec {
        let again = parse_canonical(&spec.source, options.contains_key("allow-host"));
        assert_eq!(again.as_ref(), Ok(spec), "{name}: the canonical document reads differently");
    }
    let source = |file: &str| {
        let bytes =
            files.iter().find(|f| f.name == file).map(|f| f.bytes.clone()).unwrap_or_default();
        String::from_utf8(bytes).expect("cases are text")
    };
    let complaints: Vec<String> =
        report.complaints.iter().map(|c| render(c, &source(&c.file))).collect();
    let card = if options.contains_key("card") { card(&report) } else { String::new() };
    format!("{}\n---\n{card}{document}", complaints.join("\n"))
}

/// What is not honoured, a line each.
fn card(report: &Report) -> String {
    let mut out = String::new();
    for finding in report.card.findings.iter().filter(|f| f.standing > Standing::Honoured) {
        let Finding { file, line, column, path, standing, why, instead } = finding;
        let word = standing.word();
        writeln!(out, "{file}:{line}:{column} {path}: {word} ({why}; {instead})")
            .expect("a String takes everything");
    }
    out + "---\n"
}

#[test]
fn every_case_reads_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the cases are there")
        .map(|e| e.expect("a folder entry").file_name().into_string().expect("plain names"))
        .filter(|n| Path::new(n).extension().is_some_and(|e| e == "yml"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "only {} cases found", names.len());
    let mut wrong = Vec::new();
    for name in names {
        let text = fs::read_to_string(folder.join(&name)).expect("a readable case");
        let got = show(&name, &text);
        let path = folder.join(name.replace(".yml", ".out"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &got).expect("a writable folder");
        } else if fs::read_to_string(&path).unwrap_or_default() != got {
            wrong.push(format!("{name}:\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "run with UPDATE=1 if this is meant:\n{}", wrong.join("\n"));
}
