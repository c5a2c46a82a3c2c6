//! The servers: which services answer where, and their limits.

use crate::admin::AdminService;
use crate::host::Host;
use crate::listen;
use crate::member::Member;
use crate::serve::containers::ContainersService;
use crate::serve::local::LocalService;
use crate::serve::members::MembersService;
use api::v1::admin_server::AdminServer;
use api::v1::containers_server::ContainersServer;
use api::v1::local_server::LocalServer;
use api::v1::members_server::MembersServer;
use model::limits::MESSAGE_BYTES;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Server;
use tracing::error;

/// Calls under way on one connection.
const STREAMS: u32 = 256;
/// Bytes of a request's headers.
const HEADERS: u32 = 16 * 1024;
/// Pings on a silent connection, and how long one may go unanswered.
const KEEPALIVE: Duration = Duration::from_secs(10);

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADERS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .tcp_nodelay(true)
}

/// Serves the host's own administrators on the Unix socket, before and after it joins a cluster.
pub(crate) fn serve_local(host: &Arc<Host>) -> anyhow::Result<()> {
    let incoming = listen::local(&host.config.socket, host.config.socket_group.as_deref())?;
    let router = server()
        .add_service(LocalServer::new(LocalService { host: Arc::clone(host) }))
        .add_service(admin(host));
    tokio::spawn(async move {
        if let Err(why) = router.serve_with_incoming(incoming).await {
            error!(%why, "the local socket is served no more");
        }
    });
    Ok(())
}

/// Serves the cluster on the control port.
pub(crate) async fn serve(host: &Arc<Host>, member: &Arc<Member>) -> anyhow::Result<()> {
    let node = &member.node;
    let incoming = listen::control(host.config.listen, Arc::clone(&node.tls)).await?;
    let members = MembersServer::new(MembersService { node: Arc::clone(node) })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let containers = ContainersServer::new(ContainersService { host: Arc::clone(host) })
        .max_decoding_message_size(MESSAGE_BYTES);
    let router = server()
        .add_service(members)
        .add_service(containers)
        .add_service(admin(host))
        .add_service(crate::log::Door { node: Arc::clone(node) });
    node.tasks.spawn(async move {
        if let Err(why) = router.serve_with_incoming(incoming).await {
            error!(%why, "the control port is served no more");
        }
    });
    Ok(())
}

fn admin(host: &Arc<Host>) -> AdminServer<AdminService> {
    AdminServer::new(AdminService { host: Arc::clone(host) })
        .max_decoding_message_size(MESSAGE_BYTES)
}
