//! What several tests of identities need: a moment, an authority, a node with a certificate.
#![allow(dead_code, reason = "each test file uses a part of it")]

use identity::{Authority, KeyRequest, Tls, random};
use model::{NodeId, Role};
use std::time::{Duration, SystemTime};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// rustls reads the real clock in a handshake, so the certificates here must be of today.
#[expect(clippy::disallowed_methods, reason = "handshakes are judged by the real clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// An authority old enough to have signed certificates that have expired since.
pub(crate) fn authority() -> Authority {
    Authority::create(&random::cluster_id(), now() - 200 * DAY).unwrap()
}

/// A node of that authority whose certificate was signed at `signed`.
pub(crate) fn node_at(authority: &Authority, id: u64, role: Role, signed: SystemTime) -> Tls {
    let key = KeyRequest::generate().unwrap();
    let chain = authority.sign_node(&key.csr_der, NodeId(id), role, signed).unwrap();
    Tls::new(&chain, &key.key_pem, authority.certificate_pem()).unwrap()
}

pub(crate) fn manager(authority: &Authority, id: u64) -> Tls {
    node_at(authority, id, Role::Manager, now())
}

pub(crate) fn worker(authority: &Authority, id: u64) -> Tls {
    node_at(authority, id, Role::Worker, now())
}

pub(crate) fn admin(authority: &Authority, name: &str) -> Tls {
    let key = KeyRequest::generate().unwrap();
    let chain = authority.sign_admin(&key.csr_der, name, now()).unwrap();
    Tls::new(&chain, &key.key_pem, authority.certificate_pem()).unwrap()
}
