//! Beats: "I live, and have heard ...", to every manager, each on a connection of its own that is dialled
//! again when no answer came for a while.

use crate::clock;
use crate::node::Node;
use api::v1::{self, members_client::MembersClient};
use model::{NodeId, limits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, warn};

/// Between two looks at who the managers are.
const LOOK: Duration = Duration::from_millis(500);

/// Keeps one sender for each manager, for as long as the daemon lives.
pub(crate) async fn send_to_managers(node: Arc<Node>) {
    let mut running = JoinSet::new();
    let mut senders: BTreeMap<(NodeId, SocketAddr), AbortHandle> = BTreeMap::new();
    loop {
        let me = node.id();
        let wanted: Vec<_> = node.managers().into_iter().filter(|(id, _)| *id != me).collect();
        senders.retain(|target, sender| {
            let keep = wanted.contains(target) && !sender.is_finished();
            if !keep {
                sender.abort();
            }
            keep
        });
        for target in wanted {
            senders.entry(target).or_insert_with(|| running.spawn(send(Arc::clone(&node), target)));
        }
        while running.try_join_next().is_some() {}
        tokio::time::sleep(LOOK).await;
    }
}

async fn send(node: Arc<Node>, (manager, address): (NodeId, SocketAddr)) {
    let timers = node.config.timers();
    loop {
        if let Err(why) = connection(&node, manager, address, timers.beat, timers.redial).await {
            debug!(manager = manager.0, %why, "beat connection ended");
        }
        tokio::time::sleep(timers.beat / 2).await;
    }
}

/// One connection, from the first beat to the first silence.
async fn connection(
    node: &Node,
    manager: NodeId,
    address: SocketAddr,
    beat: Duration,
    redial: Duration,
) -> anyhow::Result<()> {
    let channel = node.dialer.fresh(manager, address);
    let (sender, receiver) = mpsc::channel(1);
    let call = MembersClient::new(channel);
    sender.send(next(node, 0)).await?;
    let mut call = call;
    let mut replies =
        tokio::time::timeout(redial, call.beat(ReceiverStream::new(receiver))).await??.into_inner();
    let mut warned = false;
    for sequence in 1.. {
        let reply = tokio::time::timeout(redial, replies.message()).await??;
        let Some(reply) = reply else { anyhow::bail!("the manager ended the stream") };
        let offset = Duration::from_millis(clock::wall().0.abs_diff(reply.wall_ms));
        if offset > limits::WARN_CLOCK_OFFSET && !warned {
            warned = true;
            warn!(
                manager = manager.0,
                offset_ms = offset.as_millis() as u64,
                "the clocks of two hosts differ"
            );
        }
        tokio::time::sleep(beat).await;
        tokio::time::timeout(redial, sender.send(next(node, sequence))).await??;
    }
    Ok(())
}

fn next(node: &Node, sequence: u64) -> v1::BeatRequest {
    let heard = node.managing().map(|m| m.testimony()).unwrap_or_default();
    v1::BeatRequest {
        sequence,
        wall_ms: clock::wall().0,
        heard: heard
            .into_iter()
            .map(|(node, age)| v1::Heard { node: node.0, age_ms: age.as_millis() as u64 })
            .collect(),
    }
}
