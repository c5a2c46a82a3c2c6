//! Services of one project reach each other across hosts, by name; those of another do not.

use crate::cluster::{Cluster, Step, eventually, hold};
use lab::harness::Verdict;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A client on host 1, and what it asks on the other hosts.
pub(crate) fn stack(project: &str) -> String {
    format!(
        r#"name: {project}
services:
  client:
    image: e2e/web:1
    stop_grace_period: 1s
    cap_add: [NET_ADMIN]
    deploy:
      placement: {{constraints: ["node.hostname == host1"]}}
  db:
    image: e2e/web:1
    stop_grace_period: 1s
    environment: {{VERSION: {project}}}
    networks:
      default: {{aliases: [store]}}
    deploy:
      replicas: 2
      placement: {{constraints: ["node.hostname != host1"]}}
"#
    )
}

/// Runs a line of shell in a replica.
pub(crate) fn inside(cluster: &Cluster, project: &str, replica: &str, line: &str) -> Step<String> {
    Ok(cluster.say(1, &["-p", project, "exec", replica, "--", "sh", "-c", line])?.stdout)
}

/// Asks from a replica; what it was answered. The test image has no library that looks up names, so that is a step
/// of its own.
pub(crate) fn fetch(cluster: &Cluster, project: &str, replica: &str, name: &str) -> Step<String> {
    let address = if let Ok(address) = name.parse::<Ipv4Addr>() {
        address.to_string()
    } else {
        let found = lookup(cluster, project, replica, name)?.pop_first();
        found.ok_or_else(|| format!("{project}/{replica} knows no {name}"))?
    };
    inside(cluster, project, replica, &format!("lab-server ask {address}:80"))
}

/// The addresses that a name stands for in a replica.
pub(crate) fn lookup(
    cluster: &Cluster,
    project: &str,
    replica: &str,
    name: &str,
) -> Step<BTreeSet<String>> {
    let said = inside(cluster, project, replica, &format!("nslookup {name}. || true"))?;
    let found = said.lines().filter(|l| l.starts_with("Address"));
    let found = found.filter_map(|l| l.split_whitespace().find(|w| w.starts_with("10.")));
    Ok(found.map(str::to_owned).collect())
}

/// The addresses that a name stands for in the client.
pub(crate) fn addresses(cluster: &Cluster, project: &str, name: &str) -> Step<BTreeSet<String>> {
    lookup(cluster, project, "client.1", name)
}

/// That many different replicas answer to a name.
pub(crate) fn answered_by(cluster: &Cluster, project: &str, name: &str, count: usize) -> Step<()> {
    let mut seen = BTreeSet::new();
    for _ in 0..30 {
        seen.insert(fetch(cluster, project, "client.1", name)?);
        if seen.len() == count {
            return Ok(());
        }
    }
    Err(format!("{name}: {count} replicas should answer, {seen:?} did").into())
}

/// By service, by replica, by alias and backwards; by virtual address also to oneself.
pub(crate) fn names_reach_across_hosts(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &stack("mesh"), &["--allow-host"])?.ok()?;
    eventually("both replicas behind the name", || answered_by(cluster, "mesh", "db", 2))?;
    answered_by(cluster, "mesh", "store", 2)?;
    answered_by(cluster, "mesh", "db.2", 1)?;
    fetch(cluster, "mesh", "db.1", "client")?;
    for _ in 0..6 {
        fetch(cluster, "mesh", "db.1", "db")?;
    }
    let all = addresses(cluster, "mesh", "tasks.db")?;
    assert_eq!(all.len(), 2, "{all:?}");
    let service = addresses(cluster, "mesh", "db")?;
    assert!(service.len() == 1 && service.is_disjoint(&all), "{service:?}");
    let one = addresses(cluster, "mesh", "db.1")?.pop_first().ok_or("db.1 has no address")?;
    let said = inside(cluster, "mesh", "client.1", &format!("nslookup {one}"))?;
    assert!(said.contains("db.1"), "{said}");

    cluster.say(1, &["scale", "-p", "mesh", "db=1"])?;
    eventually("one replica behind the name", || {
        let left = addresses(cluster, "mesh", "tasks.db")?;
        hold(left.len() == 1, || format!("{left:?}"))
    })?;
    for _ in 0..10 {
        fetch(cluster, "mesh", "client.1", "db")?;
    }
    let status = cluster.say(3, &["status"])?.stdout;
    assert!(status.contains("encrypted, 10.128.0.0/10"), "{status}");
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

