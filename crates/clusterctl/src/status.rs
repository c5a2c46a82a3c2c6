//! What `status` and `nodes` say. Pure.

use crate::table::Table;
use crate::text;
use api::v1::{Loss, NodeSummary, ServiceSummary, StatusReply};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Whether a majority of voters answers to a leader.
pub(crate) fn quorum(status: &StatusReply) -> bool {
    !status.leader.is_empty() && status.voters_ready * 2 > status.voters
}

/// The whole of `status`.
pub(crate) fn status(reply: &StatusReply) -> String {
    let mut out = head(reply);
    out.push_str(&mesh(reply));
    out.push_str(&voting(reply));
    out.push('\n');
    out.push_str(&nodes(&reply.nodes));
    if !reply.services.is_empty() {
        out.push('\n');
        out.push_str(&services(&reply.services, true));
    }
    let waiting: Vec<String> = reply.services.iter().flat_map(waits).collect();
    if !waiting.is_empty() {
        out.push_str("\nWaiting:\n");
        out.extend(waiting);
    }
    if !reply.losses.is_empty() {
        out.push_str("\nIf a node is lost:\n");
        reply.losses.iter().for_each(|loss| out.push_str(&verdict(loss)));
    }
    if !reply.remarks.is_empty() {
        out.push_str("\nLook at:\n");
        for remark in &reply.remarks {
            let _ = writeln!(out, " ! {}", text::safe(remark));
        }
    }
    out
}

fn head(reply: &StatusReply) -> String {
    let leader = match reply.leader.as_str() {
        "" => "none".to_owned(),
        name => format!("{} (term {})", text::safe(name), reply.term),
    };
    let held = if quorum(reply) { "" } else { ": no quorum, nothing can be changed" };
    let whole = reply.services.iter().filter(|s| whole(s)).count();
    let ready = reply.nodes.iter().filter(|n| n.readiness == "ready").count();
    format!(
        "Cluster    {}\nLeader     {leader}\nQuorum     {} of {} voters ready{held}\nNodes      {ready} of {} ready\nServices   {whole} of {} whole\n",
        text::safe(&reply.cluster),
        reply.voters_ready,
        reply.voters,
        reply.nodes.len(),
        reply.services.len(),
    )
}

/// How containers reach each other across hosts.
fn mesh(reply: &StatusReply) -> String {
    match reply.mesh.as_str() {
        "" => "Mesh       none: containers reach those of their own host only\n".to_owned(),
        mesh if mesh.starts_with("direct") => {
            format!("Mesh       {} (not encrypted)\n", text::safe(mesh))
        }
        mesh => format!("Mesh       {}\n", text::safe(mesh)),
    }
}

/// Who votes in Raft, where that is not (yet) who is to vote.
fn voting(reply: &StatusReply) -> String {
    let wished: BTreeSet<&str> =
        reply.nodes.iter().filter(|n| n.voter).map(|n| n.name.as_str()).collect();
    let now: BTreeSet<&str> = reply.voting.iter().map(String::as_str).collect();
    // An older daemon does not say.
    if now.is_empty() || now == wished {
        return String::new();
    }
    let list =
        |names: &BTreeSet<&str>| text::safe(&names.iter().copied().collect::<Vec<_>>().join(", "));
    format!("Voting     {} for now; wished for: {}\n", list(&now), list(&wished))
}

fn whole(service: &ServiceSummary) -> bool {
    let there = service.healthy.min(service.updated) + service.completed;
    !service.removed && there >= service.wanted
}

fn waits(service: &ServiceSummary) -> Vec<String> {
    let line = |w: &api::v1::WaitingSummary| {
        format!(" … {}: {}\n", text::safe(&w.replica), text::safe(&w.reason))
    };
    service.waiting.iter().map(line).collect()
}

fn verdict(loss: &Loss) -> String {
    let node = text::safe(&loss.node);
    let why: Vec<String> = loss.why.iter().map(|why| text::safe(why)).collect();
    match (loss.survivable, why.is_empty()) {
        (true, true) => format!(" ✔ {node}: survivable\n"),
        (true, false) => format!(" ✔ {node}: survivable; {}\n", why.join("; ")),
        (false, true) => format!(" ✘ {node}: not survivable\n"),
        (false, false) => format!(" ✘ {node}: not survivable, because {}\n", why.join("; ")),
    }
}

