//! What projects may be handed of their hosts: shown, granted, revoked.

use crate::admin::write::{propose, reply};
use crate::managing::Managing;
use api::v1;
use model::{Command, Permit, SetPolicy, State};
use std::collections::BTreeSet;
use tonic::Status;

/// The policy of one project, or of all when no name is given.
pub(crate) fn of(state: &State, project: &str) -> Vec<v1::Policy> {
    let asked =
        state.policies.iter().filter(|(name, _)| project.is_empty() || name.as_str() == project);
    let shown = asked.map(|(name, powers)| v1::Policy {
        project: name.to_string(),
        granted: powers.iter().map(ToString::to_string).collect(),
    });
    shown.collect()
}

pub(crate) async fn set(
    managing: &Managing,
    message: v1::SetPolicyRequest,
) -> Result<v1::WriteReply, Status> {
    let set = SetPolicy {
        project: api::parse("project", &message.project)?,
        grant: permits(&message.grant)?,
        revoke: permits(&message.revoke)?,
    };
    let (index, outcome) = propose(managing, Command::SetPolicy(set), message.request).await?;
    Ok(reply(index, &outcome))
}

fn permits(words: &[String]) -> Result<BTreeSet<Permit>, Status> {
    words.iter().map(|w| w.parse().map_err(Status::invalid_argument)).collect()
}
