//! What is refused at deploy, before anything starts, and with which words.

use crate::cluster::{Cluster, MANAGERS, Step, hold, say, seconds};
use crate::look::rows;
use crate::wire;
use api::v1;
use lab::Finished;
use lab::harness::Verdict;
use serde_json::Value;
use std::thread;

/// A one-service project around some lines of its service.
fn project(name: &str, lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    format!("name: {name}\nservices:\n  it:\n    image: e2e/web:1\n    {lines}\n")
}

/// Insists that a deploy is refused with all of these words, and leaves nothing.
fn refused(cluster: &Cluster, text: &str, more: &[&str], words: &[&str]) -> Step<Finished> {
    let done = cluster.deploy_text(1, text, more)?;
    let said = format!("{}{}", done.stdout, done.stderr);
    hold(done.code == Some(1), || format!("exit {:?} for:\n{text}\n{said}", done.code))?;
    for word in words {
        hold(said.contains(word), || format!("`{word}` is not in: {said}\nfor:\n{text}"))?;
    }
    let listed = cluster.say(1, &["--json", "ls"])?.stdout;
    hold(rows(&listed, "projects")?.len() == 1, || format!("something is deployed: {listed}"))?;
    Ok(done)
}

/// An image that no node has and no registry gives.
pub(crate) fn image_missing(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    let text = project("bad", "scale: 2").replace("e2e/web:1", "e2e/nowhere:9");
    let done = refused(cluster, &text, &[], &["e2e/nowhere:9", "image load"])?;
    say(&format!("refused after {}", seconds(done.took)));
    assert_eq!(before, cluster.running(&MANAGERS)?);
    Ok(())
}

/// Attack 13: what would hand over the host names the flag that allows it.
pub(crate) fn attack_13_host_access(cluster: &Cluster) -> Verdict {
    for source in
        ["/", "/proc", "/var/run/docker.sock", "/run", "/var/lib/clusterd", "/srv/../proc"]
    {
        let text = project("bad", &format!("volumes:\n  - {source}:/host"));
        refused(cluster, &text, &[], &["docker-compose.yml:6:", "--allow-host"])?;
    }
    for (line, key) in [
        ("privileged: true", "privileged"),
        ("pid: host", "pid"),
        ("ipc: host", "ipc"),
        ("network_mode: host", "network_mode"),
        ("cap_add: [ALL]", "cap_add"),
        ("devices: [\"/dev/sda:/dev/sda\"]", "devices"),
        ("security_opt: [\"seccomp:unconfined\"]", "security_opt"),
        ("userns_mode: host", "userns_mode"),
    ] {
        refused(
            cluster,
            &project("bad", line),
            &[],
            &["docker-compose.yml:5:", key, "--allow-host"],
        )?;
    }
    // With the flag it is the user's word; a dry run shows it without doing it.
    let text = project("bad", "volumes:\n  - /proc:/host:ro");
    let done = cluster.deploy_text(1, &text, &["--allow-host", "--dry-run"])?;
    assert!(done.success(), "{}{}", done.stdout, done.stderr);
    // The flag is the cluster's to ask for, not only the command's: a document that was made elsewhere.
    let document =
        "name: bad\nservices:\n  it:\n    image: e2e/web:1\n    volumes:\n      - /proc:/host\n";
    let said = wire::local(cluster, 1, async |mut admin| {
        let document = document.to_owned();
        admin.deploy(v1::DeployRequest { document, ..v1::DeployRequest::default() }).await
    })?;
    assert!(said.is_err(), "a daemon believes a document");
    policy_is_the_clusters(cluster)
}

