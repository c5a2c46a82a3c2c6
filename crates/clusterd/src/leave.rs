//! Leaving the cluster: the node is emptied of its tasks, removed from the list, and forgets everything.

use crate::host::Host;
use crate::member::Member;
use crate::serve::refusal;
use crate::uninstall;
use api::v1;
use model::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tracing::{info, warn};

/// Deadline of telling the cluster.
const TELL: Duration = Duration::from_secs(10);
/// How long the node's tasks may take to find another place.
const DRAIN: Duration = Duration::from_secs(120);
/// How long the others may take to do without this member's vote.
const HAND_OVER: Duration = Duration::from_secs(5);
/// Between two looks at how many are left.
const LOOK: Duration = Duration::from_millis(500);

/// Leaves. With `force` at once, also when the cluster cannot be told: it then still lists this node as
/// lost.
pub(crate) async fn leave(host: &Arc<Host>, force: bool) -> Result<(), Status> {
    let member = host.member()?;
    if !only_node(&member) {
        refuse_quorum_loss(&member)?;
        let told = tokio::time::timeout(DRAIN + TELL, depart(&member, force)).await;
        let told = told.unwrap_or_else(|_| Err(Status::unavailable("the cluster did not answer")));
        let unheard = |why: &Status| {
            matches!(
                why.code(),
                Code::Unavailable | Code::DeadlineExceeded | Code::PermissionDenied
            )
        };
        match told {
            Err(why) if !(force && unheard(&why)) => return Err(why),
            _ => {}
        }
    }
    host.set_member(None);
    member.shut().await;
    // What could not be removed now bears the cluster's label, and is said.
    if let Err(why) = uninstall::remove_containers(&member.node.engine).await {
        warn!(why = format!("{why:#}"), "containers were left behind");
    }
    uninstall::stop_edge(&host.folder);
    host.folder.clear().map_err(|e| Status::internal(format!("{e:#}")))?;
    info!("left the cluster");
    Ok(())
}

/// Before anything is moved: what the cluster would refuse in the end.
fn refuse_quorum_loss(member: &Member) -> Result<(), Status> {
    let Ok(managing) = member.node.managing() else { return Ok(()) };
    let state = managing.log.state();
    let (me, name) = (member.node.id(), member.node.file().name);
    let (ready, needed) = state.quorum_without(Some(me));
    if !state.voters.contains(&me) || state.voters.len() == 1 || ready >= needed {
        return Ok(());
    }
    Err(refusal(&Refusal::WouldLoseQuorum { name, ready, needed }))
}

fn only_node(member: &Member) -> bool {
    member.node.managing().is_ok_and(|m| m.log.state().nodes.len() == 1)
}

/// Is drained, hands leadership on, and is removed.
async fn depart(member: &Member, force: bool) -> Result<(), Status> {
    if !force {
        drain(member).await?;
    }
    if let Ok(managing) = member.node.managing()
        && managing.log.is_leader()
        && let Err(why) = managing.log.transfer(None).await
        && !force
    {
        return Err(Status::unavailable(format!(
            "leadership could not be handed on ({why}); try again in a moment"
        )));
    }
    tell(member, true).await?;
    hand_over_vote(member).await;
    Ok(())
}

/// The others go on once this member does not vote any more; until then they may need its vote for just that.
async fn hand_over_vote(member: &Member) {
    let Ok(managing) = member.node.managing() else { return };
    let me = member.node.id();
    let mut leadership = managing.log.leadership();
    let gone = leadership.wait_for(|l| !l.voters.contains(&me));
    if !matches!(tokio::time::timeout(HAND_OVER, gone).await, Ok(Ok(_))) {
        warn!("the others have not said that they do without this vote");
    }
}

async fn drain(member: &Member) -> Result<(), Status> {
    let mut left = tell(member, false).await?;
    let rounds = DRAIN.as_millis() / LOOK.as_millis();
    for _ in 0..rounds {
        if left == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        left = tell(member, false).await?;
    }
    Err(Status::failed_precondition(format!(
        "{left} replicas on this node have no other place (`clusterctl ps` says why); scale or move them first, or use --force; until then this node is drained (`clusterctl nodes activate` takes that back)"
    )))
}

/// Tasks that this node still holds, once the cluster has heard.
async fn tell(member: &Member, remove: bool) -> Result<u32, Status> {
    let mut client = member.session.client().ok_or_else(|| {
        Status::unavailable(
            "no manager is reachable; with --force this host forgets the cluster all the same",
        )
    })?;
    let answered = tokio::time::timeout(TELL, client.depart(v1::DepartRequest { remove })).await;
    let reply = answered.map_err(|_| Status::unavailable("the cluster did not answer"))??;
    Ok(reply.into_inner().tasks)
}
