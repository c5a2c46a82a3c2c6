//! Roll-outs: a bad release goes back by itself, and one under way outlives the leader.

use crate::cluster::{Cluster, MANAGERS, eventually, example, hold, say, seconds};
use crate::look::rows;
use lab::Part;
use lab::harness::Verdict;

/// The shared app with three replicas, and more lines in its web service.
fn app(more: &str) -> std::io::Result<String> {
    let text = std::fs::read_to_string(example("app.yml"))?;
    let text = text.replace("replicas: 2", "replicas: 3");
    Ok(text.replacen("    ports:\n", &format!("{more}    ports:\n"), 1))
}

/// A release whose replicas end at once: `deploy` says so with its exit code, what ran before runs on, and no
/// request fails.
pub(crate) fn a_bad_release_goes_back(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &app("")?, &[])?.ok()?;
    let before = cluster.of("app", "web")?;
    let load = cluster.load(&MANAGERS)?;
    let bad = app("    entrypoint: [\"/bin/sh\", \"-c\", \"exit 3\"]\n")?;
    let done = cluster.deploy_text(2, &bad, &[])?;
    let said = format!("{}{}", done.stdout, done.stderr);
    assert_eq!(done.code, Some(1), "{said}");
    let reason = "1 of 3 new replicas failed (exited 3)";
    assert!(said.contains(&format!("app/web: {reason}; rolled back to release ")), "{said}");
    cluster.whole()?;
    let report = load.stop();
    say(&format!("back after {}; {} requests", seconds(done.took), report.samples.len()));
    assert_eq!(report.failed(), 0, "{:?}", report.errors());
    let after = cluster.of("app", "web")?;
    assert_eq!(format!("{after:?}"), format!("{before:?}"), "what ran before was left alone");
    let listed = cluster.say(3, &["-p", "app", "ps"])?;
    assert!(format!("{}{}", listed.stdout, listed.stderr).contains(reason), "{}", listed.stderr);
    let events = cluster.events(3, 200)?;
    assert!(events.iter().any(|e| e.starts_with("app/web is rolled back to release ")));
    cluster.deploy(1, &example("app.yml"))?;
    Ok(())
}

/// The leader is killed when the first replica has been exchanged: the others follow, and none twice.
pub(crate) fn a_rollout_survives_the_leader(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &app("")?, &[])?.ok()?;
    let (leader, [other, _]) = cluster.roles()?;
    let slow = app("    environment: {RELEASE: two}\n")?
        .replace("replicas: 3", "replicas: 3\n      update_config: {delay: 3s}");
    let load = cluster.load(&MANAGERS)?;
    cluster.deploy_text(other, &slow, &["--detach"])?.ok()?;
    let state = || -> crate::cluster::Step<(String, u64)> {
        let listed = cluster.say(other, &["--json", "-p", "app", "ls"])?.stdout;
        let services = rows(&listed, "services")?;
        let web = services.iter().find(|s| s["name"] == "web").ok_or("no web")?;
        let state = web["rollout"]["state"].as_str().unwrap_or_default().to_owned();
        Ok((state, web["updated"].as_u64().unwrap_or_default()))
    };
    eventually("the first replica", || {
        let (word, updated) = state()?;
        hold(word == "rolling out" && updated == 1, || format!("{word}, {updated} updated"))
    })?;
    cluster.kill(leader, Part::Daemon)?;
    let killed = lab::now();
    eventually("the end of the roll-out", || {
        let (word, updated) = state()?;
        hold(word == "completed" && updated == 3, || format!("{word}, {updated} updated"))
    })?;
    say(&format!("completed {} after the leader was killed", seconds(killed.elapsed())));
    let events = cluster.events(other, 2_000)?;
    let begun = events.iter().rposition(|e| e.starts_with("app/web rolls out")).unwrap_or(0);
    let placed = |e: &&String| e.starts_with("app/web.") && e.contains(" placed on ");
    assert_eq!(events[begun..].iter().filter(placed).count(), 3, "{:#?}", &events[begun..]);
    cluster.start_daemon(leader)?;
    cluster.wait_daemon(leader)?;
    cluster.whole()?;
    let report = load.stop();
    assert_eq!(report.failed(), 0, "{:?}", report.errors());
    cluster.deploy(1, &example("app.yml"))?;
    Ok(())
}
