//! From when until when a certificate counts, and when it is due to be renewed.

use crate::error::Error;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// The life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// It is refused before this moment.
    pub not_before: SystemTime,
    /// It is refused after this moment.
    pub not_after: SystemTime,
}

impl Validity {
    /// Validity of the first certificate in `pem`, which in a chain is the leaf.
    pub fn of_pem(pem: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::Pem { what: "the certificate" })?;
        let (_, certificate) = X509Certificate::from_der(&der)
            .map_err(|_| Error::Certificate { why: "it is not well-formed".into() })?;
        Ok(Self::of(&certificate))
    }

    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { not_before: moment(validity.not_before), not_after: moment(validity.not_after) }
    }

    /// When to renew: at two thirds of the life, so that a third is left to reach a manager.
    pub fn renew_at(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or(Duration::ZERO);
        self.not_before + life / 3 * 2
    }
}

/// A moment before 1970 counts as 1970: no certificate of ours has one.
fn moment(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

/// A moment for people, in UTC.
pub(crate) fn date(moment: SystemTime) -> String {
    jiff::Timestamp::try_from(moment)
        .map_or_else(|_| "an unknown day".into(), |t| t.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
