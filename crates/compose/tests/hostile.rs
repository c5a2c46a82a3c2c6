//! Files made to hurt: each is refused with a place, and what comes back stays small.

use compose::{Complaints, Input, SourceFile, load, parse_canonical, render};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

#[expect(clippy::unnecessary_wraps, reason = "it has the shape of a reader of files")]
fn nothing(_: &str) -> Result<Option<Vec<u8>>, String> {
    Ok(None)
}

fn with(bytes: Vec<u8>, environment: BTreeMap<String, String>) -> Result<String, Complaints> {
    let loaded = load(Input {
        files: vec![SourceFile { name: "compose.yml".to_owned(), bytes }],
        project_name: None,
        folder: "/srv/shop".to_owned(),
        environment,
        dotenv: vec![],
        read: &nothing,
        ignore: BTreeSet::new(),
        allow_host: false,
        granted: std::collections::BTreeMap::new(),
        nodes: Some(3),
        profiles: vec![],
        ..Input::default()
    });
    loaded.map(|l| l.spec.source)
}

/// How long any of these files may be looked at, without optimisation and beside other tests.
const QUICK: std::time::Duration = std::time::Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "that it is quick is what is tested")]
fn refused(text: impl Into<Vec<u8>>) -> String {
    let begun = std::time::Instant::now();
    let complaints = with(text.into(), BTreeMap::new()).expect_err("a refusal");
    assert!(begun.elapsed() < QUICK, "it took {:?}", begun.elapsed());
    assert!(complaints.0.len() <= 201, "{} complaints", complaints.0.len());
    let all = complaints.to_string();
    assert!(all.len() < 100_000, "{} bytes of complaints", all.len());
    all
}

#[test]
fn attack_11_aliases_that_explode_are_refused() {
    let mut laughs = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..12 {
        let many = vec![format!("*a{}", i - 1); 9].join(", ");
        writeln!(laughs, "x-{i}: &a{i} [{many}]").expect("a String takes everything");
    }
    assert!(refused(laughs).contains("more than 200000 values"));

    let long =
        format!("x-a: &a \"{}\"\nx-b: [{}]\n", "x".repeat(500_000), vec!["*a"; 100_000].join(","));
    assert!(refused(long).contains("more than 200000 values"));

    let merges = format!("x-a: &a {{{}}}\nservices:\n{}", keys(1000), services(1000, "<<: *a"));
    assert!(refused(merges).contains("more than 200000 values"));
}

fn keys(n: usize) -> String {
    (0..n).map(|i| format!("k{i}: 1")).collect::<Vec<_>>().join(", ")
}

