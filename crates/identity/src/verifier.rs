//! Checking a server whose id is not known beforehand: one that wants to join has an address and a token, a
//! command line has an address. Any manager of the right cluster will do, and nothing else will: a worker,
//! whose host may have been taken over, must not be able to collect tokens.

use crate::digest::CaDigest;
use crate::error::Error;
use crate::peer::{Peer, server_name};
use crate::tls::provider;
use model::Role;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// What the server's chain must end in.
#[derive(Debug)]
pub(crate) enum Trust {
    /// The authority with this digest, which the server sends along.
    Digest(CaDigest),
    /// One of the roots of this verifier.
    Roots(Arc<WebPkiServerVerifier>),
}

/// Accepts any manager of the trusted cluster, whatever name was dialled.
#[derive(Debug)]
pub(crate) struct AnyManager(pub(crate) Trust);

impl ServerCertVerifier for AnyManager {
    /// First the authority, then who it is, then the signatures, the dates and the usage by webpki, under the
    /// name that this very certificate must bear.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = match &self.0 {
            Trust::Roots(verifier) => Arc::clone(verifier),
            Trust::Digest(digest) => pinned(*digest, intermediates)?,
        };
        match Peer::of_der(end_entity).map_err(refused)? {
            Peer::Node { id, role: Role::Manager, .. } => {
                let name = server_name(id);
                verifier.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now)
            }
            other => Err(refused(Error::NotManager { peer: other.to_string() })),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A verifier whose only root is the certificate with that digest, if the server sent it.
fn pinned(
    digest: CaDigest,
    sent: &[CertificateDer<'_>],
) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    let root = sent.iter().find(|certificate| CaDigest::of_der(certificate) == digest);
    let root = root.ok_or_else(|| refused(Error::WrongAuthority))?;
    let mut roots = RootCertStore::empty();
    roots.add(root.clone().into_owned())?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|e| rustls::Error::General(e.to_string()))
}

fn refused(error: Error) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}
