//! What replicas and nodes use, from two answers of the cluster one after the other. Pure.
//!
//! Nodes tell counters. What grew between two measures of one task on one node is a rate; a task that was measured
//! once, or was started anew, has none yet.

use crate::table::Table;
use crate::text;
use api::v1::{NodeStats, ReplicaStats, StatsReply, Usage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What was not measured.
const UNKNOWN: &str = "--";

/// Two answers; the second is shown.
pub(crate) struct Pair<'a> {
    pub(crate) before: &'a StatsReply,
    pub(crate) now: &'a StatsReply,
}

/// What something uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Use {
    /// Processor time in percent of one core.
    cpu: Option<f64>,
    memory: u64,
    limit: u64,
    received: u64,
    sent: u64,
    read: u64,
    written: u64,
    pids: u64,
}

impl Use {
    fn between(before: Option<&Usage>, now: &Usage) -> Self {
        Self {
            cpu: before.and_then(|before| percent(before, now)),
            memory: now.memory,
            limit: now.memory_limit,
            received: now.received,
            sent: now.sent,
            read: now.read,
            written: now.written,
            pids: now.pids,
        }
    }

    fn add(&mut self, other: &Self) {
        self.cpu = match (self.cpu, other.cpu) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.memory += other.memory;
        self.received += other.received;
        self.sent += other.sent;
        self.pids += other.pids;
    }

    fn cpu(&self) -> String {
        self.cpu.map_or(UNKNOWN.into(), |cpu| format!("{cpu:.2}%"))
    }

    fn memory_percent(&self) -> String {
        if self.limit == 0 {
            return UNKNOWN.into();
        }
        format!("{:.2}%", self.memory as f64 * 100.0 / self.limit as f64)
    }

    fn json(&self) -> Value {
        json!({
            "cpu_percent": self.cpu, "memory": self.memory, "memory_limit": self.limit,
            "received": self.received, "sent": self.sent, "read": self.read,
            "written": self.written, "pids": self.pids,
        })
    }
}

/// Processor time between two measures, in percent of one core; `None` where no time passed, or a counter fell.
fn percent(before: &Usage, now: &Usage) -> Option<f64> {
    let passed = now.at_ns.checked_sub(before.at_ns).filter(|ns| *ns > 0)?;
    let used = now.cpu_ns.checked_sub(before.cpu_ns)?;
    Some(used as f64 * 100.0 / passed as f64)
}

fn pair(one: u64, other: u64) -> String {
    format!("{} / {}", text::size(one), text::size(other))
}

