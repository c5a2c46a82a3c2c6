//! The calls that the protocol has, read from its files, and what an empty message to each is answered with.

use api::v1;
use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// How long the first word of a stream is waited for: one that was let in may have none.
const FIRST: Duration = Duration::from_secs(3);

/// What a role refuses with; an answer with any other words came from behind it.
const REFUSALS: [&str; 6] = [
    "only nodes of the cluster may call this",
    "only administrators may call this",
    "is not a manager",
    "is not in the cluster (any more)",
    "the certificate is from another cluster",
    "run this on the node itself",
];

/// Every call of the protocol, as `Service/Method`, in its files' order.
pub(crate) fn all() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/cluster/v1");
    let mut calls = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut service = String::new();
        let word = |rest: &str| rest.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("service ") {
                service = word(rest);
            } else if let Some(rest) = line.strip_prefix("rpc ") {
                calls.push(format!("{service}/{}", word(rest)));
            }
        }
    }
    calls
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The caller was let in; what came of it is another matter.
    LetIn(Option<Status>),
    /// The caller's role was not enough.
    Refused(Status),
    /// There is no such call here.
    Nothing,
    /// No answer of the server: the connection was refused.
    NoConnection(String),
}

/// Makes a call with one empty message.
pub(crate) async fn empty(channel: &Channel, call: &str) -> Answer {
    let answer = async {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.map_err(|e| Status::from_error(e.into()))?;
        let codec = ProstCodec::<v1::KeyRequest, v1::KeyRequest>::default();
        let path = PathAndQuery::try_from(format!("/cluster.v1.{call}")).expect("a plain path");
        let message = tokio_stream::once(v1::KeyRequest {});
        let mut replies = client.streaming(Request::new(message), path, codec).await?.into_inner();
        match tokio::time::timeout(FIRST, replies.message()).await {
            Ok(first) => first.map(drop),
            Err(_) => Ok(()),
        }
    };
    match answer.await {
        Ok(()) => Answer::LetIn(None),
        Err(status) if status.source().is_some() => Answer::NoConnection(status.to_string()),
        Err(status) if status.code() == Code::Unimplemented => Answer::Nothing,
        Err(status) if role(&status) => Answer::Refused(status),
        Err(status) => Answer::LetIn(Some(status)),
    }
}

fn role(status: &Status) -> bool {
    status.code() == Code::PermissionDenied
        && REFUSALS.iter().any(|words| status.message().contains(words))
}
