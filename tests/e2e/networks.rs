//! Networks of one project, and one that projects share: who reaches whom, by name and by address.

use crate::cluster::{Cluster, Step, eventually, hold};
use crate::mesh::{fetch, inside, lookup};
use lab::harness::Verdict;

/// web on `front`, api on both, db on `back`, which is internal; on different hosts.
fn tiers() -> String {
    let service = |name: &str, host: u32, networks: &str| {
        format!(
            "  {name}:\n    image: e2e/web:1\n    stop_grace_period: 1s\n    cap_add: [NET_ADMIN]\n    environment: {{VERSION: {name}}}\n    networks: {networks}\n    deploy: {{placement: {{constraints: [\"node.hostname == host{host}\"]}}}}\n"
        )
    };
    let services = service("web", 1, "[front]")
        + &service("near", 1, "[back]")
        + &service("api", 2, "{front: {aliases: [app]}, back: {aliases: [worker]}}")
        + &service("db", 3, "{back: {ipv4_address: 172.28.0.10}}");
    format!(
        "name: tiers\nservices:\n{services}networks:\n  front: {{attachable: true}}\n  back: {{internal: true, ipam: {{config: [{{subnet: 172.28.0.0/16}}]}}}}\n"
    )
}

/// `api` reaches both sides, and the sides do not reach each other: by name, by replica, by virtual address,
/// and under the address of somebody who may.
pub(crate) fn networks_of_a_project_are_apart(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &tiers(), &["--allow-host"])?.ok()?;
    eventually("api reaches both", || {
        for name in ["web", "db", "172.28.0.10"] {
            fetch(cluster, "tiers", "api.1", name)?;
        }
        fetch(cluster, "tiers", "web.1", "api")?;
        fetch(cluster, "tiers", "db.1", "api").map(drop)
    })?;
    fetch(cluster, "tiers", "web.1", "app")?;
    fetch(cluster, "tiers", "db.1", "worker")?;
    fetch(cluster, "tiers", "near.1", "172.28.0.10")?;
    for (from, unknown) in [("web.1", "db"), ("web.1", "worker"), ("db.1", "web"), ("db.1", "app")]
    {
        let found = lookup(cluster, "tiers", from, unknown)?;
        assert!(found.is_empty(), "{from} knows {unknown}: {found:?}");
    }
    for (from, seen_by, to) in
        [("web.1", "db.1", "db"), ("db.1", "web.1", "web"), ("near.1", "web.1", "web")]
    {
        for name in [to.to_owned(), format!("tasks.{to}")] {
            for address in lookup(cluster, "tiers", seen_by, &name)? {
                let reached = fetch(cluster, "tiers", from, &address);
                assert!(reached.is_err(), "{from} reached {to} at {address}: {reached:?}");
            }
        }
    }
    spoofed(cluster)?;
    inner(cluster)?;
    joined(cluster)?;
    cluster.undeploy(1, "tiers")?;
    Ok(())
}

/// A datagram of `web` under the address of `near`, which is on the same host and may reach `db`; then an
/// honest one of `near`.
fn spoofed(cluster: &Cluster) -> Verdict {
    let one = |replica: &str, name: &str| -> Step<String> {
        let found = lookup(cluster, "tiers", replica, name)?.pop_first();
        Ok(found.ok_or_else(|| format!("{name} has no address"))?)
    };
    let (target, near) = (one("api.1", "db.1")?, one("db.1", "near.1")?);
    inside(cluster, "tiers", "db.1", "lab-server hear 9 /tmp/got > /tmp/why 2>&1 & sleep 1")?;
    let took = || inside(cluster, "tiers", "db.1", "cat /tmp/got");
    let own = |what: &str| format!("ip addr {what} {near}/32 dev eth0");
    let lie = format!("{}; lab-server tell {near}:0 {target}:9 false", own("add"));
    inside(cluster, "tiers", "web.1", &lie)?;
    inside(cluster, "tiers", "web.1", &own("del"))?;
    assert_eq!(took()?, "", "a datagram under a false address arrived");
    eventually("an honest datagram", || {
        let honest = format!("lab-server tell 0.0.0.0:0 {target}:9 honest");
        inside(cluster, "tiers", "near.1", &honest)?;
        let got = took()?;
        hold(got.contains("honest") && !got.contains("false"), || got)
    })
}

/// What is on internal networks only reaches its neighbours, and nothing of the outside: not even its own
/// host, but for names.
fn inner(cluster: &Cluster) -> Verdict {
    for host in [1, 3] {
        let outside = cluster.at(host, 7071)?;
        // What answers there does not speak HTTP; that it answers is enough.
        let line = format!("lab-server ask {outside} 2>&1 || true");
        let stopped = |from: &str| -> Step<bool> {
            let said = inside(cluster, "tiers", from, &line)?;
            Ok(said.contains("refused")
                || said.contains("No route")
                || said.contains("unreachable"))
        };
        assert!(stopped("db.1")?, "db reached host {host}");
        assert!(!stopped("api.1")?, "api did not reach host {host}");
    }
    Ok(())
}

/// Another project joins `front`, and reaches what is there; the project that has it cannot go meanwhile.
fn joined(cluster: &Cluster) -> Verdict {
    let guest = "name: guest\nservices:\n  client:\n    image: e2e/web:1\n    stop_grace_period: 1s\n    networks: [theirs]\nnetworks:\n  theirs: {external: true, name: tiers_front}\n";
    cluster.deploy_text(1, guest, &[])?.ok()?;
    eventually("the guest reaches what is on the network", || {
        fetch(cluster, "guest", "client.1", "web")?;
        fetch(cluster, "tiers", "api.1", "client")?;
        fetch(cluster, "guest", "client.1", "app").map(drop)
    })?;
    assert!(lookup(cluster, "guest", "client.1", "db")?.is_empty(), "db is not on it");
    for address in lookup(cluster, "tiers", "api.1", "tasks.db")? {
        let reached = fetch(cluster, "guest", "client.1", &address);
        assert!(reached.is_err(), "the guest reached db: {reached:?}");
    }
    let refused = cluster.refused(1, &["down", "-p", "tiers"], 1)?;
    assert!(refused.contains("guest"), "{refused}");
    cluster.undeploy(1, "guest")?;
    Ok(())
}
