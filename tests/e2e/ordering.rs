//! What waits for what: services that start after others, jobs that run once, services that live together.

use crate::cluster::{Cluster, Step, eventually, hold, say, seconds};
use lab::harness::Verdict;
use std::collections::BTreeSet;
use std::time::Duration;

/// A database that is healthy at the second look, what prepares it once, and what must not start before that.
const STACK: &str = r#"name: order
services:
  web:
    image: e2e/web:1
    stop_grace_period: 1s
    depends_on:
      migrate: {condition: service_completed_successfully}
      db: {condition: service_healthy}
    deploy: {replicas: 3}
  migrate:
    image: e2e/web:1
    entrypoint: ["/bin/sh", "-c", "echo prepared"]
    restart: "no"
    depends_on:
      db: {condition: service_healthy}
  db:
    image: e2e/web:1
    stop_grace_period: 1s
    healthcheck:
      test: ["CMD", "/bin/sh", "-c", "test -f /tmp/seen || { touch /tmp/seen; exit 1; }"]
      interval: 3s
      timeout: 2s
      retries: 5
"#;

/// At first start, across hosts.
pub(crate) fn services_start_in_order(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(2, STACK, &[])?.ok()?;
    cluster.serving(1, ("order", "web"), 3, None)?;
    in_order(&cluster.events(1, 200)?);
    cluster.deploy_text(1, STACK, &[])?.ok()?;
    assert_eq!(prepared(&cluster.events(1, 200)?), 1, "it was prepared again");
    cluster.undeploy(1, "order")?;
    Ok(())
}

/// The leader's host is lost half-way: the order holds, and what is done is not done again.
pub(crate) fn order_survives_the_leader(cluster: &Cluster) -> Verdict {
    let (leader, [other, _]) = cluster.roles()?;
    let seen = cluster.events(other, 2_000)?.len();
    cluster.deploy_text(other, STACK, &["--detach"])?.ok()?;
    eventually("the database's start", || {
        let all = cluster.ps(other, "order")?;
        hold(all.iter().any(|r| r.service == "db" && !r.node.is_empty()), || format!("{all:?}"))
    })?;
    cluster.cut(leader)?;
    let cut = lab::now();
    cluster.serving(other, ("order", "web"), 3, Some(leader))?;
    say(&format!("in order {} after the leader's host was cut off", seconds(cut.elapsed())));
    let events = cluster.events(other, 2_000)?;
    in_order(&events[seen.min(events.len() - 1)..]);
    cluster.heal(leader)?;
    cluster.undeploy(other, "order")?;
    cluster.whole()?;
    Ok(())
}

fn prepared(events: &[String]) -> usize {
    let ended = |e: &&String| e.starts_with("order/migrate.1 ") && e.ends_with("exited (0)");
    events.iter().filter(ended).count()
}

/// The last release's replicas came in the order that the file asks for.
fn in_order(events: &[String]) {
    let deployed = events.iter().rposition(|e| e.starts_with("order deployed")).unwrap_or(0);
    let first = |accept: &dyn Fn(&str) -> bool| {
        let found = events[deployed..].iter().position(|e| accept(e));
        found.unwrap_or_else(|| panic!("something is missing: {events:#?}"))
    };
    let healthy = first(&|e| e.starts_with("order/db.1 ") && e.ends_with(" running"));
    let begun = first(&|e| e.starts_with("order/migrate.1 placed"));
    let ended = first(&|e| e.starts_with("order/migrate.1 ") && e.ends_with("exited (0)"));
    let web = first(&|e| e.starts_with("order/web.") && e.contains(" placed"));
    assert!(healthy < begun && begun < ended && ended < web, "{events:#?}");
}

/// Three of a job, two at a time: each ends once, and a second deploy of the same file runs none.
pub(crate) fn a_job_completes(cluster: &Cluster) -> Verdict {
    let text = "name: job\nservices:\n  it:\n    image: e2e/web:1\n    \
                entrypoint: [\"/bin/sh\", \"-c\", \"echo done\"]\n    \
                deploy: {mode: replicated-job, replicas: 3}\n";
    cluster.deploy_text(3, text, &[])?.ok()?;
    let ended = || -> Step<usize> {
        let events = cluster.events(1, 200)?;
        let of_job = |e: &&String| e.starts_with("job/it.") && e.ends_with("exited (0)");
        Ok(events.iter().filter(of_job).count())
    };
    assert_eq!(ended()?, 3);
    cluster.deploy_text(1, text, &[])?.ok()?;
    lab::pause(Duration::from_secs(3));
    assert_eq!(ended()?, 3, "a job ran again");
    cluster.undeploy(1, "job")?;
    Ok(())
}

/// Four services that share a network, mounts and processes: always on one node, and moved as one.
pub(crate) fn a_group_moves_together(cluster: &Cluster) -> Verdict {
    let idle = "image: e2e/web:1\n    entrypoint: [\"/bin/sh\", \"-c\", \"exec sleep 3600\"]\n    \
                stop_grace_period: 0s\n    healthcheck: {disable: true}\n    ";
    let text = format!(
        "name: group\nservices:\n  app:\n    image: e2e/web:1\n    stop_grace_period: 1s\n    \
         volumes: [\"/shared\"]\n  \
         net:\n    {idle}network_mode: \"service:app\"\n  \
         files:\n    {idle}volumes_from: [app]\n  \
         processes:\n    {idle}pid: \"service:app\"\n"
    );
    cluster.deploy_text(1, &text, &[])?.ok()?;
    let home = together(cluster, 1, None)?;
    let inside = ["-p", "group", "exec", "net.1", "--", "/bin/sh", "-c", "netstat -ln"];
    let said = cluster.say(1, &inside)?.stdout;
    assert!(said.contains(":80 "), "the network is not that of `app`:\n{said}");
    let asker = cluster.numbers().find(|host| *host != home).expect("there are three");
    cluster.cut(home)?;
    let cut = lab::now();
    let moved = together(cluster, asker, Some(home))?;
    say(&format!("host{home} to host{moved} within {}", seconds(cut.elapsed())));
    cluster.heal(home)?;
    cluster.undeploy(asker, "group")?;
    cluster.whole()?;
    Ok(())
}

/// The host on which all four run.
fn together(cluster: &Cluster, asker: u8, without: Option<u8>) -> Step<u8> {
    eventually("the four on one host", || {
        let all = cluster.ps(asker, "group")?;
        let lost = without.map(|host| format!("host{host}"));
        let mut run = all.clone();
        run.retain(|r| r.condition == "running" && Some(&r.node) != lost.as_ref());
        let nodes: BTreeSet<_> = run.iter().map(|r| r.node.clone()).collect();
        hold(run.len() == 4 && nodes.len() == 1, || format!("{all:?}"))?;
        cluster.number(&run[0].node)
    })
}
