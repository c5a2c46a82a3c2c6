//! What this node says of itself: gathered now and then, sent when it changed.

use crate::agenting::Agenting;
use crate::folder::Folder;
use crate::node::Node;
use crate::session::Session;
use api::v1;
use model::{Facts, limits};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, warn};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Memory left is told at most this often.
const MEMORY_EVERY: u32 = 30;
/// Deadline of telling.
const TELL: Duration = Duration::from_secs(4);

/// Gathers the facts: the engine's, the configuration's, the edge's.
pub(crate) async fn gather(
    config: &crate::config::Config,
    folder: &Folder,
    engine: &docker::Engine,
    busy_ports: impl IntoIterator<Item = u16>,
) -> Facts {
    let found = engine.facts().await;
    Facts {
        milli_cpus: found.milli_cpus,
        memory: found.memory,
        kept_milli_cpus: config.keep.milli_cpus,
        kept_memory: config.kept_memory(),
        os: found.os,
        arch: found.arch,
        engine: found.version,
        version: env!("CARGO_PKG_VERSION").into(),
        level: limits::LEVEL,
        memory_free: found.memory_free,
        disk_pressure: found.disk_pressure,
        engine_ready: found.ready,
        busy_ports: busy_ports.into_iter().collect(),
        view_index: 0,
        shared_ports: [config.ingress.http, config.ingress.https]
            .iter()
            .map(std::net::SocketAddr::port)
            .collect(),
        mesh_key: crate::mesh::key(folder),
    }
}

/// Tells the cluster whenever something changed; the first time in any case, which also takes back an
/// announced absence.
pub(crate) async fn keep_telling(
    node: Arc<Node>,
    agenting: Arc<Agenting>,
    session: Arc<Session>,
    edge: Arc<crate::edge::EdgeLink>,
) {
    let mut told: Option<Facts> = None;
    let mut engine_ready = agenting.engine_ready();
    for round in 0_u32.. {
        let _ = tokio::time::timeout(LOOK, engine_ready.changed()).await;
        let mut facts = gather(&node.config, &node.folder, &node.engine, edge.busy_ports()).await;
        if let Some(told) = &told {
            let memory_due = round.is_multiple_of(MEMORY_EVERY);
            if !memory_due {
                facts.memory_free = told.memory_free;
            }
            if *told == facts {
                continue;
            }
        }
        match tell(&session, &facts, Duration::ZERO).await {
            Ok(()) => {
                *node.told.lock().expect("no panic while held") = Some(facts.clone());
                told = Some(facts);
            }
            Err(why) => debug!(%why, "the cluster could not be told about this node"),
        }
    }
}

/// Tells the facts once, with an announced absence or (zero) without one.
pub(crate) async fn tell(session: &Session, facts: &Facts, away: Duration) -> anyhow::Result<()> {
    let Some(mut client) = session.client() else { anyhow::bail!("no manager is reachable") };
    let request = v1::RefreshRequest {
        facts: Some(facts.into()),
        address: String::new(),
        away_ms: away.as_millis() as u64,
    };
    tokio::time::timeout(TELL, client.refresh(request)).await??;
    Ok(())
}

/// Announces a planned stop.
/// Goes by what was told last: an engine that hangs must not hold up the stop.
pub(crate) async fn announce_away(node: &Node, session: &Session) {
    let told = node.told.lock().expect("no panic while held").clone();
    let Some(facts) = told else { return };
    if let Err(why) = tell(session, &facts, node.config.timers().away).await {
        warn!(%why, "the planned stop could not be announced; the node will be judged by its silence");
    }
}
