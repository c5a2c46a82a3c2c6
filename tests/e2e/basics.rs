//! A new user's first hour: deploy, scale, look, follow, run something inside, release, remove.

use crate::cluster::{Cluster, MANAGERS, WEB, eventually, example, hold, say, seconds};
use crate::look::rows;
use lab::harness::Verdict;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

/// Bringing up the cluster is part of this test: the example runs, spread over hosts, and answers everywhere.
pub(crate) fn the_example_deploys(cluster: &Cluster) -> Verdict {
    let serve = cluster.serving(2, ("app", "web"), 2, None)?;
    assert_ne!(serve[0].node, serve[1].node, "two replicas share a node while one is empty");
    for host in MANAGERS {
        let reply = cluster.ask(host, WEB, "/")?;
        assert!(reply.body.contains("version 1"), "{}", reply.body);
    }
    let (leader, _) = cluster.roles()?;
    say(&format!("host{leader} leads"));
    Ok(())
}

/// Up, down and up again; numbers are filled from the smallest; one replica answers on all nodes.
pub(crate) fn scale_up_and_down(cluster: &Cluster) -> Verdict {
    for (wish, count) in [("web=4", 4), ("web=1", 1), ("web=2", 2)] {
        let started = lab::now();
        cluster.scale_app(wish)?;
        say(&format!("{wish} after {}", seconds(started.elapsed())));
        let serve = cluster.serving(1, ("app", "web"), count, None)?;
        let names: BTreeSet<_> = serve.iter().map(|r| r.name.clone()).collect();
        if count == 4 {
            let first: BTreeSet<_> = (1..=4).map(|n| format!("web.{n}")).collect();
            assert_eq!(names, first);
        }
        cluster.whole()?;
        for host in MANAGERS {
            assert_eq!(cluster.ask(host, WEB, "/")?.status, 200, "through host{host} with {wish}");
        }
    }
    cluster.refused(1, &["scale", "-p", "app", "nothing=2"], 1)?;
    cluster.refused(1, &["scale", "-p", "nothing", "web=2"], 1)?;
    cluster.refused(1, &["scale", "-p", "app", "web"], 2)?;
    Ok(())
}

/// A file that names a number takes precedence over a scale, and says so.
pub(crate) fn a_deploy_resets_the_scale_and_says_so(cluster: &Cluster) -> Verdict {
    cluster.say(1, &["scale", "-p", "app", "web=3", "clock=2"])?;
    let done = cluster.deploy(2, &example("app.yml"))?;
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(said.contains("3 → 2, as the file says"), "{said}");
    assert!(!said.contains("2 → 1"), "the file does not say how many clocks: {said}");
    cluster.serving(1, ("app", "clock"), 2, None)?;
    cluster.scale_app("clock=1")?;
    let before = cluster.running(&MANAGERS)?;
    cluster.deploy(1, &example("app.yml"))?;
    assert_eq!(before, cluster.running(&MANAGERS)?, "the same file again restarts something");
    Ok(())
}

/// Every listing through every host, for people and for scripts.
pub(crate) fn listings(cluster: &Cluster) -> Verdict {
    for host in MANAGERS {
        for (words, wanted) in [
            ("ps", "app/web.1"),
            ("ls", "app"),
            ("ls -p app", "clock"),
            ("status", "host2"),
            ("nodes", "leader"),
            ("events", "app deployed"),
            ("inspect app/web.1", "web"),
            ("inspect host1", "host1"),
            ("nodes inspect host3", "host3"),
            ("version", "clusterd"),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let said = cluster.say(host, &words)?.stdout;
            assert!(said.contains(wanted), "`{words:?}` lacks `{wanted}`:\n{said}");
            let json: Vec<&str> = ["--json"].into_iter().chain(words.iter().copied()).collect();
            let said = cluster.say(host, &json)?.stdout;
            let value: Value =
                serde_json::from_str(&said).map_err(|e| format!("{words:?}: {e} in {said}"))?;
            assert!(value.is_array() || value.is_object(), "{words:?}: {said}");
        }
    }
    let status = cluster.status(1)?;
    assert_eq!(status.losses.len(), 3, "a verdict for each node");
    for loss in &status.losses {
        assert!(loss.survivable, "losing {} is not survivable: {:?}", loss.node, loss.why);
    }
    say(&format!("remarks of a healthy cluster: {:?}", status.remarks));
    cluster.refused(1, &["inspect", "app/nothing.1"], 1)?;
    cluster.refused(1, &["logs", "-p", "app", "nothing"], 1)?;
    Ok(())
}

