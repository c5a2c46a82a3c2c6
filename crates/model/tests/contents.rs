//! Secrets and configs in the state: versions, who uses them, when they are forgotten, who may have them.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::*;
use model::*;
use std::collections::{BTreeMap, BTreeSet};

const SECRET: ContentKind = ContentKind::Secret;

fn key(kind: ContentKind, name: &str) -> ContentKey {
    ContentKey { kind, name: name.parse().unwrap() }
}

fn id(version: &str) -> ContentId {
    ContentId { kind: SECRET, version: version.into() }
}

fn content(size: usize) -> Content {
    Content { bytes: Bytes(vec![7; 3].into()), size: size as u64 }
}

/// A service with a secret of its own, or with one that no project owns.
fn with(version: &str, external: Option<&str>) -> ServiceSpec {
    let mut spec = service();
    spec.container.files = vec![GivenFile {
        content: key(SECRET, "token"),
        external: external.map(|e| e.parse().unwrap()),
        version: version.into(),
        target: "/run/secrets/token".into(),
        uid: 0,
        gid: 0,
        mode: 0o444,
    }];
    spec
}

fn deploying(spec: ServiceSpec, contents: &[(&str, usize)]) -> Command {
    let contents = contents.iter().map(|(v, size)| (id(v), content(*size))).collect();
    let spec = project("shop", &[("web", spec)]);
    let (powers, grant) = (BTreeSet::new(), false);
    Command::Deploy(Deploy { spec, seen: None, logins: BTreeMap::new(), contents, powers, grant })
}

fn create(name: &str, version: &str) -> Command {
    Command::CreateContent(CreateContent {
        key: key(SECRET, name),
        version: version.into(),
        content: content(5),
    })
}

