//! The daemon's side of the edge: starts the process when none answers, feeds it, reads its status.

use crate::edge_metrics::HttpMetrics;
use crate::node::Node;
use crate::tasks::Tasks;
use model::View;
use network::{Feed, IdentityFiles, Picture, Status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info};

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    project: String,
    service: String,
    port: u32,
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
