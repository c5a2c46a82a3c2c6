//! The shared ports: listened on while a service has rules, on every node.

use crate::core::{Core, Slot, lock};
use crate::door::{Behind, Door};
use crate::http::answer::Client;
use crate::http::serve::serve;
use crate::limits::HANDSHAKE;
use crate::picture::Bind;
use crate::socket;
use crate::status::SharedPort;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// The doors of the shared ports.
#[derive(Debug, Default)]
pub(crate) struct Entrances(Mutex<Vec<(Bind, bool, Door)>>);

impl Entrances {
    /// Opens the shared ports, or closes them. Connections that came through them stay.
    pub(crate) fn set(&self, core: &Arc<Core>, open: bool) {
        let mut doors = lock(&self.0);
        if !open {
            doors.clear();
        }
        if !open || !doors.is_empty() {
            return;
        }
        let settings = &core.config.http;
        doors.push((settings.plain, false, Door::open(core, settings.plain, Behind::Http(None))));
        if let Some(acceptor) = settings.certificates.as_ref().and_then(acceptor) {
            let behind = Behind::Http(Some(acceptor));
            doors.push((settings.secure, true, Door::open(core, settings.secure, behind)));
        }
    }

    /// Closes them.
    pub(crate) fn close(&self) {
        lock(&self.0).clear();
    }

    /// How they are.
    pub(crate) fn status(&self) -> Vec<SharedPort> {
        let port = |(bind, secure, door): &(Bind, bool, Door)| SharedPort {
            bind: *bind,
            secure: *secure,
            state: door.state(),
        };
        lock(&self.0).iter().map(port).collect()
    }
}

/// TLS with whoever comes, without asking who it is: HTTP/2 or HTTP/1.1 by ALPN (RFC 7301).
fn acceptor(certificates: &Arc<dyn ResolvesServerCert>) -> Option<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        config.ok()?.with_no_client_auth().with_cert_resolver(Arc::clone(certificates));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}

/// Serves a client that came through one of them, on the lane it runs on.
pub(crate) async fn welcome(
    core: Arc<Core>,
    lane: usize,
    client: std::net::TcpStream,
    address: IpAddr,
    slot: Slot,
    tls: Option<TlsAcceptor>,
) {
    let Ok(tcp) = TcpStream::from_std(client) else { return };
    socket::tune(&tcp);
    let client = Client { address, secure: tls.is_some(), _slot: slot };
    let Some(tls) = tls else { return serve(core, lane, client, tcp).await };
    // A client that does not get through the handshake is told so by TLS itself.
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await {
        serve(core, lane, client, stream).await;
    }
}