impl Pair<'_> {
    /// Each replica with what it uses; nothing for one that could not be measured.
    fn replicas(&self) -> Vec<(&ReplicaStats, Option<Use>)> {
        let key = |r: &ReplicaStats| (r.task.clone(), r.node.clone());
        let before: BTreeMap<_, &Usage> =
            self.before.replicas.iter().filter_map(|r| Some((key(r), r.usage.as_ref()?))).collect();
        let used = |r: &ReplicaStats| {
            r.usage.as_ref().map(|now| Use::between(before.get(&key(r)).copied(), now))
        };
        self.now.replicas.iter().map(|r| (r, used(r))).collect()
    }

    fn nodes(&self) -> Vec<(&NodeStats, Option<Use>)> {
        let before = |name: &str| {
            let node = self.before.nodes.iter().find(|n| n.name == name)?;
            node.usage.as_ref()
        };
        let used = |n: &NodeStats| n.usage.as_ref().map(|now| Use::between(before(&n.name), now));
        self.now.nodes.iter().map(|n| (n, used(n))).collect()
    }

    /// A line for each replica, in the columns of `docker stats`.
    pub(crate) fn stats(&self) -> String {
        let mut table = Table::new(&[
            "NAME",
            "NODE",
            "CPU %",
            "MEM USAGE / LIMIT",
            "MEM %",
            "NET I/O",
            "BLOCK I/O",
            "PIDS",
        ]);
        for (replica, used) in self.replicas() {
            let mut row = vec![full_name(replica), replica.node.clone()];
            match used {
                Some(used) => row.extend([
                    used.cpu(),
                    pair(used.memory, used.limit),
                    used.memory_percent(),
                    pair(used.received, used.sent),
                    pair(used.read, used.written),
                    used.pids.to_string(),
                ]),
                None => row.extend([UNKNOWN; 6].map(str::to_owned)),
            }
            table.row(row);
        }
        table.render()
    }

    /// Nodes, services and replicas, those that work most first.
    pub(crate) fn top(&self) -> String {
        let mut nodes = Table::new(&["NODE", "CPU %", "MEM USAGE / LIMIT", "MEM %", "REPLICAS"]);
        let replicas = self.replicas();
        for (node, used) in self.nodes() {
            let count = replicas.iter().filter(|(r, _)| r.node == node.name).count();
            nodes.row(match used {
                Some(used) => [
                    node.name.clone(),
                    used.cpu(),
                    pair(used.memory, used.limit),
                    used.memory_percent(),
                    count.to_string(),
                ],
                None => [
                    node.name.clone(),
                    UNKNOWN.into(),
                    String::new(),
                    String::new(),
                    count.to_string(),
                ],
            });
        }
        let mut services =
            Table::new(&["SERVICE", "REPLICAS", "CPU %", "MEM USAGE", "NET I/O", "PIDS"]);
        for (name, count, used) in services_of(&replicas) {
            services.row([
                name,
                count.to_string(),
                used.cpu(),
                text::size(used.memory),
                pair(used.received, used.sent),
                used.pids.to_string(),
            ]);
        }
        let mut table = Table::new(&["REPLICA", "NODE", "CPU %", "MEM USAGE", "NET I/O", "PIDS"]);
        let mut busiest: Vec<_> = replicas.iter().filter_map(|(r, u)| Some((*r, (*u)?))).collect();
        busiest.sort_by(|(_, a), (_, b)| busier(a, b));
        for (replica, used) in busiest {
            table.row([
                full_name(replica),
                replica.node.clone(),
                used.cpu(),
                text::size(used.memory),
                pair(used.received, used.sent),
                used.pids.to_string(),
            ]);
        }
        format!("{}\n{}\n{}", nodes.render(), services.render(), table.render())
    }

    /// Nodes of which nothing is known, and why, a line each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let silent = self.now.nodes.iter().filter(|n| !n.error.is_empty());
        silent.map(|n| text::safe(&format!("{} is left out: {}", n.name, n.error))).collect()
    }

    /// Replicas and nodes as a document.
    pub(crate) fn json(&self) -> Value {
        let replicas = self.replicas().into_iter().map(|(r, used)| {
            json!({
                "project": r.project, "service": r.service, "name": r.name, "task": r.task,
                "node": r.node, "usage": used.map(|used| used.json()),
            })
        });
        let nodes = self.nodes().into_iter().map(|(n, used)| {
            json!({"name": n.name, "error": n.error, "usage": used.map(|used| used.json())})
        });
        json!({"replicas": replicas.collect::<Vec<_>>(), "nodes": nodes.collect::<Vec<_>>()})
    }
}

fn full_name(replica: &ReplicaStats) -> String {
    format!("{}/{}", replica.project, replica.name)
}

/// What uses more processor time comes first, then what uses more memory.
fn busier(a: &Use, b: &Use) -> std::cmp::Ordering {
    let cpu = |used: &Use| used.cpu.unwrap_or(0.0);
    cpu(b).total_cmp(&cpu(a)).then(b.memory.cmp(&a.memory))
}

/// Each service with the number of its replicas and what they use together.
fn services_of(replicas: &[(&ReplicaStats, Option<Use>)]) -> Vec<(String, usize, Use)> {
    let mut services: BTreeMap<String, (usize, Use)> = BTreeMap::new();
    for (replica, used) in replicas {
        let name = format!("{}/{}", replica.project, replica.service);
        let (count, sum) = services.entry(name).or_default();
        *count += 1;
        if let Some(used) = used {
            sum.add(used);
        }
    }
    let mut services: Vec<_> =
        services.into_iter().map(|(n, (count, used))| (n, count, used)).collect();
    services.sort_by(|(_, _, a), (_, _, b)| busier(a, b));
    services
}

