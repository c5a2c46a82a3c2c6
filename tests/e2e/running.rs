//! `run`: a command once, in a container of its own.

use crate::cluster::{Cluster, eventually, hold};
use lab::harness::Verdict;
use std::io::Write;
use std::process::Stdio;

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

/// What is typed reaches it over whichever hosts, with a terminal of our size where that is asked for.
pub(crate) fn run_talks_to_who_runs_it(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, PROJECT, &[])?.ok()?;
    let talk = |host: u8, flags: &str, script: &str, input: &[u8]| -> Result<_, String> {
        let words = ["-p", "once", "run", flags, "--rm", "--entrypoint", "/bin/sh", "it", "-c"];
        let mut child = cluster
            .clusterctl_spawn(host, &[&words[..], &[script]].concat())
            .map_err(|e| e.to_string())?;
        let mut stdin = child.stdin.take().expect("its input is piped");
        stdin.write_all(input).map_err(|e| e.to_string())?;
        // Its end is told as well: `cat` reads until then.
        drop(stdin);
        child.wait_with_output().map_err(|e| e.to_string())
    };
    for host in 1..=3 {
        let script = "read word; echo got $word; cat; exit 6";
        let done = talk(host, "-i", script, b"this\nand that\n")?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!((done.status.code(), said.as_str()), (Some(6), "got this\nand that\n"));
    }
    let done = talk(1, "-t", "test -t 1 && echo a terminal; exit 5", b"")?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!((done.status.code(), said.trim()), (Some(5), "a terminal"));
    // With a terminal at this end too: keys as they are typed, and its size.
    let mut command = cluster.clusterctl_command(2)?;
    command.args(["-p", "once", "run", "-it", "--rm", "--entrypoint", "/bin/sh", "it", "-c"]);
    command.arg("read word; stty size; echo got $word; exit 4");
    let line = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> =
        line.map(|w| format!("'{}'", w.to_string_lossy().replace('\'', "'\\''"))).collect();
    let line = format!("stty rows 21 cols 61; {}", line.join(" "));
    let mut child = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("its input is piped");
    stdin.write_all(b"typed\n")?;
    let done = child.wait_with_output()?;
    drop(stdin);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(4), "{said}");
    assert!(said.contains("21 61") && said.contains("got typed"), "{said}");
    cluster.undeploy(1, "once")?;
    Ok(())
}