/// Logs of replicas on different hosts in one stream, each line behind its replica; following goes on.
pub(crate) fn logs_are_merged_and_followed(cluster: &Cluster) -> Verdict {
    let said = cluster.say(3, &["-p", "app", "logs", "--tail", "20"])?.stdout;
    for name in ["web.1", "web.2", "clock.1"] {
        assert!(said.lines().any(|line| line.starts_with(name)), "no line of {name} in:\n{said}");
    }
    let mut follower =
        cluster.clusterctl_spawn(2, &["-p", "app", "logs", "-f", "--tail", "0", "clock"])?;
    let pipe = follower.stdout.take().expect("its output is piped");
    let ticks: Vec<String> = BufReader::new(pipe).lines().map_while(Result::ok).take(5).collect();
    let _ = follower.kill();
    let _ = follower.wait();
    let numbers: Vec<u64> =
        ticks.iter().filter_map(|l| l.rsplit(' ').next()?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1) && numbers.len() == 5, "{ticks:?}");
    Ok(())
}

/// A command in a replica, wherever that is: its output, its input, its exit code.
pub(crate) fn exec_runs_inside(cluster: &Cluster) -> Verdict {
    for host in MANAGERS {
        let script = "echo out; echo err >&2; exit 7";
        let done =
            cluster.clusterctl(host, &["-p", "app", "exec", "web.1", "--", "sh", "-c", script])?;
        assert_eq!((done.code, done.stdout.as_str()), (Some(7), "out\n"), "{}", done.stderr);
        assert!(done.stderr.contains("err"), "{}", done.stderr);
    }
    let mut command = cluster.clusterctl_command(1)?;
    command.args([
        "-p",
        "app",
        "exec",
        "-i",
        "web.2",
        "--",
        "sh",
        "-c",
        "read word; echo got $word",
    ]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().expect("its input is piped").write_all(b"this\n")?;
    let output = child.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got this\n");
    cluster.refused(1, &["-p", "app", "exec", "web.9", "--", "true"], 1)?;
    Ok(())
}

/// A new release reaches all replicas while requests go on, and no request fails.
pub(crate) fn a_release_drops_no_request(cluster: &Cluster) -> Verdict {
    let image = cluster.image("2")?;
    let loaded = cluster.say(1, &["--json", "image", "load", &image.path.display().to_string()])?;
    assert_eq!(rows(&loaded.stdout, "nodes")?.len(), 3, "{}", loaded.stdout);
    cluster.scale_app("web=3")?;
    let text = std::fs::read_to_string(example("app.yml"))?;
    let load = cluster.load(&MANAGERS)?;
    lab::pause(Duration::from_secs(1));
    let second = text.replace("e2e/web:1", "e2e/web:2").replace("replicas: 2", "replicas: 3");
    let done = cluster.deploy_text(1, &second, &[])?.ok()?;
    cluster.whole()?;
    for host in MANAGERS {
        assert!(cluster.ask(host, WEB, "/")?.body.contains("version 2"));
    }
    let report = load.stop();
    say(&format!(
        "new release after {}; {} requests, {} failed, {} with one retry",
        seconds(done.took),
        report.samples.len(),
        report.failed(),
        report.failed_with_retry()
    ));
    assert_eq!(report.failed(), 0, "{:?}", report.errors());
    cluster.deploy(1, &example("app.yml"))?;
    Ok(())
}

/// `down` removes containers and networks, and says when there is nothing to remove.
pub(crate) fn down_leaves_no_containers(cluster: &Cluster) -> Verdict {
    let done = cluster.undeploy(3, "app")?;
    say(&format!("down after {}", seconds(done.took)));
    eventually("engines without a trace of the project", || {
        for host in MANAGERS {
            let kinds = [vec!["ps", "--all", "--quiet"], vec!["network", "ls", "--quiet"]];
            for mut words in kinds {
                words.extend(["--filter", "label=cluster.project=app"]);
                let left = cluster.docker(host, &words)?.ok()?.stdout;
                hold(left.trim().is_empty(), || format!("host{host} has {words:?}: {left}"))?;
            }
        }
        Ok(())
    })?;
    for host in MANAGERS {
        assert!(cluster.ask(host, WEB, "/").is_err(), "host{host} still answers");
    }
    cluster.refused(1, &["down", "-p", "app"], 1)?;
    cluster.deploy(1, &example("app.yml"))?;
    Ok(())
}
