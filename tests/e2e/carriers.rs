//! What carries packets between hosts: that nobody on the way can read them, and that what is open stays open
//! whatever happens to daemons, addresses and cables.

use crate::cluster::{Cluster, MANAGERS, Step, eventually, hold, options, say, seconds};
use crate::mesh::{addresses, answered_by, fetch, inside, lookup, stack};
use lab::harness::Verdict;
use lab::{Lab, Part};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What containers and hosts tell each other where somebody listens.
const WORD: &str = "WORD-ON-THE-WIRE";

/// Listens on all cables of the lab, which end on this machine.
struct Tap {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Step<usize>>,
}

impl Tap {
    fn open() -> Step<Self> {
        // Of all protocols (`ETH_P_ALL`, packet(7)).
        let all = NonZeroU32::new(u32::from(3_u16.to_be())).map(Protocol::from_raw);
        let socket = socket(AddressFamily::PACKET, SocketType::RAW, all)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(50)))?;
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let (mut frame, mut seen) = (vec![0; 70_000], 0);
            while !ended.load(Ordering::SeqCst) {
                // Nothing for a while is an error here.
                let Ok((bytes, _)) = recv(&socket, &mut frame[..], RecvFlags::empty()) else {
                    continue;
                };
                let word = |part: &[u8]| part == WORD.as_bytes();
                seen += usize::from(frame[..bytes].windows(WORD.len()).any(word));
            }
            Ok(seen)
        });
        Ok(Self { done, thread })
    }

    /// In how many frames the word was.
    fn close(self) -> Step<usize> {
        self.done.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the listener panicked")?
    }
}

/// Who listens between the hosts hears nothing that can be read.
pub(crate) fn packets_between_hosts_are_sealed(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, &stack("mesh"), &["--allow-host"])?.ok()?;
    eventually("both replicas behind the name", || answered_by(cluster, "mesh", "db", 2))?;
    let target = addresses(cluster, "mesh", "db.1")?.pop_first().ok_or("db.1 has no address")?;
    inside(cluster, "mesh", "db.1", "lab-server hear 9 /tmp/got > /tmp/why 2>&1 & sleep 1")?;
    let tap = Tap::open()?;
    eventually("a word that arrived", || {
        let tell = format!("lab-server tell 0.0.0.0:0 {target}:9 {WORD}");
        inside(cluster, "mesh", "client.1", &tell)?;
        let got = inside(cluster, "mesh", "db.1", "cat /tmp/got")?;
        hold(got.contains(WORD), || got)
    })?;
    assert_eq!(tap.close()?, 0, "a word between containers was read on the way");
    // The same from host to host is heard: the listener has ears.
    let tap = Tap::open()?;
    let to = cluster.host(2)?.address;
    cluster.exec(1, "bash", &["-c", &format!("echo {WORD} > /dev/udp/{to}/9")])?.ok()?;
    lab::pause(Duration::from_millis(200));
    assert!(tap.close()? > 0, "a word in the clear was not heard");
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

/// A connection from the client to a replica elsewhere.
struct Kept<'a>(&'a Cluster);

impl<'a> Kept<'a> {
    fn open(cluster: &'a Cluster, target: &str) -> Step<Self> {
        let line = format!("lab-server keep {target}:80 /tmp/kept > /tmp/why 2>&1 &");
        inside(cluster, "mesh", "client.1", &line)?;
        let kept = Self(cluster);
        eventually("answers over one connection", || kept.answers())?;
        Ok(kept)
    }

    /// Asked by way of the engine: no daemon need be there.
    fn answers(&self) -> Step<u64> {
        let name = ["ps", "-q", "--filter", "name=client"];
        let id = self.0.docker(1, &name)?.ok()?.stdout.trim().to_owned();
        let said = self.0.docker(1, &["exec", &id, "sh", "-c", "cat /tmp/kept"])?.ok()?.stdout;
        said.trim().parse().map_err(|_| format!("the connection: {said}").into())
    }

    /// Five more answers come over it.
    fn goes_on(&self, when: &str) -> Step<()> {
        let before = self.answers()?;
        eventually(&format!("answers {when}"), || {
            let now = self.answers()?;
            hold(now >= before + 5, || format!("{before}, {now}"))
        })
    }
}