fn refusal(outcome: Outcome) -> ContentRefusal {
    match outcome {
        Outcome::Refused(Refusal::Content(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn versions(log: &Log) -> Vec<&str> {
    log.state.contents.keys().map(|id| id.version.as_str()).collect()
}

#[test]
fn a_certificate_goes_to_every_node_and_its_change_restarts_nothing() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    let secret = |name: &str, version: &str| GivenSecret {
        name: name.parse().unwrap(),
        external: (name == "key").then(|| "tls-key".parse().unwrap()),
        version: version.into(),
    };
    let certified = |version: &str| {
        let matches = HttpMatch { host: Some("a.example".into()), path: "/".into() };
        let (certificate, key) = (secret("certificate", version), secret("key", "k"));
        let tls = Some(HttpTls { certificate, key, redirect: true });
        ServiceSpec { http: vec![HttpRule { matches, port: 80, tls }], ..service() }
    };
    let why = refusal(log.apply(deploying(certified("1"), &[("1", 5)])));
    assert!(matches!(why, ContentRefusal::MissingFor { .. }), "{why:?}");
    log.apply(create("tls-key", "k"));
    let why = refusal(log.apply(deploying(certified("1"), &[])));
    assert_eq!(why, ContentRefusal::NotSent(key(SECRET, "certificate")));
    log.apply(deploying(certified("1"), &[("1", 5)]));
    for node in [1, 2] {
        let has = |version: &str| log.state.content_for(NodeId(node), &id(version)).is_some();
        assert!(has("1") && has("k"), "node {node} answers for it, whatever runs there");
    }
    assert!(log.state.content_for(NodeId(9), &id("1")).is_none(), "not a node");
    let view = log.state.view_for(NodeId(2), &log.state.shared());
    let site = &view.sites[0];
    let shown = CertificateIds { certificate: id("1"), key: id("k") };
    assert_eq!((&site.certificates, &site.secured), (&vec![shown], &site.matches));
    let why = refusal(log.apply(Command::RemoveContent(key(SECRET, "tls-key"))));
    assert!(matches!(why, ContentRefusal::InUse { .. }));
    log.apply(deploying(certified("2"), &[("2", 5)]));
    assert_eq!(log.service("shop", "web").generation, 1);
    assert_eq!(versions(&log), ["2", "k"], "the one before is forgotten");
    log.apply(deploying(service(), &[]));
    assert_eq!(versions(&log), ["k"]);
}

#[test]
fn a_changed_content_is_another_generation_and_the_same_one_is_none() {
    let mut log = Log::founded();
    let changed = |outcome| match outcome {
        Outcome::Accepted { changed, .. } => changed.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(changed(log.apply(deploying(with("1", None), &[("1", 5)]))), 1);
    assert_eq!(changed(log.apply(deploying(with("1", None), &[("1", 5)]))), 0);
    assert_eq!(changed(log.apply(deploying(with("2", None), &[("2", 5)]))), 1);
    assert_eq!(versions(&log), ["2"], "no task was made of the first one");
}

#[test]
fn a_version_stays_while_a_task_uses_it_or_a_roll_out_may_go_back_to_it() {
    let mut log = Log::founded();
    log.apply(deploying(with("1", None), &[("1", 5)]));
    let task = log.create("shop", "web", 1, 1).unwrap();
    log.apply(deploying(with("2", None), &[("2", 5)]));
    assert_eq!(versions(&log), ["1", "2"]);
    log.report(1, task, TaskState::Exited { code: 0 }, false);
    log.apply(Command::Plan(vec![Change::Forget { task }]));
    assert_eq!(versions(&log), ["1", "2"], "the roll-out may go back to it");
    log.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes: false }));
    let services: Vec<ServiceId> = log.state.services.keys().copied().collect();
    log.apply(Command::Plan(services.iter().map(|s| Change::Drop { service: *s }).collect()));
    assert!(log.state.contents.is_empty());
}

#[test]
fn what_did_not_come_or_is_too_large_is_refused() {
    let mut log = Log::founded();
    let why = refusal(log.apply(deploying(with("1", None), &[])));
    assert_eq!(why, ContentRefusal::NotSent(key(SECRET, "token")));
    let large = limits::CONTENT_BYTES + 1;
    let why = refusal(log.apply(deploying(with("1", None), &[("1", large)])));
    assert_eq!(why.to_string(), "a secret is too large: at most 500 KiB");
    let many: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    let many: Vec<(&str, usize)> =
        many.iter().map(|v| (v.as_str(), limits::CONTENT_BYTES)).collect();
    let why = refusal(log.apply(deploying(with("1", None), &many)));
    assert!(why.to_string().contains("of one project together are too large"), "{why}");
    assert!(log.state.contents.is_empty() && log.state.projects.is_empty());
}

#[test]
fn the_cluster_holds_no_more_than_its_limit() {
    let mut log = Log::founded();
    let most = limits::CLUSTER_CONTENT_BYTES / limits::CONTENT_BYTES;
    let make = |n: usize| {
        let (key, version) = (key(SECRET, &format!("s{n}")), format!("v{n}"));
        let content = content(limits::CONTENT_BYTES);
        Command::CreateContent(CreateContent { key, version, content })
    };
    for n in 0..most {
        assert_eq!(log.apply(make(n)), Outcome::Done);
    }
    let why = refusal(log.apply(make(most)));
    assert!(why.to_string().contains("all projects together"), "{why}");
}

#[test]
fn one_that_no_project_owns_stays_until_it_is_removed_which_its_users_forbid() {
    let mut log = Log::founded();
    let deploy = deploying(with("9", Some("shared")), &[]);
    let why = refusal(log.apply(deploy.clone()));
    assert_eq!(
        why.to_string(),
        "shop/web uses the secret shared, which does not exist; make it by `clusterctl secret create shared FILE`"
    );
    assert_eq!(log.apply(create("shared", "9")), Outcome::Done);
    assert!(matches!(refusal(log.apply(create("shared", "8"))), ContentRefusal::Exists(_)));
    assert!(matches!(log.apply(deploy), Outcome::Accepted { .. }));
    let remove = || Command::RemoveContent(key(SECRET, "shared"));
    let why = refusal(log.apply(remove()));
    assert!(why.to_string().starts_with("secret shared is used by shop/web;"), "{why}");
    log.apply(deploying(service(), &[]));
    assert_eq!(versions(&log), ["9"], "unused, and yet not ours to forget");
    assert_eq!(log.apply(remove()), Outcome::Done);
    assert!(log.state.contents.is_empty());
    assert!(matches!(refusal(log.apply(remove())), ContentRefusal::Missing(_)));
    let config = Command::RemoveContent(key(ContentKind::Config, "shared"));
    assert!(matches!(refusal(log.apply(config)), ContentRefusal::Missing(_)));
}

#[test]
fn attack_04_a_node_is_handed_only_what_its_own_tasks_use() {
    let mut log = Log::founded();
    log.apply(Command::Join(join("n2", Role::Worker)));
    log.apply(deploying(with("1", None), &[("1", 5)]));
    let (one, two) = (NodeId(1), log.state.node_named(&"n2".parse().unwrap()).unwrap().id);
    assert_eq!(log.state.content_for(one, &id("1")), None, "nothing runs there yet");
    let task = log.create("shop", "web", 1, 1).unwrap();
    assert!(log.state.content_for(one, &id("1")).is_some());
    assert_eq!(log.state.content_for(two, &id("1")), None);
    assert_eq!(log.state.content_for(one, &id("2")), None);
    log.report(1, task, TaskState::Exited { code: 0 }, false);
    assert_eq!(log.state.content_for(one, &id("1")), None, "it has ended");
}

#[test]
fn attack_19_contents_are_never_shown() {
    let bytes: Vec<u8> = b"hunter2".to_vec();
    let content = Content { bytes: Bytes(bytes.into()), size: 7 };
    assert_eq!(format!("{content:?}"), "Content(7 bytes)");
}
