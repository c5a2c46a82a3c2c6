//! `events`: what happened, and what happens.

use crate::args::Events;
use crate::failure::Failure;
use crate::session::Session;
use crate::{json, listing};
use api::v1::EventsRequest;
use serde_json::Value;

pub(crate) async fn run(session: &Session, words: Events) -> Result<(), Failure> {
    let request = EventsRequest {
        follow: words.follow,
        project: session.global.project.clone().unwrap_or_default(),
        last: words.last,
    };
    let mut client = session.cluster.admin().await?;
    let failed = |status: tonic::Status| Failure::from_status(&status);
    let mut stream = client.events(request).await.map_err(failed)?.into_inner();
    let mut documents = Vec::new();
    while let Some(event) = stream.message().await.map_err(failed)? {
        match (session.out.json, words.follow) {
            (true, true) => session.out.record(&json::event(&event))?,
            (true, false) => documents.push(json::event(&event)),
            (false, _) => session.out.data(&listing::event(&event))?,
        }
    }
    if session.out.json && !words.follow {
        session.out.document(&Value::Array(documents))?;
    }
    Ok(())
}