/// All daemons die; what the containers say to each other goes on.
pub(crate) fn connections_outlive_daemons(cluster: &Cluster) -> Verdict {
    let (_, target) = far_replica(cluster)?;
    let kept = Kept::open(cluster, &target)?;
    for host in MANAGERS {
        cluster.kill(host, Part::Daemon)?;
    }
    kept.goes_on("without a daemon")?;
    for host in MANAGERS {
        cluster.start_daemon(host)?;
    }
    cluster.whole()?;
    kept.goes_on("with new daemons")?;
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

/// A host's address changes: connections that were open go on, and new ones come about.
pub(crate) fn a_host_that_moves_is_followed(cluster: &Cluster) -> Verdict {
    let (host, target) = far_replica(cluster)?;
    let kept = Kept::open(cluster, &target)?;
    let old = cluster.host(host)?.address;
    let [a, b, c, d] = old.octets();
    let new = format!("{a}.{b}.{c}.{}", d + 100);
    readdress(cluster, host, &old.to_string(), &new)?;
    let moved = lab::now();
    kept.goes_on("at another address")?;
    say(&format!("answers again {} after the host moved", seconds(moved.elapsed())));
    let client = addresses(cluster, "mesh", "tasks.client")?.pop_first().ok_or("no client")?;
    eventually("a new connection to it", || {
        inside(cluster, "mesh", "client.1", &format!("lab-server ask {target}:80"))
    })?;
    readdress(cluster, host, &new, &old.to_string())?;
    kept.goes_on("back at the old address")?;
    cluster.whole()?;
    let back = lookup(cluster, "mesh", "client.1", "client")?;
    assert!(!back.is_empty() && !client.is_empty());
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

fn readdress(lab: &Lab, host: u8, old: &str, new: &str) -> Step<()> {
    let gateway = lab.exec(host, "ip", &["route", "show", "default"])?.ok()?.stdout;
    let gateway = gateway.split_whitespace().nth(2).ok_or("no default route")?.to_owned();
    let ip = |words: &str| -> Step<()> {
        lab.exec(host, "ip", &words.split(' ').collect::<Vec<_>>())?.ok()?;
        Ok(())
    };
    ip(&format!("addr del {old}/24 dev eth0"))?;
    ip(&format!("addr add {new}/24 dev eth0"))?;
    ip(&format!("route replace default via {gateway}"))
}

/// A cable is out for half a minute: what was open goes on, and what is asked is answered as soon as the host is
/// heard again.
pub(crate) fn a_cut_leaves_no_scar(cluster: &Cluster) -> Verdict {
    let (host, target) = far_replica(cluster)?;
    let name = format!("host{host}");
    cluster.cut(host)?;
    lab::pause(Duration::from_secs(30));
    cluster.heal(host)?;
    eventually("the host is heard", || {
        let nodes = cluster.status(1)?.nodes;
        let node = nodes.iter().find(|n| n.name == name).ok_or("no such node")?;
        hold(node.readiness == "ready", || node.readiness.clone())
    })?;
    let heard = lab::now();
    eventually("an answer from it", || {
        inside(cluster, "mesh", "client.1", &format!("lab-server ask {target}:80"))
    })?;
    say(&format!("an answer {} after the host was heard again", seconds(heard.elapsed())));
    cluster.whole()?;
    eventually("an answer by name", || fetch(cluster, "mesh", "client.1", "db").map(drop))?;
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

/// Deploys, and finds a replica of `db` that stays where it is: its host, which is not the leader's, and its
/// address.
fn far_replica(cluster: &Cluster) -> Step<(u8, String)> {
    let (leader, _) = cluster.roles()?;
    let host = if leader == 2 { 3 } else { 2 };
    let text = stack("mesh").replace("replicas: 2", "replicas: 1");
    let text = text.replace("node.hostname != host1", &format!("node.hostname == host{host}"));
    cluster.deploy_text(1, &text, &["--allow-host"])?.ok()?;
    eventually("a replica behind the name", || answered_by(cluster, "mesh", "db", 1))?;
    let target = addresses(cluster, "mesh", "tasks.db")?.pop_first().ok_or("db has no address")?;
    Ok((host, target))
}

/// The lab whose hosts are on segments of their own.
const APART: &str = "claba";

/// Two hosts that reach each other by way of a third only, on a mesh that is not encrypted.
pub(crate) fn hosts_apart_reach_each_other() -> Verdict {
    let cluster = Cluster::formed_as(options(APART, 6, 2), &[1, 2], &["--mesh", "direct"], apart)?;
    let text = stack("mesh").replace("replicas: 2", "replicas: 1");
    cluster.deploy_text(1, &text, &["--allow-host"])?.ok()?;
    eventually("the replica behind the name", || answered_by(&cluster, "mesh", "db", 1))?;
    fetch(&cluster, "mesh", "db.1", "client")?;
    let routes = cluster.exec(1, "ip", &["route", "show", "proto", "141"])?.ok()?.stdout;
    assert!(routes.contains("cl-vxlan"), "{routes}");
    let status = cluster.say(1, &["status"])?.stdout;
    assert!(status.contains("direct, 10.128.0.0/10 (not encrypted)"), "{status}");
    cluster.undeploy(1, "mesh")?;
    Ok(())
}

/// Makes each host alone on its segment: all others are behind the gateway, which is the lab's own bridge.
fn apart(lab: &Lab) -> Step<()> {
    std::fs::write(format!("/proc/sys/net/ipv4/conf/{APART}0/forwarding"), "1")?;
    for host in lab.numbers() {
        let address = lab.host(host)?.address;
        let [a, b, c, _] = address.octets();
        let gateway = format!("{a}.{b}.{c}.1");
        for words in [
            format!("addr del {address}/24 dev eth0"),
            format!("addr add {address}/32 dev eth0"),
            format!("route add {gateway} dev eth0"),
            format!("route add default via {gateway}"),
        ] {
            lab.exec(host, "ip", &words.split(' ').collect::<Vec<_>>())?.ok()?;
        }
        // The gateway sees that both are on one cable, and says so.
        for interface in ["all", "eth0"] {
            let deaf = format!("echo 0 > /proc/sys/net/ipv4/conf/{interface}/accept_redirects");
            lab.exec(host, "sh", &["-c", &deaf])?.ok()?;
        }
    }
    Ok(())
}
