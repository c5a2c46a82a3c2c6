//! The shared ports: listened on while a service has rules, on every node.

use crate::core::{Core, lock};
use crate::door::{Behind, Door, Incoming};
use crate::http::answer::Client;
use crate::http::serve::serve;
use crate::limits::HANDSHAKE;
use crate::picture::Bind;
use crate::socket;
use crate::status::SharedPort;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use std::sync::{Arc, Mutex};
use tokio_rustls::TlsAcceptor;

/// The doors of the shared ports.
#[derive(Debug, Default)]
pub(crate) struct Entrances(Mutex<Doors>);

#[derive(Debug, Default)]
struct Doors {
    /// A service has rules.
    wanted: bool,
    /// There is a certificate to show.
    certified: bool,
    plain: Option<(Bind, Door)>,
    secure: Option<(Bind, Door)>,
}

impl Entrances {
    /// Opens the shared ports, or closes them. Connections that came through them stay.
    pub(crate) fn set(&self, core: &Arc<Core>, wanted: bool) {
        let mut doors = lock(&self.0);
        doors.wanted = wanted;
        doors.settle(core);
    }

    /// There is a certificate, or there is none.
    pub(crate) fn certify(&self, core: &Arc<Core>, certified: bool) {
        let mut doors = lock(&self.0);
        doors.certified = certified;
        doors.settle(core);
    }

    /// Closes them.
    pub(crate) fn close(&self) {
        let mut doors = lock(&self.0);
        (doors.plain, doors.secure) = (None, None);
    }

    /// How they are.
    pub(crate) fn status(&self) -> Vec<SharedPort> {
        let doors = lock(&self.0);
        let port = |(secure, door): (bool, &Option<(Bind, Door)>)| {
            let (bind, door) = door.as_ref()?;
            Some(SharedPort { bind: *bind, secure, state: door.state() })
        };
        [(false, &doors.plain), (true, &doors.secure)].into_iter().filter_map(port).collect()
    }
}

impl Doors {
    fn settle(&mut self, core: &Arc<Core>) {
        let settings = &core.config.http;
        if !self.wanted {
            self.plain = None;
        } else if self.plain.is_none() {
            let bind = settings.plain;
            self.plain = Some((bind, Door::open(core, bind, Behind::Http(None))));
        }
        if !self.wanted || !self.certified {
            self.secure = None;
        } else if self.secure.is_none()
            && let Some(acceptor) = settings.certificates.as_ref().and_then(acceptor)
        {
            let (bind, behind) = (settings.secure, Behind::Http(Some(acceptor)));
            self.secure = Some((bind, Door::open(core, bind, behind)));
        }
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
    client: Incoming,
    tls: Option<TlsAcceptor>,
) {
    let Incoming { stream: tcp, ends, slot } = client;
    socket::tune(&tcp);
    let client = Client { address: ends.source.ip(), secure: tls.is_some(), _slot: slot };
    let Some(tls) = tls else { return serve(core, lane, client, tcp).await };
    // A client that does not get through the handshake is told so by TLS itself.
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(tcp)).await {
        serve(core, lane, client, stream).await;
    }
}
