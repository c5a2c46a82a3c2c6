//! `stats` and `top`: what replicas, services and nodes use, again and again until the reader has seen enough.

use crate::args::{Stats, Top};
use crate::failure::Failure;
use crate::retry;
use crate::session::Session;
use crate::usage::{Pair, fitted};
use api::v1::{StatsReply, StatsRequest};
use std::fmt::Write as _;
use std::time::Duration;

/// Between two measures: nodes tell processor time in steps of a hundredth of a second.
const EVERY: Duration = Duration::from_secs(1);

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method alone is tied to one lifetime"
)]
pub(crate) async fn stats(session: &Session, words: Stats) -> Result<(), Failure> {
    show(session, words.names, words.no_stream, |pair| pair.stats()).await
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method alone is tied to one lifetime"
)]
pub(crate) async fn top(session: &Session, words: Top) -> Result<(), Failure> {
    show(session, words.names, words.no_stream, |pair| pair.top()).await
}

async fn show(
    session: &Session,
    names: Vec<String>,
    once: bool,
    table: fn(&Pair<'_>) -> String,
) -> Result<(), Failure> {
    let request = StatsRequest { project: session.project_or_all(), names };
    let mut before = ask(session, &request).await?;
    loop {
        tokio::time::sleep(EVERY).await;
        let now = ask(session, &request).await?;
        let pair = Pair { before: &before, now: &now };
        match (session.out.json, once) {
            (true, true) => session.out.document(&pair.json())?,
            (true, false) => session.out.record(&pair.json())?,
            (false, _) => print(session, &pair, once, table)?,
        }
        if once {
            return Ok(());
        }
        before = now;
    }
}

fn print(
    session: &Session,
    pair: &Pair<'_>,
    once: bool,
    table: fn(&Pair<'_>) -> String,
) -> Result<(), Failure> {
    let mut text = table(pair);
    if once {
        pair.remarks().iter().for_each(|remark| session.out.warn(remark));
        return session.out.data(&text);
    }
    for remark in pair.remarks() {
        let _ = write!(text, "\n{remark}\n");
    }
    match session.out.screen() {
        // What is left of the picture before is wiped line by line, so that nothing flickers.
        Some(size) => {
            let lines = fitted(&text, size).replace('\n', "\x1b[K\n");
            session.out.data(&format!("\x1b[H{lines}\x1b[J"))
        }
        None => session.out.data(&format!("{text}\n")),
    }
}

async fn ask(session: &Session, request: &StatsRequest) -> Result<StatsReply, Failure> {
    retry::read(&session.cluster, async |mut client| client.stats(request.clone()).await).await
}
