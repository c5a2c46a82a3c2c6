//! `inspect`: one thing in full.

use crate::failure::Failure;
use crate::retry;
use crate::session::Session;
use crate::text;
use api::v1::InspectRequest;
use serde_json::Value;

pub(crate) async fn run(session: &Session, name: &str) -> Result<(), Failure> {
    // `shop/web.2` says its project itself.
    let project = session.global.project.clone().unwrap_or_default();
    let request =
        InspectRequest { read: Some(session.read_request(&project)), name: name.to_owned() };
    let reply =
        retry::read(&session.cluster, async |mut client| client.inspect(request.clone()).await)
            .await?;
    session.out.banner(reply.read.as_ref());
    let document: Value = serde_json::from_str(&reply.json).map_err(|_| {
        Failure::refused("the cluster's answer is not JSON").next("compare `clusterctl version`")
    })?;
    session.out.data(&format!("{}\n", text::safe_lines(&format!("{document:#}"))))
}