/// As much of a text as a terminal of that size holds, with a line that says what is left out.
pub(crate) fn fitted(text: &str, (columns, rows): (usize, usize)) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1).max(1);
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    let mut out = String::new();
    for line in &lines[..shown] {
        let _ = writeln!(out, "{}", text::cut(line, columns));
    }
    if shown < lines.len() {
        let _ = writeln!(out, "… and {}", text::count(lines.len() - shown, "line"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn replica(name: &str, node: &str, usage: Option<Usage>) -> ReplicaStats {
        ReplicaStats {
            project: "shop".into(),
            service: name.split('.').next().unwrap().into(),
            name: name.into(),
            task: format!("7-{name}"),
            node: node.into(),
            usage,
        }
    }

    fn used(at_ns: u64, cpu_ns: u64, memory: u64) -> Usage {
        Usage {
            at_ns,
            cpu_ns,
            memory,
            memory_limit: 400 * MIB,
            received: 1024,
            pids: 2,
            ..Usage::default()
        }
    }

    fn two() -> (StatsReply, StatsReply) {
        let reply = |at: u64, web: u64, api: u64| StatsReply {
            replicas: vec![
                replica("web.1", "node1", Some(used(at, web, 100 * MIB))),
                replica("api.1", "node2", Some(used(at, api, 50 * MIB))),
                replica("api.2", "node3", None),
            ],
            nodes: vec![
                NodeStats {
                    name: "node1".into(),
                    usage: Some(used(at, web, MIB)),
                    ..NodeStats::default()
                },
                NodeStats { name: "node3".into(), error: "it is lost".into(), usage: None },
            ],
        };
        (reply(1_000, 500, 100), reply(2_000, 750, 1_600))
    }

    #[test]
    fn rates_are_what_grew_in_between() {
        let (before, now) = two();
        let shown = Pair { before: &before, now: &now }.stats();
        let rows: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
        let web = [
            "shop/web.1",
            "node1",
            "25.00%",
            "100MiB",
            "/",
            "400MiB",
            "25.00%",
            "1KiB",
            "/",
            "0B",
            "0B",
            "/",
            "0B",
            "2",
        ];
        assert_eq!(rows[1], web);
        assert_eq!(rows[2][2], "150.00%", "of one core");
        assert_eq!(rows[3], ["shop/api.2", "node3", "--", "--", "--", "--", "--", "--"]);
    }

    #[test]
    fn without_a_measure_before_there_is_no_rate() {
        let (before, now) = two();
        let first = Pair { before: &StatsReply::default(), now: &now }.stats();
        assert!(first.lines().nth(1).unwrap().contains("--") && first.contains("100MiB"));
        assert_eq!(percent(&used(5, 9, 0), &used(6, 8, 0)), None, "it was started anew");
        assert_eq!(percent(&used(5, 8, 0), &used(5, 9, 0)), None, "no time passed");
        let mut moved = before.clone();
        moved.replicas[0].node = "node2".into();
        let elsewhere = Pair { before: &moved, now: &now }.replicas()[0].1.unwrap();
        assert_eq!(elsewhere.cpu, None, "clocks of two nodes are not compared");
    }

    #[test]
    fn top_has_the_busiest_first_and_adds_up_services() {
        let (before, now) = two();
        let pair = Pair { before: &before, now: &now };
        let shown = pair.top();
        let at = |words: &str| shown.find(words).unwrap_or_else(|| panic!("{words}: {shown}"));
        assert!(at("shop/api ") < at("shop/web "), "{shown}");
        assert!(at("shop/api.1") < at("shop/web.1"));
        let api = shown.lines().find(|l| l.starts_with("shop/api ")).unwrap();
        let words: Vec<&str> = api.split_whitespace().collect();
        assert_eq!(&words[1..4], ["2", "150.00%", "50MiB"]);
        assert_eq!(pair.remarks(), ["node3 is left out: it is lost"]);
        let document = pair.json();
        assert_eq!(document["replicas"][1]["usage"]["cpu_percent"], 150.0);
        assert_eq!(document["replicas"][2]["usage"], Value::Null);
        assert_eq!(document["nodes"][1]["error"], "it is lost");
    }

    #[test]
    fn a_small_terminal_holds_less_and_says_so() {
        let text = "a long line\nb\nc\nd\n";
        assert_eq!(fitted(text, (80, 24)), text);
        assert_eq!(fitted(text, (4, 4)), "a l…\nb\n… and 2 lines\n");
    }
}
