//! `token`: the secret with which hosts join, and the words to use it.

use crate::args::Token;
use crate::failure::Failure;
use crate::retry;
use crate::session::Session;
use crate::text;
use api::v1::{TokenReply, TokenRequest};
use serde_json::json;

pub(crate) async fn run(session: &Session, words: Token) -> Result<(), Failure> {
    let role = words.role.word();
    let reply = ask(session, role, words.rotate).await?;
    if session.out.json {
        return session
            .out
            .document(&json!({"role": role, "token": reply.token, "members": reply.members}));
    }
    if words.rotate {
        session.out.say(&format!("The old token for {role}s does not work any more."));
    }
    session.out.say(&how(role, &reply.token, &reply.members));
    // Alone on standard output, so that `clusterctl token worker > file` makes a token file.
    session.out.data(&format!("{}\n", text::safe(&reply.token)))
}

/// Showing a token is a read, making a new one a write.
async fn ask(session: &Session, role: &str, rotate: bool) -> Result<TokenReply, Failure> {
    let request = TokenRequest { request: None, role: role.to_owned(), rotate };
    if !rotate {
        return retry::read(&session.cluster, async |mut c| c.token(request.clone()).await).await;
    }
    let stamp = session.stamp().await?;
    retry::write(&session.cluster, stamp, async |mut client, id| {
        client.token(TokenRequest { request: Some(id), ..request.clone() }).await
    })
    .await
}

/// The command for the new host. The token goes through a pipe: on the command line others could see it.
pub(crate) fn how(role: &str, token: &str, members: &[String]) -> String {
    let members: Vec<String> = members.iter().map(|m| text::safe(m)).collect();
    let members = if members.is_empty() { "ADDRESS:7070".to_owned() } else { members.join(" ") };
    format!(
        "To add a {role}, run this on the new host:\n\n    echo {} | clusterctl join --token-file - {members}\n",
        text::safe(token)
    )
}
