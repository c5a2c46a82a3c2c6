//! The edge of another node, as one lane sees it: a few idle connections that are ready for use, and
//! whether it can be reached at all.
//!
//! Each idle connection will carry exactly one client's connection, so none waits behind another. One of
//! them is pinged every [`PING`]: a link that broke is noticed before a client is sent over it.

use crate::core::Core;
use crate::dial;
use crate::limits::{
    DIAL, DIALS, PING, PING_ANSWER, REDIAL, REDIAL_MAX, WARM, WARM_MAX, WARM_TOTAL,
};
use crate::stream::Stream;
use crate::wire::{self, Answer, Question};
use model::{NodeId, Time};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// The edge of another node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    pool: Mutex<Pool>,
    /// Turns to dial.
    dials: Arc<Semaphore>,
    /// Clients that wait for a connection to be dialled.
    waiting: AtomicUsize,
    /// A connection was added to the pool.
    arrived: Notify,
    /// The pool lacks connections, or the link is in doubt.
    look: Notify,
    retired: CancellationToken,
}

#[derive(Debug)]
struct Pool {
    idle: VecDeque<Stream>,
    /// How many idle ones there are to be.
    wanted: usize,
    down_since: Option<Time>,
    in_doubt: bool,
    /// Cancelled when the link is given up: what is carried over it is reset.
    carried: CancellationToken,
}

impl Peer {
    pub(crate) fn new(node: NodeId, address: SocketAddr) -> Self {
        let pool = Pool {
            idle: VecDeque::new(),
            wanted: 1,
            down_since: None,
            in_doubt: false,
            carried: CancellationToken::new(),
        };
        Self {
            node,
            address,
            pool: Mutex::new(pool),
            dials: Arc::new(Semaphore::new(DIALS)),
            waiting: AtomicUsize::new(0),
            arrived: Notify::new(),
            look: Notify::new(),
            retired: CancellationToken::new(),
        }
    }

    /// An idle connection, the youngest. When there is none, more will be kept.
    pub(crate) fn take(&self) -> Option<Stream> {
        let mut pool = self.pool();
        let taken = pool.idle.pop_back();
        if taken.is_none() {
            pool.wanted = (pool.wanted * 2).min(WARM_MAX);
        }
        drop(pool);
        self.look.notify_one();
        taken
    }

    /// Gives back a connection that was not used up.
    pub(crate) fn put(&self, stream: Stream) {
        self.pool().idle.push_back(stream);
    }

    /// Waits until a dialled connection has arrived; another client may be faster to take it. More are dialled
    /// meanwhile, and a dial goes on when the client who wanted it gives up: on a busy host a handshake may take
    /// longer than a client's patience with one replica, and the next client needs it all the same.
    pub(crate) async fn arrival(self: &Arc<Self>, core: &Arc<Core>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(self);
        if let Ok(turn) = Arc::clone(&self.dials).try_acquire_owned() {
            let (core, peer) = (Arc::clone(core), Arc::clone(self));
            tokio::spawn(async move {
                let _turn = turn;
                while open(&core, &peer).await.is_ok() && peer.waiting.load(Ordering::Relaxed) > 0 {
                }
            });
        }
        self.arrived.notified().await;
    }

    /// The link may be broken: looks at it at once.
    pub(crate) fn suspect(&self) {
        self.pool().in_doubt = true;
        self.look.notify_one();
    }

    /// Idle connections may be dead, or show an identity that was exchanged: drops them and looks again.
    pub(crate) fn doubt(&self) {
        let mut pool = self.pool();
        pool.idle.clear();
        pool.in_doubt = true;
        drop(pool);
        self.look.notify_one();
    }

    /// Cancelled when connections over this link are to be given up.
    pub(crate) fn carried(&self) -> CancellationToken {
        self.pool().carried.clone()
    }

    /// Whether the node can be reached from here, as far as is known.
    pub(crate) fn reachable(&self) -> bool {
        self.pool().down_since.is_none()
    }

