//! A running member: opens what the data folder holds, starts every part, and stops them in order.

use crate::agenting::Agenting;
use crate::config::Config;
use crate::edge::EdgeLink;
use crate::files::{self, Files};
use crate::folder::{self, Folder, NodeFile};
use crate::managing::Managing;
use crate::node::Node;
use crate::session::Session;
use crate::{beats, facts, promote, renew};
use agent::{Agent, Snapshot};
use anyhow::Context;
use identity::{ClusterKey, Tls};
use model::{Found, Role};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{info, warn};

/// The node's certificate or key cannot be used.
#[derive(Debug)]
pub(crate) struct BadIdentity(String);

impl std::fmt::Display for BadIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "this node's certificate or key cannot be used ({}); come back under a new identity with `clusterctl join --replace NAME`",
            self.0
        )
    }
}

impl std::error::Error for BadIdentity {}

/// A running member.
pub(crate) struct Member {
    pub(crate) node: Arc<Node>,
    pub(crate) agenting: Arc<Agenting>,
    pub(crate) session: Arc<Session>,
    pub(crate) edge: Arc<EdgeLink>,
    /// Tells the cluster about this node.
    telling: AbortHandle,
}

impl Member {
    /// Starts everything that this node does in its cluster.
    pub(crate) async fn start(
        config: Arc<Config>,
        folder: Folder,
        file: NodeFile,
        found: Option<Found>,
    ) -> anyhow::Result<Self> {
        let (tls, authority) = identity(&folder)?;
        let engine = docker::Engine::open(&config.docker_socket, file.cluster.clone());
        let node = Arc::new(Node::new(
            Arc::clone(&config),
            folder.clone(),
            file.clone(),
            Arc::new(tls),
            authority,
            engine,
        ));
        // Without the key it was stopped while it was promoted; that is then gone on with.
        if file.role == Role::Manager && folder.cluster_key().exists() {
            start_managing(&node, found).await?;
        }
        let (reports, outgoing) = mpsc::unbounded_channel();
        let agent = restore(&node)?;
        let tasks = &node.tasks;
        let (engine, files) = (node.engine.clone(), Files::new(Arc::clone(&node)));
        let agenting = Agenting::start(agent, folder.clone(), engine, files, reports, tasks);
        if let Some(view) = agenting.views().borrow().as_ref() {
            node.learn(view.index, &view.nodes)?;
        }
        let session = Session::start(Arc::clone(&node), Arc::clone(&agenting), outgoing, tasks);
        let edge = EdgeLink::start(&node, agenting.views(), tasks);
        tasks.spawn(beats::send_to_managers(Arc::clone(&node)));
        let telling = tasks.spawn(facts::keep_telling(
            Arc::clone(&node),
            Arc::clone(&agenting),
            Arc::clone(&session),
            Arc::clone(&edge),
        ));
        tasks.spawn(renew::keep_renewing(
            Arc::clone(&node),
            Arc::clone(&session),
            Arc::clone(&edge),
        ));
        tasks.spawn(promote::follow_role(
            Arc::clone(&node),
            Arc::clone(&agenting),
            Arc::clone(&session),
        ));
        info!(node = file.node.0, name = %file.name, role = %file.role, "member of cluster {}", file.cluster);
        Ok(Self { node, agenting, session, edge, telling })
    }

    /// A planned stop: hands leadership on and announces the absence. Containers and open connections
    /// are left alone.
    pub(crate) async fn stop(&self) {
        // First: whatever it told next would take the absence back.
        self.telling.abort();
        facts::announce_away(&self.node, &self.session).await;
        if let Ok(managing) = self.node.managing()
            && managing.log.is_leader()
            && let Err(why) = managing.log.transfer(None).await
        {
            warn!(%why, "leadership could not be handed on");
        }
        self.shut().await;
    }

    /// Ends everything at once.
    pub(crate) async fn shut(&self) {
        self.node.tasks.stop();
        self.node.managing_tasks.stop();
        if let Ok(managing) = self.node.managing() {
            managing.log.shutdown().await;
        }
        self.node.set_managing(None);
    }
}

/// The node's identity and its authority's certificate, as they lie on the disk.
fn identity(folder: &Folder) -> Result<(Tls, String), BadIdentity> {
    let read = |path: std::path::PathBuf| {
        std::fs::read_to_string(&path).map_err(|e| BadIdentity(format!("{}: {e}", path.display())))
    };
    let authority = read(folder.authority())?;
    let tls = Tls::new(&read(folder.certificate())?, &read(folder.key())?, &authority)
        .map_err(|e| BadIdentity(e.to_string()))?;
    Ok((tls, authority))
}

/// Opens the log of a manager, founds the cluster where it is to be founded, and starts its duties.
pub(crate) async fn start_managing(node: &Arc<Node>, found: Option<Found>) -> anyhow::Result<()> {
    let file = node.file();
    let key = std::fs::read_to_string(node.folder.cluster_key())
        .with_context(|| format!("cannot read {}", node.folder.cluster_key().display()))?;
    let key = ClusterKey::parse(&key).context("the cluster key is damaged")?;
    let log = crate::log::open(node, &file).await?;
    if let Some(found) = found {
        let address = std::net::SocketAddr::new(file.advertise, node.config.listen.port());
        log.found(address, found).await.context("the cluster could not be founded")?;
    }
    start_managing_on(node, log, key);
    Ok(())
}

/// Starts the duties of a manager on an open log.
fn start_managing_on(node: &Arc<Node>, log: consensus::Log, key: ClusterKey) {
    let raft = crate::log::service(node, &log);
    let managing =
        Managing::start(log, raft, key, node.id(), &node.config.timers(), &node.managing_tasks);
    node.managing_tasks.spawn(promote::learn_from_log(Arc::clone(node), Arc::clone(&managing)));
    node.set_managing(Some(managing));
}

/// The agent as it was, its last view unconfirmed; a new one when there is nothing to go by.
fn restore(node: &Node) -> anyhow::Result<Agent> {
    let file = node.file();
    let settings = agent::Settings {
        folders: files::folders(&node.config),
        ..agent::Settings::from(&node.config.timers())
    };
    let kept = folder::read_if_there(&node.folder.view())?;
    let snapshot = kept.and_then(|bytes| match api::decode::<Snapshot>(&bytes) {
        Ok(snapshot) => Some(snapshot),
        Err(why) => {
            warn!(%why, "the last view on disk is damaged; waiting for a new one");
            None
        }
    });
    Ok(match snapshot {
        Some(snapshot) => Agent::restore(file.node, file.cluster, settings, snapshot),
        None => Agent::new(file.node, file.cluster, settings),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_is_lost_or_damaged_says_how_to_come_back() {
        let dir = std::env::temp_dir().join(format!("clusterd-identity-{}", std::process::id()));
        let folder = Folder::open(&dir).unwrap();
        let told = |folder: &Folder| identity(folder).err().map(|why| why.to_string());
        let lost = told(&folder).unwrap();
        assert!(lost.contains("authority.pem") && lost.contains("join --replace"), "{lost}");
        for path in [folder.authority(), folder.certificate(), folder.key()] {
            std::fs::write(path, "not PEM").unwrap();
        }
        assert!(told(&folder).unwrap().contains("join --replace"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
