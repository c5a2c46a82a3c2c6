//! Docker Engines that restart, hang and die under a living daemon.

use crate::cluster::{Cluster, MANAGERS, WEB, eventually, example, hold, options, say, seconds};
use lab::harness::Verdict;
use lab::{Options, Part};

/// Fault 18: an engine restarts and takes its containers along; each comes back once.
pub(crate) fn fault_18_engine_restarted(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=3")?;
    cluster.whole()?;
    let others = cluster.running(&[1, 3])?;
    let daemon = cluster.pid(2, Part::Daemon)?;
    let started = lab::now();
    cluster.stop_engine(2)?;
    cluster.start_engine(2)?;
    cluster.whole()?;
    say(&format!("whole {} after the engine was told to stop", seconds(started.elapsed())));
    assert!(others.is_subset(&cluster.running(&[1, 3])?), "other hosts were touched");
    assert_eq!(daemon, cluster.pid(2, Part::Daemon)?, "the daemon did not survive its engine");
    assert_eq!(cluster.ask(2, WEB, "/")?.status, 200);
    cluster.scale_app("web=2")
}

/// Fault 18 with live-restore: containers survive their engine and are adopted as they are.
pub(crate) fn fault_18_engine_restarted_under_living_containers() -> Verdict {
    let options = Options { live_restore: true, ..options("clabl", 7, 1) };
    let cluster = Cluster::formed(options, &[1])?;
    cluster.deploy(1, &example("app.yml"))?;
    let before = cluster.running(&[1])?;
    assert_eq!(before.len(), 3, "{before:?}");
    cluster.stop_engine(1)?;
    let engine = |ready: bool| {
        eventually(&format!("an engine whose readiness is {ready}"), || {
            let nodes = cluster.status(1)?.nodes;
            hold(nodes[0].engine_ready == ready, || format!("{nodes:?}"))
        })
    };
    engine(false)?;
    assert_eq!(cluster.ask(1, WEB, "/")?.status, 200, "requests need an engine");
    cluster.start_engine(1)?;
    engine(true)?;
    cluster.serving(1, ("app", "web"), 2, None)?;
    lab::pause(std::time::Duration::from_secs(2));
    assert_eq!(before, cluster.running(&[1])?, "a living container was restarted");
    cluster.undeploy(1, "app")?;
    Ok(())
}

/// Fault 19: an engine takes calls and never answers. The node is unfit, its replicas are
/// replaced after half a minute, and nobody waits for it.
pub(crate) fn fault_19_engine_hangs(cluster: &Cluster) -> Verdict {
    cluster.scale_app("web=3")?;
    cluster.whole()?;
    let (leader, [hung, _]) = cluster.roles()?;
    cluster.pause(hung, Part::Engine)?;
    let started = lab::now();
    eventually("a node whose engine is out", || {
        let nodes = cluster.status(hung)?.nodes;
        let node = nodes.iter().find(|n| n.name == format!("host{hung}")).ok_or("no such node")?;
        hold(!node.engine_ready && node.readiness == "ready", || format!("{node:?}"))
    })?;
    say(&format!("noticed after {}", seconds(started.elapsed())));
    let nodes = cluster.say(leader, &["nodes"])?.stdout;
    assert!(nodes.contains("engine down"), "{nodes}");
    cluster.say(hung, &["scale", "-p", "app", "web=4", "--detach"])?;
    cluster.serving(leader, ("app", "web"), 4, Some(hung))?;
    say(&format!("replaced after {}", seconds(started.elapsed())));
    for host in MANAGERS {
        assert_eq!(cluster.ask(host, WEB, "/")?.status, 200);
    }
    cluster.resume(hung)?;
    let took = cluster.whole()?;
    say(&format!("whole {} after it answers again", seconds(took)));
    cluster.scale_app("web=2")
}
