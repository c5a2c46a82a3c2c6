//! Three members over real sockets: elections, forwarding, membership, catching up, cuts.

mod support;

use consensus::{FOUNDER, ProposeError, ReadError};
use model::{NodeId, Outcome};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{Cluster, label, labelled, request};

#[tokio::test(flavor = "multi_thread")]
async fn any_member_takes_a_write_and_serves_a_fresh_read() {
    let cluster = Cluster::new().of(3).await;
    let ids: Vec<NodeId> = cluster.members.keys().copied().collect();
    for (n, id) in ids.iter().cycle().take(12).enumerate() {
        let written = cluster.log(*id).propose(label("k", &n.to_string()), None).await.unwrap();
        assert_eq!(written.1, Outcome::Done);
        for reader in &ids {
            let mark = cluster.log(*reader).read_index().await.unwrap();
            assert!(mark.index >= written.0);
            assert_eq!(
                labelled(cluster.log(*reader), "k"),
                Some(n.to_string()),
                "read at {reader}"
            );
        }
    }
    let leadership = cluster.log(ids[1]).leadership().borrow().clone();
    assert_eq!(leadership.voters, ids.into_iter().collect());
    let age = cluster.log(FOUNDER).contact_age();
    assert!(age < Duration::from_secs(5), "{age:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_01_the_rest_goes_on_without_its_leader() {
    let mut cluster = Cluster::new().of(3).await;
    for _ in 0..3 {
        let old = cluster.leader().await;
        let before = cluster.log(old).propose(label("k", &old.to_string()), None).await.unwrap();
        cluster.kill(old).await;
        let new = cluster.leader().await;
        assert_ne!(new, old);
        assert_eq!(
            labelled(cluster.log(new), "k"),
            Some(old.to_string()),
            "nothing acknowledged is lost"
        );
        let after = cluster.log(new).propose(label("after", &old.to_string()), None).await.unwrap();
        assert!(after.0 > before.0);
        cluster.start(old).await.unwrap();
        cluster
            .until("the old leader catches up", |c| {
                labelled(c.log(old), "after") == Some(old.to_string())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_01_calls_in_flight_are_answered_when_the_leader_goes() {
    let cluster = Cluster::new().of(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.followers().await[0];
    cluster.cut(leader);
    let log = cluster.log(follower).clone();
    let id = request(&log, 5);
    let waiting = tokio::spawn(async move { log.propose(label("in flight", "1"), Some(id)).await });
    let answered = tokio::time::timeout(Duration::from_secs(8), waiting).await;
    let result = answered.expect("it is answered").unwrap();
    let lost = matches!(result, Err(ProposeError::LeaderChanged | ProposeError::NoQuorum { .. }));
    assert!(lost || result.is_ok(), "{result:?}");
    let new = cluster.leader().await;
    let log = cluster.log(new);
    while log.propose(label("in flight", "1"), Some(id)).await.is_err() {}
    assert_eq!(labelled(log, "in flight"), Some("1".into()), "the retry succeeds");
    cluster.heal();
    cluster
        .until("the old leader catches up", |c| labelled(c.log(leader), "in flight").is_some())
        .await;
    assert_ne!(cluster.leader().await, leader);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_06_a_cut_off_leader_serves_no_stale_read_and_takes_no_write() {
    let cluster = Cluster::new().of(3).await;
    let old = cluster.leader().await;
    cluster.cut(old);
    let new = cluster.leader().await;
    cluster.log(new).propose(label("k", "new"), None).await.unwrap();
    let read = cluster.log(old).read_index().await;
    assert!(matches!(read, Err(ReadError::NoQuorum { voters: 3, .. })), "{read:?}");
    let write = cluster.log(old).propose(label("k", "old"), None).await;
    assert!(write.is_err(), "{write:?}");
    assert!(cluster.log(old).contact_age() > Duration::from_secs(1));
    assert!(cluster.log(old).leads().borrow().is_none(), "it may not decide");
    cluster.heal();
    cluster.log(old).read_index().await.ok();
    cluster.until("it hears the others", |c| labelled(c.log(old), "k") == Some("new".into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_03_without_quorum_a_write_fails_and_says_so() {
    let mut cluster = Cluster::new().of(3).await;
    let followers = cluster.followers().await;
    let leader = cluster.leader().await;
    for id in &followers {
        cluster.kill(*id).await;
    }
    // The first one may have been taken before the loss was known.
    let _ = cluster.log(leader).propose(label("k", "1"), None).await;
    let failed = cluster.log(leader).propose(label("k", "2"), None).await;
    assert_eq!(failed, Err(ProposeError::NoQuorum { ready: 1, voters: 3 }));
    assert_eq!(failed.unwrap_err().to_string(), "no quorum (1/3)");
    assert_eq!(
        cluster.log(leader).quorum(),
        (1, 3),
        "it is known without waiting for a call to fail"
    );
    cluster.start(followers[0]).await.unwrap();
    let leader = cluster.leader().await;
    cluster.log(leader).propose(label("k", "3"), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_09_an_isolated_member_disturbs_nobody_when_it_comes_back() {
    let cluster = Cluster::new().of(3).await;
    let leader = cluster.leader().await;
    let isolated = cluster.followers().await[0];
    let term = cluster.log(leader).term();
    cluster.cut(isolated);
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.log(leader).propose(label("k", "1"), None).await.unwrap();
    cluster.heal();
    cluster.until("it catches up", |c| labelled(c.log(isolated), "k").is_some()).await;
    assert_eq!(cluster.log(leader).term(), term, "pre-vote keeps the term");
    assert!(cluster.log(leader).is_leader());
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_on() {
    let cluster = Cluster::new().of(3).await;
    let old = cluster.leader().await;
    cluster.log(old).transfer(None).await.unwrap();
    let new = cluster.leader().await;
    assert_ne!(new, old);
    cluster.log(new).transfer(Some(old)).await.unwrap();
    assert_eq!(cluster.leader().await, old);
    assert!(cluster.log(new).transfer(None).await.is_err(), "only a leader can");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_29_members_become_what_is_wished() {
    let mut cluster = Cluster::new().of(1).await;
    let second = cluster.admit("node2").await;
    let third = cluster.admit("node3").await;
    let fourth = cluster.admit("node4").await;
    let set = |ids: &[NodeId]| ids.iter().copied().collect::<BTreeSet<_>>();
    cluster.reconcile(&set(&[FOUNDER, second, third]), &set(&[fourth])).await;
    let seen = |c: &Cluster| c.log(FOUNDER).leadership().borrow().clone();
    assert_eq!(seen(&cluster).voters, set(&[FOUNDER, second, third]));
    assert_eq!(seen(&cluster).learners, set(&[fourth]));
    // A dead voter is replaced by the learner.
    cluster.kill(third).await;
    cluster.reconcile(&set(&[FOUNDER, second, fourth]), &set(&[])).await;
    assert_eq!(seen(&cluster).voters, set(&[FOUNDER, second, fourth]));
    assert_eq!(seen(&cluster).learners, set(&[]));
    // Doing it again changes nothing.
    let before = cluster.log(FOUNDER).metrics().last_index;
    cluster.reconcile(&set(&[FOUNDER, second, fourth]), &set(&[])).await;
    assert_eq!(cluster.log(FOUNDER).metrics().last_index, before);
    // The leader itself can be voted out.
    let leader = cluster.leader().await;
    let rest: Vec<NodeId> =
        [FOUNDER, second, fourth].into_iter().filter(|n| *n != leader).collect();
    cluster.reconcile(&set(&rest[..1]), &set(&rest[1..])).await;
    cluster.until("the only voter leads", |c| c.log(rest[0]).leads().borrow().is_some()).await;
    cluster.log(rest[0]).propose(label("k", "1"), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_30_a_late_member_catches_up_through_a_snapshot() {
    let (mut cluster, late) = Cluster::with_one_far_behind().await;
    cluster.start(late).await.unwrap();
    cluster.until("it catches up", |c| labelled(c.log(late), "k") == Some("199".into())).await;
    assert!(cluster.log(late).metrics().snapshot > 100, "by a snapshot");
    // What it was given is on its disk.
    cluster.kill(late).await;
    cluster.start(late).await.unwrap();
    assert_eq!(labelled(cluster.log(late), "k"), Some("199".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_29_a_wiped_member_has_no_say_under_its_old_identity() {
    let mut cluster = Cluster::new().of(3).await;
    let wiped = cluster.followers().await[0];
    cluster.kill(wiped).await;
    std::fs::remove_dir_all(cluster.folder(wiped)).unwrap();
    let other = cluster.followers().await[0];
    cluster.start(wiped).await.unwrap();
    let fatal = tokio::time::timeout(support::PATIENCE, cluster.log(wiped).fatal()).await.unwrap();
    assert!(fatal.to_string().contains("clusterctl join --replace"), "{fatal}");
    assert_eq!(cluster.log(wiped).metrics().last_index, 0, "it was given nothing");
    // With one more voter gone there is no majority, though the wiped one answers.
    cluster.kill(other).await;
    let leader = cluster.leader().await;
    let _ = cluster.log(leader).propose(label("k", "1"), None).await;
    let failed = cluster.log(leader).propose(label("k", "2"), None).await;
    assert!(matches!(failed, Err(ProposeError::NoQuorum { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_24_a_damaged_snapshot_beside_a_whole_log_is_fetched_again() {
    let mut cluster = Cluster::new();
    (cluster.snapshot_every, cluster.keep) = (50, 5);
    let mut cluster = cluster.of(3).await;
    let leader = cluster.leader().await;
    for n in 0..200 {
        cluster.log(leader).propose(label("k", &n.to_string()), None).await.unwrap();
    }
    let hurt = cluster.followers().await[0];
    cluster.until("it took a snapshot", |c| c.log(hurt).metrics().snapshot > 100).await;
    cluster.kill(hurt).await;
    for entry in std::fs::read_dir(cluster.folder(hurt)).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|e| e == "snap") {
            let mut bytes = std::fs::read(entry.path()).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(entry.path(), bytes).unwrap();
        }
    }
    cluster.start(hurt).await.unwrap();
    cluster.until("it has all", |c| labelled(c.log(hurt), "k") == Some("199".into())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_05_all_members_restarted_at_once_come_back() {
    let mut cluster = Cluster::new().of(3).await;
    let ids: Vec<NodeId> = cluster.members.keys().copied().collect();
    let leader = cluster.leader().await;
    cluster.log(leader).propose(label("k", "kept"), None).await.unwrap();
    for id in &ids {
        cluster.kill(*id).await;
    }
    for id in ids.iter().rev() {
        cluster.start(*id).await.unwrap();
    }
    let leader = cluster.leader().await;
    assert_eq!(labelled(cluster.log(leader), "k"), Some("kept".into()));
}
