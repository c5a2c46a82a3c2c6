//! Lanes: one thread each, with a runtime of its own. A connection lives on one lane from its first byte to
//! its last, together with the connection that it is carried over, so its two ends never wake each other
//! across threads.

use crate::http::Pool;
use crate::peer::Peer;
use model::NodeId;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// One thread that carries connections.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Where its work is spawned.
    pub(crate) handle: Handle,
    /// Connections to replicas that wait for a request.
    pub(crate) pool: Pool,
    peers: Mutex<BTreeMap<NodeId, Arc<Peer>>>,
}

impl Lane {
    /// Starts a lane; it ends, dropping all it carries, when `end` is cancelled.
    pub(crate) fn start(number: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(move || runtime.block_on(end.cancelled()))?;
        Ok(Self { handle, pool: Pool::default(), peers: Mutex::default() })
    }

    /// The other node's edge, when it holds replicas behind published ports.
    pub(crate) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.lock().get(&node).cloned()
    }

    /// All of them.
    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        self.lock().values().cloned().collect()
    }

    /// Makes `wanted` the set of peers. Returns the new ones, which are to be tended. One whose address
    /// changed is new; connections that are already carried stay.
    pub(crate) fn set_peers(&self, wanted: &BTreeMap<NodeId, SocketAddr>) -> Vec<Arc<Peer>> {
        let mut peers = self.lock();
        peers.retain(|node, peer| {
            let keep = wanted.get(node) == Some(&peer.address);
            if !keep {
                peer.retire();
            }
            keep
        });
        let mut added = Vec::new();
        for (&node, &address) in wanted {
            peers.entry(node).or_insert_with(|| {
                let peer = Arc::new(Peer::new(node, address));
                added.push(Arc::clone(&peer));
                peer
            });
        }
        added
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
