//! `scale` and `down`: changing what a deployed project has.

use crate::args::{Down, Scale};
use crate::failure::Failure;
use crate::session::{Chosen, Session};
use crate::wait::{Goal, Rollouts};
use crate::{json, retry, watch};
use api::v1::{DownRequest, ScaleRequest, Scaled};
use std::collections::BTreeMap;

pub(crate) async fn scale(session: &Session, words: Scale) -> Result<(), Failure> {
    let Named { counts, project } = named(words.counts, session.global.project.clone())?;
    let chosen = match project {
        Some(name) => Chosen::of(name, session.fresh().await?),
        None => session.project().await?,
    };
    let reply = retry::write(&session.cluster, chosen.stamp, async |mut client, id| {
        let request = ScaleRequest {
            request: Some(id),
            project: chosen.name.clone(),
            counts: counts.iter().cloned().collect(),
            seen: chosen.generation,
        };
        client.scale(request).await
    })
    .await?;
    for scaled in &reply.scaled {
        session.out.say(&change(&chosen.name, scaled));
    }
    if !words.detach {
        let goal = Goal::Whole {
            project: chosen.name.clone(),
            services: counts.iter().map(|(name, _)| name.clone()).collect(),
            may_end: BTreeMap::new(),
            at_least: reply.index,
            rollouts: Rollouts::Either,
        };
        watch::until(session, &format!("Scaling {}", chosen.name), &goal).await?;
    }
    if session.out.json { session.out.document(&json::written(&reply)) } else { Ok(()) }
}

/// `shop/web  4 → 2`
pub(crate) fn change(project: &str, scaled: &Scaled) -> String {
    crate::text::safe(&format!("{project}/{}  {} → {}", scaled.service, scaled.from, scaled.to))
}

/// Counts by bare service names, and the project when the names or the flag say it.
struct Named {
    counts: Vec<(String, u32)>,
    project: Option<String>,
}

/// Splits `shop/web=4`.
fn named(counts: Vec<(String, u32)>, flag: Option<String>) -> Result<Named, Failure> {
    let mut project = flag;
    let mut bare: Vec<(String, u32)> = Vec::new();
    for (name, count) in counts {
        let service = match name.split_once('/') {
            Some((said, service)) => {
                if project.as_deref().is_some_and(|p| p != said) {
                    return Err(Failure::usage("these services are of several projects")
                        .next("scale one project at a time"));
                }
                project = Some(said.to_owned());
                service.to_owned()
            }
            None => name,
        };
        if bare.iter().any(|(before, _)| *before == service) {
            return Err(Failure::usage(format!("{service} is named twice")));
        }
        bare.push((service, count));
    }
    Ok(Named { counts: bare, project })
}

pub(crate) async fn down(session: &Session, words: Down) -> Result<(), Failure> {
    let chosen = session.project().await?;
    let reply = retry::write(&session.cluster, chosen.stamp, async |mut client, id| {
        let (project, volumes) = (chosen.name.clone(), words.volumes);
        client.down(DownRequest { request: Some(id), project, volumes }).await
    })
    .await?;
    if !words.detach {
        let goal = Goal::Gone { project: chosen.name.clone(), at_least: reply.index };
        watch::until(session, &format!("Removing {}", chosen.name), &goal).await?;
    }
    let what = if words.detach { "is being removed" } else { "is removed" };
    let kept = if words.volumes { "" } else { "; its named volumes are kept" };
    session.out.either(|| format!("{} {what}{kept}.\n", chosen.name), || json::written(&reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_may_stand_before_the_service() {
        let one = |name: &str| (name.to_owned(), 4);
        let Named { counts, project } = named(vec![one("shop/web"), one("api")], None).unwrap();
        assert_eq!(counts, [one("web"), one("api")]);
        assert_eq!(project.as_deref(), Some("shop"));
        assert!(named(vec![one("shop/web"), one("blog/web")], None).is_err());
        assert!(named(vec![one("shop/web")], Some("blog".into())).is_err());
        assert!(named(vec![one("web"), one("web")], None).is_err());
    }

    #[test]
    fn changes_of_scale_are_told_shortly() {
        let scaled = Scaled { service: "web".into(), from: 4, to: 2 };
        assert_eq!(change("shop", &scaled), "shop/web  4 → 2");
    }
}
