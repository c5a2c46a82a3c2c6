//! `rollout`: looking at roll-outs, and pausing, resuming and undoing them.

use crate::args::{RolloutAction, RolloutWish};
use crate::failure::Failure;
use crate::session::Session;
use crate::wait::{Goal, Rollouts};
use crate::{json, listing, retry, text, watch};
use api::v1::{SetRolloutReply, SetRolloutRequest};
use std::collections::BTreeMap;

pub(crate) async fn run(session: &Session, action: RolloutAction) -> Result<(), Failure> {
    match action {
        RolloutAction::Status { services } => status(session, &services).await,
        RolloutAction::Pause { services } => {
            let words = RolloutWish { services, detach: true };
            wish(session, words, "pause", Rollouts::Forward).await
        }
        RolloutAction::Resume(words) => wish(session, words, "resume", Rollouts::Either).await,
        RolloutAction::Undo(words) => wish(session, words, "undo", Rollouts::Either).await,
    }
}

async fn status(session: &Session, names: &[String]) -> Result<(), Failure> {
    let project = session.project_or_all();
    let mut reply = session.services(&project).await?;
    session.out.banner(reply.read.as_ref());
    let chosen = |name: &String| names.is_empty() || names.contains(name);
    reply.services.retain(|s| s.rollout.is_some() && chosen(&s.name));
    session.out.either(
        || listing::rollouts(&reply.services),
        || json::list(&reply.services, json::service),
    )
}

async fn wish(
    session: &Session,
    words: RolloutWish,
    wish: &str,
    rollouts: Rollouts,
) -> Result<(), Failure> {
    let chosen = session.project().await?;
    let reply = retry::write(&session.cluster, chosen.stamp, async |mut client, id| {
        let request = SetRolloutRequest {
            request: Some(id),
            project: chosen.name.clone(),
            services: words.services.clone(),
            wish: wish.to_owned(),
        };
        client.set_rollout(request).await
    })
    .await?;
    for line in told(&chosen.name, wish, &reply) {
        session.out.say(&line);
    }
    if !words.detach {
        let goal = Goal::Whole {
            project: chosen.name.clone(),
            services: reply.services.iter().cloned().collect(),
            may_end: BTreeMap::new(),
            at_least: reply.index,
            rollouts,
        };
        let title = if wish == "undo" { "Rolling back" } else { "Rolling out" };
        watch::until(session, &format!("{title} {}", chosen.name), &goal).await?;
    }
    if session.out.json { session.out.document(&json::wished(&reply)) } else { Ok(()) }
}

/// What was done, one line for each service.
fn told(project: &str, wish: &str, reply: &SetRolloutReply) -> Vec<String> {
    let what = match wish {
        "pause" => "paused",
        "resume" => "goes on",
        _ => "goes back",
    };
    let line = |service: &String| text::safe(&format!("{project}/{service}  {what}"));
    reply.services.iter().map(line).collect()
}
