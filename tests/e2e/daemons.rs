//! Daemons that die, pause, restart and are upgraded. Containers do not notice.

use crate::cluster::{Cluster, HANG, MANAGERS, Step, WEB, eventually, hold, say, seconds};
use crate::look::Container;
use lab::harness::Verdict;
use lab::{Finished, Part};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Fault 1: another leads, no container is touched, and each write that was acknowledged
/// happened exactly once.
pub(crate) fn fault_01_kill_9_leader(cluster: &Cluster) -> Verdict {
    let (leader, others) = cluster.roles()?;
    let before = cluster.running(&MANAGERS)?;
    let stop = AtomicBool::new(false);
    let (writes, new) = thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(cluster, others[0], &stop));
        lab::pause(Duration::from_millis(500));
        let new = replaced(cluster, leader, others, || cluster.kill(leader, Part::Daemon));
        let back = cluster.start_daemon(leader).and_then(|()| cluster.wait_daemon(leader));
        lab::pause(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        (
            writer.join().expect("no panic"),
            new.and_then(|new| back.map(|()| new).map_err(Into::into)),
        )
    });
    say(&format!("host{} leads after host{leader}", new?));
    once_each(&writes?)?;
    cluster.whole()?;
    untouched(cluster, &before)
}

/// Fault 2: writes go on without one of the followers, and it comes back.
pub(crate) fn fault_02_kill_9_follower(cluster: &Cluster) -> Verdict {
    let (leader, [follower, other]) = cluster.roles()?;
    let before = cluster.running(&MANAGERS)?;
    let term = cluster.status(leader)?.term;
    let stop = AtomicBool::new(false);
    let writes = thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(cluster, other, &stop));
        lab::pause(Duration::from_millis(500));
        let killed = cluster.kill(follower, Part::Daemon);
        lab::pause(Duration::from_millis(500));
        let back = killed.and_then(|()| cluster.start_daemon(follower));
        let back = back.and_then(|()| cluster.wait_daemon(follower));
        lab::pause(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        let writes = writer.join().expect("no panic");
        back.map_err(Into::into).and(writes)
    })?;
    once_each(&writes)?;
    cluster.whole()?;
    assert_eq!(cluster.status(leader)?.term, term, "a follower's death caused an election");
    untouched(cluster, &before)
}

/// Kills or stops the leader and waits until both others name another.
fn replaced(
    cluster: &Cluster,
    leader: u8,
    others: [u8; 2],
    fault: impl FnOnce() -> Result<(), lab::LabError>,
) -> Step<u8> {
    let started = lab::now();
    fault()?;
    let new = eventually("another leader", || {
        let named = others.map(|host| cluster.leader(host));
        let [Ok(Some(one)), Ok(Some(other))] = named else {
            return Err(format!("{named:?}").into());
        };
        hold(one == other && one != leader, || format!("host{one}, host{other}")).map(|()| one)
    })?;
    say(&format!("another leader after {}", seconds(started.elapsed())));
    Ok(new)
}

/// Writes through a host, one after the other, until told to stop.
fn write_until(cluster: &Cluster, host: u8, stop: &AtomicBool) -> Step<Vec<Finished>> {
    let mut done = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        done.push(cluster.say(host, &["--json", "scale", "-p", "app", "clock=1", "--detach"])?);
    }
    Ok(done)
}

/// Each write raised the project's generation by one: none was lost, none happened twice.
fn once_each(writes: &[Finished]) -> Step<()> {
    let generation = |done: &Finished| {
        let value: Value = serde_json::from_str(&done.stdout)?;
        value["generation"]
            .as_u64()
            .ok_or_else(|| format!("no generation in {}", done.stdout).into())
    };
    let all: Vec<u64> = writes.iter().map(generation).collect::<Step<_>>()?;
    let slowest = writes.iter().map(|done| done.took).max().unwrap_or_default();
    say(&format!("{} writes, the slowest took {}", all.len(), seconds(slowest)));
    hold(all.len() > 2, || format!("only {} writes were made", all.len()))?;
    hold(all.windows(2).all(|w| w[1] == w[0] + 1), || format!("lost or doubled: {all:?}"))
}

