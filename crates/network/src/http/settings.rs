//! How HTTP is answered, as the one who starts an edge says it.

use crate::limits::{HTTP_ANSWER, HTTP_BODY_PAUSE, HTTP_HEAD, HTTP_IDLE, HTTP_UNREAD};
use crate::picture::Bind;
use crate::security::CertificatePair;
use model::limits::{HTTP_PORT, HTTPS_PORT};
use rustls::server::ResolvesServerCert;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// See [`HttpSettings::take`].
pub type TakeCertificates = Arc<dyn Fn(&[CertificatePair]) -> bool + Send + Sync>;

/// Where and how HTTP is answered.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where, without TLS.
    pub plain: Bind,
    /// Where, over TLS.
    pub secure: Bind,
    /// The certificates of this node, found by the name that a client asks for (RFC 6066 §3). Where they come
    /// from is not known here. Without any, nothing listens at `secure`.
    pub certificates: Option<Arc<dyn ResolvesServerCert>>,
    /// Takes the certificates of services, instead of those taken before, so that `certificates` finds them.
    /// Returns whether there is any certificate then; as long as there is none, nothing listens at `secure`.
    pub take: Option<TakeCertificates>,
    /// How long things may take.
    pub patience: Patience,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            plain: Bind::tcp(HTTP_PORT, None),
            secure: Bind::tcp(HTTPS_PORT, None),
            certificates: None,
            take: None,
            patience: Patience::default(),
        }
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings").field("plain", &self.plain).finish_non_exhaustive()
    }
}

/// How long clients and replicas may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A client, from the first byte of a request's head to its last.
    pub head: Duration,
    /// A client, between two requests of one connection.
    pub idle: Duration,
    /// A client, between two pieces of a request's body.
    pub body: Duration,
    /// A client that takes none of the bytes it is sent.
    pub unread: Duration,
    /// A replica, from the end of a request to the head of its response.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: HTTP_HEAD,
            idle: HTTP_IDLE,
            body: HTTP_BODY_PAUSE,
            unread: HTTP_UNREAD,
            answer: HTTP_ANSWER,
        }
    }
}
