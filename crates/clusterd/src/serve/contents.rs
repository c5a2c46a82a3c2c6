//! Handing out what secrets and configs hold: to a node, and only what its own tasks use. A secret is opened here; it
//! travels over mutual TLS and is written to no disk.

use crate::managing::Managing;
use api::v1;
use model::{Content, ContentId, ContentKind, NodeId};
use tonic::Status;

/// Name under which a version of a secret is sealed: one does not open as another.
pub(crate) fn purpose(version: &str) -> Vec<u8> {
    format!("secret {version}").into_bytes()
}

/// What one version holds, for a node.
pub(crate) async fn hand_out(
    managing: &Managing,
    node: NodeId,
    message: &v1::ContentRequest,
) -> Result<Vec<u8>, Status> {
    let kind: ContentKind = api::parse("kind", &message.kind)?;
    let id = ContentId { kind, version: message.version.clone() };
    let content = match find(managing, node, &id) {
        Some(content) => content,
        // The view that it asks after may be newer than what this manager has applied.
        None if managing.log.read_index().await.is_ok() => find(managing, node, &id)
            .ok_or_else(|| Status::not_found(format!("no task on this node uses this {kind}")))?,
        None => return Err(Status::unavailable("this manager hears of no leader")),
    };
    match kind {
        ContentKind::Config => Ok(content.bytes.0.to_vec()),
        ContentKind::Secret => {
            let opened = managing.sealer.open(&content.bytes.0, &purpose(&id.version));
            opened.map(|plain| plain.to_vec()).map_err(|_| {
                Status::internal("a secret cannot be opened with this manager's cluster key")
            })
        }
    }
}

fn find(managing: &Managing, node: NodeId, id: &ContentId) -> Option<Content> {
    managing.log.state().content_for(node, id).cloned()
}