/// The table of `nodes`.
pub(crate) fn nodes(nodes: &[NodeSummary]) -> String {
    let mut table = Table::new(&[
        "NODE",
        "STATUS",
        "AVAILABILITY",
        "ROLE",
        "ADDRESS",
        "REPLICAS",
        "CPU",
        "MEMORY",
        "FREE",
        "ENGINE",
        "VERSION",
    ]);
    for node in nodes {
        table.row([
            node.name.clone(),
            condition(node),
            node.availability.clone(),
            role(node).to_owned(),
            node.address.clone(),
            node.tasks.to_string(),
            format!("{}/{}", text::cores(node.reserved_milli_cpus), text::cores(node.milli_cpus)),
            format!("{}/{}", text::size(node.reserved_memory), text::size(node.memory)),
            if node.memory_free == 0 { String::new() } else { text::size(node.memory_free) },
            node.engine.clone(),
            node.version.clone(),
        ]);
    }
    table.render()
}

fn role(node: &NodeSummary) -> &str {
    match (node.leader, node.voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => &node.role,
    }
}

/// The verdict on a node, with everything that is odd about it.
fn condition(node: &NodeSummary) -> String {
    let mut words = vec![node.readiness.clone()];
    if node.away {
        words.push("away".into());
    }
    if !node.engine_ready {
        words.push("engine down".into());
    }
    if node.disk_pressure {
        words.push("disk full".into());
    }
    if !node.broken_links.is_empty() {
        words.push(format!("no link to {}", node.broken_links.join(" ")));
    }
    words.join(", ")
}

