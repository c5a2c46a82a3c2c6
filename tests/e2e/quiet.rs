//! What the daemons' logs may say: nothing a person must look at, and in calm weather nothing odd either.

use crate::cluster::{Cluster, hold};
use lab::harness::Verdict;
use std::fs;

/// Before anything is broken no daemon has anything to warn of.
pub(crate) fn calm_logs(cluster: &Cluster) -> Verdict {
    lines(cluster, &["WARN", "ERROR"])
}

/// Whatever was broken, nothing was an error: every fault of this suite is one that is answered.
pub(crate) fn no_errors(cluster: &Cluster) -> Verdict {
    lines(cluster, &["ERROR"])
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
        found.extend(odd.map(|line| format!("{}: {line}", host.name)));
    }
    let count = found.len();
    found.truncate(20);
    hold(count == 0, || format!("{count} lines:\n{}", found.join("\n")))
}
