//! How two edges know each other: handed in by the binary, so that this crate needs to know neither where
//! certificates lie nor what stands in them.

use model::{ClusterId, NodeId};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How connections between edges are protected.
#[derive(Debug)]
pub enum Security {
    /// Not at all: for trusted networks. Whoever reaches the edge port reaches every replica of this node
    /// that is behind a published port, and nothing else.
    Plain,
    /// Mutual TLS.
    Tls(Tls),
}

/// Gives the name under which a node's certificate is verified.
pub type NameOf = dyn Fn(NodeId) -> ServerName<'static> + Send + Sync;
/// Gives the node that a certificate chain belongs to.
pub type HolderOf = dyn Fn(&[CertificateDer<'_>]) -> Option<(ClusterId, NodeId)> + Send + Sync;
/// Loads an identity from its files.
pub type Reload = dyn Fn(&IdentityFiles) -> Result<(), String> + Send + Sync;

/// Mutual TLS between edges. The functions are asked on every connection, so an identity that was exchanged
/// meanwhile is used from the next one on.
pub struct Tls {
    /// For taking connections; must demand a certificate. `None` while there is no identity yet.
    pub server: Box<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>,
    /// For dialling; must verify the name it is given. `None` while there is no identity yet.
    pub client: Box<dyn Fn() -> Option<Arc<ClientConfig>> + Send + Sync>,
    /// The name under which a node's certificate is verified.
    pub name: Box<NameOf>,
    /// The node that a certificate chain, already verified against the authority, belongs to.
    pub holder: Box<HolderOf>,
    /// Loads an exchanged identity from its files. The error must not contain any part of a key.
    pub reload: Box<Reload>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// Where the identity of the node lies. The edge is told the places, never the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Certificates of the trusted authorities, PEM.
    pub authority: PathBuf,
}

/// A certificate of a service, as the daemon hands it on: kept in memory, never written anywhere. Its `Debug` form
/// shows nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CertificatePair {
    /// The chain, the host's own first, PEM.
    pub chain: String,
    /// The private key of the host's own, PEM.
    pub key: String,
}

impl fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificatePair(..)")
    }
}
