//! Opens the replicated log with what this node has: its folder, its identity, its connections.

use crate::folder::NodeFile;
use crate::host::Host;
use crate::node::Node;
use std::sync::Arc;

/// Opens the log of a manager.
pub(crate) async fn open(node: &Arc<Node>, file: &NodeFile) -> anyhow::Result<consensus::Log> {
    let _ = (node, file);
    anyhow::bail!("not wired")
}

/// Founds the log of a new cluster.
pub(crate) async fn found(host: &Host, file: &NodeFile, found: model::Found) -> anyhow::Result<()> {
    let _ = (host, file, found);
    anyhow::bail!("not wired")
}
