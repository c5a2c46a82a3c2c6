//! The edge: what the binary starts, and what the daemon's messages do to it.

use crate::control::{self, FromEdge, ToEdge};
use crate::core::Core;
use crate::footing::Footing;
use crate::http::HttpSettings;
use crate::inbound;
use crate::lane::Lane;
use crate::limits::{BIND_AGAIN, BIND_AGAIN_MAX, CONNECTIONS, GIVE_UP, HOLD, REPLICA_IDLE};
use crate::picture::{Current, Picture};
use crate::remark::Remark;
use crate::security::{CertificatePair, IdentityFiles, Security};
use crate::socket::Listener;
use crate::sources::Source;
use crate::status::Status;
use crate::{disk, dns, mesh};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How to run an edge.
pub struct Config {
    /// Where to take connections from other edges.
    pub address: SocketAddr,
    /// The Unix socket on which the daemon speaks to it; made with mode 0600.
    pub control: PathBuf,
    /// Where the last picture is kept; its folder must exist and be ours alone.
    pub picture: PathBuf,
    /// Where the node's key for an encrypted mesh is kept ([`crate::mesh::new_key`]).
    pub mesh_key: PathBuf,
    /// How edges know each other.
    pub security: Security,
    /// Threads that carry connections; 0 for one per processor, up to 8.
    pub lanes: usize,
    /// Most connections carried at once; fewer when the limit of open files does not allow it.
    pub connections: usize,
    /// How long a connection is held when no replica takes it.
    pub hold: Duration,
    /// After how long without reaching a node the connections carried to it are reset.
    pub give_up: Duration,
    /// Where and how HTTP is answered.
    pub http: HttpSettings,
    /// Balancers in front: what connects from these begins with a PROXY header, which says who the client is.
    pub proxied_from: Vec<Source>,
    /// Keep the kernel's part of the mesh. Not where the host is somebody else's.
    pub kernel: bool,
    /// Version of the program, for the status.
    pub version: String,
    /// Told of everything that is worth a line in the log. Must not block.
    pub observe: Box<dyn Fn(&Remark) + Send + Sync>,
}

impl Config {
    /// An edge at `address` that keeps its socket and its picture in `folder`, the rest by default.
    pub fn new(address: SocketAddr, folder: &Path, security: Security) -> Self {
        Self {
            address,
            control: folder.join("edge.sock"),
            picture: folder.join("picture.json"),
            mesh_key: folder.join("mesh.key"),
            security,
            lanes: 0,
            connections: CONNECTIONS,
            hold: HOLD,
            give_up: GIVE_UP,
            http: HttpSettings::default(),
            proxied_from: Vec::new(),
            kernel: true,
            version: String::new(),
            observe: Box::new(|_| {}),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port for other edges cannot be listened on.
    #[error("edge port {address}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another edge answers on the control socket.
    #[error("an edge is already running at {}", path.display())]
    Running {
        /// The socket.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    #[error("control socket {}", path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread that carries connections cannot be started.
    #[error("thread for connections")]
    Lane {
        /// Why.
        source: io::Error,
    },
}

/// A running edge. Dropping it ends all that it carries; see [`Edge::drain`].
#[derive(Debug)]
pub struct Edge {
    core: Arc<Core>,
    address: SocketAddr,
    footing: Footing,
    /// Ends accepting, and the daemon's connections.
    taking: CancellationToken,
    /// Ends what is carried.
    carrying: CancellationToken,
}

impl Edge {
    /// Starts an edge on the current tokio runtime, with threads of its own for carrying. It serves at once
    /// from the picture that it had when it last ran. While another process holds the port for other edges, an
    /// edge that is about to leave say, it does without and takes the port as soon as it is free.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let (footing, control) = Footing::take(&config.control).await?;
        let address = config.address;
        let bound = Listener::bind_to(address).and_then(|l| Ok((l.address()?, Some(l))));
        let (address, peers) = match bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => (address, None),
            bound => bound.map_err(|source| Error::Address { address, source })?,
        };
        let (taking, carrying) = (CancellationToken::new(), CancellationToken::new());
        let lanes = (0..lanes(config.lanes)).map(|n| Lane::start(n, carrying.clone()));
        let lanes = lanes.collect::<io::Result<_>>().map_err(|source| Error::Lane { source })?;
        let core = Arc::new(Core::new(config, lanes));
        core.certify(&[]);
        recall(&core);
        spawn(&taking, take_peers(Arc::clone(&core), address, peers));
        spawn(&taking, remember(Arc::clone(&core), core.picture.subscribe()));
        if core.config.kernel {
            spawn(&taking, mesh::keep(Arc::clone(&core), core.picture.subscribe()));
        }
        spawn(&taking, dns::serve(Arc::clone(&core), core.picture.subscribe()));
        spawn(&taking, sweep(Arc::clone(&core)));
        spawn(&taking, obey(Arc::clone(&core), control, taking.clone()));
        Ok(Self { core, address, footing, taking, carrying })
    }

    /// Runs an edge until `stop` completes, then lets open connections finish for `drain` at most.
    pub async fn run(
        config: Config,
        stop: impl Future<Output = ()>,
        drain: Duration,
    ) -> Result<(), Error> {
        let edge = Self::start(config).await?;
        stop.await;
        edge.drain(drain).await;
        Ok(())
    }

    /// Completes once no daemon can find this edge any more: its control socket was removed, or is another
    /// edge's. It then serves an old picture and keeps the ports from its successor, and is to be drained.
    pub async fn orphaned(&self) {
        self.footing.lost().await;
    }

    /// Where it takes connections from other edges.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves from `picture` unless it is older than the one in force; returns whether it does.
    pub fn serve(&self, picture: Picture) -> bool {
        self.core.serve(picture)
    }

    /// Shows these certificates of services from now on.
    pub fn certify(&self, pairs: &[CertificatePair]) {
        self.core.certify(pairs);
    }

    /// How it is.
    pub fn status(&self) -> Status {
        status(&self.core)
    }

    /// Accepts nothing more, waits until all connections have ended or `limit` is over, and stops. Returns
    /// how many were cut off.
    pub async fn drain(self, limit: Duration) -> usize {
        self.taking.cancel();
        self.core.close_doors();
        let ended = async {
            while self.core.carried() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(limit, ended).await;
        self.core.carried()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.taking.cancel();
        self.core.close_doors();
        self.carrying.cancel();
    }
}

fn lanes(wanted: usize) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from).min(8);
    if wanted == 0 { processors() } else { wanted }
}

