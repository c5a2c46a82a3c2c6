//! Dialling: channels to other nodes over mutual TLS, each pinned to the node that is meant.

use hyper_util::rt::TokioIo;
use identity::{Tls, server_name};
use model::NodeId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// Deadline for connecting, handshake included.
const CONNECT: Duration = Duration::from_secs(2);
/// HTTP/2 pings on an otherwise silent connection, and how long one may go unanswered.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Makes and keeps channels to nodes.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Arc<Tls>,
    kept: Arc<Mutex<BTreeMap<(NodeId, SocketAddr), Channel>>>,
}

impl Dialer {
    pub(crate) fn new(tls: Arc<Tls>) -> Self {
        Self { tls, kept: Arc::default() }
    }

    /// The shared channel to a node; made when first asked for, connected when first used.
    pub(crate) fn to(&self, node: NodeId, address: SocketAddr) -> Channel {
        let mut kept = self.kept.lock().expect("no panic while held");
        kept.entry((node, address)).or_insert_with(|| self.fresh(node, address)).clone()
    }

    /// A channel of one's own, that shares no connection with others.
    pub(crate) fn fresh(&self, node: NodeId, address: SocketAddr) -> Channel {
        let tls = Arc::clone(&self.tls);
        lazy(address, server_name(node), move || tls.client_config())
    }
}

/// A channel that connects when first used, with the configuration in force at that moment.
pub(crate) fn lazy(
    address: SocketAddr,
    name: ServerName<'static>,
    config: impl Fn() -> Arc<ClientConfig> + Clone + Send + Sync + 'static,
) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address makes a URI")
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let (config, name) = (config(), name.clone());
        async move {
            let connected = tokio::time::timeout(CONNECT, connect(address, name, config)).await;
            connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(TokioIo::new)
        }
    }))
}

async fn connect(
    address: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config).connect(name, stream).await
}
