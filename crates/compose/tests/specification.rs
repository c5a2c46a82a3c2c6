//! The specification's keys, each with a verdict: `specification.txt` lists where every key may stand, and the
//! table must say what becomes of each.

use compose::{Input, SourceFile, Standing, check, rules};
use std::collections::BTreeSet;
use std::path::Path;

/// Keys of this product, and forms that the published list does not spell out.
const OURS: [&str; 21] = [
    "services.*.x-cluster.resolved",
    "services.*.x-cluster.proxy_protocol",
    "services.*.x-cluster.http",
    "services.*.x-cluster.http.tls",
    "services.*.x-cluster.http.tls.certificate",
    "services.*.x-cluster.http.tls.key",
    "services.*.x-cluster.http.tls.redirect",
    "services.*.x-cluster.http[].tls",
    "services.*.x-cluster.http[].tls.certificate",
    "services.*.x-cluster.http[].tls.key",
    "services.*.x-cluster.http[].tls.redirect",
    "services.*.x-cluster.prefer",
    "services.*.x-cluster.http.host",
    "services.*.x-cluster.http.path",
    "services.*.x-cluster.http.port",
    "services.*.x-cluster.http[].host",
    "services.*.x-cluster.http[].path",
    "services.*.x-cluster.http[].port",
    "services.*.pre_start[].x-cluster.on-unknown",
    "services.*.pre_start[].x-cluster.resolved",
    "services.*.env_file[]",
];

fn listed() -> BTreeSet<&'static str> {
    include_str!("specification.txt").lines().collect()
}

#[test]
fn no_key_of_the_specification_is_without_a_verdict() {
    let known: BTreeSet<String> = rules().into_iter().map(|r| r.path).collect();
    let missing: Vec<&str> = listed().into_iter().filter(|k| !known.contains(*k)).collect();
    assert!(missing.is_empty(), "no verdict on {missing:#?}");
}

#[test]
fn the_table_has_no_key_that_the_specification_lacks() {
    let listed = listed();
    let ours: Vec<String> = rules()
        .into_iter()
        .map(|r| r.path)
        .filter(|p| !listed.contains(p.as_str()) && !OURS.contains(&p.as_str()))
        .collect();
    assert!(ours.is_empty(), "the specification has no {ours:#?}");
}

/// Keys that the golden cases use, with names as `*`.
fn used() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let read = |path: &str| match path {
        "web.env" => Ok(Some(b"A=1\n".to_vec())),
        _ => Ok(std::fs::read(root.join("files").join(path)).ok()),
    };
    let mut used = BTreeSet::new();
    for case in ["every_key.yml", "every_refused_key.yml"] {
        let bytes = std::fs::read(root.join(case)).expect("the case is there");
        let report = check(Input {
            files: vec![SourceFile { name: case.to_owned(), bytes }],
            folder: "/srv/shop".to_owned(),
            read: &read,
            ..Input::default()
        });
        used.extend(report.card.findings.into_iter().map(|f| {
            let mut parts: Vec<&str> = f.path.split('.').collect();
            if parts.len() > 1 && !parts[0].ends_with("[]") {
                parts[1] = "*";
            }
            parts.join(".")
        }));
    }
    used
}

#[test]
fn every_key_is_used_by_a_case() {
    let used = used();
    let missing: Vec<&str> = listed().into_iter().filter(|k| !used.contains(*k)).collect();
    assert!(missing.is_empty(), "no case uses {missing:#?}");
}

/// What becomes of one key of a service called `web`, and whether the file can be deployed.
fn verdict(service: &str, path: &str) -> (Standing, bool) {
    let text = format!("services:\n  web:\n    image: nginx\n    {service}\n  db: {{image: x}}\n");
    let report = check(Input {
        files: vec![SourceFile { name: "c.yml".to_owned(), bytes: text.into_bytes() }],
        folder: "/srv/shop".to_owned(),
        ..Input::default()
    });
    let path = format!("services.web.{path}");
    let found = report.card.findings.iter().filter(|f| f.path == path).map(|f| f.standing).max();
    (found.unwrap_or_else(|| panic!("no line for {path}: {report:#?}")), report.spec.is_some())
}

#[test]
fn a_value_may_be_judged_more_strictly_than_its_key() {
    use Standing::{Emulated, Harmless, Honoured, NeedsFlag, Refused};
    for (service, path, expected) in [
        ("privileged: false", "privileged", Honoured),
        ("privileged: true", "privileged", NeedsFlag),
        ("cap_add: [NET_ADMIN]", "cap_add", Honoured),
        ("cap_add: [ALL]", "cap_add", NeedsFlag),
        ("cap_add: [cap_sys_admin]", "cap_add", NeedsFlag),
        ("pid: host", "pid", NeedsFlag),
        ("ipc: host", "ipc", NeedsFlag),
        ("ipc: shareable", "ipc", Honoured),
        ("ipc: \"service:db\"", "ipc", Honoured),
        ("uts: host", "uts", NeedsFlag),
        ("userns_mode: host", "userns_mode", NeedsFlag),
        ("cgroup: host", "cgroup", NeedsFlag),
        ("cgroup: private", "cgroup", Honoured),
        ("network_mode: host", "network_mode", NeedsFlag),
        ("network_mode: none", "network_mode", Honoured),
        ("network_mode: bridge", "network_mode", Emulated),
        ("network_mode: \"service:db\"", "network_mode", Honoured),
        ("devices: [/dev/sda]", "devices", NeedsFlag),
        ("devices: [\"vendor.com/gpu=0\"]", "devices", Honoured),
        ("device_cgroup_rules: [\"c 1:3 mr\"]", "device_cgroup_rules", NeedsFlag),
        ("security_opt: [no-new-privileges]", "security_opt", Honoured),
        ("security_opt: [\"seccomp:unconfined\"]", "security_opt", NeedsFlag),
        ("security_opt: [\"label=level:s0:c1\"]", "security_opt", Honoured),
        ("security_opt: [\"label:type:spc_t\"]", "security_opt", NeedsFlag),
        ("security_opt: [\"apparmor=mine\"]", "security_opt", NeedsFlag),
        ("ports: [\"80\"]", "ports", Refused),
        ("ports: [\"22:22\"]", "ports", Refused),
        ("ports: [\"53:53/udp\"]", "ports", Honoured),
        ("volumes: [\"/var/run/docker.sock:/s\"]", "volumes", NeedsFlag),
        ("volumes: [\"/:/host\"]", "volumes", NeedsFlag),
        ("volumes: [\"/srv:/srv:rshared\"]", "volumes", NeedsFlag),
        ("depends_on: [db]", "depends_on", Honoured),
        ("expose: [80]", "expose", Harmless),
        ("volumes_from: [db]", "volumes_from", Honoured),
        ("deploy: {mode: replicated-job}", "deploy.mode", Honoured),
        ("deploy: {mode: global-job}", "deploy.mode", Honoured),
    ] {
        let deployable = expected < NeedsFlag;
        assert_eq!(verdict(service, path), (expected, deployable), "{service}");
    }
}