/// Every container runs on as it was. Where a node was judged lost meanwhile (a slow machine), those that
/// were on the others must.
fn untouched(cluster: &Cluster, before: &BTreeSet<Container>) -> Verdict {
    let now = cluster.running(&MANAGERS)?;
    let gone: Vec<_> = before.difference(&now).collect();
    let news: Vec<_> = now.difference(before).collect();
    hold(gone.is_empty() && news.is_empty(), || format!("gone: {gone:?}; new: {news:?}"))
}

/// Fault 3: without a quorum nothing is decided, and everything that runs goes on.
pub(crate) fn fault_03_two_of_three_dead(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=3")?;
    cluster.whole()?;
    let (leader, others) = cluster.roles()?;
    let before = cluster.running(&MANAGERS)?;
    for host in others {
        cluster.kill(host, Part::Daemon)?;
    }
    let refusal = eventually("the refusal of a write", || {
        let limit = Duration::from_secs(60);
        let done =
            cluster.clusterctl_within(leader, &["scale", "-p", "app", "web=5", "-d"], limit)?;
        let said = format!("{}{}", done.stdout, done.stderr);
        hold(done.code == Some(3) && said.contains("no quorum (1/3)"), || {
            format!("exit {:?}: {said}", done.code)
        })
        .map(|()| done)
    })?;
    let again = cluster.clusterctl(leader, &["scale", "-p", "app", "web=5", "-d"])?;
    say(&format!(
        "a write is refused within {}, the next within {}",
        seconds(refusal.took),
        seconds(again.took)
    ));
    for words in [["status"], ["nodes"], ["ls"], ["ps"]] {
        let done = cluster.say(leader, &words)?;
        assert!(
            done.stderr.contains("old: what host"),
            "`{words:?}` says not how old it is: {}",
            done.stderr
        );
    }
    assert!(cluster.status(leader)?.read.stale);
    let mine = cluster.ps(leader, "app")?;
    let mine = mine.iter().find(|r| r.node == format!("host{leader}")).ok_or("no replica there")?;
    let said =
        cluster.say(leader, &["-p", "app", "exec", &mine.name, "--", "sh", "-c", "echo here"])?;
    assert_eq!(said.stdout, "here\n");
    let said = cluster.say(leader, &["-p", "app", "logs", "--tail", "5", &mine.name])?;
    assert!(said.stdout.contains(&mine.name), "{}", said.stdout);
    for host in MANAGERS {
        assert_eq!(cluster.ask(host, WEB, "/")?.status, 200, "host{host} does not serve");
    }
    assert_eq!(before, cluster.running(&MANAGERS)?);
    for host in others {
        cluster.start_daemon(host)?;
    }
    let took = cluster.whole()?;
    say(&format!("whole {} after both are back", seconds(took)));
    let wanted = cluster.serving(leader, ("app", "web"), 3, None)?;
    assert_eq!(wanted.len(), 3, "the refused write was carried out");
    cluster.scale_app("web=2")
}

/// Fault 5, by software: all daemons killed at once come back to the same containers.
pub(crate) fn fault_05_all_daemons_at_once(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    for host in MANAGERS {
        cluster.kill(host, Part::Daemon)?;
    }
    for host in MANAGERS {
        assert_eq!(cluster.ask(host, WEB, "/")?.status, 200, "host{host} does not serve alone");
    }
    for host in [3, 1, 2] {
        cluster.start_daemon(host)?;
    }
    let took = cluster.whole()?;
    say(&format!("whole after {}", seconds(took)));
    untouched(cluster, &before)
}

/// Fault 5: power fails for all hosts, and returns in another order.
pub(crate) fn fault_05_all_hosts_power_cycled(cluster: &Cluster) -> Verdict {
    for host in MANAGERS {
        cluster.power_off(host)?;
    }
    for host in [2, 3, 1] {
        cluster.power_on(host)?;
    }
    let started = lab::now();
    cluster.roles()?;
    say(&format!("a leader {} after the last host is on", seconds(started.elapsed())));
    let took = cluster.whole()?;
    say(&format!("whole {} later", seconds(took)));
    Ok(())
}

