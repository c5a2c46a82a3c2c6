//! The rustls configurations of a node: TLS 1.3 only, both ends with certificates, no resumption (so that a
//! rotated or removed identity is looked at on every connection), the provider named explicitly.

use crate::digest::CaDigest;
use crate::error::Error;
use crate::peer::Peer;
use crate::rotating::{Rotating, certificates};
use crate::validity::Validity;
use crate::verifier::{AnyManager, Trust};
use arc_swap::ArcSwap;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::{Arc, LazyLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Application protocol of the control port: HTTP/2, for gRPC.
pub const ALPN_CONTROL: &[u8] = b"h2";
/// Application protocol of the edge port: connections handed from one node's edge to another's.
pub const ALPN_EDGE: &[u8] = b"clusterd-edge/1";

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// The one provider of cryptography, handed to every builder: the process default is never asked.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// The TLS side of one identity, a node's or an administrator's. Ask it for a configuration at each accept and
/// each connect: both the identity and the roots may have been exchanged since the last one.
#[derive(Debug)]
pub struct Tls {
    identity: Arc<Rotating>,
    configs: ArcSwap<Configs>,
}

#[derive(Debug)]
struct Configs {
    control_server: Arc<ServerConfig>,
    edge_server: Arc<ServerConfig>,
    control_client: Arc<ClientConfig>,
    any_manager_client: Arc<ClientConfig>,
    edge_client: Arc<ClientConfig>,
}

impl Tls {
    /// An identity: a chain as [`crate::Authority`] signs it, the private key of its leaf, and the certificates
    /// of the authorities to trust (one, or the old and the new while they overlap). All PEM.
    pub fn new(chain_pem: &str, key_pem: &str, roots_pem: &str) -> Result<Self, Error> {
        let identity = Arc::new(Rotating::new(chain_pem, key_pem)?);
        let configs = ArcSwap::from_pointee(Configs::new(&identity, roots_pem)?);
        Ok(Self { identity, configs })
    }

    /// Exchanges the identity. New connections show it, open ones live on. When it is refused (a key that does
    /// not fit, say) the old one stays in use.
    pub fn rotate(&self, chain_pem: &str, key_pem: &str) -> Result<(), Error> {
        self.identity.rotate(chain_pem, key_pem)
    }

    /// Exchanges the trusted authorities, for connections made from now on.
    pub fn set_roots(&self, roots_pem: &str) -> Result<(), Error> {
        self.configs.store(Arc::new(Configs::new(&self.identity, roots_pem)?));
        Ok(())
    }

    /// Who this identity is.
    pub fn me(&self) -> Result<Peer, Error> {
        Peer::of_der(&self.identity.leaf())
    }

    /// From when until when the certificate in use counts, and so when to renew it.
    pub fn validity(&self) -> Result<Validity, Error> {
        let leaf = self.identity.leaf();
        let (_, certificate) = X509Certificate::from_der(&leaf)
            .map_err(|_| Error::Certificate { why: "it is not well-formed".into() })?;
        Ok(Validity::of(&certificate))
    }

    /// For the control port. A client without a certificate is let in, because joining must work without one:
    /// the caller refuses it everything else ([`Peer::of_chain`] gives `None`). One with a certificate that
    /// does not verify is refused in the handshake.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.configs.load().control_server)
    }

    /// For the edge port: no certificate, no connection. An administrator's certificate passes the handshake;
    /// the caller wants a [`Peer::Node`].
    pub fn edge_server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.configs.load().edge_server)
    }

    /// For dialling the control port of the node whose [`crate::server_name`] is given to the connector.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.configs.load().control_client)
    }

    /// For dialling the control port of any manager of the cluster by its address alone: the name given to
    /// the connector is not looked at. A worker that answers is refused.
    pub fn any_manager_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.configs.load().any_manager_client)
    }

    /// For dialling the edge port of the node whose [`crate::server_name`] is given to the connector.
    pub fn edge_client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.configs.load().edge_client)
    }
}

impl Configs {
    fn new(identity: &Arc<Rotating>, roots_pem: &str) -> Result<Self, Error> {
        let roots = Arc::new(roots(roots_pem)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|_| Error::Authority { why: "its certificate does not serve as a root" })?;
        let any = Arc::new(AnyManager(Trust::Roots(Arc::clone(&verifier))));
        Ok(Self {
            control_server: server(identity, &roots, ALPN_CONTROL, Certificate::Optional)?,
            edge_server: server(identity, &roots, ALPN_EDGE, Certificate::Required)?,
            control_client: client(identity, verifier.clone(), ALPN_CONTROL)?,
            any_manager_client: client(identity, any, ALPN_CONTROL)?,
            edge_client: client(identity, verifier, ALPN_EDGE)?,
        })
    }
}

/// For one that wants to join and so has no certificate yet: it trusts exactly the authority with this digest,
/// which the server sends along with its own certificate, and only a manager signed by it. The name given to
/// the connector is not looked at. No byte of the token is sent before this handshake succeeded.
pub fn joiner_config(authority: CaDigest) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| Error::Tls { what: "a joining node", source })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyManager(Trust::Digest(authority))))
        .with_no_client_auth();
    Ok(finish(config, ALPN_CONTROL))
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Certificate {
    Optional,
    Required,
}

fn roots(pem: &str) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem, "the authority's certificate")? {
        store.add(certificate).map_err(|source| Error::Tls { what: "the authority", source })?;
    }
    Ok(store)
}

fn server(
    identity: &Arc<Rotating>,
    roots: &Arc<RootCertStore>,
    alpn: &[u8],
    certificate: Certificate,
) -> Result<Arc<ServerConfig>, Error> {
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
    let clients = match certificate {
        Certificate::Optional => clients.allow_unauthenticated(),
        Certificate::Required => clients,
    };
    let clients = clients
        .build()
        .map_err(|_| Error::Authority { why: "its certificate does not serve as a root" })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| Error::Tls { what: "this node", source })?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::<Rotating>::clone(identity));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn client(
    identity: &Arc<Rotating>,
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
    alpn: &[u8],
) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| Error::Tls { what: "this node", source })?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::<Rotating>::clone(identity));
    Ok(finish(config, alpn))
}

fn finish(mut config: ClientConfig, alpn: &[u8]) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