/// A policy lets the project through, from any host and without a flag, until it is revoked.
fn policy_is_the_clusters(cluster: &Cluster) -> Verdict {
    let text = project("handed", "uts: host");
    let grant = "clusterctl policy grant -p handed uts";
    refused(cluster, &text, &[], &["docker-compose.yml:5:5", grant])?;
    cluster.say(2, &["policy", "grant", "-p", "handed", "uts"])?;
    let said = cluster.say(3, &["policy", "show", "-p", "handed"])?.stdout;
    assert_eq!(said, "handed  uts\n");
    cluster.deploy_text(1, &text, &[])?.ok()?;
    let more = project("handed", "uts: host\npid: host");
    let done = cluster.deploy_text(1, &more, &[])?;
    let words = ["docker-compose.yml:6:5", "clusterctl policy grant -p handed pid"];
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    assert!(words.iter().all(|w| done.stderr.contains(w)), "{}", done.stderr);
    // One value is granted without the others.
    let text_of = |name: &str| project("handed", &format!("uts: host\ncap_add: [{name}]"));
    let one = "clusterctl policy grant -p handed cap_add=SYS_TIME";
    let done = cluster.deploy_text(1, &text_of("SYS_TIME"), &[])?;
    assert!(done.code == Some(1) && done.stderr.contains(one), "{}", done.stderr);
    cluster.say(2, &["policy", "grant", "-p", "handed", "cap_add=SYS_TIME"])?;
    cluster.deploy_text(1, &text_of("SYS_TIME"), &[])?.ok()?;
    let said = cluster.say(3, &["policy", "ls", "-p", "handed"])?.stdout;
    assert_eq!(said, "handed  cap_add=SYS_TIME uts\n");
    let done = cluster.deploy_text(1, &text_of("SYS_BOOT"), &[])?;
    assert!(done.stderr.contains("grant -p handed cap_add=SYS_BOOT"), "{}", done.stderr);
    // What was revoked is not run beside the service either.
    cluster.say(1, &["policy", "revoke", "-p", "handed", "cap_add", "uts"])?;
    let said = cluster.refused(1, &["-p", "handed", "run", "--rm", "it"], 1)?;
    assert!(said.contains("clusterctl policy grant -p handed cap_add=SYS_TIME uts"), "{said}");
    cluster.undeploy(1, "handed")?;
    refused(cluster, &text, &[], &[grant])?;
    Ok(())
}

/// Fault 34 and attack 21: a published port has one service, and some are reserved.
pub(crate) fn fault_34_published_ports(cluster: &Cluster) -> Verdict {
    let text = project("other", "ports: [\"8080:80\"]");
    refused(cluster, &text, &[], &["8080", "other/it", "app/web"])?;
    for port in [22, 7070, 7071, 7072, 7073] {
        let text = project("other", &format!("ports: [\"{port}:80\"]"));
        refused(cluster, &text, &[], &[&port.to_string(), "reserved"])?;
    }
    let two = "name: other\nservices:\n  a: {image: \"e2e/web:1\", ports: [\"8085:80\"]}\n  \
               b: {image: \"e2e/web:1\", ports: [\"8085:80\"]}\n";
    refused(cluster, two, &[], &["8085"])?;
    Ok(())
}

/// Nonsense in the file is an error with its place, never silence.
pub(crate) fn unknown_keys(cluster: &Cluster) -> Verdict {
    refused(cluster, &project("bad", "imgae: x"), &[], &["docker-compose.yml:5:5", "image"])?;
    refused(cluster, "services: [", &[], &["docker-compose.yml:"])?;
    refused(cluster, &project("bad", "command: ${WHAT:?is not set}"), &[], &["is not set"])?;
    refused(cluster, &project("bad", "env_file: ../../../etc/shadow"), &[], &["shadow"])?;
    Ok(())
}

