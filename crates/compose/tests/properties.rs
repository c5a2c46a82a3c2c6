//! Whatever comes in, nothing panics; and the canonical document of any project is a fixed point.

mod exercise;

use compose::{Input, SourceFile, load, parse_canonical};
use exercise::{exercise, input};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Pieces that files are made of, so that random texts get far into the readers.
fn piece() -> impl Strategy<Value = String> {
    let words = "services image nginx ports volumes environment deploy replicas command healthcheck test networks \
                 default restart labels resources limits memory cpus env_file tmpfs target source type bind published \
                 name x-a build scale 80:80 data:/data ./a:/b 10s 64m ${A:-b} $A $$ << &a *a !reset !override !!str \
                 extends include profiles depends_on cap_add privileged devices ulimits secrets configs network_mode host \
                 service:web links volumes_from build include: [a.yml] service file post_start true no ~ null 1.5 '' \"\" | > # - -- ? : , [ ] { } \\ \t % @ `";
    let all: Vec<String> = words.split(' ').map(str::to_owned).collect();
    prop_oneof![
        8 => proptest::sample::select(all),
        4 => proptest::sample::select(vec![": ", "\n", "\n  ", "\n    ", "\n      ", "- ", "\n    - ", ", "])
            .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

/// A text as YAML and JSON both take it in double quotes, with `$` doubled.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '$' => out.push_str("$$"),
            '"' | '\\' => out.extend(['\\', c]),
            '\u{0}'..'\u{20}'
            | '\u{7f}'..'\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes everything");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..12)
        .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn no_text_that_looks_like_a_file_panics(pieces in proptest::collection::vec(piece(), 0..60)) {
        exercise(&pieces.concat());
        exercise(&format!("services:\n  web:\n    image: nginx\n    {}", pieces.concat()));
    }

    #[test]
    fn every_value_arrives_as_it_was_meant(
        environment in proptest::collection::btree_map("[A-Z_][A-Z0-9_.$-]{0,8}", text(), 0..5),
        command in proptest::collection::vec(text(), 0..5),
        labels in proptest::collection::btree_map("[a-z$. :#'\"]{1,9}", text(), 0..4),
        millis in 0u64..10_000_000,
        memory in 0u64..1 << 40,
        cpus in 0u64..4_000_000,
        replicas in proptest::option::of(0u32..1000),
        stop in "[a-z]{1,5}",
    ) {
        let map = |m: &BTreeMap<String, String>| {
            m.iter().map(|(k, v)| format!("{}: {}", quoted(k).replace("$$", "$"), quoted(v))).collect::<Vec<_>>().join(", ")
        };
        let words = command.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(", ");
        let scale = replicas.map(|n| format!("replicas: {n}, ")).unwrap_or_default();
        let source = format!(
            "services:\n  web:\n    image: nginx\n    environment: {{{}}}\n    command: [{words}]\n    labels: {{{}}}\n    \
             stop_grace_period: {millis}ms\n    stop_signal: {stop}\n    deploy: {{{scale}resources: {{limits: \
             {{memory: {memory}, cpus: \"{}.{:03}\"}}}}}}\n",
            map(&environment), map(&labels), cpus / 1000, cpus % 1000,
        );
        let mut input = input(&source);
        input.dotenv.clear();
        let loaded = load(input).unwrap_or_else(|e| panic!("{e}\n{source}"));
        let web = loaded.spec.services.values().next().expect("one service");
        prop_assert_eq!(&web.container.environment, &environment);
        prop_assert_eq!(web.container.command.as_ref(), Some(&command));
        prop_assert_eq!(&web.container.labels, &labels);
        prop_assert_eq!(web.container.stop_grace.map(|d| d.as_millis()), Some(u128::from(millis)));
        prop_assert_eq!(web.resources.memory, (memory > 0).then_some(memory));
        prop_assert_eq!(web.resources.milli_cpus, (cpus > 0).then_some(cpus));
        let again = parse_canonical(&loaded.spec.source, false);
        prop_assert_eq!(again.as_ref(), Ok(&loaded.spec));
    }

    #[test]
    fn laying_files_over_each_other_is_associative(
        a in layer(), b in layer(), c in layer(),
    ) {
        let file = |text: &str| SourceFile { name: "c.yml".to_owned(), bytes: text.as_bytes().to_vec() };
        let read = |files: Vec<SourceFile>| {
            let loaded = load(Input { files, ..input("") }).map(|l| l.spec);
            loaded.unwrap_or_else(|e| panic!("{e}"))
        };
        // The document of two files, with the third over it; and the first under that of the other two.
        let all = read(vec![file(&a), file(&b), file(&c)]);
        let left = read(vec![file(&a), file(&b)]).source;
        prop_assert_eq!(&read(vec![file(&left), file(&c)]), &all);
        let right = read(vec![file(&b), file(&c)]).source;
        prop_assert_eq!(&read(vec![file(&a), file(&right)]), &all);
    }
}

/// A file of keys whose merging is associative: maps by key, and what a later file replaces.
fn layer() -> impl Strategy<Value = String> {
    let map = || proptest::collection::btree_map("[A-D]", "[a-z]{1,3}", 0..4);
    let command = proptest::option::of(proptest::collection::vec("[a-z]{1,3}", 1..3));
    (map(), map(), command, proptest::option::of("[a-z]{1,4}")).prop_map(
        |(environment, labels, command, user)| {
            let pairs = |m: &BTreeMap<String, String>| {
                m.iter().map(|(k, v)| format!("{k}: \"{v}\"")).collect::<Vec<_>>().join(", ")
            };
            let command = command.map(|c| format!("    command: [\"{}\"]\n", c.join("\", \"")));
            let user = user.map(|u| format!("    user: \"{u}\"\n"));
            format!(
                "name: shop\nservices:\n  web:\n    image: nginx\n    environment: {{{}}}\n    labels: {{{}}}\n{}{}",
                pairs(&environment),
                pairs(&labels),
                command.unwrap_or_default(),
                user.unwrap_or_default(),
            )
        },
    )
}
