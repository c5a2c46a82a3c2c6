//! Replicas that cannot run say why, in words; wishes about nodes are followed.

use crate::cluster::{Cluster, MANAGERS, Step, WEB, eventually, hold, say, seconds};
use lab::harness::Verdict;
use std::time::Duration;

/// A project of one service that need not come to anything.
fn detached(cluster: &Cluster, name: &str, lines: &str) -> Step<()> {
    let lines = lines.replace('\n', "\n    ");
    let text = format!(
        "name: {name}\nservices:\n  it:\n    image: e2e/web:1\n    stop_grace_period: 1s\n    {lines}\n"
    );
    cluster.deploy_text(1, &text, &["--detach"])?.ok()?;
    Ok(())
}

/// No node has that much: the reason has both amounts, and waiting for it ends with the truth.
pub(crate) fn no_room(cluster: &Cluster) -> Verdict {
    let wish = "deploy: {resources: {reservations: {memory: 900G}}}";
    detached(cluster, "huge", wish)?;
    let reason = cluster.reason("huge", |r| r.contains("lack memory"))?;
    say(&reason);
    assert!(reason.contains("900 GiB") && reason.contains("best has"), "{reason}");
    let said = cluster.refused(1, &["-p", "huge", "scale", "it=2", "--timeout", "3s"], 1)?;
    assert!(said.contains("lack memory"), "the truth is not told: {said}");
    let status = cluster.say(1, &["status"])?.stdout;
    assert!(status.contains("huge/it.1") && status.contains("lack memory"), "{status}");
    cluster.undeploy(1, "huge")?;
    Ok(())
}

/// A constraint that no node satisfies waits; a label satisfies it; a moved label moves the replica.
pub(crate) fn constraints_follow_labels(cluster: &Cluster) -> Verdict {
    detached(cluster, "fast", "deploy: {placement: {constraints: [node.labels.disk == ssd]}}")?;
    let reason = cluster.reason("fast", |r| r.contains("satisfy"))?;
    say(&reason);
    assert!(reason.contains("node.labels.disk"), "{reason}");
    for host in ["host2", "host3"] {
        cluster.say(1, &["nodes", "label", host, "disk=ssd"])?;
        let serve = cluster.serving(1, ("fast", "it"), 1, None);
        eventually(&format!("the replica on {host}"), || {
            let serve = cluster.serving(1, ("fast", "it"), 1, None)?;
            hold(serve[0].node == host, || format!("{serve:?}"))
        })?;
        serve?;
        cluster.say(1, &["nodes", "label", host, "disk-"])?;
        cluster.reason("fast", |r| r.contains("satisfy"))?;
    }
    cluster.undeploy(1, "fast")?;
    Ok(())
}

/// Fault 32: a crash loop slows down and says so.
pub(crate) fn fault_32_crash_loop(cluster: &Cluster) -> Verdict {
    let started = lab::now();
    detached(cluster, "loop", "environment: {CRASH_AFTER_MS: \"50\"}")?;
    let reason = cluster.reason("loop", |r| r.contains("backing off"))?;
    say(&reason);
    assert!(reason.contains("failure"), "{reason}");
    let restarts = eventually("the third restart", || {
        let all = cluster.ps(1, "loop")?;
        let most = all.iter().map(|r| r.restarts).max().unwrap_or(0);
        hold(most >= 3, || format!("{all:?}")).map(|()| most)
    })?;
    // Waits of 1 s, 2 s, 4 s ... lie between them, however fast everything else is.
    let least = Duration::from_secs((1 << (restarts - 1)) - 1);
    let took = started.elapsed();
    say(&format!("{restarts} restarts within {}", seconds(took)));
    assert!(took >= least, "{restarts} restarts within {took:?}");
    let said = cluster.say(1, &["-p", "loop", "logs"])?.stdout;
    assert!(said.contains("listens"), "the logs of dead copies are not there: {said}");
    cluster.undeploy(1, "loop")?;
    Ok(())
}

/// A port on the replica's own node: one replica per node, and the next one waits for a node without it.
pub(crate) fn host_ports(cluster: &Cluster) -> Verdict {
    detached(
        cluster,
        "own",
        "ports: [{target: 80, published: 8086, mode: host}]\ndeploy: {replicas: 4}",
    )?;
    let serve = cluster.serving(1, ("own", "it"), 3, None)?;
    for replica in &serve {
        let host = cluster.number(&replica.node)?;
        eventually(&format!("an answer of {}", replica.node), || cluster.ask(host, 8086, "/"))?;
    }
    let reason = cluster.reason("own", |r| r.contains("port 8086 in use"))?;
    say(&reason);
    cluster.undeploy(1, "own")?;
    Ok(())
}

/// A port that something else holds on one node: the others serve it, and `status` names port and node.
pub(crate) fn fault_34_foreign_process(cluster: &Cluster) -> Verdict {
    let mut squatter = cluster.exec_command(2, "/bin/busybox")?;
    squatter.args(["timeout", "20", "nc", "-ll", "-p", "8087", "-e", "/bin/true"]);
    let mut squatter = squatter.spawn()?;
    detached(cluster, "shared", "ports: [\"8087:80\"]")?;
    let remark = eventually("a remark about the port", || {
        let remarks = cluster.status(1)?.remarks;
        let found = remarks.iter().find(|r| r.contains("8087") && r.contains("host2")).cloned();
        found.ok_or_else(|| format!("{remarks:?}").into())
    })?;
    say(&remark);
    for host in [1, 3] {
        eventually("an answer of the other hosts", || cluster.ask(host, 8087, "/"))?;
    }
    squatter.wait()?;
    eventually("an answer once the port is free", || cluster.ask(2, 8087, "/"))?;
    cluster.undeploy(1, "shared")?;
    Ok(())
}

