//! Roll-outs for people: how far each is, what is remarkable about it, and what may be wished of it.

use crate::admin::write::propose;
use crate::managing::Managing;
use api::v1;
use model::{Command, Outcome, Phase, Rollout, RolloutWish, Service, SetRollout, State};
use std::collections::BTreeSet;
use tonic::Status;

/// Pauses, resumes or undoes roll-outs.
pub(crate) async fn set(
    managing: &Managing,
    message: v1::SetRolloutRequest,
) -> Result<v1::SetRolloutReply, Status> {
    let wish = match message.wish.as_str() {
        "pause" => RolloutWish::Pause,
        "resume" => RolloutWish::Resume,
        "undo" => RolloutWish::Undo,
        other => {
            return Err(Status::invalid_argument(format!(
                "wish `{}`: pause, resume or undo",
                other.escape_debug()
            )));
        }
    };
    let project = api::parse("project", &message.project)?;
    let mut services = BTreeSet::new();
    for service in &message.services {
        services.insert(api::parse("services", service)?);
    }
    let command = Command::SetRollout(SetRollout { project, services, wish });
    let (index, outcome) = propose(managing, command, message.request).await?;
    let Outcome::Accepted { generation, changed, .. } = outcome else {
        return Err(Status::internal(format!("unexpected outcome {outcome:?}")));
    };
    let services = changed.iter().map(ToString::to_string).collect();
    Ok(v1::SetRolloutReply { index, generation, services })
}

/// How far the roll-out of a service is.
pub(crate) fn summary(service: &Service) -> Option<v1::RolloutSummary> {
    let rollout = service.rollout.as_ref()?;
    Some(v1::RolloutSummary {
        state: rollout.word().into(),
        paused: rollout.phase == Phase::Paused,
        ended: rollout.phase == Phase::Completed,
        back: rollout.back.is_some(),
        reason: rollout.reason.clone(),
        release: service.release,
        left: rollout.back.map_or(0, |back| back.release),
        failed: rollout.failed.len() as u32,
        last_failure: rollout.last_failure.clone(),
        moved: rollout.moved,
    })
}

/// What a person should look at, of the services named in a project, or of all.
pub(crate) fn remarks(state: &State, project: &str, services: &[String]) -> Vec<String> {
    let chosen = |s: &&Service| {
        !s.removed
            && (project.is_empty() || s.project.as_str() == project)
            && (services.is_empty() || services.iter().any(|n| n == s.name.as_str()))
    };
    let of = |s: &Service| s.rollout.as_ref().and_then(|rollout| remark(s, rollout));
    state.services.values().filter(chosen).filter_map(of).collect()
}

fn remark(service: &Service, rollout: &Rollout) -> Option<String> {
    let (name, to, why) = (service.full_name(), service.release, &rollout.reason);
    Some(match (rollout.phase, rollout.back) {
        (Phase::Paused, None) => {
            format!("{name}: the roll-out of release {to} is paused: {why}")
        }
        (Phase::Paused, Some(_)) => {
            format!("{name}: the way back to release {to} is paused: {why}")
        }
        (Phase::Running, Some(back)) => {
            format!("{name}: rolling back from release {} to release {to}: {why}", back.release)
        }
        (Phase::Completed, Some(back)) => {
            format!("{name}: rolled back from release {} to release {to}: {why}", back.release)
        }
        (Phase::Running | Phase::Completed, None) => return None,
    })
}