    /// It is no longer needed: idle connections close, carried ones live on.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
        self.pool().idle.clear();
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lacks(&self) -> bool {
        let pool = self.pool();
        pool.in_doubt || pool.idle.len() < pool.wanted
    }

    fn is_up(&self, core: &Core) {
        let mut pool = self.pool();
        let news = pool.down_since.take().is_some() || pool.in_doubt;
        pool.in_doubt = false;
        drop(pool);
        if news {
            core.link_up(self.node);
        }
    }

    fn is_down(&self, core: &Core, why: &io::Error) {
        let now = core.clock.now();
        let mut pool = self.pool();
        pool.idle.clear();
        let since = *pool.down_since.get_or_insert(now);
        if now.since(since) >= core.config.give_up || core.picture.borrow().lost(self.node) {
            pool.carried.cancel();
            pool.carried = CancellationToken::new();
        }
        drop(pool);
        core.link_down(self.node, &why.to_string());
    }

    /// Adapts how many are kept: what a burst asked for goes back by one per look.
    fn settle(&self, peers: usize) {
        let usual = (WARM_TOTAL / peers.max(1)).clamp(1, WARM);
        let mut pool = self.pool();
        pool.wanted = pool.wanted.saturating_sub(1).max(usual);
        let surplus = pool.idle.len().saturating_sub(pool.wanted);
        pool.idle.drain(..surplus);
    }
}

/// Counts a client that waits, for as long as it does.
struct Waits<'a>(&'a Peer);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps the pool of `peer` filled and its link watched until it is retired.
pub(crate) async fn tend(core: Arc<Core>, lane: usize, peer: Arc<Peer>) {
    tokio::select! {
        () = peer.retired.cancelled() => {}
        () = fill_and_ping(&core, lane, &peer) => {}
    }
}

async fn fill_and_ping(core: &Core, lane: usize, peer: &Peer) {
    let mut wait = REDIAL;
    loop {
        let looked = if peer.lacks() {
            open(core, peer).await
        } else {
            tokio::select! {
                () = peer.look.notified() => continue,
                () = tokio::time::sleep(PING) => {}
            }
            peer.settle(core.lanes[lane].peers().len());
            ping(peer).await
        };
        wait = after(core, peer, looked, wait).await;
    }
}

async fn after(core: &Core, peer: &Peer, looked: io::Result<()>, wait: Duration) -> Duration {
    match looked {
        Ok(()) => {
            peer.is_up(core);
            REDIAL
        }
        Err(why) => {
            peer.is_down(core, &why);
            tokio::time::sleep(wait).await;
            (wait * 2).min(REDIAL_MAX)
        }
    }
}

/// Adds one connection, welcomed by the other side, to the pool.
async fn open(core: &Core, peer: &Peer) -> io::Result<()> {
    let dialled = async {
        let mut stream = dial::greeted(core, peer).await?;
        match wire::answered(&mut stream).await? {
            Answer::Here => Ok(stream),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it does not welcome us")),
        }
    };
    peer.put(within(DIAL, dialled).await?);
    peer.arrived.notify_one();
    Ok(())
}

/// Asks the oldest idle connection for a sign of life. That one alone has died proves nothing: the other
/// edge may have been restarted, and dialling will tell.
async fn ping(peer: &Peer) -> io::Result<()> {
    let Some(mut stream) = peer.pool().idle.pop_front() else { return Ok(()) };
    let asked = async {
        wire::ask(&mut stream, Question::Ping).await?;
        wire::answered(&mut stream).await.map(|_| ())
    };
    match within(PING_ANSWER, asked).await {
        Ok(()) => peer.put(stream),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
        Err(_) => peer.doubt(),
    }
    Ok(())
}

/// The error of a deadline is `TimedOut`, as the kernel's own.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer in {} ms", limit.as_millis()),
        ))
    })
}
