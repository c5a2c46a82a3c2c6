//! One member alone: founding, durability, damage.

mod support;

use consensus::{FOUNDER, FoundError, OpenError};
use model::{ClusterId, NodeId};
use support::{Cluster, founding, label, labelled, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_founded_log_comes_back_with_everything_it_acknowledged() {
    let mut cluster = Cluster::new().of(1).await;
    assert_eq!(cluster.log(FOUNDER).state().cluster_id(), cluster.id);
    for n in 0..20 {
        let (_, outcome) =
            cluster.log(FOUNDER).propose(label("k", &n.to_string()), None).await.unwrap();
        assert_eq!(outcome, model::Outcome::Done);
        assert_eq!(
            labelled(cluster.log(FOUNDER), "k"),
            Some(n.to_string()),
            "shown before it is answered"
        );
    }
    let before = cluster.log(FOUNDER).state();
    cluster.kill(FOUNDER).await;
    cluster.start(FOUNDER).await.unwrap();
    cluster.leader().await;
    let after = cluster.log(FOUNDER).state();
    assert_eq!(labelled(cluster.log(FOUNDER), "k"), Some("19".into()));
    assert_eq!(after.nodes, before.nodes);
    let mark = cluster.log(FOUNDER).read_index().await.unwrap();
    assert!(cluster.log(FOUNDER).state().index >= mark.index);
    let metrics = cluster.log(FOUNDER).metrics();
    assert!(
        metrics.last_index > 20 && metrics.applied == metrics.last_index && metrics.log_bytes > 0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_request_happens_once() {
    let cluster = Cluster::new().of(1).await;
    let log = cluster.log(FOUNDER);
    let id = request(log, 1);
    let first = log.propose(label("a", "1"), Some(id)).await.unwrap();
    log.propose(label("a", "2"), None).await.unwrap();
    let again = log.propose(label("a", "1"), Some(id)).await.unwrap();
    assert_eq!(first.1, again.1);
    assert_eq!(labelled(log, "a"), Some("2".into()), "the retry changed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn founding_happens_once_and_only_by_founders() {
    let mut cluster = Cluster::new().of(1).await;
    let log = cluster.log(FOUNDER);
    let again = log.found(([127, 0, 0, 1], 1).into(), founding(&cluster.id)).await;
    assert!(matches!(again, Err(FoundError::NotEmpty)));
    cluster.start(NodeId(9)).await.unwrap();
    let other =
        cluster.log(NodeId(9)).found(([127, 0, 0, 1], 1).into(), founding(&cluster.id)).await;
    assert!(matches!(other, Err(FoundError::NotFounder)));
    let error = cluster.log(NodeId(9)).propose(label("a", "1"), None).await;
    assert!(error.is_err(), "an empty log takes nothing");
    assert!(cluster.log(NodeId(9)).leader().is_none(), "an empty log elects nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_opened_by_its_owner_alone() {
    let mut cluster = Cluster::new().of(1).await;
    let dir = cluster.folder(FOUNDER);
    assert!(matches!(cluster.open(FOUNDER, &dir).await, Err(OpenError::InUse { .. })));
    cluster.kill(FOUNDER).await;
    assert!(matches!(cluster.open(NodeId(5), &dir).await, Err(OpenError::Foreign { .. })));
    cluster.id = ClusterId("another".into());
    assert!(matches!(cluster.open(FOUNDER, &dir).await, Err(OpenError::Foreign { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_founding_is_begun_again() {
    let mut cluster = Cluster::new();
    cluster.start(FOUNDER).await.unwrap();
    cluster.kill(FOUNDER).await;
    cluster.id = ClusterId("second try".into());
    let cluster = cluster.of(1).await;
    assert_eq!(cluster.log(FOUNDER).state().cluster_id(), cluster.id);
}

/// Every byte of the file in turn would take long; a stride that is coprime to the page size meets all
/// kinds of places.
#[tokio::test(flavor = "multi_thread")]
async fn fault_24_a_flipped_byte_is_never_served() {
    let mut cluster = Cluster::new().of(1).await;
    for n in 0..200 {
        cluster.log(FOUNDER).propose(label("key", &format!("value-{n}")), None).await.unwrap();
    }
    cluster.kill(FOUNDER).await;
    let file = cluster.folder(FOUNDER).join("raft.redb");
    let whole = std::fs::read(&file).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for at in (0..whole.len()).step_by(8_191) {
        let mut bent = whole.clone();
        bent[at] ^= 0x10;
        std::fs::write(&file, &bent).unwrap();
        match cluster.open(FOUNDER, &cluster.folder(FOUNDER)).await {
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
            Ok(log) => {
                // The byte was in free space: everything is there, or the log does not open.
                assert_eq!(labelled(&log, "key"), Some("value-199".into()), "byte {at}");
                harmless += 1;
                log.shutdown().await;
            }
        }
    }
    assert!(refused > 0, "{harmless} harmless");
    std::fs::write(&file, &whole).unwrap();
    cluster.start(FOUNDER).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_says_what_to_do() {
    let mut cluster = Cluster::new().of(1).await;
    cluster.kill(FOUNDER).await;
    let dir = cluster.folder(FOUNDER);
    std::fs::write(dir.join("raft.redb"), b"not a database at all").unwrap();
    let Err(error) = cluster.open(FOUNDER, &dir).await else { panic!("it opened") };
    let text = error.to_string();
    assert!(
        text.contains("clusterctl join --replace") && text.contains(&dir.display().to_string()),
        "{text}"
    );
}
