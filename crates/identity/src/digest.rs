//! The digest of an authority's certificate: what a join token carries, so that the joiner knows the cluster
//! before it trusts a byte from it.

use crate::error::Error;
use crate::text;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256 of an authority's certificate in DER. As text: 52 characters of base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaDigest([u8; 32]);

impl CaDigest {
    /// Digest of a certificate in DER.
    pub fn of_der(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Digest of the first certificate in `pem`: for a joiner to check what the cluster sent it.
    pub fn of_pem(pem: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::Pem { what: "the authority's certificate" })?;
        Ok(Self::of_der(&der))
    }
}

impl fmt::Display for CaDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::base32(&self.0))
    }
}

impl fmt::Debug for CaDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaDigest({self})")
    }
}

impl FromStr for CaDigest {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        text::from_base32(s).map(Self).ok_or(Error::Digest)
    }
}
