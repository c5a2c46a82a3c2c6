//! A failed handshake in words: who, what is wrong with the certificate, and what to do about it.

use crate::error::Error;
use crate::validity::date;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

/// What a failed connection means, if it failed for a reason of identity; `None` for any other, such as a
/// refused connection. `peer` is how the other end is called, "node 3" say. Finds the error of rustls
/// however deep it is wrapped.
pub fn explain(error: &(dyn StdError + 'static), peer: &str) -> Option<String> {
    match find(error)? {
        rustls::Error::InvalidCertificate(reason) => certificate(reason, peer),
        rustls::Error::NoCertificatesPresented => {
            Some(format!("{peer} presented no certificate; it has to join the cluster first"))
        }
        rustls::Error::AlertReceived(alert) => refused_by(*alert, peer),
        _ => None,
    }
}

/// `io::Error::source` skips the error that it carries, so that one is looked at by hand.
fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    let carried: Option<&'a (dyn StdError + 'static)> =
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    find(carried?)
}

fn certificate(reason: &CertificateError, peer: &str) -> Option<String> {
    const REJOIN: &str = "check its clock, or run `clusterctl join --replace NAME` on it";
    const CLOCKS: &str = "check the clocks of both hosts";
    Some(match reason {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate of {peer} expired on {}; {REJOIN}", day(*not_after))
        }
        CertificateError::Expired => format!("the certificate of {peer} has expired; {REJOIN}"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate of {peer} counts only from {}; {CLOCKS}", day(*not_before))
        }
        CertificateError::NotValidYet => {
            format!("the certificate of {peer} does not count yet; {CLOCKS}")
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "{peer} was meant, but another node answered ({}); the address belongs to that one now",
            presented.join(", ").escape_default()
        ),
        CertificateError::NotValidForName => {
            format!(
                "{peer} was meant, but another node answered; the address belongs to that one now"
            )
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("{peer} presented a certificate of another cluster")
        }
        CertificateError::Other(other) => {
            format!("{peer} was refused: {}", other.0.downcast_ref::<Error>()?)
        }
        _ => return None,
    })
}

/// The other end refused our certificate and said so with an alert of TLS (RFC 8446 §6.2).
fn refused_by(alert: AlertDescription, peer: &str) -> Option<String> {
    Some(match alert {
        AlertDescription::CertificateExpired => format!(
            "{peer} says that our certificate has expired; check the clocks of both hosts, or run `clusterctl join --replace NAME` here"
        ),
        AlertDescription::UnknownCA => {
            format!("{peer} belongs to another cluster and does not know our certificate")
        }
        AlertDescription::CertificateRequired => {
            format!("{peer} asks for a certificate; this host has to join the cluster first")
        }
        AlertDescription::BadCertificate | AlertDescription::DecryptError => {
            format!("{peer} does not accept our certificate")
        }
        _ => return None,
    })
}

fn day(moment: UnixTime) -> String {
    date(SystemTime::UNIX_EPOCH + Duration::from_secs(moment.as_secs()))
}
