//! Becoming a member, and ceasing to be one: tokens, names, reinstalled hosts, quorum.

use crate::cluster::{Cluster, MANAGERS, SPARE, Step, eventually, hold, say, seconds};
use crate::wire;
use identity::{Authority, Token};
use lab::Part;
use lab::harness::Verdict;
use model::{ClusterId, Role};
use std::fs;

/// Insists that the spare host is refused, and by which words, and that nothing was stored for it.
fn refused(cluster: &Cluster, token: &str, more: &[&str], words: &[&str]) -> Step<()> {
    let file = cluster.write("bad.token", token)?;
    let done = cluster.join_with(SPARE, &file, more)?;
    let said = format!("{}{}", done.stdout, done.stderr);
    hold(done.code.is_some_and(|code| code != 0), || format!("it was let in: {said}"))?;
    for word in words {
        hold(said.contains(word), || format!("`{word}` is not in: {said}"))?;
    }
    hold(!said.contains(token.trim()), || "the refusal shows the token".to_owned())?;
    let nodes = cluster.status(1)?.nodes;
    hold(nodes.len() == 3, || format!("something was stored: {nodes:?}"))
}

/// Attacks 5 and 6: mistyped, mangled, forged, foreign and rotated tokens.
pub(crate) fn attack_05_wrong_tokens(cluster: &Cluster) -> Verdict {
    let token = cluster.token("worker")?;
    refused(cluster, "not a token", &[], &["CLUSTER-1"])?;
    for at in [token.len() / 3, token.len() / 2, token.len() - 1] {
        let mut changed: Vec<char> = token.chars().collect();
        changed[at] = if changed[at] == 'a' { 'b' } else { 'a' };
        refused(cluster, &changed.iter().collect::<String>(), &[], &["copy it again"])?;
    }
    // The right form, the right authority, a secret nobody gave out.
    let own: Token = token.parse()?;
    let forged = Token::generate(Role::Manager, own.authority()).to_string();
    refused(cluster, &forged, &[], &["not valid"])?;
    // Whoever answers there is not the cluster that this token is for.
    let other = Authority::create(&ClusterId("e".repeat(32)), wire::now())?;
    let foreign = Token::generate(Role::Manager, other.digest()).to_string();
    refused(cluster, &foreign, &[], &[])?;
    let rotated = cluster.say(2, &["token", "worker", "--rotate"])?;
    assert!(!rotated.stdout.contains(&token));
    refused(cluster, &token, &[], &["not valid"])?;
    Ok(())
}

/// A name that is taken, and `--replace` of a node that lives.
pub(crate) fn names_in_use(cluster: &Cluster) -> Verdict {
    let token = cluster.token("manager")?;
    refused(cluster, &token, &["--name", "host2"], &["host2", "--replace host2"])?;
    refused(cluster, &token, &["--replace", "host2"], &["alive"])?;
    refused(cluster, &token, &["--replace", "nobody"], &["nobody"])?;
    let said = cluster.refused(2, &["init", "--advertise", "127.0.0.1"], 1)?;
    assert!(said.contains("already"), "{said}");
    Ok(())
}

/// Fault 29: a manager's disk is wiped. It cannot come back under its old identity, found
/// nothing and vote for nobody; as a replacement it is itself again, and its containers are kept.
pub(crate) fn fault_29_wiped_manager(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=3")?;
    cluster.whole()?;
    let (leader, wiped) = victim(cluster)?;
    let name = format!("host{wiped}");
    let before = cluster.running(&MANAGERS)?;
    let old = id(cluster, &name)?;
    cluster.kill(wiped, Part::Daemon)?;
    let data = cluster.host(wiped)?.data_dir();
    fs::remove_dir_all(&data)?;
    fs::create_dir_all(&data)?;
    cluster.start_daemon(wiped)?;
    cluster.wait_daemon(wiped)?;
    let said = cluster.clusterctl(wiped, &["status"])?;
    assert!(!said.success(), "a wiped host believes that it is in a cluster: {}", said.stdout);
    let token = cluster.token_file("manager")?;
    let done = cluster.join_with(wiped, &token, &[])?;
    assert!(!done.success() && done.stderr.contains("--replace"), "{}{}", done.stdout, done.stderr);
    let started = lab::now();
    lost(cluster, leader, &name)?;
    cluster.join_with(wiped, &token, &["--replace", &name])?.ok()?;
    cluster.whole()?;
    say(&format!("whole {} after the join", seconds(started.elapsed())));
    assert_ne!(id(cluster, &name)?, old, "a wiped disk has its old identity");
    assert_eq!(cluster.status(leader)?.voters, 3);
    let now = cluster.running(&[wiped])?;
    let kept = before.iter().filter(|c| c.host == wiped && now.contains(c)).count();
    say(&format!(
        "{kept} of its {} containers were kept",
        before.iter().filter(|c| c.host == wiped).count()
    ));
    cluster.scale_app("web=2")
}

/// Waits until a node counts as lost: before that it cannot be replaced.
fn lost(cluster: &Cluster, asker: u8, name: &str) -> Step<()> {
    eventually(&format!("the loss of {name}"), || {
        let nodes = cluster.status(asker)?.nodes;
        hold(nodes.iter().any(|n| n.name == name && n.readiness == "lost"), || format!("{nodes:?}"))
    })
}

