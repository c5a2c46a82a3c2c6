//! Opens a log: verifies what is on disk, decides whether it can be trusted, and starts Raft on it.

use crate::error::OpenError;
use crate::forward::Forwarder;
use crate::leading::{Contact, Leadership, quorum_age};
use crate::log::{Inner, Log, Raft};
use crate::machine::Machine;
use crate::snapshots::{Folder, Taken};
use crate::store::Store;
use crate::store::disk::{self, Contents, Disk, Identity};
use crate::transport::fetch;
use crate::transport::network::Factory;
use crate::transport::peers::{Connector, Peers};
use crate::types::LogId;
use crate::{FOUNDER, types};
use model::{ClusterId, NodeId, State, Timers};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Config as RaftConfig, SnapshotPolicy};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How long other members are asked for a snapshot when the own one is damaged.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// This member. [`FOUNDER`] on a host that founds; else as the join reply says.
    pub node: NodeId,
    /// Folder of the log, its own alone. Made when missing.
    pub dir: PathBuf,
    /// Heartbeat and election timers; checked.
    pub timers: Timers,
    /// Entries after which a snapshot is taken, once they take as many bytes as the last one.
    pub snapshot_every: u64,
    /// Entries that are kept behind a snapshot, for followers that are a little late.
    pub keep: u64,
    /// How long other members are asked for a snapshot when the own one is damaged.
    pub patience: Duration,
}

impl Config {
    /// With the defaults.
    pub fn new(cluster: ClusterId, node: NodeId, dir: impl Into<PathBuf>, timers: Timers) -> Self {
        let dir = dir.into();
        Self { cluster, node, dir, timers, snapshot_every: 4_000, keep: 1_000, patience: PATIENCE }
    }

    fn raft(&self) -> Result<Arc<RaftConfig>, OpenError> {
        self.timers.check().map_err(|e| OpenError::Setting(e.to_string()))?;
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let config = RaftConfig {
            cluster_name: self.cluster.0.clone(),
            heartbeat_interval: ms(self.timers.heartbeat),
            election_timeout_min: ms(self.timers.election_min),
            election_timeout_max: ms(self.timers.election_max),
            enable_pre_vote: Some(true),
            // A leader that hears no majority falls silent long enough for the others to elect.
            quorum_loss_probe_interval: Some(ms(self.timers.election_max) * 3),
            // After a restart the others may have elected: ask, never assume.
            enable_leader_restore: Some(false),
            install_snapshot_timeout: 10_000,
            // `leading.rs` asks for them.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.keep,
            ..RaftConfig::default()
        };
        config.validate().map(Arc::new).map_err(|e| OpenError::Setting(e.to_string()))
    }
}

impl Log {
    /// Opens the log in a folder, or makes an empty one, which then waits: for [`Log::found`], or for a
    /// leader that lets it in.
    ///
    /// # Errors
    /// What is stored is damaged, not this member's, too new, or in use; see [`OpenError`].
    pub async fn open(config: Config, connector: Connector) -> Result<Self, OpenError> {
        let raft_config = config.raft()?;
        let dir = config.dir.clone();
        make(&dir)?;
        let folder = Folder::new(&dir);
        folder.sweep().map_err(OpenError::io(&dir))?;
        let identity = Identity {
            cluster: config.cluster.0.clone(),
            node: config.node.0,
            disk: disk::draw()?,
        };
        let (disk, contents) = opened(&dir, &folder, &identity)?;
        let redial = config.timers.redial;
        let peers = Peers::new(config.cluster.clone(), config.node.0, connector, redial);
        let taken = snapshot(&config, &folder, &contents, &peers).await?;
        let (store, ended) = Store::start(disk, contents).map_err(OpenError::io(&dir))?;
        let (published, states) = watch::channel(Arc::new(State::default()));
        let machine = Machine::new(folder.clone(), store.clone(), taken, published)
            .map_err(OpenError::io(&dir))?;
        let peers = Arc::new(peers);
        let factory = Factory(Arc::clone(&peers));
        let raft = Raft::new(config.node.0, raft_config, factory, store.clone(), machine).await;
        let raft = raft.map_err(|e| OpenError::Start { dir: dir.clone(), why: e.to_string() })?;
        let metrics = raft.metrics();
        peers.tell_quorum_age(Box::new(move || quorum_age(&metrics.borrow_watched())));
        let inner = Inner {
            config,
            raft,
            store,
            folder,
            forwarder: Forwarder::start(Arc::clone(&peers)),
            peers,
            contact: Contact::default(),
            states,
            leading: Mutex::new(None),
            leads: watch::Sender::new(None),
            leadership: watch::Sender::new(Leadership::default()),
            fatal: watch::Sender::new(None),
            stopping: false.into(),
            reconciling: tokio::sync::Mutex::default(),
        };
        let inner = Arc::new(inner);
        tokio::spawn(Arc::clone(&inner).follow());
        tokio::spawn(Arc::clone(&inner).outlive(ended));
        Ok(Self { inner })
    }
}

fn make(dir: &Path) -> Result<(), OpenError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(OpenError::io(dir))
}

/// The file of this member, made when there is none.
fn opened(dir: &Path, folder: &Folder, wanted: &Identity) -> Result<(Disk, Contents), OpenError> {
    let path = dir.join(disk::FILE);
    let snapshots = folder.any().map_err(OpenError::io(dir))?;
    if !path.exists() {
        if snapshots {
            let what = format!("{} is gone, and its snapshots are here", disk::FILE);
            return Err(OpenError::Damaged { dir: dir.into(), what });
        }
        Disk::create(dir, wanted)?;
    }
    let (disk, contents) = Disk::open(dir)?;
    // A founding that was interrupted before it was acknowledged is begun again.
    let begun = contents.identity.node == FOUNDER.0 && !snapshots && contents.unfounded();
    if wanted.node == FOUNDER.0 && begun {
        drop(disk);
        fs::remove_file(&path).map_err(OpenError::io(&path))?;
        Disk::create(dir, wanted)?;
        return Disk::open(dir);
    }
    let found = &contents.identity;
    if (found.node, &found.cluster) != (wanted.node, &wanted.cluster) {
        let name = |i: &Identity| format!("node {} of cluster {}", i.node, i.cluster);
        return Err(OpenError::Foreign {
            dir: dir.into(),
            found: name(found),
            wanted: name(wanted),
        });
    }
    Ok((disk, contents))
}

/// The state to start from: a snapshot from which the log goes on without a gap.
async fn snapshot(
    config: &Config,
    folder: &Folder,
    contents: &Contents,
    peers: &Peers,
) -> Result<Option<Taken>, OpenError> {
    let covers = |taken: &Taken, floor: types::LogId| taken.last.map(LogId::from) >= Some(floor);
    let own = folder.load()?;
    let Some(floor) = contents.purged else { return Ok(own) };
    if own.as_ref().is_some_and(|t| covers(t, floor)) {
        return Ok(own);
    }
    // Log and vote are whole, so nothing acknowledged is forgotten by taking the state from another.
    let fetched = fetch::ask(peers, &contents.members, folder, floor, config.patience).await;
    fetched.map(Some).ok_or_else(|| OpenError::NoSnapshot { dir: config.dir.clone() })
}
