//! The store against openraft's own suite, and against what that leaves out: a reopened file holds exactly
//! what was acknowledged, after any sequence of operations.

use super::disk::{Disk, Identity};
use super::{Store, gone};
use crate::encoding::Blob;
use crate::machine::Machine;
use crate::snapshots::Folder;
use crate::types::{Entry, LogId, LogIdRecord, Member, Types, Vote};
use model::State;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, Membership, RaftLogReader, StorageError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;

fn identity() -> Identity {
    Identity { cluster: "c".into(), node: 3, disk: "d".into() }
}

fn open(dir: &Path) -> Store {
    if !dir.join(super::disk::FILE).exists() {
        Disk::create(dir, &identity()).unwrap();
    }
    let (disk, contents) = Disk::open(dir).unwrap();
    Store::start(disk, contents).unwrap().0
}

struct Build;

impl StoreBuilder<Types, Store, Machine, TempDir> for Build {
    async fn build(&self) -> Result<(TempDir, Store, Machine), StorageError<Types>> {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let (published, _) = watch::channel(Arc::new(State::default()));
        let machine =
            Machine::new(Folder::new(dir.path()), store.clone(), None, published).unwrap();
        Ok((dir, store, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_own_suite_passes() {
    Suite::test_all(Build).await.unwrap();
}

fn log_id(term: u64, index: u64) -> LogId {
    LogIdRecord { term, index }.into()
}

fn entry(term: u64, index: u64) -> Entry {
    let payload = match index % 5 {
        0 => EntryPayload::Blank,
        1 => {
            let member = Member { address: ([10, 0, 0, 1], 7070).into(), disk: "x".into() };
            let members = Membership::new(vec![BTreeSet::from([3])], BTreeMap::from([(3, member)]));
            EntryPayload::Membership(members.unwrap())
        }
        _ => EntryPayload::Normal(Blob(vec![index as u8; 300].into())),
    };
    Entry::new(log_id(term, index), payload)
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Truncate(u8),
    Purge(u8),
    Vote,
    Commit(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..6).prop_map(Step::Append),
        1 => (0_u8..4).prop_map(Step::Truncate),
        1 => (0_u8..8).prop_map(Step::Purge),
        1 => Just(Step::Vote),
        1 => (0_u8..4).prop_map(Step::Commit),
    ]
}

/// What the store must hold.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    entries: Vec<Entry>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl Wanted {
    fn next(&self) -> u64 {
        self.entries.last().map_or(self.purged.map_or(0, |p| p.index + 1), |e| e.log_id.index + 1)
    }

    async fn step(&mut self, store: &mut Store, term: u64, step: &Step) {
        match step {
            Step::Append(count) => {
                let first = self.next();
                let new: Vec<Entry> =
                    (first..first + u64::from(*count)).map(|i| entry(term, i)).collect();
                let (told, flushed) = Types::oneshot();
                store.append(new.clone(), IOFlushed::signal(told)).await.unwrap();
                flushed.await.map_err(gone).unwrap().unwrap();
                self.entries.extend(new);
            }
            Step::Truncate(count) => {
                let left = self.entries.len().saturating_sub((*count).into());
                self.entries.truncate(left);
                let last = self.entries.last().map(RaftEntry::log_id).or(self.purged);
                store.truncate_after(last).await.unwrap();
            }
            Step::Purge(count) => {
                let Some(upto) = self.entries.get(usize::from(*count)).map(RaftEntry::log_id)
                else {
                    return;
                };
                self.entries.drain(..=usize::from(*count));
                self.purged = Some(upto);
                store.purge(upto).await.unwrap();
            }
            Step::Vote => {
                self.vote = Some(Vote::new_committed(term, 3));
                store.save_vote(&Vote::new_committed(term, 3)).await.unwrap();
            }
            Step::Commit(back) => {
                let at = self.entries.len().checked_sub(1 + usize::from(*back));
                let Some(id) = at.map(|at| self.entries[at].log_id) else { return };
                self.committed = Some(id);
                store.save_committed(Some(id)).await.unwrap();
            }
        }
    }
}

async fn held(store: &mut Store) -> Wanted {
    Wanted {
        entries: store.try_get_log_entries(..).await.unwrap(),
        purged: store.get_log_state().await.unwrap().last_purged_log_id,
        vote: store.read_vote().await.unwrap(),
        committed: store.read_committed().await.unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reopened_log_is_the_log_that_was_closed(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = TempDir::new().unwrap();
            let mut wanted = Wanted::default();
            let mut store = open(dir.path());
            for (term, step) in (1..).zip(&steps) {
                wanted.step(&mut store, term, step).await;
                store.stop().await;
                store = open(dir.path());
                let held = held(&mut store).await;
                prop_assert_eq!(&held, &wanted, "after {:?}", step);
                prop_assert_eq!(&*store.identity, &identity());
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn one_message_to_a_follower_has_a_limit() {
    let dir = TempDir::new().unwrap();
    let mut store = open(dir.path());
    let large = |i| Entry::new(log_id(1, i), EntryPayload::Normal(Blob(vec![0; 3 << 20].into())));
    store.append((0..4).map(large), IOFlushed::noop()).await.unwrap();
    assert_eq!(store.limited_get_log_entries(0, 4).await.unwrap().len(), 1);
    store.append((4..40).map(|i| entry(1, i)), IOFlushed::noop()).await.unwrap();
    assert_eq!(store.limited_get_log_entries(4, 40).await.unwrap().len(), 36);
}
