//! A snapshot whose transfer is interrupted at one moment or another: by a cut, by the death of who gets it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod support;

use consensus::FOUNDER;
use model::NodeId;
use std::time::Duration;
use support::{Cluster, labelled};

async fn catches_up(cluster: &Cluster, late: NodeId) {
    cluster.until("it has all", |c| labelled(c.log(late), "k") == Some("199".into())).await;
    let leader = cluster.leader().await;
    let (theirs, its) = (cluster.log(leader).state(), cluster.log(late).state());
    assert_eq!(its.nodes[&FOUNDER], theirs.nodes[&FOUNDER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_30_a_transfer_that_is_cut_off_is_begun_again() {
    let (mut cluster, late) = Cluster::with_one_far_behind().await;
    cluster.start(late).await.unwrap();
    for wait in [1, 4, 9, 16, 25] {
        cluster.cut(late);
        tokio::time::sleep(Duration::from_millis(20)).await;
        cluster.heal();
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    catches_up(&cluster, late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_30_who_dies_while_it_takes_a_snapshot_has_the_old_state_or_the_new_one() {
    let (mut cluster, late) = Cluster::with_one_far_behind().await;
    for wait in [0, 2, 5, 10, 20, 40, 80] {
        cluster.start(late).await.unwrap();
        let held = labelled(cluster.log(late), "k").map(|k| k.parse::<u32>().unwrap());
        assert!(held.is_none_or(|k| k < 200), "{held:?}");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        cluster.kill(late).await;
    }
    cluster.start(late).await.unwrap();
    catches_up(&cluster, late).await;
}
