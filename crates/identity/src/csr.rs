//! What is taken from a signing request: its public key, and nothing else. Subject, names, extensions and
//! attributes are never looked at, so a node cannot ask to be somebody.

use crate::error::Error;
use crate::text;
use rcgen::SubjectPublicKeyInfo;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// Bytes of a signing request that are looked at; a real one has about 300.
pub const CSR_BYTES: usize = 16 * 1024;

/// Start of the only encoding of a P-256 key that is accepted: RFC 5480, named curve, uncompressed point.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// Start of the only encoding of an Ed25519 key: RFC 8410.
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// SHA-256 of the public key (its `SubjectPublicKeyInfo`) in a signing request, in hexadecimal. Joining is
/// idempotent by it. The request is checked as for signing, so its sender holds the private key.
pub fn key_digest(csr_der: &[u8]) -> Result<String, Error> {
    let request = checked(csr_der)?;
    Ok(text::hex(&Sha256::digest(request.certification_request_info.subject_pki.raw)))
}

/// The public key of a request that is small, well-formed, of an accepted kind and signed by that key.
pub(crate) fn public_key(csr_der: &[u8]) -> Result<SubjectPublicKeyInfo, Error> {
    let request = checked(csr_der)?;
    SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| Error::RequestKey)
}

/// The kind of key is judged by its bytes before the signature is computed: an odd key costs nothing.
fn checked(der: &[u8]) -> Result<X509CertificationRequest<'_>, Error> {
    if der.len() > CSR_BYTES {
        return Err(Error::RequestTooLarge { bytes: der.len(), limit: CSR_BYTES });
    }
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|_| Error::RequestMalformed)?;
    if !rest.is_empty() {
        return Err(Error::RequestMalformed);
    }
    let key = request.certification_request_info.subject_pki.raw;
    let known = |start: &[u8], length| key.starts_with(start) && key.len() == length;
    if !known(P256, P256.len() + 64) && !known(ED25519, ED25519.len() + 32) {
        return Err(Error::RequestKey);
    }
    request.verify_signature().map_err(|_| Error::RequestSignature)?;
    Ok(request)
}
