//! Commands around the life of a container: before and after its start, before its stop.

use crate::cluster::{Cluster, Step, eventually, hold};
use lab::Part;
use lab::harness::Verdict;
use std::time::Duration;

/// One that writes down what is run in it, in a volume that outlives its containers.
fn diary(version: u8, post_start: &str) -> String {
    format!(
        r#"name: hooks
services:
  it:
    image: e2e/web:1
    stop_grace_period: 5s
    environment: {{VERSION: "{version}"}}
    volumes: ["diary:/diary"]
    post_start:
      - command: ["/bin/sh", "-c", "{post_start}"]
        environment: {{WHO: me}}
        working_dir: /diary
    pre_stop:
      - command: ["/bin/sh", "-c", "echo stops >> /diary/log"]
volumes: {{diary: {{}}}}
"#
    )
}

const LINE: &str = "echo $$WHO $$VERSION >> log";

fn read(cluster: &Cluster) -> Step<String> {
    let lines = "while read line; do echo \"$line\"; done < /diary/log";
    let words = ["-p", "hooks", "exec", "it", "--", "/bin/sh", "-c", lines];
    Ok(cluster.say(1, &words)?.stdout)
}

/// Both kinds are run; one that fails says why; a daemon that dies meanwhile runs none twice.
pub(crate) fn commands_around_a_container(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &diary(1, LINE), &[])?.ok()?;
    assert_eq!(read(cluster)?, "me 1\n");
    cluster.deploy_text(1, &diary(2, LINE), &[])?.ok()?;
    assert_eq!(read(cluster)?, "me 1\nstops\nme 2\n");
    cluster.deploy_text(1, &diary(3, "echo no such table >&2; exit 3"), &["--detach"])?.ok()?;
    eventually("the reason of the failure", || {
        let all = cluster.events(1, 100)?;
        let said = "failed: post_start ended with exit code 3: no such table";
        hold(all.iter().any(|e| e.ends_with(said)), || format!("{all:?}"))
    })?;
    let failing = r#"    entrypoint: ["/bin/sh", "-c"]
    command: ["exec /bin/start"]
    pre_start: [{command: ["echo cannot reach db >&2; exit 4"]}]
"#;
    let text = diary(3, LINE).replacen("    stop_grace", &format!("{failing}    stop_grace"), 1);
    cluster.deploy_text(1, &text, &["--detach"])?.ok()?;
    eventually("the reason of a failure before the start", || {
        let all = cluster.events(1, 100)?;
        let said = "failed: pre_start ended with exit code 4: cannot reach db";
        hold(all.iter().any(|e| e.ends_with(said)), || format!("{all:?}"))
    })?;
    let before = read_when_up(cluster, 4, LINE)?;
    let slow = format!("echo begins >> log; sleep 4; {LINE}");
    cluster.deploy_text(1, &diary(5, &slow), &["--detach"])?.ok()?;
    let host = eventually("the begin of a slow one", || {
        let all = cluster.ps(1, "hooks")?;
        hold(read(cluster)?.ends_with("begins\n"), || format!("{all:?}"))?;
        let there = all.iter().find(|r| !r.node.is_empty()).ok_or("it is nowhere")?;
        cluster.number(&there.node)
    })?;
    cluster.kill(host, Part::Daemon)?;
    lab::pause(Duration::from_millis(500));
    cluster.start_daemon(host)?;
    cluster.wait_daemon(host)?;
    cluster.serving(1, ("hooks", "it"), 1, None)?;
    assert_eq!(read(cluster)?, format!("{before}stops\nbegins\nme 5\n"));
    cluster.undeploy(1, "hooks")?;
    cluster.whole()?;
    Ok(())
}

fn read_when_up(cluster: &Cluster, version: u8, post_start: &str) -> Step<String> {
    cluster.deploy_text(1, &diary(version, post_start), &[])?.ok()?;
    let said = read(cluster)?;
    assert!(said.ends_with(&format!("me {version}\n")), "{said}");
    Ok(said)
}

/// What is run once runs once although the leader's host is lost meanwhile; what is run before each replica
/// is there when it starts.
pub(crate) fn pre_start_is_run_once(cluster: &Cluster) -> Verdict {
    let (leader, [other, _]) = cluster.roles()?;
    let text = format!(
        r#"name: before
services:
  web:
    image: e2e/web:1
    stop_grace_period: 1s
    entrypoint: ["/bin/sh", "-c"]
    command: ["test -f /shared/flag && exec /bin/start"]
    volumes: ["/shared"]
    deploy:
      replicas: 2
      placement: {{constraints: ["node.hostname != host{leader}"]}}
    pre_start:
      - {{command: ["sleep 8; echo migrated"], per_replica: false}}
      - {{command: ["echo ready > /shared/flag"]}}
"#
    );
    let seen = cluster.events(other, 2_000)?.len();
    cluster.deploy_text(other, &text, &["--detach"])?.ok()?;
    eventually("what is run once", || {
        let all = cluster.ps(other, "before")?;
        let runs = all.iter().any(|r| r.service == "web-pre-start" && r.condition == "running");
        hold(runs, || format!("{all:?}"))
    })?;
    assert!(cluster.ps(other, "before")?.iter().all(|r| r.service != "web" || r.node.is_empty()));
    cluster.cut(leader)?;
    cluster.serving(other, ("before", "web"), 2, Some(leader))?;
    let events = cluster.events(other, 2_000)?;
    let new = &events[seen.min(events.len() - 1)..];
    let said = |what: &str| {
        let of_step = |e: &&String| e.starts_with("before/web-pre-start.1 ") && e.contains(what);
        new.iter().filter(of_step).count()
    };
    assert_eq!((said("placed"), said("exited (0)")), (1, 1), "{new:#?}");
    cluster.heal(leader)?;
    cluster.undeploy(other, "before")?;
    cluster.whole()?;
    Ok(())
}
