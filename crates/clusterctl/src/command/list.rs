//! `ls`, `ps` and `status`: looking, changing nothing.

use crate::args::{Ls, Ps};
use crate::failure::Failure;
use crate::session::Session;
use crate::{clock, json, listing, retry, status as health, text};

pub(crate) async fn ls(session: &Session, words: Ls) -> Result<(), Failure> {
    let project = session.global.project.clone().unwrap_or_default();
    let reply = session.services(&project).await?;
    session.out.banner(reply.read.as_ref());
    if words.services || !project.is_empty() {
        return session.out.either(
            || health::services(&reply.services, project.is_empty()),
            || json::list(&reply.services, json::service),
        );
    }
    session.out.either(
        || listing::projects(&reply.projects, &reply.services, clock::wall_ms()),
        || json::list(&reply.projects, json::project),
    )
}

pub(crate) async fn ps(session: &Session, words: Ps) -> Result<(), Failure> {
    let project = session.project_or_all();
    let reply = session.replicas(&project, &words.services, words.all).await?;
    session.out.banner(reply.read.as_ref());
    reply.remarks.iter().for_each(|remark| session.out.say(&text::safe(remark)));
    session.out.either(
        || listing::replicas(&reply.replicas),
        || json::list(&reply.replicas, json::replica),
    )
}

pub(crate) async fn status(session: &Session) -> Result<(), Failure> {
    let project = session.global.project.clone().unwrap_or_default();
    let request = session.read_request(&project);
    let reply =
        retry::read(&session.cluster, async |mut client| client.status(request.clone()).await)
            .await?;
    session.out.banner(reply.read.as_ref());
    session.out.either(|| health::status(&reply), || json::status(&reply))
}
