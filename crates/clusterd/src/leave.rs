//! Leaving the cluster: the node is emptied of its tasks, removed from the list, and forgets everything; and what
//! a node does that the cluster removed by itself.

use crate::clock;
use crate::files;
use crate::host::Host;
use crate::member::Member;
use crate::serve::refusal;
use crate::uninstall;
use api::v1;
use model::{NodeId, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tracing::{error, info, warn};

/// Deadline of telling the cluster.
const TELL: Duration = Duration::from_secs(10);
/// How long the node's tasks may take to find another place.
const DRAIN: Duration = Duration::from_secs(120);
/// How long the others may take to do without this member's vote.
const HAND_OVER: Duration = Duration::from_secs(5);
/// Between two looks at how many are left.
const LOOK: Duration = Duration::from_millis(500);

/// Leaves. With `force` at once, also as the last node, and also when the cluster cannot be told: it then still
/// lists this node as lost.
pub(crate) async fn leave(host: &Arc<Host>, force: bool) -> Result<(), Status> {
    if host.is_removed() {
        host.set_removed(false);
        return Ok(());
    }
    let member = host.member()?;
    if only_node(&member) {
        refuse_the_end(force)?;
    } else {
        part(&member, force).await?;
    }
    close(host, &member).await;
    host.folder.clear().map_err(|e| Status::internal(format!("{e:#}")))?;
    info!("left the cluster");
    Ok(())
}

/// Takes this node off the cluster's list; with `force` a cluster that cannot be told is done without.
async fn part(member: &Member, force: bool) -> Result<(), Status> {
    refuse_quorum_loss(member)?;
    let told = tokio::time::timeout(DRAIN + TELL, depart(member, force)).await;
    let told = told.unwrap_or_else(|_| Err(Status::unavailable("the cluster did not answer")));
    let Err(why) = told else { return Ok(()) };
    match why.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::PermissionDenied if force => Ok(()),
        // A right that the node lacks there is not one that the caller lacks here.
        Code::PermissionDenied => Err(Status::failed_precondition(format!(
            "{}; `clusterctl leave --force` forgets it here all the same",
            why.message()
        ))),
        _ => Err(why),
    }
}

/// What follows when the cluster removed this node: nothing of it may go on running here, because the cluster
/// counts it as gone and starts it elsewhere. Its identity and log are put aside, the named volumes stay.
pub(crate) async fn removed(host: Arc<Host>, id: NodeId) {
    let _changing = host.changing.lock().await;
    // It may have left by itself meanwhile: leaving ends with a removal.
    let Ok(member) = host.member() else { return };
    if member.node.id() != id {
        return;
    }
    warn!("the cluster has removed this node; its containers are stopped, its named volumes kept");
    if let Ok(managing) = member.node.managing()
        && managing.log.is_leader()
        && let Err(why) = managing.log.transfer(None).await
    {
        warn!(%why, "leadership could not be handed on");
    }
    hand_over_vote(&member).await;
    host.set_removed(true);
    close(&host, &member).await;
    if let Err(why) = host.folder.set_aside("removed", clock::wall()) {
        error!(why = format!("{why:#}"), "the identity of a removed node could not be put aside");
    }
}

/// Ends the membership on this host, with all containers of it.
async fn close(host: &Host, member: &Member) {
    host.set_member(None);
    member.shut().await;
    // What could not be removed now bears the cluster's label, and is said.
    if let Err(why) = uninstall::remove_containers(&member.node.engine).await {
        warn!(why = format!("{why:#}"), "containers were left behind");
    }
    if let Err(why) = files::clear(&host.config) {
        warn!(why = format!("{why:#}"), "files of containers were left behind");
    }
    uninstall::stop_edge(&host.folder);
    uninstall::clear_mesh().await;
    // The next edge here is another cluster's, or another node's, and has nothing to serve yet.
    host.folder.forget_picture();
}

/// Nobody would be left who could take it back.
fn refuse_the_end(force: bool) -> Result<(), Status> {
    if force {
        return Ok(());
    }
    Err(Status::failed_precondition(
        "this is the last node: its leaving ends the cluster, and all that is deployed there (named volumes stay on this host); if that is meant, say `clusterctl leave --force`",
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::folder::Folder;

    #[tokio::test]
    async fn a_host_that_was_removed_says_so_until_it_is_told_to_leave() {
        let dir = std::env::temp_dir().join(format!("clusterd-removed-{}", std::process::id()));
        let folder = Folder::open(&dir).unwrap();
        let host = Host::new(Arc::new(Config::default()), folder);
        let said = || host.member().err().map(|why| why.message().to_owned()).unwrap();
        assert!(said().contains("belongs to no cluster"));
        assert!(leave(&host, true).await.is_err(), "there is nothing to leave");
        host.set_removed(true);
        assert!(said().contains("was removed") && said().contains("clusterctl join"), "{}", said());
        assert!(!host.is_broken(), "it joins as any new host does");
        assert!(leave(&host, false).await.is_ok());
        assert!(said().contains("belongs to no cluster"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_last_node_is_asked_back() {
        let refused = refuse_the_end(false).unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("ends the cluster"));
        assert!(refused.message().contains("leave --force"));
        assert!(refuse_the_end(true).is_ok());
    }
}