/// The table of services, with the project in front of the name when there may be several.
pub(crate) fn services(services: &[ServiceSummary], full_names: bool) -> String {
    let mut table = Table::new(&["SERVICE", "MODE", "REPLICAS", "UPDATED", "IMAGE", "PORTS"]);
    for service in services {
        let name = if full_names {
            format!("{}/{}", service.project, service.name)
        } else {
            service.name.clone()
        };
        let updated = if service.updated + service.completed < service.wanted {
            service.updated.to_string()
        } else {
            String::new()
        };
        let replicas = if service.removed {
            format!("{} (being removed)", service.running)
        } else if service.completed > 0 {
            let ServiceSummary { healthy, wanted, completed, .. } = service;
            format!("{healthy}/{wanted} ({completed} completed)")
        } else {
            format!("{}/{}", service.healthy, service.wanted)
        };
        let ports = service.ports.join(", ");
        table.row([name, service.mode.clone(), replicas, updated, service.image.clone(), ports]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::v1::WaitingSummary;

    fn node(name: &str) -> NodeSummary {
        NodeSummary {
            name: name.into(),
            role: "manager".into(),
            voter: true,
            readiness: "ready".into(),
            availability: "active".into(),
            address: "10.0.0.1:7070".into(),
            engine_ready: true,
            engine: "28.0.1".into(),
            version: "0.1.0".into(),
            milli_cpus: 4_000,
            memory: 8 << 30,
            reserved_milli_cpus: 500,
            reserved_memory: 512 << 20,
            memory_free: 3 << 30,
            tasks: 3,
            ..NodeSummary::default()
        }
    }

    fn service(name: &str, healthy: u32, wanted: u32) -> ServiceSummary {
        ServiceSummary {
            project: "shop".into(),
            name: name.into(),
            mode: "replicated".into(),
            image: "nginx:1.29".into(),
            wanted,
            running: healthy,
            healthy,
            updated: healthy,
            ports: vec!["8080->80/tcp".into()],
            ..ServiceSummary::default()
        }
    }

    #[test]
    fn nodes_show_role_room_and_trouble() {
        let leader = NodeSummary { leader: true, ..node("node1") };
        let odd = NodeSummary {
            readiness: "suspect".into(),
            broken_links: vec!["node1".into()],
            engine_ready: false,
            availability: "drain".into(),
            ..node("node2")
        };
        let expected = "\
NODE    STATUS                                   AVAILABILITY   ROLE     ADDRESS         REPLICAS   CPU     MEMORY        FREE   ENGINE   VERSION
node1   ready                                    active         leader   10.0.0.1:7070   3          0.5/4   512MiB/8GiB   3GiB   28.0.1   0.1.0
node2   suspect, engine down, no link to node1   drain          voter    10.0.0.1:7070   3          0.5/4   512MiB/8GiB   3GiB   28.0.1   0.1.0
";
        assert_eq!(nodes(&[leader, odd]), expected);
    }

    #[test]
    fn status_tells_quorum_verdict_and_remarks() {
        let waiting = WaitingSummary {
            replica: "shop/web.2".into(),
            reason: "3 nodes lack memory (need 512 MiB, best has 300)".into(),
        };
        let reply = StatusReply {
            cluster: "c0ffee".into(),
            leader: "node1".into(),
            term: 4,
            mesh: "direct, 10.128.0.0/10".into(),
            voters: 3,
            voters_ready: 2,
            nodes: vec![node("node1")],
            services: vec![
                ServiceSummary { waiting: vec![waiting], ..service("web", 1, 2) },
                service("api", 2, 2),
            ],
            losses: vec![
                Loss { node: "node1".into(), survivable: true, why: Vec::new() },
                Loss {
                    node: "node2".into(),
                    survivable: false,
                    why: vec!["volume shop_data lives there".into()],
                },
            ],
            remarks: vec!["port 8080 on node2 is held by a foreign process".into()],
            ..StatusReply::default()
        };
        let expected = "\
Cluster    c0ffee
Leader     node1 (term 4)
Quorum     2 of 3 voters ready
Nodes      1 of 1 ready
Services   1 of 2 whole
Mesh       direct, 10.128.0.0/10 (not encrypted)

NODE    STATUS   AVAILABILITY   ROLE    ADDRESS         REPLICAS   CPU     MEMORY        FREE   ENGINE   VERSION
node1   ready    active         voter   10.0.0.1:7070   3          0.5/4   512MiB/8GiB   3GiB   28.0.1   0.1.0

SERVICE    MODE         REPLICAS   UPDATED   IMAGE        PORTS
shop/web   replicated   1/2        1         nginx:1.29   8080->80/tcp
shop/api   replicated   2/2                  nginx:1.29   8080->80/tcp

Waiting:
 … shop/web.2: 3 nodes lack memory (need 512 MiB, best has 300)

If a node is lost:
 ✔ node1: survivable
 ✘ node2: not survivable, because volume shop_data lives there

Look at:
 ! port 8080 on node2 is held by a foreign process
";
        assert_eq!(status(&reply), expected);
    }

    #[test]
    fn who_votes_is_shown_where_it_is_not_who_should() {
        let mut reply = StatusReply {
            nodes: vec![
                node("node2"),
                node("node1"),
                NodeSummary { voter: false, ..node("node3") },
            ],
            voting: vec!["node1".into(), "node2".into()],
            ..StatusReply::default()
        };
        assert_eq!(voting(&reply), "");
        reply.voting = vec!["node1".into(), "node3".into()];
        assert_eq!(voting(&reply), "Voting     node1, node3 for now; wished for: node1, node2\n");
        assert!(status(&reply).contains("\nVoting     node1, node3"));
        reply.voting.clear();
        assert_eq!(voting(&reply), "", "an older daemon");
    }

    #[test]
    fn a_quorum_needs_a_majority_and_a_leader() {
        let reply = |leader: &str, ready| StatusReply {
            leader: leader.into(),
            voters: 3,
            voters_ready: ready,
            ..StatusReply::default()
        };
        assert!(quorum(&reply("a", 2)));
        assert!(!quorum(&reply("", 2)));
        assert!(!quorum(&reply("a", 1)));
        assert!(head(&reply("", 1)).contains("1 of 3 voters ready: no quorum"));
    }
}
