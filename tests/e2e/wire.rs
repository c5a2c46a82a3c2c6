//! The protocol without `clusterctl`: for what a decent client never sends. Certificates and addresses are
//! the caller's; nothing here decides what should come of a call.

use crate::cluster::{Cluster, Step};
use api::v1::admin_client::AdminClient;
use hyper_util::rt::TokioIo;
use identity::{CaDigest, Tls, joiner_config, server_name};
use lab::Host;
use model::NodeId;
use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint, Error, Uri};

const LIMIT: Duration = Duration::from_secs(30);

/// The wall clock, for certificates of the test's own making.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates are dated by the wall clock, and so are these"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Runs a future to its end, at most for half a minute.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> Step<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async { tokio::time::timeout(LIMIT, future).await })?)
}

/// Calls a host's daemon over its Unix socket, as `clusterctl` on that host does.
pub(crate) fn local<T>(
    cluster: &Cluster,
    host: u8,
    call: impl AsyncFnOnce(AdminClient<Channel>) -> Result<T, tonic::Status>,
) -> Step<Result<T, tonic::Status>> {
    let path = cluster.host(host)?.admin_socket();
    run(async move {
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = endpoint().connect_with_connector(connector).await?;
        Ok(call(AdminClient::new(channel)).await)
    })?
}

/// A connection to a host's control port with that side of TLS.
pub(crate) async fn dial(
    address: String,
    config: Arc<ClientConfig>,
    node: u64,
) -> Result<Channel, Error> {
    let connector = tower::service_fn(move |_: Uri| {
        let (config, address) = (Arc::clone(&config), address.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            TlsConnector::from(config)
                .connect(server_name(NodeId(node)), stream)
                .await
                .map(TokioIo::new)
        }
    });
    endpoint().connect_with_connector(connector).await
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://cluster").connect_timeout(Duration::from_secs(5))
}

/// The identity files of a host's daemon, as whoever steals them has them.
#[derive(Clone)]
pub(crate) struct Stolen {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

impl Stolen {
    /// Reads them from a host's data folder.
    pub(crate) fn from(host: &Host) -> Step<Self> {
        let read = |name: &str| fs::read_to_string(host.data_dir().join(name));
        Ok(Self {
            certificate: read("certificate.pem")?,
            key: read("key.pem")?,
            authority: read("authority.pem")?,
        })
    }

    /// The side of TLS of a node that dials any manager.
    pub(crate) fn tls(&self) -> Step<Arc<ClientConfig>> {
        Ok(Tls::new(&self.certificate, &self.key, &self.authority)?.any_manager_config())
    }

    /// As one that knows the cluster, and has no certificate.
    pub(crate) fn nobody(&self) -> Step<Arc<ClientConfig>> {
        Ok(joiner_config(CaDigest::of_pem(&self.authority)?)?)
    }
}