/// Attack 11: a small file that unfolds into a huge one is refused at once.
pub(crate) fn attack_11_unfolding_file(cluster: &Cluster) -> Verdict {
    let level = |n: usize| {
        let inner = if n == 0 { "x".to_owned() } else { format!("*a{}", n - 1) };
        format!("x-{n}: &a{n} [{}]", vec![inner; 10].join(", "))
    };
    let levels: Vec<String> = (0..12).map(level).collect();
    let service = project("bad", "command: *a11");
    let bomb = format!("{}\n{service}", levels.join("\n"));
    let done = refused(cluster, &bomb, &[], &["docker-compose.yml"])?;
    say(&format!("refused after {}", seconds(done.took)));
    let deep = format!("name: bad\nx-deep: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    refused(cluster, &deep, &[], &["docker-compose.yml"])?;
    let twice = "name: bad\nname: bad\nservices: {it: {image: a}}\n";
    refused(cluster, twice, &[], &["docker-compose.yml:2:1"])?;
    Ok(())
}

/// Attack 26: of two admins with the same knowledge one wins and the other is told.
pub(crate) fn attack_26_two_admins(cluster: &Cluster) -> Verdict {
    let seen = generation(cluster)?;
    let stamp = wire::local(cluster, 2, async |mut admin| {
        Ok(admin
            .status(v1::ReadRequest::default())
            .await?
            .into_inner()
            .read
            .map_or(0, |read| read.now))
    })??;
    let scale = |count: u32| {
        wire::local(cluster, 2, async move |mut admin| {
            let request = Some(v1::RequestId { stamp, high: 26, low: count.into() });
            let counts = [("clock".to_owned(), count)].into_iter().collect();
            admin.scale(v1::ScaleRequest { request, project: "app".into(), counts, seen }).await
        })
    };
    assert!(scale(2)?.is_ok());
    let second = scale(1)?.expect_err("the second saw what the first had changed");
    assert!(second.message().contains("somebody else changed app"), "{second:?}");
    // The same request again is the same request, not a third one.
    assert_eq!(scale(2)?.expect("a retry").into_inner().generation, seen + 1);
    assert_eq!(generation(cluster)?, seen + 1);

    let (mut won, mut told) = (0, 0);
    for round in 0..8 {
        let race = |host: u8, wish: &'static str| {
            cluster.clusterctl(host, &["scale", "-p", "app", wish, "--detach"])
        };
        let (one, other) = thread::scope(|scope| {
            let one = scope.spawn(move || race(1, "clock=1"));
            let other = scope.spawn(move || race(3, "clock=2"));
            (one.join().expect("no panic"), other.join().expect("no panic"))
        });
        for done in [one?, other?] {
            let said = format!("{}{}", done.stdout, done.stderr);
            let moved = done.code == Some(1) && said.contains("somebody else changed app");
            assert!(done.success() || moved, "round {round}: exit {:?}: {said}", done.code);
            won += u64::from(done.success());
            told += u64::from(moved);
        }
    }
    say(&format!("{won} writes accepted, {told} told that somebody was faster"));
    assert_eq!(generation(cluster)?, seen + 1 + won, "an update was lost, or made twice");
    cluster.scale_app("clock=1")
}

/// The generation of the shared project.
fn generation(cluster: &Cluster) -> Step<u64> {
    let listed = rows(&cluster.say(1, &["--json", "ls"])?.stdout, "projects")?;
    let app = listed.iter().find(|p| p["name"] == "app");
    app.and_then(|p| p["generation"].as_u64()).ok_or_else(|| format!("{listed:?}").into())
}

/// Attack 16: what is too large is refused at the boundary, and the daemon goes on.
pub(crate) fn attack_16_oversized(cluster: &Cluster) -> Verdict {
    let large = format!("{}# {}\n", project("bad", "scale: 1"), "x".repeat(2 << 20));
    refused(cluster, &large, &[], &["docker-compose.yml", "large"])?;
    let sent = wire::local(cluster, 1, async |mut admin| {
        let document = "x".repeat(100 << 20);
        admin.deploy(v1::DeployRequest { document, ..v1::DeployRequest::default() }).await
    })?;
    let refusal = sent.expect_err("100 MB were taken in");
    say(&format!("100 MB: {:?}", refusal.code()));
    let daemon = cluster.pid(1, lab::Part::Daemon)?.ok_or("the daemon is gone")?;
    let status = std::fs::read_to_string(format!("/proc/{daemon}/status"))?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let peak: u64 = peak.ok_or("no VmHWM")?;
    say(&format!("the daemon's memory at its highest: {} MB", peak / 1024));
    assert!(peak < 200 * 1024, "{peak} kB");
    let names = ["--json", "inspect", "app"];
    let value: Value = serde_json::from_str(&cluster.say(1, &names)?.stdout)?;
    assert!(!value.is_null());
    Ok(())
}
