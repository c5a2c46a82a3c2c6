//! `events`: what happened, and what happens.

use crate::args::Events;
use crate::failure::Failure;
use crate::session::Session;
use crate::{json, listing, retry};
use api::v1::{EventsReply, EventsRequest};
use serde_json::Value;

pub(crate) async fn run(session: &Session, words: Events) -> Result<(), Failure> {
    let request = EventsRequest {
        follow: words.follow,
        project: session.global.project.clone().unwrap_or_default(),
        last: words.last,
    };
    let mut told = Told { session, request, seen: (0, 0), before: (0, 0), documents: Vec::new() };
    retry::follow(
        session,
        &mut told,
        !words.follow,
        async |mut client, told: &mut Told<'_>| client.events(told.ask()).await,
        Told::take,
    )
    .await?;
    if session.out.json && !words.follow {
        session.out.document(&Value::Array(told.documents))?;
    }
    Ok(())
}

/// What was told so far.
struct Told<'a> {
    session: &'a Session,
    request: EventsRequest,
    /// The newest event: its index, and which of that index it is.
    seen: (u64, u32),
    /// As of the last time that was asked: what comes up to there has been told.
    before: (u64, u32),
    documents: Vec<Value>,
}

impl Told<'_> {
    /// The first time for what was wished, then for all that the cluster keeps.
    fn ask(&mut self) -> EventsRequest {
        self.before = self.seen;
        let again = self.seen != (0, 0);
        EventsRequest { last: if again { 0 } else { self.request.last }, ..self.request.clone() }
    }

    fn take(&mut self, event: &EventsReply) -> Result<(), Failure> {
        let place = (event.index, event.position);
        // A remark of the node itself is no event and has no index.
        if event.index > 0 && place <= self.before {
            return Ok(());
        }
        self.seen = self.seen.max(place);
        match (self.session.out.json, self.request.follow) {
            (true, true) => self.session.out.record(&json::event(event)),
            (true, false) => {
                self.documents.push(json::event(event));
                Ok(())
            }
            (false, _) => self.session.out.data(&listing::event(event)),
        }
    }
}
