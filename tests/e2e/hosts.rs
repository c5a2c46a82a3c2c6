//! Hosts that are cut off, lose power, or hear only half of what is said.

use crate::cluster::{Cluster, MANAGERS, Step, WEB, eventually, hold, say, seconds};
use lab::harness::Verdict;
use lab::{Load, Part};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Faults 13 to 15: a follower's host is cut off under load.
pub(crate) fn fault_13_follower_host_cut(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=6")?;
    cluster.whole()?;
    let (leader, [lost, other]) = cluster.roles()?;
    lose(cluster, lost, [leader, other])?;
    cluster.scale_app("web=2")
}

/// Faults 6 and 13 to 15: the leader's host is cut off under load, which costs no more.
pub(crate) fn fault_06_leader_host_cut(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=6")?;
    cluster.whole()?;
    let (leader, others) = cluster.roles()?;
    lose(cluster, leader, others)?;
    cluster.scale_app("web=2")
}

/// Cuts a host off while requests flow through the others; all replicas run there soon, nothing of the
/// others is touched, and the host comes back to a cluster that is whole.
fn lose(cluster: &Cluster, lost: u8, survivors: [u8; 2]) -> Verdict {
    let before = cluster.running(&survivors)?;
    let isolated = cluster.running(&[lost])?;
    assert!(isolated.iter().any(|c| c.service == "web"), "nothing of app/web is on host{lost}");
    let load = cluster.load(&survivors)?;
    lab::pause(Duration::from_secs(2));
    assert_eq!(load.report().failed(), 0, "before the cut: {:?}", load.report().errors());
    cluster.cut(lost)?;
    let cut = lab::now();
    cluster.serving(survivors[0], ("app", "web"), 6, Some(lost))?;
    say(&format!("six replicas without host{lost} after {}", seconds(cut.elapsed())));
    alone(cluster, lost)?;
    assert_eq!(
        isolated,
        cluster.running(&[lost])?,
        "an isolated host does not keep its containers"
    );
    requests(load, cut)?;
    let now = cluster.running(&survivors)?;
    assert!(before.is_subset(&now), "containers of the survivors were touched");
    let nodes = cluster.say(survivors[1], &["nodes"])?.stdout;
    assert!(nodes.contains("lost"), "{nodes}");
    cluster.heal(lost)?;
    let took = cluster.whole()?;
    say(&format!("whole {} after the cable is back in", seconds(took)));
    Ok(())
}