/// A global service runs once on each node, and a bind whose source is not there is an error, not a folder.
pub(crate) fn global_services_and_binds(cluster: &Cluster) -> Verdict {
    detached(cluster, "every", "deploy: {mode: global}")?;
    let serve = cluster.serving(1, ("every", "it"), 3, None)?;
    let nodes: std::collections::BTreeSet<_> = serve.iter().map(|r| r.node.clone()).collect();
    assert_eq!(nodes.len(), 3, "{serve:?}");
    let said = cluster.refused(1, &["scale", "-p", "every", "it=2"], 1)?;
    assert!(said.contains("global"), "{said}");
    cluster.undeploy(1, "every")?;

    let source = cluster.options().root.join("no-such-source");
    detached(cluster, "bound", &format!("volumes: [\"{}:/data\"]", source.display()))?;
    let reason = cluster.reason("bound", |r| r.contains("no-such-source"))?;
    say(&reason);
    assert!(!source.exists(), "a missing source was made");
    cluster.undeploy(1, "bound")?;
    let done = cluster.deploy_text(
        1,
        "name: bound\nservices:\n  it: {image: \"e2e/web:1\", volumes: [\"./here:/data\"]}\n",
        &[],
    )?;
    assert_eq!(
        done.code,
        Some(1),
        "a relative bind on three nodes: {}{}",
        done.stdout,
        done.stderr
    );
    Ok(())
}

/// A replica that fails its check is replaced, and gets no requests meanwhile.
pub(crate) fn the_unhealthy_are_replaced(cluster: &Cluster) -> Verdict {
    let before = cluster.of("app", "web")?;
    assert_eq!(cluster.ask(1, WEB, "/unhealthy")?.body.trim(), "unhealthy");
    let started = lab::now();
    eventually("another container", || {
        let now = cluster.of("app", "web")?;
        let kept = before.iter().filter(|c| now.contains(c)).count();
        hold(now.len() == 2 && kept == 1, || format!("{now:?}"))
    })?;
    cluster.whole()?;
    say(&format!("replaced after {}", seconds(started.elapsed())));
    let events = cluster.events(1, 30)?;
    assert!(events.iter().any(|e| e.contains("is unhealthy")), "{events:?}");
    Ok(())
}

/// A drained node is emptied and left alone until it is used again; meanwhile all hosts answer.
pub(crate) fn drain_and_activate(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=6")?;
    cluster.whole()?;
    let load = cluster.load(&MANAGERS)?;
    let done = cluster.say(1, &["nodes", "drain", "host2"])?;
    assert!(cluster.running(&[2])?.is_empty(), "a drained node still runs something");
    cluster.serving(1, ("app", "web"), 6, Some(2))?;
    cluster.scale_app("web=7")?;
    assert!(cluster.running(&[2])?.is_empty(), "a drained node got something new");
    assert_eq!(cluster.ask(2, WEB, "/")?.status, 200, "a drained node still carries requests");
    let nodes = cluster.say(3, &["nodes"])?.stdout;
    assert!(nodes.contains("drain"), "{nodes}");
    cluster.say(1, &["nodes", "activate", "host2"])?;
    cluster.scale_app("web=9")?;
    assert!(!cluster.running(&[2])?.is_empty(), "an activated node gets nothing");
    let report = load.stop();
    say(&format!(
        "drained after {}; {} requests, {} failed, {} with one retry",
        seconds(done.took),
        report.samples.len(),
        report.failed(),
        report.failed_with_retry()
    ));
    assert_eq!(report.failed(), 0, "{:?}", report.errors());
    cluster.scale_app("web=2")
}

/// A paused node keeps what it has and gets nothing new.
pub(crate) fn pause_keeps_what_runs(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=3")?;
    cluster.whole()?;
    let before = cluster.running(&[3])?;
    cluster.say(1, &["nodes", "pause", "host3"])?;
    cluster.scale_app("web=6")?;
    assert_eq!(before, cluster.running(&[3])?, "a paused node changed");
    cluster.say(1, &["nodes", "activate", "host3"])?;
    cluster.scale_app("web=2")
}

/// Fault 20: what is stopped, killed or removed by hand is noticed and replaced.
pub(crate) fn fault_20_removed_by_hand(cluster: &Cluster) -> Verdict {
    for words in [vec!["rm", "--force"], vec!["kill"], vec!["stop", "--time", "1"]] {
        let victim =
            cluster.of("app", "web")?.into_iter().next().ok_or("no container of app/web")?;
        let others = cluster.of("app", "web")?.into_iter().skip(1).collect::<Vec<_>>();
        let started = lab::now();
        let words: Vec<&str> = words.iter().copied().chain([victim.id.as_str()]).collect();
        cluster.docker(victim.host, &words)?.ok()?;
        eventually("another container in its place", || {
            let now = cluster.of("app", "web")?;
            let gone = !now.iter().any(|c| c.id == victim.id);
            hold(gone && now.len() == others.len() + 1, || format!("{now:?}"))
        })?;
        cluster.serving(1, ("app", "web"), 2, None)?;
        say(&format!("`docker {}`: replaced after {}", words[0], seconds(started.elapsed())));
        let now = cluster.of("app", "web")?;
        assert!(others.iter().all(|c| now.contains(c)), "the other replicas were touched");
        cluster.whole()?;
    }
    let events = cluster.events(1, 100)?;
    assert!(
        events.iter().any(|e| e.starts_with("app/web.") && e.contains("placed on")),
        "{events:?}"
    );
    Ok(())
}
