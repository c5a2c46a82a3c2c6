//! `version`: of this program, and of the daemon when one answers.

use crate::failure::Failure;
use crate::out::Out;
use crate::session::Session;
use crate::text;
use api::v1::{VersionReply, VersionRequest};
use serde_json::json;
use std::time::Duration;

/// A daemon that takes longer is as good as none for this question.
const LIMIT: Duration = Duration::from_secs(5);
const OURS: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn run(out: Out, session: Result<Session, Failure>) -> Result<(), Failure> {
    let answer = match session {
        Ok(session) => ask(&session).await,
        Err(failure) => Err(failure),
    };
    let server = answer.as_ref().ok();
    out.either(
        || {
            let daemon = match &answer {
                Ok(s) => format!("{} (level {}, engine {})", s.version, s.level, s.engine),
                Err(why) => format!("not known: {}", why.message),
            };
            format!("clusterctl   {OURS}\nclusterd     {}\n", text::safe(&daemon))
        },
        || {
            let server =
                server.map(|s| json!({"version": s.version, "level": s.level, "engine": s.engine}));
            json!({"client": {"version": OURS}, "server": server})
        },
    )
}

async fn ask(session: &Session) -> Result<VersionReply, Failure> {
    let mut client = session.cluster.admin().await?;
    match tokio::time::timeout(LIMIT, client.version(VersionRequest {})).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(Failure::from_status(&status)),
        Err(_) => Err(Failure::unreachable("no answer")),
    }
}
