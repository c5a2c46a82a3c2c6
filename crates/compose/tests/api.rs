//! What callers rely on beyond the golden cases: names, precedence of variables, what a canonical document
//! may say, which services speak of which.

use compose::{Complaints, Input, Loaded, SourceFile, canonical, load, parse_canonical};
use model::{Share, SharedPart};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[expect(clippy::unnecessary_wraps, reason = "it has the shape of a reader of files")]
fn nothing(_: &str) -> Result<Option<Vec<u8>>, String> {
    Ok(None)
}

fn input(text: &str) -> Input<'static> {
    Input {
        files: vec![SourceFile { name: "compose.yml".to_owned(), bytes: text.as_bytes().to_vec() }],
        project_name: None,
        folder: "/srv/My-Shop.2".to_owned(),
        environment: BTreeMap::new(),
        dotenv: vec![],
        read: &nothing,
        ignore: BTreeSet::new(),
        allow_host: false,
        granted: std::collections::BTreeMap::new(),
        nodes: Some(3),
        profiles: vec![],
        ..Input::default()
    }
}

fn read(text: &str) -> Loaded {
    load(input(text)).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(result: Result<impl Sized, Complaints>) -> String {
    result
        .err()
        .expect("a refusal")
        .errors()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

const ONE: &str = "services: {web: {image: nginx}}";

#[test]
fn a_project_is_named_by_the_first_that_says_so() {
    let name = |text: &str, change: &dyn Fn(&mut Input<'_>)| {
        let mut input = input(text);
        change(&mut input);
        load(input).map_or_else(|e| e.to_string(), |l| l.spec.name.to_string())
    };
    let named = format!("name: from-$WHERE\n{ONE}");
    let environment = |input: &mut Input<'_>| {
        input.environment.insert("WHERE".to_owned(), "file".to_owned());
    };
    assert_eq!(name(ONE, &|_| ()), "my-shop2");
    assert_eq!(name(&named, &environment), "from-file");
    let both = |input: &mut Input<'_>| {
        environment(input);
        input.environment.insert("COMPOSE_PROJECT_NAME".to_owned(), "from-shell".to_owned());
    };
    assert_eq!(name(&named, &both), "from-shell");
    let all = |input: &mut Input<'_>| {
        both(input);
        input.project_name = Some("given".to_owned());
    };
    assert_eq!(name(&named, &all), "given");
    assert!(
        name(ONE, &|i| i.project_name = Some("No Good".to_owned())).contains("valid project name")
    );
    assert!(name(ONE, &|i| i.folder = "/...".to_owned()).contains("makes no name"));
}

#[test]
fn the_project_name_can_be_used_in_the_file() {
    let loaded = read(
        "name: shop\nservices: {web: {image: nginx, hostname: \"$COMPOSE_PROJECT_NAME-web\"}}",
    );
    let web = loaded.spec.services.values().next().expect("one service");
    assert_eq!(web.container.hostname.as_deref(), Some("shop-web"));
}

#[test]
fn the_shell_wins_over_dotenv_and_environment_over_env_file() {
    let env_file = |path: &str| {
        assert_eq!(path, "conf/web.env", "paths come relative to the folder, without dots");
        Ok(Some(b"A=file\nB=file\nE=${A}$B$D\n".to_vec()))
    };
    let text = "services: {web: {image: nginx, env_file: ./conf/../conf/web.env, environment: {A: $A, C: $C}}}";
    let mut input = input(text);
    input.read = &env_file;
    input.environment.insert("A".to_owned(), "shell".to_owned());
    let bytes = b"A=dotenv\nC=dotenv\nD=${A}\n".to_vec();
    input.dotenv = vec![SourceFile { name: ".env".to_owned(), bytes }];
    let loaded = load(input).unwrap_or_else(|e| panic!("{e}"));
    let web = loaded.spec.services.values().next().expect("one service");
    let got: Vec<String> =
        web.container.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(got, ["A=shell", "B=file", "C=dotenv", "E=shellfileshell"]);
}

#[test]
fn a_wrong_line_of_dotenv_is_named_without_its_value() {
    let mut input = input(ONE);
    let bytes = b"A=1\nB C=s3cret\n".to_vec();
    input.dotenv = vec![SourceFile { name: ".env".to_owned(), bytes }];
    assert_eq!(refusal(load(input)), ".env:2:1: error: expected `NAME=value`");
}

