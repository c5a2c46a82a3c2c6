//! The edge process: serves published ports from the picture it was last given, with or without a daemon.

use crate::certificates;
use crate::config::Config;
use crate::folder::{self, Folder};
use anyhow::Context;
use identity::{Peer, Tls as NodeTls, server_name};
use network::{Bind, Edge, IdentityFiles, Remark, Security, Tls};
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// How long open connections may go on after the edge was told to end.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs until SIGTERM, or until no daemon can find it any more because the data folder was removed.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let folder = Folder::open(&config.data_dir)?;
    let security = if config.ingress.plain { Security::Plain } else { Security::Tls(tls(&folder)) };
    let mut edge = network::Config::new(config.edge_listen, &folder.edge(), security);
    edge.mesh_key = folder.mesh_key();
    edge.version = env!("CARGO_PKG_VERSION").into();
    edge.observe = Box::new(log);
    edge.proxied_from = config.ingress.proxied_from.iter().map(|source| source.0).collect();
    edge.http.plain = bind(config.ingress.http);
    edge.http.secure = bind(config.ingress.https);
    let certificates = certificates::watch(config.ingress.certificates.clone());
    edge.http.certificates = Some(Arc::clone(&certificates) as _);
    edge.http.take = Some(Arc::new(move |pairs| certificates.take(pairs)));
    info!(address = %config.edge_listen, "edge serves");
    let mut term = signal(SignalKind::terminate())?;
    let edge = Edge::start(edge).await.context("the edge cannot run")?;
    // For `clusterd uninstall`, which ends it without a daemon's help.
    folder::write(
        &folder.edge().join("edge.pid"),
        std::process::id().to_string().as_bytes(),
        0o600,
    )?;
    tokio::select! {
        _ = term.recv() => {}
        () = edge.orphaned() => warn!("the data folder is gone or another edge's; this edge makes way"),
    }
    edge.drain(DRAIN).await;
    Ok(())
}

/// `0.0.0.0` and `::` are all addresses of the host, as they are of a published port.
fn bind(address: SocketAddr) -> Bind {
    let one = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    Bind::tcp(address.port(), one)
}

/// Mutual TLS with the node's own identity, loaded again whenever the daemon says that it was exchanged.
fn tls(folder: &Folder) -> Tls {
    let current: Arc<RwLock<Option<Arc<NodeTls>>>> = Arc::default();
    let files = IdentityFiles {
        certificate: folder.certificate(),
        key: folder.key(),
        authority: folder.authority(),
    };
    if let Ok(loaded) = load(&files) {
        *current.write().expect("no panic while held") = Some(Arc::new(loaded));
    }
    let get = |current: &Arc<RwLock<Option<Arc<NodeTls>>>>| {
        current.read().expect("no panic while held").clone()
    };
    let (server, client, reload) = (Arc::clone(&current), Arc::clone(&current), current);
    Tls {
        server: Box::new(move || get(&server).map(|tls| tls.edge_server_config())),
        client: Box::new(move || get(&client).map(|tls| tls.edge_client_config())),
        name: Box::new(server_name),
        holder: Box::new(|chain| match Peer::of_chain(Some(chain)) {
            Ok(Some(Peer::Node { id, cluster, .. })) => Some((cluster, id)),
            _ => None,
        }),
        reload: Box::new(move |files| {
            let loaded = load(files).map_err(|e| format!("{e:#}"))?;
            *reload.write().expect("no panic while held") = Some(Arc::new(loaded));
            Ok(())
        }),
    }
}

fn load(files: &IdentityFiles) -> anyhow::Result<NodeTls> {
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(NodeTls::new(&read(&files.certificate)?, &read(&files.key)?, &read(&files.authority)?)?)
}

fn log(remark: &Remark) {
    match remark {
        Remark::PortOpen { bind } => info!(port = bind.port, "published port open"),
        Remark::LinkUp { node } => info!(node = node.0, "edge link up"),
        Remark::LinkDown { node, why } => info!(node = node.0, %why, "edge link down"),
        Remark::Ejected { task, why } => info!(%task, %why, "replica takes no connections"),
        Remark::PortRefused { bind, why } => {
            warn!(port = bind.port, %why, "published port refused");
        }
        Remark::EdgePortRefused { address, why } => {
            warn!(%address, %why, "the edge port is refused; other nodes do not reach the replicas here");
        }
        Remark::EdgePortOpen { address } => info!(%address, "edge port open"),
        Remark::PictureUnreadable { why } => warn!(%why, "the picture on disk is unreadable"),
        Remark::PictureNotSaved { why } => warn!(%why, "the picture could not be kept"),
        Remark::MeshTrouble { why } => {
            warn!(%why, "the mesh is not as it should be; trying again");
        }
        Remark::MeshMended => info!("the mesh is as it should be"),
        Remark::NamesRefused { gateway, why } => {
            warn!(%gateway, %why, "names are not answered for here yet");
        }
        Remark::Misspoken { from, why } => {
            warn!(%from, %why, "connection from an address in `ingress.proxied_from` refused");
        }
        Remark::Stranger { from, why } => warn!(%from, %why, "connection to the edge port refused"),
    }
}
