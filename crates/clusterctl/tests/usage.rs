//! `stats` and `top` against a cluster that answers as told.

mod fake;

use api::v1::*;
use fake::{Fake, Place};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Two measures of `web.1`, a second apart, in which it used a quarter of a core; `node2` does not answer.
fn place(fake: &Fake) -> Place {
    let usage = |at_ns, cpu_ns| {
        Some(Usage { at_ns, cpu_ns, memory: 3 << 20, memory_limit: 12 << 20, ..Usage::default() })
    };
    let reply = |at_ns, cpu_ns| StatsReply {
        replicas: vec![ReplicaStats {
            project: "shop".into(),
            service: "web".into(),
            name: "web.1".into(),
            task: "7-0".into(),
            node: "node1".into(),
            usage: usage(at_ns, cpu_ns),
        }],
        nodes: vec![
            NodeStats { name: "node1".into(), usage: usage(at_ns, cpu_ns), error: String::new() },
            NodeStats { name: "node2".into(), usage: None, error: "no answer within 4 s".into() },
        ],
    };
    fake.set(|s| s.stats = vec![reply(1_000_000_000, 0), reply(2_000_000_000, 250_000_000)]);
    Place::with(fake)
}

#[test]
fn stats_are_shown_once_when_asked_so() {
    let fake = Fake::new();
    let ran = place(&fake).run("stats -p shop --no-stream web web.1");
    assert_eq!(ran.code, 0, "{ran:?}");
    let row: Vec<&str> = ran.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..7], ["shop/web.1", "node1", "25.00%", "3MiB", "/", "12MiB", "25.00%"]);
    assert!(ran.err.contains("node2 is left out: no answer within 4 s"), "{ran:?}");
    let asked = fake.set(|s| s.stats_asked.remove(0));
    assert_eq!((asked.project.as_str(), asked.names), ("shop", vec!["web".into(), "web.1".into()]));
}

#[test]
fn top_shows_nodes_services_and_replicas() {
    let fake = Fake::new();
    let ran = place(&fake).run("top --no-stream");
    assert_eq!(ran.code, 0, "{ran:?}");
    for start in ["NODE ", "node1 ", "node2 ", "SERVICE ", "shop/web ", "REPLICA ", "shop/web.1 "] {
        assert!(ran.out.lines().any(|l| l.starts_with(start)), "{start}: {}", ran.out);
    }
}

#[test]
fn documents_come_one_on_a_line_until_nobody_reads() {
    let fake = Fake::new();
    let place = place(&fake);
    let mut command = place.command("--json stats");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found: Vec<Value> =
        lines.take(2).map(|l| serde_json::from_str(&l.unwrap()).unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found[0]["replicas"][0]["usage"]["cpu_percent"], 25.0);
    assert_eq!(found[1]["replicas"][0]["usage"]["cpu_percent"], Value::Null, "no time passed");
    assert_eq!(found[0]["nodes"][1]["usage"], Value::Null);
}
