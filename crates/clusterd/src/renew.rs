//! Renews this node's certificate at two thirds of its life, without a restart.

use crate::clock;
use crate::edge::EdgeLink;
use crate::folder;
use crate::node::Node;
use crate::session::Session;
use anyhow::Context;
use api::v1;
use identity::KeyRequest;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// Between two looks at the certificate.
const LOOK: Duration = Duration::from_secs(600);

/// Renews whenever it is time.
pub(crate) async fn keep_renewing(node: Arc<Node>, session: Arc<Session>, edge: Arc<EdgeLink>) {
    loop {
        let due = node.tls.validity().map_or(true, |v| clock::system() >= v.renew_at());
        if due {
            match renew(&node, &session).await {
                Ok(()) => {
                    edge.rotate(&node);
                    info!("certificate renewed");
                }
                Err(_) if expired(&node) => error!(
                    "this node's certificate has expired, and no manager listens to it any more; on this host `clusterctl leave --force`, then `clusterctl join --replace NAME`"
                ),
                Err(why) => warn!(
                    why = format!("{why:#}"),
                    "the certificate is due and could not be renewed yet"
                ),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the certificate ran out before it could be renewed: the host was off for too long.
fn expired(node: &Node) -> bool {
    node.tls.validity().is_ok_and(|v| clock::system() > v.not_after)
}

/// Asks for a new certificate for the same key, keeps it and puts it into use.
pub(crate) async fn renew(node: &Node, session: &Session) -> anyhow::Result<()> {
    let key = std::fs::read_to_string(node.folder.key()).context("cannot read the private key")?;
    let request = KeyRequest::from_pem(&key)?;
    let mut client = session.client().context("no manager is reachable")?;
    let reply = client.renew(v1::RenewRequest { csr: request.csr_der }).await?.into_inner();
    node.tls
        .rotate(&reply.certificate, &key)
        .context("the new certificate does not fit the key")?;
    folder::write(&node.folder.certificate(), reply.certificate.as_bytes(), 0o644)
}
