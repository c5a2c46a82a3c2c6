//! Making a private key and the request to have it signed. The key never leaves its host.

use crate::error::Error;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A new ECDSA P-256 key, and the request that proves it is held.
pub struct KeyRequest {
    /// The private key, PKCS #8 PEM; wiped from memory when dropped.
    pub key_pem: Zeroizing<String>,
    /// The signing request, PKCS #10 DER. It carries the public key and no wish: the authority would not
    /// read one.
    pub csr_der: Vec<u8>,
}

impl KeyRequest {
    /// Makes a new key. Fails only if the provider of cryptography does.
    pub fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(make)?;
        Self::from_pair(key)
    }

    /// A request for a key made earlier: a joiner that retries uses the same key, and gets the same node id.
    pub fn from_pem(key_pem: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key_pem).map_err(|_| Error::Pem { what: "the private key" })?;
        Self::from_pair(key)
    }

    fn from_pair(mut key: KeyPair) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(make)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        key.zeroize();
        Ok(Self { key_pem, csr_der: request.der().to_vec() })
    }
}

fn make(source: rcgen::Error) -> Error {
    Error::Make { what: "a private key and its signing request", source }
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest").field("key_pem", &"[redacted]").finish_non_exhaustive()
    }
}