/// The leader, and a follower through which nobody joins.
fn victim(cluster: &Cluster) -> Step<(u8, u8)> {
    let (leader, others) = cluster.roles()?;
    let victim = others.into_iter().find(|host| *host != 1).expect("two hosts are not host1");
    Ok((leader, victim))
}

/// Fault 24: bytes of a stored log flip. The member takes no part any more and says what to do;
/// one command brings it back under a new identity, with its containers.
pub(crate) fn fault_24_damaged_log(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    let (leader, damaged) = victim(cluster)?;
    let name = format!("host{damaged}");
    let old = id(cluster, &name)?;
    cluster.kill(damaged, Part::Daemon)?;
    let store = cluster.host(damaged)?.data_dir().join("raft/raft.redb");
    let mut bytes = fs::read(&store)?;
    // Every stored page beyond the file's head.
    bytes.iter_mut().skip(8_192).step_by(97).for_each(|byte| *byte ^= 0x40);
    fs::write(&store, bytes)?;
    cluster.start_daemon(damaged)?;
    cluster.wait_daemon(damaged)?;
    let done = cluster.clusterctl(damaged, &["status"])?;
    assert!(!done.success(), "a damaged log is read: {}", done.stdout);
    say(done.stderr.lines().next().unwrap_or_default());
    assert!(done.stderr.contains("join --replace"), "{}", done.stderr);
    cluster.say(leader, &["scale", "-p", "app", "clock=1", "--detach"])?;
    let token = cluster.token_file("manager")?;
    let started = lab::now();
    lost(cluster, leader, &name)?;
    cluster.join_with(damaged, &token, &["--replace", &name])?.ok()?;
    cluster.whole()?;
    say(&format!("whole {} after the join", seconds(started.elapsed())));
    assert_ne!(id(cluster, &name)?, old, "it forgot entries under its old identity");
    let now = cluster.running(&[damaged])?;
    let kept = before.iter().filter(|c| c.host == damaged && now.contains(c)).count();
    say(&format!(
        "{kept} of {} containers kept",
        before.iter().filter(|c| c.host == damaged).count()
    ));
    Ok(())
}

fn id(cluster: &Cluster, name: &str) -> Step<u64> {
    let nodes = cluster.status(1)?.nodes;
    nodes.iter().find(|n| n.name == name).map(|n| n.id).ok_or_else(|| format!("{nodes:?}").into())
}

/// A fourth manager joins, votes for nobody (voters are odd in number), becomes a worker, and leaves.
pub(crate) fn a_fourth_manager(cluster: &Cluster) -> Verdict {
    cluster.join(SPARE, "manager", &[])?;
    let name = format!("host{SPARE}");
    let role = |wanted: &str| {
        eventually(&format!("{name} as {wanted}"), || {
            let status = cluster.status(1)?;
            let node = status.nodes.iter().find(|n| n.name == name).ok_or("it is not listed")?;
            hold(node.role == wanted && status.voters == 3, || format!("{status:?}"))
        })
    };
    role("manager")?;
    eventually("an answer of the fourth", || {
        let status = cluster.status(SPARE)?;
        hold(!status.read.stale && status.nodes.len() == 4, || format!("{status:?}"))
    })?;
    cluster.say(SPARE, &["scale", "-p", "app", "web=3"])?;
    cluster.say(1, &["nodes", "demote", &name])?;
    role("worker")?;
    cluster.say(1, &["nodes", "promote", &name])?;
    role("manager")?;
    eventually("an answer of the fourth", || {
        let status = cluster.status(SPARE)?;
        hold(!status.read.stale, || format!("{status:?}"))
    })?;
    cluster.say(SPARE, &["leave"])?;
    assert!(cluster.running(&[SPARE])?.is_empty(), "it left its containers behind");
    cluster.scale_app("web=2")
}

/// Removing a voter that the quorum needs is refused; so is joining without a quorum, which stores nothing.
pub(crate) fn quorum_is_guarded(cluster: &Cluster) -> Verdict {
    let (leader, [down, other]) = cluster.roles()?;
    let token = cluster.token_file("worker")?;
    cluster.kill(down, Part::Daemon)?;
    eventually("a lost voter", || {
        let nodes = cluster.status(leader)?.nodes;
        hold(nodes.iter().any(|n| n.readiness == "lost"), || format!("{nodes:?}"))
    })?;
    let said = cluster.refused(leader, &["nodes", "rm", "--force", &format!("host{other}")], 1)?;
    assert!(said.contains("voters needed"), "{said}");
    cluster.kill(other, Part::Daemon)?;
    let member = cluster.host(leader)?.control_address();
    let address = cluster.host(SPARE)?.address.to_string();
    let token = token.display().to_string();
    let done = eventually("the refusal of a join", || {
        let words = ["join", &member, "--token-file", &token, "--advertise", &address];
        let done = cluster.clusterctl(SPARE, &words)?;
        let said = format!("{}{}", done.stdout, done.stderr);
        hold(!done.success() && said.contains("no quorum"), || said).map(|()| done)
    })?;
    say(&format!("a join is refused within {}", seconds(done.took)));
    for host in [down, other] {
        cluster.start_daemon(host)?;
    }
    cluster.whole()?;
    assert_eq!(cluster.status(1)?.nodes.len(), 3, "the refused join was carried out");
    Ok(())
}
