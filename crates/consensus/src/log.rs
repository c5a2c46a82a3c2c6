//! The handle that the daemon holds.

use crate::error::{Fatal, FoundError};
use crate::forward::Forwarder;
use crate::leading::{Contact, Leading};
use crate::machine::Machine;
use crate::open::Config;
use crate::snapshots::Folder;
use crate::store::Store;
use crate::store::writer::Ended;
use crate::transport::peers::Peers;
use crate::transport::service::{PeerCheck, RaftService, Service};
use crate::types::{Member, Types};
use crate::{FOUNDER, Leadership};
use model::{Command, Found, NodeId, Outcome, State, Time};
use openraft::async_runtime::watch::WatchReceiver;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

pub(crate) type Raft = openraft::Raft<Types, Machine>;

/// How long a founder may take to lead a cluster of one.
const FOUNDING: Duration = Duration::from_secs(10);

/// Where a linearizable read may be served from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMark {
    /// Every state that has applied this index will do.
    pub index: u64,
    /// Cluster time of the leader when it confirmed that it leads.
    pub now: Time,
}

/// Figures for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Term.
    pub term: u64,
    /// Index of the last entry on this member.
    pub last_index: u64,
    /// Index of the last entry applied.
    pub applied: u64,
    /// Index of the last entry that the newest snapshot covers; zero without one.
    pub snapshot: u64,
    /// Bytes of all entries kept.
    pub log_bytes: usize,
    /// Median of the last writes, fsync included.
    pub fsync_p50: Duration,
    /// 99th percentile of the last writes, fsync included.
    pub fsync_p99: Duration,
}

/// The log of this member. Clones share it.
#[derive(Clone)]
pub struct Log {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) raft: Raft,
    pub(crate) store: Store,
    pub(crate) folder: Folder,
    pub(crate) peers: Arc<Peers>,
    pub(crate) forwarder: Forwarder,
    pub(crate) contact: Contact,
    pub(crate) states: watch::Receiver<Arc<State>>,
    pub(crate) leading: Mutex<Option<Leading>>,
    pub(crate) leads: watch::Sender<Option<(u64, Time)>>,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) fatal: watch::Sender<Option<Fatal>>,
    pub(crate) stopping: AtomicBool,
    pub(crate) reconciling: tokio::sync::Mutex<()>,
}

impl Inner {
    /// The log cannot go on. The first reason stays.
    pub(crate) fn fail(&self, why: Fatal) {
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            if first {
                *fatal = Some(why);
            }
            first
        });
    }

    /// The thread that writes the log must not end before the log is shut down.
    pub(crate) async fn outlive(self: Arc<Self>, writer: Ended) {
        let _ = writer.await;
        if !self.stopped() {
            self.fail(Fatal::Panicked);
        }
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.fatal.borrow().is_some()
    }
}

impl Log {
    /// The service by which the other members reach this one; to be mounted where `check` can tell who
    /// calls.
    pub fn service(&self, check: PeerCheck) -> RaftService {
        Service::mounted(Arc::clone(&self.inner), check)
    }

    /// Founds a cluster on an empty log: this member alone, reached at `address`, then the founding
    /// command. This is the only way in which a log ever starts without being let in by another member.
    ///
    /// # Errors
    /// The log is not empty, this is not node [`FOUNDER`], or the disk failed.
    pub async fn found(&self, address: SocketAddr, found: Found) -> Result<(), FoundError> {
        let me = self.inner.peers.me;
        if NodeId(me) != FOUNDER || found.cluster != self.inner.peers.cluster {
            return Err(FoundError::NotFounder);
        }
        let member = Member { address, disk: self.inner.store.identity.disk.clone() };
        if self.inner.raft.initialize(BTreeMap::from([(me, member)])).await.is_err() {
            return Err(FoundError::NotEmpty);
        }
        let mut leads = self.leads();
        let led = tokio::time::timeout(FOUNDING, leads.wait_for(Option::is_some)).await;
        if !matches!(led, Ok(Ok(_))) {
            return Err(FoundError::Wrong("this member did not come to lead".into()));
        }
        drop(led);
        let (index, outcome) = self.inner.propose_here(&Command::Found(found), None).await?;
        match outcome {
            Outcome::Joined { node } if node == FOUNDER && index == FOUNDER.0 => Ok(()),
            other => Err(FoundError::Wrong(format!("entry {index} came to {other:?}"))),
        }
    }

    /// The state as of the last batch of entries applied here.
    pub fn state(&self) -> Arc<State> {
        self.inner.states.borrow().clone()
    }

    /// The state, shown anew once per batch of applied entries.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.inner.states.clone()
    }

    /// Who leads and who holds the log, as this member knows.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    /// Whether this member leads *and may decide*: it has a quorum and has applied everything that
    /// earlier leaders proposed. Then its term, and cluster time at that moment.
    pub fn leads(&self) -> watch::Receiver<Option<(u64, Time)>> {
        self.inner.leads.subscribe()
    }

    /// Who leads, as this member knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.inner.leadership.borrow().leader
    }

    /// Whether this member leads, as far as it knows; only a majority can tell for sure.
    pub fn is_leader(&self) -> bool {
        self.inner.leadership.borrow().is_leader
    }

    /// Raft's term.
    pub fn term(&self) -> u64 {
        self.inner.leadership.borrow().term
    }

    /// Cluster time, where this member leads and may decide.
    pub fn cluster_now(&self) -> Option<Time> {
        self.inner.leading().map(|l| l.now())
    }

    /// How long ago this member had contact with a leader that has a quorum; a leader asks itself.
    /// `Duration::MAX` when it had none since it was opened.
    pub fn contact_age(&self) -> Duration {
        self.inner.contact_age()
    }

    /// Voters that answer this member, itself included, and all voters: what to say when nobody has confirmed
    /// anything yet.
    pub fn quorum(&self) -> (usize, usize) {
        self.inner.quorum()
    }

    /// Resolves when the log stopped by itself. The process should end then: it can promise nothing more.
    pub async fn fatal(&self) -> Fatal {
        let mut fatal = self.inner.fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(why) => why.clone().expect("it was waited for"),
            Err(_) => std::future::pending().await,
        }
    }

    /// Figures for `/metrics`.
    pub fn metrics(&self) -> Metrics {
        let (fsync_p50, fsync_p99) = self.inner.store.latency();
        let receiver = self.inner.raft.metrics();
        let raft = receiver.borrow_watched();
        Metrics {
            term: raft.current_term,
            last_index: raft.last_log_index.unwrap_or(0),
            applied: raft.last_applied.map_or(0, |l| l.index),
            snapshot: raft.snapshot.map_or(0, |l| l.index),
            log_bytes: self.inner.store.bytes(),
            fsync_p50,
            fsync_p99,
        }
    }

    /// Stops taking part and closes the files. A leader should [`Log::transfer`] first.
    pub async fn shutdown(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        let _ = self.inner.raft.shutdown().await;
        self.inner.store.stop().await;
    }
}