#[test]
fn services_that_speak_of_each_other_are_known() {
    let loaded = read(include_str!("cases/refers.yml"));
    let refers = |name: &str| {
        let spec = &loaded.spec.services[&name.parse().expect("a service name")];
        spec.refers_to.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    // `redis.example` is another host, and `worker` shares no network with `web`.
    assert_eq!(refers("web"), "api db");
    assert_eq!(refers("api"), "redis");
    assert_eq!(refers("worker"), "");
    assert_eq!(refers("db"), "");
}

#[test]
fn what_services_share_is_written_out() {
    let mut spec = read("services: {web: {image: nginx}, db: {image: db}}").spec;
    let db = "db".parse::<model::ServiceName>().expect("a service name");
    let web = spec.services.values_mut().next_back().expect("two services");
    let web = Arc::make_mut(web);
    for what in [
        SharedPart::Network,
        SharedPart::Ipc,
        SharedPart::Pid,
        SharedPart::Volumes { read_only: true },
        SharedPart::Volumes { read_only: false },
    ] {
        web.shares_with.push(Share { service: db.clone(), what });
    }
    let text = canonical(&spec);
    for part in [
        "network_mode: \"service:db\"",
        "ipc: \"service:db\"",
        "pid: \"service:db\"",
        "volumes_from:\n      - \"db:ro\"\n      - db\n",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn a_resolved_image_travels_in_the_canonical_document_only() {
    let written = "services: {web: {image: nginx, x-cluster: {resolved: nginx@sha256:aa}}}";
    let mut spec = read(written).spec;
    let web = spec.services.values().next().expect("one service").clone();
    assert_eq!(
        web.container.image.resolved, None,
        "a file cannot choose what an image resolves to"
    );

    let mut resolved = (*web).clone();
    resolved.container.image.resolved = Some("nginx@sha256:bb".to_owned());
    spec.services.values_mut().for_each(|s| *s = Arc::new(resolved.clone()));
    spec.source = canonical(&spec);
    assert!(spec.source.contains("nginx@sha256:bb"));
    assert_eq!(parse_canonical(&spec.source, false), Ok(spec));
}

#[test]
fn a_canonical_document_has_everything_in_place() {
    for (service, part) in [
        ("image: nginx, command: echo $HOME", "no variables"),
        ("image: nginx, environment: [HOME]", "has no value"),
        ("image: nginx, env_file: a.env", "refers to no files"),
        ("image: nginx, volumes: [./a:/a]", "is relative"),
        ("image: nginx, volumes: [~/a:/a]", "is relative"),
        ("image: nginx, volumes: [\"/:/a\"]", "whole host"),
        ("image: nginx, volumes: [\"/srv/../run//docker.sock:/a\"]", "engine's socket"),
        ("image: nginx, privileged: true", "`--allow-host`"),
        ("image: nginx, extends: web", "has no `extends`"),
        ("image: nginx, profiles: [a]", "has no `profiles`"),
        ("image: nginx, deploy: {replicas: many}", "whole number"),
        ("image: nginx, x-cluster: {resolvd: a}", "did you mean `resolved`?"),
    ] {
        let text = format!("name: a\nservices: {{web: {{{service}}}}}");
        let refused = refusal(parse_canonical(&text, false));
        assert!(refused.contains(part), "{service}: {refused}");
    }
    assert!(refusal(parse_canonical(ONE, false)).contains("has a `name`"));
    assert!(refusal(parse_canonical("", false)).contains("empty"));
    let host = "name: a\nservices: {web: {image: nginx, volumes: [\"/:/a\"]}}";
    assert!(parse_canonical(host, true).is_ok());
}

#[test]
fn what_loads_is_never_too_large_for_the_cluster() {
    let words = format!("services: {{web: {{image: nginx, command: \"{}\"}}}}", "a ".repeat(1_025));
    assert!(refusal(load(input(&words))).contains("`command`: more than 1024 entries"));
    let ranges: Vec<String> = (80..90).map(|i| format!("\"{i}00-{i}99:1-100\"")).collect();
    let ports = format!("services: {{web: {{image: nginx, ports: [{}]}}}}", ranges.join(", "));
    assert!(load(input(&ports)).is_ok());
    let ports = ports.replace("ports: [", "ports: [\"9100-9199:1-100\", ");
    assert!(refusal(load(input(&ports))).contains("`ports`: more than 1024 entries"));
    let mut strange = input("services: {web: {image: nginx, volumes: [./a:/a]}}");
    strange.folder = "/srv/\u{1b}[31m".to_owned();
    strange.nodes = Some(1);
    strange.project_name = Some("a".to_owned());
    assert!(refusal(load(strange)).contains("control characters"));
}

#[test]
fn no_files_and_too_many_are_refused() {
    let mut none = input(ONE);
    none.files.clear();
    assert!(refusal(load(none)).contains("expected 1 to 64 files"));
    let mut many = input(ONE);
    many.files = vec![many.files[0].clone(); 65];
    assert!(refusal(load(many)).contains("got 65"));
}

#[test]
fn a_relative_bind_is_for_one_node_and_there_are_several_where_the_number_is_not_known() {
    for (nodes, placement, allowed) in [
        (None, "", false),
        (Some(3), "", false),
        (Some(1), "", true),
        (Some(0), "", true),
        (None, "node.hostname == a", true),
        (Some(3), "node.hostname == a", true),
        (Some(3), "node.hostname != a", false),
        (Some(3), "node.labels.disk == ssd", false),
    ] {
        let constraint = if placement.is_empty() { "" } else { "'" };
        let text = format!(
            "services: {{web: {{image: nginx, volumes: [./a:/a], deploy: {{placement: {{constraints: [{constraint}{placement}{constraint}]}}}}}}}}"
        );
        let loaded = load(Input { nodes, ..input(&text) });
        assert_eq!(loaded.is_ok(), allowed, "{nodes:?} {placement}: {loaded:?}");
    }
}

#[test]
fn a_later_file_changes_an_earlier_one_and_both_are_named() {
    let mut input = input("services:\n  web: {image: nginx, tty: maybe}\n");
    let bytes = b"services:\n  web: {init: perhaps}\n".to_vec();
    input.files.push(SourceFile { name: "override.yml".to_owned(), bytes });
    let refused = refusal(load(input));
    assert!(
        refused.contains("compose.yml:2:28") && refused.contains("override.yml:2:15"),
        "{refused}"
    );
}

#[test]
fn what_secrets_and_configs_hold_is_read_and_kept_apart_from_the_project() {
    let text = "
services:
  a: {image: a, secrets: [file, variable], configs: [written, external]}
  b: {image: b, profiles: [never], secrets: [unused]}
secrets:
  file: {file: ./token.bin}
  variable: {environment: PASSWORD}
  unused: {environment: NOT_SET}
configs: {written: {content: plain}, external: {external: true}}
";
    let read = |path: &str| Ok((path == "token.bin").then(|| vec![0, 159, 146, 150]));
    let input = |text: &str, password: &str| Input {
        files: vec![SourceFile { name: "c.yml".into(), bytes: text.as_bytes().to_vec() }],
        folder: "/srv/shop".into(),
        environment: [("PASSWORD".to_owned(), password.to_owned())].into(),
        read: &read,
        ..Input::default()
    };
    let loaded = load(input(text, "hunter2")).unwrap();
    let held: Vec<(String, Vec<u8>)> =
        loaded.contents.0.iter().map(|(key, bytes)| (key.to_string(), bytes.clone())).collect();
    let expected = [
        ("secret file".to_owned(), vec![0, 159, 146, 150]),
        ("secret variable".to_owned(), b"hunter2".to_vec()),
    ];
    assert_eq!(held, expected);
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("159, 146"), "{shown}");
    assert!(!loaded.spec.source.contains("hunter2"));
    assert!(parse_canonical(&loaded.spec.source, false).unwrap() == loaded.spec);

    let long = "x".repeat(model::limits::CONTENT_BYTES + 1);
    let refused = load(input(text, &long)).unwrap_err().to_string();
    assert!(refused.contains("secret variable is larger than 500 KiB"), "{}", refused.len());
    assert!(!refused.contains("xxx"));
    let many: Vec<String> =
        (0..5).map(|n| format!("  s{n}: {{environment: PASSWORD}}\n")).collect();
    let many = format!(
        "services: {{a: {{image: a, secrets: [s0, s1, s2, s3, s4]}}}}\nsecrets:\n{}",
        many.concat()
    );
    let refused = load(input(&many, &long[1..])).unwrap_err().to_string();
    assert!(refused.contains("larger than 2 MiB together"), "{refused}");
}
