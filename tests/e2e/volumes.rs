//! A replica with data of its own: it lives where its volume lives, or waits.

use crate::cluster::{Cluster, MANAGERS, Step, eventually, example, hold, say, seconds};
use lab::Part;
use lab::harness::Verdict;
use std::time::Duration;

const PORT: u16 = 8090;

/// Fault 14 for what keeps data: its home is cut off, and it is started nowhere else; it waits
/// with the reason, and its data is there when the home is back, after a power loss too.
pub(crate) fn fault_14_volume_waits_for_its_home(cluster: &Cluster) -> Verdict {
    cluster.deploy(1, &example("journal.yml"))?;
    let serve = cluster.serving(1, ("journal", "db"), 1, None)?;
    let home = cluster.number(&serve[0].node)?;
    eventually("a written file", || {
        let reply = cluster.ask(1, PORT, "/write/data/note/kept")?;
        hold(reply.status == 200, || format!("{reply:?}"))
    })?;
    let before = cluster.of("journal", "db")?;
    let asker = MANAGERS.into_iter().find(|host| *host != home).expect("there are three");
    cluster.cut(home)?;
    let reason = eventually("a reason that names volume and home", || {
        let all = cluster.ps(asker, "journal")?;
        let reason = all
            .iter()
            .map(|r| r.reason.clone())
            .find(|r| r.contains("data") && r.contains(&serve[0].node));
        reason.ok_or_else(|| format!("{all:?}").into())
    })?;
    say(&reason);
    // Longer than anything stateless needs to be replaced.
    lab::pause(Duration::from_secs(5));
    assert_eq!(cluster.of("journal", "db")?, before, "a second writer");
    cluster.heal(home)?;
    back(cluster)?;
    assert_eq!(
        cluster.of("journal", "db")?,
        before,
        "it was restarted although it ran all the time"
    );

    cluster.kill(home, Part::All)?;
    eventually("a lost home", || {
        let nodes = cluster.status(asker)?.nodes;
        hold(nodes.iter().any(|n| n.readiness == "lost"), || format!("{nodes:?}"))
    })?;
    cluster.power_on(home)?;
    let started = lab::now();
    back(cluster)?;
    say(&format!("data back {} after power is", seconds(started.elapsed())));

    cluster.undeploy(1, "journal")?;
    cluster.deploy(1, &example("journal.yml"))?;
    back(cluster)?;
    cluster.say(1, &["down", "-p", "journal", "--volumes"])?;
    eventually("no volume left", || {
        for host in MANAGERS {
            let left = cluster.docker(host, &["volume", "ls", "--quiet"])?.ok()?.stdout;
            hold(!left.contains("journal"), || format!("host{host}: {left}"))?;
        }
        Ok(())
    })
}

/// The replica serves, with what was written at first.
fn back(cluster: &Cluster) -> Step<()> {
    cluster.whole()?;
    eventually("the data", || {
        let reply = cluster.ask(2, PORT, "/file/data/note")?;
        hold(reply.body == "kept", || format!("{reply:?}"))
    })
}