/// Fault 10: a leader that was frozen wakes up into a cluster that went on without it.
pub(crate) fn fault_10_leader_frozen(cluster: &Cluster) -> Verdict {
    let (leader, others) = cluster.roles()?;
    let new = replaced(cluster, leader, others, || cluster.pause(leader, Part::Daemon))?;
    let said = cluster.say(new, &["--json", "scale", "-p", "app", "clock=2", "--detach"])?;
    let written: Value = serde_json::from_str(&said.stdout)?;
    lab::pause(Duration::from_secs(2));
    cluster.resume(leader)?;
    // The first answer of the woken one is of the present, or says that it is not.
    let status = cluster.status(leader)?;
    let clock = status
        .services
        .iter()
        .find(|s| (s.project.as_str(), s.name.as_str()) == ("app", "clock"))
        .ok_or("no clock")?;
    assert!(status.read.stale || clock.wanted == 2, "an old state as if it were new: {status:?}");
    let said = cluster.say(leader, &["--json", "scale", "-p", "app", "clock=1", "--detach"])?;
    let again: Value = serde_json::from_str(&said.stdout)?;
    assert_eq!(again["generation"].as_u64(), written["generation"].as_u64().map(|g| g + 1));
    Ok(())
}

/// Fault 17: each daemon ends as an upgrade ends it and starts again. Nothing moves, a leader
/// hands over first, and a connection through the edge lives through it.
pub(crate) fn fault_17_upgrade(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    let edges = MANAGERS.map(|host| cluster.pid(host, Part::Edge).ok().flatten());
    assert!(edges.iter().all(Option::is_some), "a host lacks its edge");
    for host in MANAGERS {
        let mut talk = Talk::open(cluster, host)?;
        talk.ask()?;
        let (leader, others) = cluster.roles()?;
        let started = lab::now();
        if leader == host {
            replaced(cluster, leader, others, || cluster.terminate_daemon(host))?;
        } else {
            cluster.terminate_daemon(host)?;
        }
        talk.ask()?;
        let asker = MANAGERS.into_iter().find(|h| *h != host).expect("there are three");
        // Longer than silence needs to make a node lost: it said that it would be away.
        lab::pause(Duration::from_secs(5));
        assert_eq!(before, cluster.running(&MANAGERS)?, "while host{host} is away");
        let ps = cluster.ps(asker, "app")?;
        assert!(ps.iter().all(|r| r.condition == "running"), "while host{host} is away: {ps:?}");
        cluster.start_daemon(host)?;
        cluster.wait_daemon(host)?;
        talk.ask()?;
        cluster.whole()?;
        talk.ask()?;
        say(&format!("host{host} away and back in {}", seconds(started.elapsed())));
    }
    assert_eq!(edges, MANAGERS.map(|host| cluster.pid(host, Part::Edge).ok().flatten()));
    untouched(cluster, &before)
}

/// An edge that dies comes back by itself; the daemon and the containers stay as they are.
pub(crate) fn an_edge_comes_back(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    let daemon = cluster.pid(2, Part::Daemon)?;
    cluster.kill(2, Part::Edge)?;
    let started = lab::now();
    eventually("an answer of host2", || cluster.ask(2, WEB, "/"))?;
    say(&format!("host2 serves again after {}", seconds(started.elapsed())));
    assert!(cluster.pid(2, Part::Edge)?.is_some());
    assert_eq!(daemon, cluster.pid(2, Part::Daemon)?);
    untouched(cluster, &before)
}

/// An edge serves from what it has on disk when there is no daemon to tell it.
pub(crate) fn an_edge_starts_without_a_daemon(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    cluster.kill(3, Part::Daemon)?;
    assert_eq!(cluster.ask(3, WEB, "/")?.status, 200);
    cluster.start_daemon(3)?;
    cluster.wait_daemon(3)?;
    cluster.whole()?;
    untouched(cluster, &before)
}

/// One connection to the shared app through a host, kept open over several requests.
struct Talk {
    reader: BufReader<TcpStream>,
}

impl Talk {
    fn open(cluster: &Cluster, host: u8) -> Step<Self> {
        let stream = TcpStream::connect_timeout(&cluster.at(host, WEB)?, HANG)?;
        stream.set_read_timeout(Some(HANG))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// One request, answered in full, on the same connection.
    fn ask(&mut self) -> Step<String> {
        self.reader.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: e2e\r\n\r\n")?;
        let mut length = None;
        loop {
            let mut line = String::new();
            hold(self.reader.read_line(&mut line)? > 0, || "the connection was closed".to_owned())?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length.ok_or("no length")?];
        self.reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}