/// Two projects of the same names: each has its own, and neither reaches the other's, by address, by virtual
/// address or under a false one.
pub(crate) fn attack_22_networks_are_apart(cluster: &Cluster) -> Verdict {
    for project in ["one", "two"] {
        cluster.deploy_text(1, &stack(project), &["--allow-host"])?.ok()?;
    }
    for project in ["one", "two"] {
        eventually("names", || answered_by(cluster, project, "db", 2))?;
        let said = fetch(cluster, project, "client.1", "db")?;
        assert!(said.contains(project), "{project} was answered: {said}");
    }
    for (from, to) in [("one", "two"), ("two", "one")] {
        let names = ["tasks.db", "db", "client"];
        for address in names.iter().map(|name| addresses(cluster, to, name)) {
            for address in address? {
                for replica in ["client.1", "db.1"] {
                    let reached = fetch(cluster, from, replica, &address);
                    assert!(reached.is_err(), "{from}/{replica} reached {address}: {reached:?}");
                }
            }
        }
    }
    spoofed(cluster)?;
    cluster.undeploy(1, "one")?;
    cluster.undeploy(1, "two")?;
    Ok(())
}

/// A datagram under the address of the other project's client, which is on the same host; then an honest one.
fn spoofed(cluster: &Cluster) -> Verdict {
    let target = addresses(cluster, "one", "db.1")?.pop_first().ok_or("db.1 has no address")?;
    let client =
        addresses(cluster, "one", "tasks.client")?.pop_first().ok_or("client has no address")?;
    inside(cluster, "one", "db.1", "lab-server hear 9 /tmp/got > /tmp/why 2>&1 & sleep 1")?;
    let took = || inside(cluster, "one", "db.1", "cat /tmp/got");
    let own = |what: &str| format!("ip addr {what} {client}/32 dev eth0");
    let lie = format!("{}; lab-server tell {client}:0 {target}:9 false", own("add"));
    inside(cluster, "two", "client.1", &lie)?;
    inside(cluster, "two", "client.1", &own("del"))?;
    assert_eq!(took()?, "", "a datagram under a false address arrived");
    eventually("an honest datagram", || {
        let honest = format!("lab-server tell 0.0.0.0:0 {target}:9 honest");
        inside(cluster, "one", "client.1", &honest)?;
        let got = took()?;
        hold(got.contains("honest") && !got.contains("false"), || got)
    })
}

/// A host is cut off: what ran there is in no name any more, and what took its place is.
pub(crate) fn names_follow_a_lost_host(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &stack("mesh"), &["--allow-host"])?.ok()?;
    eventually("both replicas behind the name", || answered_by(cluster, "mesh", "db", 2))?;
    let before = addresses(cluster, "mesh", "tasks.db")?;
    let nodes: Vec<String> =
        cluster.ps(1, "mesh")?.into_iter().filter(|r| r.service == "db").map(|r| r.node).collect();
    let cut = cluster.number(&nodes[0])?;
    let elsewhere = nodes.iter().filter(|n| **n != nodes[0]).count();
    cluster.cut(cut)?;
    eventually("names without the host that was cut off", || {
        let now = addresses(cluster, "mesh", "tasks.db")?;
        let kept = now.intersection(&before).count();
        hold(now.len() == 2 && kept == elsewhere, || format!("{before:?}, {now:?}"))
    })?;
    for _ in 0..10 {
        fetch(cluster, "mesh", "client.1", "db")?;
    }
    cluster.heal(cut)?;
    cluster.whole()?;
    eventually("both replicas behind the name", || answered_by(cluster, "mesh", "db", 2))?;
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

/// Somebody flushes all rules and deletes the routes; later the engine writes its own anew.
pub(crate) fn rules_are_repaired(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &stack("mesh"), &["--allow-host"])?.ok()?;
    eventually("both replicas behind the name", || answered_by(cluster, "mesh", "db", 2))?;
    let table = ["list", "table", "ip", "cluster"];
    let before = cluster.exec(1, "nft", &table)?.ok()?.stdout;
    cluster.exec(1, "nft", &["flush", "ruleset"])?.ok()?;
    cluster.exec(1, "ip", &["route", "flush", "proto", "141"])?.ok()?;
    eventually("the rules", || {
        let now = cluster.exec(1, "nft", &table)?.ok()?.stdout;
        hold(now == before, || now)
    })?;
    eventually("an answer by name", || answered_by(cluster, "mesh", "db", 2))?;
    cluster.stop_engine(1)?;
    cluster.start_engine(1)?;
    cluster.whole()?;
    eventually("an answer by name", || answered_by(cluster, "mesh", "db", 2))?;
    cluster.undeploy(1, "mesh")?;
    Ok(())
}
