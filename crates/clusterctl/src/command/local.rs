//! `init`, `join` and `leave`: what is about the daemon of this host.

use crate::args::{Init, Join, Leave};
use crate::command::token;
use crate::failure::Failure;
use crate::session::Session;
use crate::text;
use api::v1::{InitRequest, JoinClusterRequest, LeaveRequest};
use identity::Token;
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use tonic::{Response, Status};

/// For forming, joining and leaving; each has deadlines of its own in the daemon, which are shorter.
const LIMIT: Duration = Duration::from_secs(180);
/// Bytes of a file with a token; real ones have about 120.
const TOKEN_BYTES: u64 = 4_096;

pub(crate) async fn init(session: &Session, words: Init) -> Result<(), Failure> {
    let request = InitRequest {
        advertise: words.advertise.unwrap_or_default(),
        name: words.name.unwrap_or_default(),
        mesh: words.mesh,
        pool: words.pool.unwrap_or_default(),
    };
    let mut client = session.cluster.local().await?;
    let reply = once(session, client.init(request)).await?;
    if session.out.json {
        return session.out.document(&json!({
            "cluster": reply.cluster, "node": reply.node, "name": reply.name,
            "address": reply.address, "manager_token": reply.manager_token,
            "worker_token": reply.worker_token,
        }));
    }
    let (cluster, name) = (text::safe(&reply.cluster), text::safe(&reply.name));
    session.out.data(&format!(
        "Cluster {cluster} is founded; {name} ({}) is its first manager.\n",
        text::safe(&reply.address)
    ))?;
    let members = std::slice::from_ref(&reply.address);
    session.out.say(&token::how("manager", &reply.manager_token, members));
    session.out.say("Three managers survive the loss of any one host.\n");
    session.out.say(&token::how("worker", &reply.worker_token, members));
    Ok(())
}

pub(crate) async fn join(session: &Session, words: Join) -> Result<(), Failure> {
    let token = match (&words.token, &words.token_file) {
        (Some(token), _) => {
            session.out.warn(
                "the token was on the command line, where other users of this host can see it; prefer --token-file",
            );
            token.clone()
        }
        (None, Some(file)) => read_token(file)?,
        (None, None) => return Err(Failure::usage("a join needs a token")),
    };
    // A typing error is said here, before any other host is asked.
    let token: Token = token.parse().map_err(|e: identity::Error| {
        Failure::refused(e.to_string()).next(
            "`clusterctl token manager` or `token worker` on a manager prints the current one",
        )
    })?;
    let request = JoinClusterRequest {
        token: token.to_string(),
        members: words.members,
        advertise: words.advertise.unwrap_or_default(),
        replace: words.replace.is_some(),
        name: words.replace.or(words.name).unwrap_or_default(),
    };
    let mut client = session.cluster.local().await?;
    let reply = once(session, client.join_cluster(request)).await?;
    let document = || json!({"node": reply.node, "name": reply.name, "role": reply.role});
    let line = || {
        let (name, role) = (text::safe(&reply.name), text::safe(&reply.role));
        format!("{name} joined as {role} (node {}).\n", reply.node)
    };
    session.out.either(line, document)
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(TOKEN_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(TOKEN_BYTES).read_to_string(&mut text))
    };
    read.map_err(|e| Failure::file("read", file, &e))?;
    Ok(text)
}

pub(crate) async fn leave(session: &Session, words: Leave) -> Result<(), Failure> {
    let mut client = session.cluster.local().await?;
    once(session, client.leave(LeaveRequest { force: words.force })).await?;
    session.out.either(|| "This host left the cluster.\n".into(), || json!({"left": true}))
}

/// One attempt: the daemon itself goes on trying, and joining twice gives the same node.
async fn once<T>(
    session: &Session,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Failure> {
    let limit = session.global.timeout.unwrap_or(LIMIT);
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(Failure::from_status(&status)),
        Err(_) => Err(Failure::unreachable(format!("no answer after {}", text::took(limit)))
            .next("the log of clusterd says how far it came: `journalctl -u clusterd`")),
    }
}
