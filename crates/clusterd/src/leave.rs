//! Leaving the cluster: the node is emptied of its tasks, removed from the list, and forgets everything.

use crate::host::Host;
use crate::serve::refusal;
use crate::uninstall;
use model::{Command, Outcome, RemoveNode};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tracing::{info, warn};

/// Deadline of telling the cluster.
const TELL: Duration = Duration::from_secs(10);

/// Leaves. With `force` also when the cluster cannot be told: it then still lists this node as lost.
pub(crate) async fn leave(host: &Arc<Host>, force: bool) -> Result<(), Status> {
    let member = host.member()?;
    let told = tokio::time::timeout(TELL, tell(&member)).await;
    let told = told.unwrap_or_else(|_| Err(Status::unavailable("the cluster did not answer")));
    match told {
        Err(why) if !force => return Err(why),
        _ => {}
    }
    host.set_member(None);
    member.shut().await;
    // What could not be removed now is said, and `clusterd uninstall` tries again.
    if let Err(why) = uninstall::remove_containers(&member.node.engine).await {
        warn!(why = format!("{why:#}"), "containers were left behind");
    }
    uninstall::stop_edge(&host.folder);
    host.folder.clear().map_err(|e| Status::internal(format!("{e:#}")))?;
    info!("left the cluster");
    Ok(())
}

async fn tell(member: &crate::member::Member) -> Result<(), Status> {
    let node = &member.node;
    let command = Command::RemoveNode(RemoveNode { node: node.id(), force: true });
    if let Ok(managing) = node.managing() {
        let only = managing.log.state().nodes.len() == 1;
        if only {
            return Ok(());
        }
        return match managing.propose(command, None).await?.1 {
            Outcome::Refused(why) => Err(refusal(&why)),
            _ => Ok(()),
        };
    }
    Err(Status::new(
        Code::FailedPrecondition,
        format!(
            "a worker is removed by a manager: run `clusterctl nodes rm --force {}` there, then `clusterctl leave --force` here",
            node.file().name
        ),
    ))
}
