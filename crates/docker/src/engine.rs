//! The connection to one engine: opened when needed, speaking the newest API version that both know.

use crate::failure::{Failure, within};
use agent::label;
use bollard::{API_DEFAULT_VERSION, Docker};
use model::ClusterId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Deadline of a question that a healthy engine answers at once.
pub(crate) const SHORT: Duration = Duration::from_secs(10);
/// Deadline of a ping.
const PING: Duration = Duration::from_secs(3);
/// Deadline of the head of any response, in seconds; each call has a shorter one of its own.
const HEAD: u64 = 3_600;

/// One node's container engine, and the cluster on whose behalf it is used. A clone is the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    cluster: ClusterId,
    /// The connection with its negotiated version; given up when the engine stopped answering, because it
    /// may come back as another release.
    client: Mutex<Option<Docker>>,
    /// The engine lets two networks have one name: they are made one at a time.
    networks: Mutex<()>,
    pub(crate) facts: Mutex<crate::EngineFacts>,
}

impl Engine {
    /// The engine that listens at `socket`. Nothing is sent yet: an engine that is down when the daemon
    /// starts is an engine that does not answer.
    pub fn open(socket: &Path, cluster: ClusterId) -> Self {
        Self {
            shared: Arc::new(Shared {
                socket: socket.to_owned(),
                cluster,
                client: Mutex::new(None),
                networks: Mutex::new(()),
                facts: Mutex::default(),
            }),
        }
    }

    /// The cluster on whose behalf it is used.
    pub fn cluster(&self) -> &ClusterId {
        &self.shared.cluster
    }

    /// Asks whether it is there.
    ///
    /// # Errors
    /// [`Failure::Unanswered`] after 3 s.
    pub async fn ping(&self) -> Result<(), Failure> {
        let client = self.client().await?;
        let answer = within(PING, client.ping()).await;
        if answer.is_err() {
            *self.shared.client.lock().await = None;
        }
        answer.map(drop)
    }

    /// A connection whose version is negotiated.
    pub(crate) async fn client(&self) -> Result<Docker, Failure> {
        let mut client = self.shared.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let socket = self.shared.socket.to_string_lossy();
        let fresh = Docker::connect_with_unix(&socket, HEAD, API_DEFAULT_VERSION)?;
        let fresh = within(PING, fresh.negotiate_version()).await?;
        Ok(client.insert(fresh).clone())
    }

    /// Held while a network is looked for and made.
    pub(crate) async fn lock_networks(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.networks.lock().await
    }

    pub(crate) async fn lock_facts(&self) -> tokio::sync::MutexGuard<'_, crate::EngineFacts> {
        self.shared.facts.lock().await
    }

    /// The filter that keeps to this cluster's own.
    pub(crate) fn filter(&self) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(
            "label".to_owned(),
            vec![format!("{}={}", label::CLUSTER, self.shared.cluster)],
        )])
    }
}
