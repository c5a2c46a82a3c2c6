//! A TLS identity that can be exchanged while it is in use: connections made from then on show the new
//! certificate, open ones keep theirs.

use crate::error::Error;
use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;

/// One identity for both directions.
pub(crate) struct Rotating(ArcSwap<CertifiedKey>);

impl Rotating {
    /// Takes a chain (leaf first) and the leaf's key, both PEM.
    pub(crate) fn new(chain_pem: &str, key_pem: &str) -> Result<Self, Error> {
        Ok(Self(ArcSwap::from_pointee(load(chain_pem, key_pem)?)))
    }

    /// Exchanges it; when it is refused the old one stays.
    pub(crate) fn rotate(&self, chain_pem: &str, key_pem: &str) -> Result<(), Error> {
        self.0.store(Arc::new(load(chain_pem, key_pem)?));
        Ok(())
    }

    /// The leaf in use, DER.
    pub(crate) fn leaf(&self) -> CertificateDer<'static> {
        self.0.load().cert[0].clone()
    }
}

/// A chain (leaf first) and the leaf's key, which must belong together.
pub(crate) fn load(chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, Error> {
    let chain = certificates(chain_pem, "the certificate chain")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| Error::Pem { what: "the private key" })?;
    CertifiedKey::from_der(chain, key, &crate::tls::provider())
        .map_err(|source| Error::Tls { what: "this node", source })
}

/// All certificates in a PEM text, at least one.
pub(crate) fn certificates(
    pem: &str,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Pem { what })?;
    if found.is_empty() {
        return Err(Error::Pem { what });
    }
    Ok(found)
}

impl ResolvesServerCert for Rotating {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Rotating {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Rotating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rotating")
    }
}
