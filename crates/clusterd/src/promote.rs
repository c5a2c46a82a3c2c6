//! Follows this node's role: a promoted node opens a log, a demoted one closes it. Also keeps the list of
//! who is in the cluster up to date.

use crate::agenting::Agenting;
use crate::folder;
use crate::managing::Managing;
use crate::member;
use crate::node::Node;
use crate::renew;
use crate::session::Session;
use anyhow::Context;
use api::v1;
use model::Role;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Between two looks at whether this manager has caught up.
const CATCHING_UP: Duration = Duration::from_millis(200);
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// A manager learns who is in the cluster from its own state, as soon as an entry is applied.
pub(crate) async fn learn_from_log(node: Arc<Node>, managing: Arc<Managing>) {
    // What is applied while catching up is history: the leader that sends it may not be in it yet.
    while !managing.confirmed().await {
        tokio::time::sleep(CATCHING_UP).await;
    }
    let mut states = managing.log.watch();
    loop {
        let state = states.borrow_and_update().clone();
        node.roster.learn(state.index, state.nodes.values().map(|n| (n.id, n.role)));
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// Opens or closes the log when the cluster changes this node's role.
pub(crate) async fn follow_role(node: Arc<Node>, agenting: Arc<Agenting>, session: Arc<Session>) {
    let mut views = agenting.views();
    loop {
        let _ = tokio::time::timeout(RETRY, views.changed()).await;
        let manages = node.managing().is_ok();
        match (node.file().role, manages) {
            (Role::Manager, false) => {
                if let Err(why) = promote(&node, &session).await {
                    warn!(why = format!("{why:#}"), "cannot become a manager yet");
                }
            }
            (Role::Worker, true) => {
                demote(&node).await;
                info!("demoted: this node is a worker now");
            }
            _ => {}
        }
    }
}

/// Hands leadership on, closes the log and forgets the cluster key. The log's folder stays: should this node
/// be promoted again, it goes on where it was, and its votes are not forgotten.
async fn demote(node: &Node) {
    let Ok(managing) = node.managing() else { return };
    if managing.log.is_leader()
        && let Err(why) = managing.log.transfer(None).await
    {
        warn!(%why, "leadership could not be handed on");
    }
    node.set_managing(None);
    node.managing_tasks.stop();
    managing.log.shutdown().await;
    if let Err(why) = std::fs::remove_file(node.folder.cluster_key()) {
        warn!(%why, "the cluster key could not be removed");
    }
}

async fn promote(node: &Arc<Node>, session: &Session) -> anyhow::Result<()> {
    let mut client = session.client().context("no manager is reachable")?;
    let key = client.key(v1::KeyRequest {}).await?.into_inner().cluster_key;
    folder::write(&node.folder.cluster_key(), &key, 0o600)?;
    renew::renew(node, session).await?;
    member::start_managing(node, None).await?;
    info!("promoted: this node is a manager now");
    Ok(())
}
