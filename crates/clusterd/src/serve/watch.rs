//! Serving views: what one node needs to know, whenever it changes, and a sign of life in between.

use crate::caller::{Caller, Right, Roster};
use crate::managing::Managing;
use api::v1;
use model::{NodeId, View};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Between two signs of life.
const SIGN: Duration = Duration::from_millis(400);
/// Between two attempts at confirming the log after a start.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// The views of `node`, from one that is no older than `at_least` and was confirmed by a leader.
pub(crate) fn views(
    managing: Arc<Managing>,
    roster: Roster,
    caller: Caller,
    node: NodeId,
    at_least: u64,
) -> ReceiverStream<Result<v1::WatchReply, Status>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let end = serve(&managing, &roster, &caller, node, at_least, &sender).await;
        if let Err(status) = end {
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn serve(
    managing: &Managing,
    roster: &Roster,
    caller: &Caller,
    node: NodeId,
    at_least: u64,
    sender: &mpsc::Sender<Result<v1::WatchReply, Status>>,
) -> Result<(), Status> {
    confirm(managing, sender).await?;
    let mut states = managing.log.watch();
    let mut last: Option<View> = None;
    loop {
        roster.node(caller, Right::Node)?;
        let state = states.borrow_and_update().clone();
        let mut view = Vec::new();
        if state.index >= at_least && state.nodes.contains_key(&node) {
            let fresh = state.view_for(node, &managing.shared(&state));
            if last.as_ref().is_none_or(|last| differs(last, &fresh)) {
                view = api::encode(&managing.opened(&fresh));
                last = Some(fresh);
            }
        }
        let contact_age_ms = managing.contact_age().as_millis() as u64;
        if sender.send(Ok(v1::WatchReply { contact_age_ms, view })).await.is_err() {
            return Ok(());
        }
        let _ = tokio::time::timeout(SIGN, states.changed()).await;
    }
}

/// After a start nothing is served until an index confirmed by the leader has been applied.
async fn confirm(
    managing: &Managing,
    sender: &mpsc::Sender<Result<v1::WatchReply, Status>>,
) -> Result<(), Status> {
    while !managing.confirmed().await {
        let contact_age_ms = u64::from(u32::MAX);
        if sender.send(Ok(v1::WatchReply { contact_age_ms, view: Vec::new() })).await.is_err() {
            return Err(Status::cancelled("gone"));
        }
        tokio::time::sleep(CONFIRM_PAUSE).await;
    }
    Ok(())
}

/// Whether a node would do anything different. Every part of a view is named, so that none is forgotten.
fn differs(last: &View, fresh: &View) -> bool {
    let View {
        cluster: _,
        index: _,
        now: _,
        node: _,
        tasks,
        routes,
        datagrams,
        sites,
        nodes,
        condemned,
        mesh,
    } = fresh;
    last.tasks != *tasks
        || last.condemned != *condemned
        || last.routes != *routes
        || last.datagrams != *datagrams
        || last.sites != *sites
        || last.nodes != *nodes
        || last.mesh != *mesh
}