/// What a host that is cut off does: it decides nothing, says so, and serves.
fn alone(cluster: &Cluster, host: u8) -> Step<()> {
    eventually("the refusal of a write on the host that is cut off", || {
        let limit = Duration::from_secs(60);
        let done =
            cluster.clusterctl_within(host, &["scale", "-p", "app", "web=9", "-d"], limit)?;
        let said = format!("{}{}", done.stdout, done.stderr);
        hold(done.code == Some(3) && said.contains("no quorum (1/3)"), || {
            format!("{:?}: {said}", done.code)
        })
    })?;
    let status = cluster.status(host)?;
    hold(status.read.stale && status.read.age_ms > 0, || format!("not stale: {:?}", status.read))?;
    let inside =
        cluster.exec(host, "/bin/busybox", &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/"])?;
    hold(inside.stdout.contains("version"), || format!("it does not serve: {}", inside.stderr))
}

/// Ends the load: with one retry no request failed since the cut, and once all is calm none at all.
fn requests(load: Load, cut: Instant) -> Step<()> {
    let calm = lab::now();
    lab::pause(Duration::from_secs(2));
    let report = load.stop();
    let (since, late) = (report.since(cut), report.since(calm));
    let failures = since.samples.iter().filter(|sample| sample.error.is_some());
    let last = failures.map(|sample| sample.sent - cut).max().unwrap_or_default();
    say(&format!(
        "{} requests since the cut, {} failed (the last {} after it), {} with one retry: {:?}",
        since.samples.len(),
        since.failed(),
        seconds(last),
        since.failed_with_retry(),
        since.errors(),
    ));
    hold(since.failed_with_retry() == 0, || format!("{:?}", since.errors()))?;
    hold(late.failed() == 0, || format!("still failing: {:?}", late.errors()))
}

/// Fault 13: a host loses its power, and comes back with its disk.
pub(crate) fn fault_13_power_loss(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=6")?;
    cluster.whole()?;
    let (leader, [lost, other]) = cluster.roles()?;
    let before = cluster.running(&[leader, other])?;
    cluster.kill(lost, Part::All)?;
    let started = lab::now();
    cluster.serving(leader, ("app", "web"), 6, Some(lost))?;
    say(&format!("six replicas without host{lost} after {}", seconds(started.elapsed())));
    assert!(before.is_subset(&cluster.running(&[leader, other])?));
    cluster.power_on(lost)?;
    let took = cluster.whole()?;
    say(&format!("whole {} after it is on", seconds(took)));
    cluster.scale_app("web=2")
}

/// A host that is away for less than it takes to be lost: nothing moves.
pub(crate) fn a_short_cut_moves_nothing(cluster: &Cluster) -> Verdict {
    let (_, [host, _]) = cluster.roles()?;
    let before = cluster.running(&MANAGERS)?;
    cluster.cut(host)?;
    lab::pause(Duration::from_millis(1500));
    cluster.heal(host)?;
    cluster.whole()?;
    assert_eq!(before, cluster.running(&MANAGERS)?);
    Ok(())
}

/// Fault 11, for a while: a link that comes and goes each second. Nothing moves.
pub(crate) fn fault_11_flapping_link(cluster: &Cluster) -> Verdict {
    let (leader, [host, _]) = cluster.roles()?;
    let before = cluster.running(&MANAGERS)?;
    let term = cluster.status(leader)?.term;
    for _ in 0..10 {
        cluster.cut(host)?;
        lab::pause(Duration::from_secs(1));
        cluster.heal(host)?;
        lab::pause(Duration::from_secs(1));
    }
    cluster.whole()?;
    say(&format!("{} elections", cluster.status(leader)?.term - term));
    assert_eq!(before, cluster.running(&MANAGERS)?, "a flapping link moved something");
    Ok(())
}

/// Faults 7 and 9: a leader that can send and not hear gives way, once, and does not disturb
/// when it hears again.
pub(crate) fn fault_07_deaf_leader(cluster: &Cluster) -> Verdict {
    let (leader, others) = cluster.roles()?;
    let term = cluster.status(leader)?.term;
    for host in others {
        cluster.cut_one_way(host, leader)?;
    }
    let started = lab::now();
    let new = eventually("a leader that hears", || {
        let named = others.map(|host| cluster.leader(host));
        let [Ok(Some(one)), Ok(Some(other))] = named else {
            return Err(format!("{named:?}").into());
        };
        hold(one == other && one != leader, || format!("host{one}, host{other}")).map(|()| one)
    })?;
    say(&format!("host{new} leads after {}", seconds(started.elapsed())));
    cluster.say(new, &["scale", "-p", "app", "clock=1", "--detach"])?;
    lab::pause(Duration::from_secs(3));
    cluster.heal(leader)?;
    cluster.whole()?;
    let after = cluster.status(new)?.term;
    say(&format!("terms {term} to {after}"));
    assert!(after - term <= 10, "{} elections", after - term);
    Ok(())
}

/// Fault 8: one link is broken, both ends are heard by the third. Nothing moves, `nodes` shows
/// the link, and every host still carries requests.
pub(crate) fn fault_08_broken_link_moves_nothing(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=3")?;
    cluster.whole()?;
    let (leader, [follower, third]) = cluster.roles()?;
    let before = cluster.running(&MANAGERS)?;
    let term = cluster.status(third)?.term;
    cluster.cut_link(leader, follower)?;
    let nodes = eventually("the broken link in `nodes`", || {
        let status = cluster.status(third)?;
        hold(status.nodes.iter().any(|n| !n.broken_links.is_empty()), || {
            format!("{:?}", status.nodes)
        })?;
        Ok(cluster.say(third, &["nodes"])?.stdout)
    })?;
    assert!(nodes.contains("no link to"), "{nodes}");
    // Longer than it takes to lose a node that nobody hears.
    lab::pause(Duration::from_secs(6));
    let readiness: BTreeSet<_> =
        cluster.status(third)?.nodes.iter().map(|n| n.readiness.clone()).collect();
    assert_eq!(readiness, ["ready".to_owned()].into(), "a node that one manager hears is not lost");
    assert_eq!(before, cluster.running(&MANAGERS)?, "a broken link moved something");
    for host in MANAGERS {
        for _ in 0..6 {
            assert_eq!(cluster.ask(host, WEB, "/")?.status, 200, "through host{host}");
        }
    }
    let elections = cluster.status(third)?.term - term;
    say(&format!("{elections} elections while the link was broken"));
    assert!(elections <= 10, "leadership is passed to and fro");
    cluster.heal_all()?;
    cluster.whole()?;
    assert_eq!(before, cluster.running(&MANAGERS)?);
    cluster.scale_app("web=2")
}
