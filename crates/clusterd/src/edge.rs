//! The daemon's side of the edge: starts the process when none answers, feeds it, reads its status.

use crate::edge_metrics::HttpMetrics;
use crate::files;
use crate::node::Node;
use crate::tasks::Tasks;
use model::{CertificateIds, ContentId, Protocol, View};
use network::{CertificatePair, Feed, IdentityFiles, Picture, Status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// How long no edge may answer before one is started.
const START_AFTER: Duration = Duration::from_millis(300);
/// Between two looks, once one was started.
const LOOK: Duration = Duration::from_secs(2);

/// The edge of this host, as the daemon sees it.
pub(crate) struct EdgeLink {
    feed: Feed,
}

impl EdgeLink {
    /// Keeps an edge running and fed from the newest view, for as long as the daemon lives.
    pub(crate) fn start(
        node: &Arc<Node>,
        views: watch::Receiver<Option<Arc<View>>>,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let link = Arc::new(Self { feed: Feed::start(node.folder.edge().join("edge.sock")) });
        link.rotate(node);
        tasks.spawn(Arc::clone(&link).keep_running(Arc::clone(node)));
        tasks.spawn(Arc::clone(&link).keep_certified(Arc::clone(node), views.clone()));
        tasks.spawn(Arc::clone(&link).keep_fed(views));
        link
    }

    /// The node's certificate was exchanged.
    pub(crate) fn rotate(&self, node: &Node) {
        self.feed.identity(IdentityFiles {
            certificate: node.folder.certificate(),
            key: node.folder.key(),
            authority: node.folder.authority(),
        });
    }

    /// Published ports that a foreign process holds on this host.
    pub(crate) fn busy_ports(&self) -> BTreeSet<u16> {
        self.status().map(|s| s.busy_ports()).unwrap_or_default()
    }

    /// What keeps the mesh from being as it should; `None` when nothing does.
    pub(crate) fn mesh_trouble(&self) -> Option<String> {
        match self.status() {
            Some(status) => status.mesh_trouble,
            None => Some("the edge does not answer".to_owned()),
        }
    }

    fn status(&self) -> Option<Status> {
        self.feed.state().borrow().status.clone()
    }

    async fn keep_running(self: Arc<Self>, node: Arc<Node>) {
        tokio::time::sleep(START_AFTER).await;
        loop {
            if self.status().is_none() {
                match spawn(node.config.file.as_deref()) {
                    Ok(process) => info!(process, "edge started"),
                    Err(why) => error!(%why, "the edge cannot be started"),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn keep_fed(self: Arc<Self>, mut views: watch::Receiver<Option<Arc<View>>>) {
        loop {
            if let Some(view) = views.borrow_and_update().as_ref() {
                self.feed.serve(Picture::from(&**view));
            }
            if views.changed().await.is_err() {
                return;
            }
        }
    }

    /// Hands the edge the certificates of services: fetched from managers, kept in memory only. Until all of a newer
    /// view are there, it goes on with those it has.
    async fn keep_certified(
        self: Arc<Self>,
        node: Arc<Node>,
        mut views: watch::Receiver<Option<Arc<View>>>,
    ) {
        let mut held: BTreeMap<ContentId, String> = BTreeMap::new();
        let mut handed: Option<Vec<CertificatePair>> = None;
        let mut missed = None;
        loop {
            let wanted = views.borrow_and_update().as_ref().map(|view| certificates(view));
            let Some(wanted) = wanted else {
                if views.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let ids: BTreeSet<&ContentId> =
                wanted.iter().flat_map(|ids| [&ids.certificate, &ids.key]).collect();
            held.retain(|id, _| ids.contains(id));
            let failed = fetch(&node, &ids, &mut held).await.err();
            let pair = |ids: &CertificateIds| {
                let (chain, key) = held.get(&ids.certificate).zip(held.get(&ids.key))?;
                Some(CertificatePair { chain: chain.clone(), key: key.clone() })
            };
            let pairs: Vec<CertificatePair> = wanted.iter().filter_map(pair).collect();
            if (failed.is_none() || handed.is_none()) && handed.as_ref() != Some(&pairs) {
                self.feed.certificates(pairs.clone());
                handed = Some(pairs);
            }
            if let Some(why) = &failed
                && missed != failed
            {
                warn!(%why, "a certificate of a service is not here yet; trying again");
            }
            missed.clone_from(&failed);
            let wait = if failed.is_some() { LOOK } else { Duration::MAX };
            if let Ok(Err(_)) = tokio::time::timeout(wait, views.changed()).await {
                return;
            }
        }
    }

    /// Registers what the edge counts.
    pub(crate) fn metrics(&self, registry: &mut Registry) {
        let Some(status) = self.status() else { return };
        registry.register_collector(Box::new(HttpMetrics(status.sites)));
        let open: Family<PortLabels, Gauge> = Family::default();
        let unanswered: Family<PortLabels, Gauge> = Family::default();
        for port in &status.ports {
            let labels = PortLabels {
                project: port.project.to_string(),
                service: port.service.to_string(),
                port: u32::from(port.bind.port),
                protocol: if port.bind.protocol == Protocol::Udp { "udp" } else { "tcp" },
            };
            open.get_or_create(&labels).set(port.counts.open as i64);
            unanswered.get_or_create(&labels).set(port.counts.unanswered as i64);
        }
        registry.register(
            "ingress_connections_open",
            "Connections carried for a published port",
            open,
        );
        registry.register(
            "ingress_connections_unanswered",
            "Connections that no replica took",
            unanswered,
        );
    }
}

/// The certificates that a view names.
fn certificates(view: &View) -> BTreeSet<CertificateIds> {
    view.sites.iter().flat_map(|site| site.certificates.iter().cloned()).collect()
}

/// Adds those of `ids` that are not held.
async fn fetch(
    node: &Node,
    ids: &BTreeSet<&ContentId>,
    held: &mut BTreeMap<ContentId, String>,
) -> Result<(), String> {
    let missing: Vec<&ContentId> =
        ids.iter().copied().filter(|id| !held.contains_key(id)).collect();
    for id in missing {
        let content = files::fetch(node, id).await?;
        held.insert(id.clone(), String::from_utf8_lossy(&content).into_owned());
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    project: String,
    service: String,
    port: u32,
    protocol: &'static str,
}

/// Starts the edge as a process of its own session, so that it outlives the daemon.
fn spawn(config: Option<&Path>) -> std::io::Result<u32> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("clusterd").arg("edge").stdin(Stdio::null()).process_group(0);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let mut child = command.spawn()?;
    let process = child.id();
    // Collected when it ends before the daemon does; otherwise it goes on without one.
    std::thread::spawn(move || child.wait());
    Ok(process)
}