fn services(n: usize, body: &str) -> String {
    (0..n).map(|i| format!("  s{i}: {{{body}}}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn attack_11_an_alias_inside_itself_is_refused() {
    for text in ["x: &a [*a]\n", "x: &a {b: *a}\n", "x: &a\n  <<: *a\n"] {
        let refused = refused(text);
        assert!(refused.contains("compose.yml:") && refused.contains("alias"), "{refused}");
    }
}

#[test]
fn attack_11_deep_nesting_is_refused() {
    assert!(
        refused(format!("x: {}{}", "[".repeat(10_000), "]".repeat(10_000))).contains("levels deep")
    );
    assert!(refused(format!("x: {}", "{a: ".repeat(10_000))).contains("levels deep"));
    let block: Vec<String> = (0..1_000).map(|i| " ".repeat(i) + "a:\n").collect();
    assert!(refused(block.concat()).contains("levels deep"));
    assert!(refused(format!("x: {}", "- ".repeat(10_000))).contains("compose.yml:1:"));
}

#[test]
fn attack_11_a_large_file_is_not_even_read() {
    assert!(refused(vec![b'a'; 100 << 20]).contains("the file has 100 MiB; at most 1 are read"));
    let line = b"- a\n".repeat(250_000);
    assert!(refused([b"x:\n".to_vec(), line].concat()).contains("more than 200000 values"));
}

#[test]
fn attack_11_too_many_services_are_refused() {
    let text = format!("services:\n{}", services(20_000, "image: a"));
    assert!(refused(text).contains("20000 services; at most 1000"));
}

#[test]
fn a_thousand_services_are_fine() {
    let text = format!("services:\n{}", services(1_000, "image: a, environment: {A: s1 s2 s3}"));
    let source = with(text.into_bytes(), BTreeMap::new()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(source.matches("image: a").count(), 1_000);
}

#[test]
fn attack_11_what_is_no_text_is_refused_at_its_place() {
    assert_eq!(
        refused(b"a: 1\nb: \xff\n".to_vec()),
        "compose.yml:2:4: error: the file is not UTF-8 text"
    );
    assert_eq!(
        refused("a: 1\nbc: \0\n"),
        "compose.yml:2:5: error: the file contains a NUL character"
    );
    assert!(
        refused("services: {a: {image: \"x\\0y\"}}")
            .contains("1:23: error: the text contains a NUL")
    );
    assert!(refused("%PDF-1.4 \u{1}\u{2}").contains("compose.yml"));
}

#[test]
fn thousands_of_mistakes_give_a_bounded_answer() {
    let wrong = (0..20_000).map(|i| format!("k{i}: 1")).collect::<Vec<_>>().join("\n");
    assert!(refused(wrong).contains("more; fix these first"));
    let long = format!("services: {{{}: {{image: a}}}}", "a".repeat(1000));
    assert!(refused(long).lines().all(|l| l.len() < 400));
}

#[test]
fn long_lists_of_almost_the_same_cost_no_more_than_their_length() {
    let list = |key: &str, item: &dyn Fn(usize) -> String, n| {
        let items: Vec<String> = (0..n).map(item).collect();
        format!("services: {{web: {{image: nginx, {key}: [{}]}}}}", items.join(", "))
    };
    let mounts = list("volumes", &|i| format!("/m{i}"), 80_000);
    assert!(refused(mounts).contains("`volumes`: more than 1024 entries"));
    let ports = list("ports", &|i| format!("\"127.0.{}.{}:80:80\"", i / 250, i % 250), 30_000);
    assert!(refused(ports).contains("`ports`: more than 1024 entries"));
    let services = list("depends_on", &|i| format!("webb{i}"), 1_000) + "\n";
    assert!(refused(services).contains("more; fix these first"));
    let ranges = list("ports", &|_| "\"9000-9100:9000-9100\"".to_owned(), 1_000);
    assert!(
        with(ranges.into_bytes(), BTreeMap::new()).is_ok(),
        "the same port again is no other port"
    );
}

#[test]
fn attack_14_variables_that_grow_are_refused() {
    let big: BTreeMap<String, String> = [("A".to_owned(), "x".repeat(1 << 20))].into();
    let text = format!(
        "services: {{web: {{image: nginx, command: [{}]}}}}",
        vec!["$A"; 10_000].join(", ")
    );
    let complaints = with(text.into_bytes(), big.clone()).expect_err("a refusal").to_string();
    assert!(complaints.contains("8 MiB"), "{complaints}");
    let one = format!("services: {{web: {{image: nginx, command: \"{}\"}}}}", "$A".repeat(10_000));
    let complaints = with(one.into_bytes(), big.clone()).expect_err("a refusal").to_string();
    assert!(complaints.contains("8 MiB"), "{complaints}");
    let two = b"services: {web: {image: nginx, command: [$A, $A]}}".to_vec();
    let complaints = with(two, big).expect_err("a refusal").to_string();
    assert!(complaints.contains("larger than 1 MiB"), "{complaints}");
}

#[test]
fn attack_15_nothing_that_moves_a_terminal_comes_out() {
    let text = "services:\n  \"a\\e[31m\u{202e}\": {image: \"x\u{9b}31m\"} # \u{1b}[2J\u{202e}\n  \u{200b}b: {image: a}\n";
    let complaints = with(text.into(), BTreeMap::new()).expect_err("a refusal");
    let mut all = complaints.to_string();
    for complaint in &complaints.0 {
        all.push_str(&render(complaint, text));
    }
    let bad = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{200b}' | '\u{202e}');
    assert!(!all.contains(bad), "{all:?}");
}

#[test]
fn attack_19_messages_do_not_repeat_the_values_of_variables() {
    let text = "services:\n  web:\n    image: nginx\n    environment:\n      \"A B\": s3cret\n      C: [s3cret]\n      D: \"s3cret${\"\n";
    let all = refused(text);
    assert!(all.lines().count() >= 3 && !all.contains("s3cret"), "{all}");
    let all =
        parse_canonical(&format!("name: a\n{text}"), false).expect_err("a refusal").to_string();
    assert!(!all.contains("s3cret"), "{all}");
}

/// As [`with`], with files beside it.
fn beside(text: &str, files: &BTreeMap<String, String>) -> Result<String, Complaints> {
    let read = |path: &str| Ok(files.get(path).map(|text| text.clone().into_bytes()));
    let loaded = load(Input {
        files: vec![SourceFile { name: "compose.yml".to_owned(), bytes: text.into() }],
        folder: "/srv/shop".to_owned(),
        read: &read,
        ..Input::default()
    });
    loaded.map(|l| l.spec.source)
}

#[test]
fn services_that_extend_too_much_are_refused() {
    let big = format!("  base: {{image: a, labels: {{{}}}}}\n", keys(200));
    let text = format!("services:\n{big}{}", services(990, "extends: base"));
    let all = refused(text);
    assert!(all.contains("more than 200000 values once files and services"), "{all}");
    let long: Vec<String> = (0..999).map(|i| format!("  s{i}: {{extends: s{}}}", i + 1)).collect();
    let long = long.join(
        "
",
    );
    let all = refused(format!("services:\n{long}\n  s999: {{image: a}}\n"));
    assert!(all.contains("services extend each other"), "{all}");
}

#[test]
fn files_that_include_without_end_are_refused() {
    let chain: BTreeMap<String, String> = (0..100)
        .map(|i| (format!("{i}.yml"), format!("include: [{}.yml]\nservices: {{}}\n", i + 1)))
        .collect();
    let all = beside("include: [0.yml]\nservices: {a: {image: a}}\n", &chain);
    let all = all.expect_err("a refusal").to_string();
    assert!(all.contains("files include each other"), "{all}");
    let many: BTreeMap<String, String> = (0..100)
        .map(|i| (format!("{i}.yml"), format!("services: {{s{i}: {{image: a}}}}\n")))
        .collect();
    let list = (0..100).map(|i| format!("{i}.yml")).collect::<Vec<_>>().join(", ");
    let all = beside(&format!("include: [{list}]\n"), &many).expect_err("a refusal").to_string();
    assert!(all.contains("more than 64 files in one project"), "{all}");
    let fan: BTreeMap<String, String> = (0..6)
        .map(|i| {
            let next = format!("{}.yml", i + 1);
            (format!("{i}.yml"), format!("include: [{next}, {next}, {next}]\nservices: {{}}\n"))
        })
        .collect();
    let all = beside("include: [0.yml]\n", &fan).expect_err("a refusal").to_string();
    assert!(all.contains("more than 64 files in one project"), "{all}");
}

#[test]
fn values_are_counted_over_all_files() {
    let list = format!("x-a: [{}]\nservices: {{}}\n", vec!["a"; 90_000].join(","));
    let files: BTreeMap<String, String> =
        (0..3).map(|i| (format!("{i}.yml"), list.clone())).collect();
    let all = beside("include: [0.yml, 1.yml, 2.yml]\n", &files).expect_err("a refusal");
    assert!(all.to_string().contains("more than 200000 values"), "{all}");
}

#[test]
fn attack_12_no_way_of_naming_a_file_leads_out() {
    let out = [
        "../../etc/shadow",
        "/etc/shadow",
        "a/../../x",
        "file:///etc/shadow",
        "https://example.com/x.yml",
        "git@example.com:x/y.git",
        "oci://example.com/x",
        "github.com/x/y",
    ];
    for path in out {
        for text in [
            format!("include: [\"{path}\"]\nservices: {{a: {{image: a}}}}\n"),
            format!("include: [{{path: b.yml, env_file: \"{path}\"}}]\n"),
            format!("include: [{{path: b.yml, project_directory: \"{path}\"}}]\n"),
            format!("services: {{a: {{extends: {{file: \"{path}\", service: a}}}}}}\n"),
            format!("services: {{a: {{image: a, env_file: \"{path}\"}}}}\n"),
            format!("services: {{a: {{image: a, label_file: \"{path}\"}}}}\n"),
            format!("services: {{a: {{image: a}}}}\nsecrets: {{s: {{file: \"{path}\"}}}}\n"),
            format!("services: {{a: {{image: a}}}}\nconfigs: {{s: {{file: \"{path}\"}}}}\n"),
        ] {
            let asked = std::cell::RefCell::new(Vec::new());
            let read = |path: &str| {
                asked.borrow_mut().push(path.to_owned());
                Ok(Some(b"services: {b: {image: b, env_file: c.env}}\n".to_vec()))
            };
            let loaded = load(Input {
                files: vec![SourceFile { name: "compose.yml".into(), bytes: text.clone().into() }],
                folder: "/srv/shop".to_owned(),
                read: &read,
                ..Input::default()
            });
            let refused = loaded.map(|l| l.spec.source).expect_err(&text).to_string();
            assert!(refused.contains("outside of the project") || refused.contains("elsewhere"));
            let asked = asked.into_inner();
            assert!(!asked.iter().any(|p| p.contains("..") || p.starts_with('/')), "{asked:?}");
        }
    }
}

#[test]
fn a_thousand_services_that_wait_for_each_other_are_told_quickly() {
    let on = (0..150).map(|i| format!("s{i}")).collect::<Vec<_>>().join(", ");
    let text = format!("services:\n{}", services(1_000, &format!("image: a, depends_on: [{on}]")));
    let all = refused(text);
    assert!(all.contains("more; fix these first"), "{all}");
}
