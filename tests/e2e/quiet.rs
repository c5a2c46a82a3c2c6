//! What the daemons' logs may say: nothing a person must look at, and in calm weather nothing odd either.

use crate::cluster::{Cluster, MANAGERS, hold};
use lab::harness::Verdict;
use std::fs;

/// Before anything is broken no daemon has anything to warn of.
pub(crate) fn calm_logs(cluster: &Cluster) -> Verdict {
    lines(cluster, &["WARN", "ERROR"])
}

/// What is an error although it was provoked: a person must look at a host whose log was damaged.
const PROVOKED: [&str; 1] = ["this node does not take part"];

/// Whatever was broken, nothing else was an error: every fault of this suite is one that is answered.
pub(crate) fn no_errors(cluster: &Cluster) -> Verdict {
    lines(cluster, &["ERROR"])
}

/// Secrets that went through the daemons and the command line stand in no log: join tokens, private keys.
pub(crate) fn no_secrets(cluster: &Cluster) -> Verdict {
    for number in cluster.numbers() {
        let host = cluster.host(number)?;
        let log = fs::read(host.daemon_log())?;
        let text = String::from_utf8_lossy(&log);
        for secret in ["CLUSTER-1-", "PRIVATE KEY", "E2E-SECRET"] {
            hold(!text.contains(secret), || format!("`{secret}` is in the log of {}", host.name))?;
        }
    }
    Ok(())
}

/// Values of the environment are seen by the container and by nobody else; figures are served on loopback only.
pub(crate) fn environment_and_metrics(cluster: &Cluster) -> Verdict {
    let text = "name: kept\nservices:\n  it:\n    image: e2e/web:1\n    stop_grace_period: 1s\n    \
                environment: {WORD: E2E-SECRET}\n";
    cluster.deploy_text(1, text, &[])?.ok()?;
    let inside = cluster.say(1, &["-p", "kept", "exec", "it.1", "--", "sh", "-c", "echo $WORD"])?;
    assert_eq!(inside.stdout, "E2E-SECRET\n");
    for words in ["inspect kept", "inspect kept/it.1", "ps", "status", "events", "ls"] {
        for json in [false, true] {
            let mut words: Vec<&str> = words.split(' ').collect();
            words.extend(json.then_some("--json"));
            let said = cluster.say(2, &words)?;
            hold(!said.stdout.contains("E2E-SECRET"), || format!("`{words:?}` shows a value"))?;
        }
    }
    cluster.undeploy(1, "kept")?;
    let metrics = "http://127.0.0.1:7072/metrics";
    for host in MANAGERS {
        let said = cluster.exec(host, "/bin/busybox", &["wget", "-q", "-O", "-", metrics])?;
        assert!(said.stdout.contains("# TYPE"), "{}{}", said.stdout, said.stderr);
        assert!(cluster.ask(host, 7072, "/metrics").is_err(), "figures are served to strangers");
    }
    Ok(())
}

fn lines(cluster: &Cluster, levels: &[&str]) -> Verdict {
    let mut found = Vec::new();
    for number in cluster.numbers() {
        let host = cluster.host(number)?;
        let log = fs::read(host.daemon_log())?;
        let text = String::from_utf8_lossy(&log);
        let odd = text.lines().filter(|line| {
            line.contains("panicked at")
                || line.split_whitespace().take(3).any(|word| levels.contains(&word))
        });
        let odd = odd.filter(|line| !PROVOKED.iter().any(|words| line.contains(words)));
        found.extend(odd.map(|line| format!("{}: {line}", host.name)));
    }
    let count = found.len();
    found.truncate(20);
    hold(count == 0, || format!("{count} lines:\n{}", found.join("\n")))
}
