//! `run`: a command once, in a container of its own.

use crate::cluster::{Cluster, eventually, hold};
use lab::harness::Verdict;

const PROJECT: &str = r"name: once
services:
  it:
    image: e2e/web:1
    stop_grace_period: 1s
    environment: {GREETING: hello}
";

/// Its output and exit code come back, and nothing of it is left.
pub(crate) fn run_gives_output_and_exit_code(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, PROJECT, &[])?.ok()?;
    let script = "echo $GREETING $WHO; echo odd >&2; exit 7";
    let words = ["-p", "once", "run", "--rm", "-e", "WHO=you", "--entrypoint", "/bin/sh", "it"];
    let done = cluster.clusterctl(2, &[&words[..], &["-c", script]].concat())?;
    assert_eq!(done.code, Some(7), "{}{}", done.stdout, done.stderr);
    assert_eq!(done.stdout, "hello you\n", "{}", done.stderr);
    assert!(done.stderr.contains("odd\n"), "{}", done.stderr);
    eventually("nothing of it left", || {
        let all = cluster.ps(1, "once")?;
        hold(all.iter().all(|r| r.service == "it"), || format!("{all:?}"))
    })?;
    // Without --rm it stays until it is old, a deploy does not mind, and its name is taken.
    let named =
        ["-p", "once", "run", "--name", "mine", "--entrypoint", "/bin/sh", "it", "-c", "exit 0"];
    cluster.say(1, &named)?;
    cluster.deploy_text(1, PROJECT, &[])?.ok()?;
    let said = cluster.refused(1, &named, 1)?;
    assert!(said.contains("choose another name"), "{said}");
    cluster.undeploy(1, "once")?;
    Ok(())
}