fn spawn(end: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let end = end.clone();
    tokio::spawn(async move { end.run_until_cancelled(work).await });
}

/// Serves from the picture on disk.
fn recall(core: &Arc<Core>) {
    match disk::load(&core.config.picture) {
        Ok(Some(picture)) => {
            core.serve(picture);
        }
        Ok(None) => {}
        Err(error) => core.remark(&Remark::PictureUnreadable { why: error.to_string() }),
    }
}

/// Takes connections from other edges, once their port is free.
async fn take_peers(core: Arc<Core>, address: SocketAddr, bound: Option<Listener>) {
    let mut bound: io::Result<_> = bound.ok_or_else(|| io::ErrorKind::AddrInUse.into());
    let mut wait = BIND_AGAIN;
    let mut refused = false;
    let peers = loop {
        match bound {
            Ok(peers) => break peers,
            Err(error) if !refused => {
                refused = true;
                core.remark(&Remark::EdgePortRefused { address, why: error.to_string() });
            }
            Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BIND_AGAIN_MAX);
        bound = Listener::bind_to(address);
    };
    if refused {
        core.remark(&Remark::EdgePortOpen { address });
    }
    inbound::accept(core, peers).await;
}

/// Closes connections to replicas that have waited for a request for too long.
async fn sweep(core: Arc<Core>) {
    loop {
        tokio::time::sleep(REPLICA_IDLE).await;
        core.lanes.iter().for_each(|lane| lane.pool.sweep(core.clock.now()));
    }
}

/// Keeps the newest picture on disk. Serving never waits for it.
async fn remember(core: Arc<Core>, mut changes: watch::Receiver<Arc<Current>>) {
    while changes.changed().await.is_ok() {
        let current = Arc::clone(&changes.borrow_and_update());
        let path = core.config.picture.clone();
        let save = move || current.picture.as_ref().map_or(Ok(()), |p| disk::save(&path, p));
        let saved = tokio::task::spawn_blocking(save).await.unwrap_or_else(|e| Err(e.into()));
        if let Err(error) = saved {
            core.remark(&Remark::PictureNotSaved { why: error.to_string() });
        }
    }
}

/// Takes the daemon's connections: more than one, because an old daemon may still be there when the new
/// one comes.
async fn obey(core: Arc<Core>, control: UnixListener, taking: CancellationToken) {
    loop {
        match control.accept().await {
            Ok((daemon, _)) => {
                let core = Arc::clone(&core);
                spawn(&taking, async move {
                    // The daemon has gone; it will come back.
                    let _ = attend(&core, daemon).await;
                });
            }
            Err(error) => crate::door::pause_after(&error).await,
        }
    }
}

async fn attend(core: &Arc<Core>, mut daemon: UnixStream) -> io::Result<()> {
    loop {
        let reply = match control::receive::<_, ToEdge>(&mut daemon).await? {
            Ok(ToEdge::Serve(picture)) => {
                let taken = core.serve(picture);
                FromEdge::Serving { index: core.picture.borrow().index(), taken }
            }
            Ok(ToEdge::Identity(files)) => {
                FromEdge::Identity { refused: reload(core, &files).err() }
            }
            Ok(ToEdge::Certificates(pairs)) => {
                core.certify(&pairs);
                FromEdge::Certified
            }
            Ok(ToEdge::Status) => FromEdge::Status(Box::new(status(core))),
            Err(_) => FromEdge::NotUnderstood,
        };
        control::send(&mut daemon, &reply).await?;
    }
}

/// New connections show the new identity; idle ones that show the old are dropped.
fn reload(core: &Core, files: &IdentityFiles) -> Result<(), String> {
    let Security::Tls(tls) = &core.config.security else { return Ok(()) };
    (tls.reload)(files)?;
    core.lanes.iter().flat_map(Lane::peers).for_each(|peer| peer.doubt());
    Ok(())
}

fn status(core: &Core) -> Status {
    let current = Arc::clone(&core.picture.borrow());
    Status {
        version: core.config.version.clone(),
        process: std::process::id(),
        cluster: current.picture.as_ref().map(|p| p.cluster.clone()),
        index: current.index(),
        ports: core.ports(),
        shared: core.entrances.status(),
        sites: core.http.status(core.clock.now()),
        links: core.links(),
        for_others: core.for_others.counts(),
        carried: core.carried() as u64,
        limit: core.most as u64,
        refused: core.refused.load(Ordering::Relaxed),
        strangers: core.strangers.load(Ordering::Relaxed),
        mesh_trouble: core.mesh_trouble(),
    }
}
