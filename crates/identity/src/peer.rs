//! Who a presented certificate says its holder is. Only certificates that a handshake has already verified
//! against the cluster's authority mean anything; what is checked here is their form, strictly.

use crate::error::{Error, shown};
use model::{ClusterId, NodeId, Role};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fmt;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The holder of a certificate of the cluster. It stands in the certificate as a URI, in the manner of SPIFFE:
/// `spiffe://<cluster>/node/<id>/manager`, `spiffe://<cluster>/admin/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A node.
    Node {
        /// Which.
        id: NodeId,
        /// Of which cluster.
        cluster: ClusterId,
        /// What it was when the certificate was signed; the state knows better what it is now.
        role: Role,
    },
    /// A person, or a machine of theirs.
    Admin {
        /// The name they chose.
        name: String,
        /// Of which cluster.
        cluster: ClusterId,
    },
}

impl Peer {
    /// The peer at the other end of a connection, from the chain that it presented: `None` when it presented
    /// none, as one that wants to join does. An error means that the connection must be closed.
    ///
    /// With tokio-rustls: `Peer::of_chain(stream.get_ref().1.peer_certificates())`.
    pub fn of_chain(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<Self>, Error> {
        chain.and_then(<[_]>::first).map(|leaf| Self::of_der(leaf)).transpose()
    }

    /// The peer named by the first certificate of `pem`: a node asks this of its own.
    pub fn of_pem(pem: &str) -> Result<Self, Error> {
        let leaf = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::Pem { what: "the certificate" })?;
        Self::of_der(&leaf)
    }

    /// The peer named by a certificate in DER. Refused: an authority, a name we would not have written, a name
    /// too many or too few.
    pub fn of_der(der: &[u8]) -> Result<Self, Error> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| wrong("it is not well-formed"))?;
        if !rest.is_empty() {
            return Err(wrong("bytes follow it"));
        }
        if certificate.is_ca() {
            return Err(wrong("it is an authority's"));
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| wrong("its names are not well-formed"))?
            .ok_or_else(|| wrong("it bears no name"))?;
        Self::of_names(&names.value.general_names)
    }

    fn of_names(names: &[GeneralName<'_>]) -> Result<Self, Error> {
        let (peer, host) = match names {
            [GeneralName::URI(uri)] => (Self::of_uri(uri)?, None),
            [GeneralName::URI(uri), GeneralName::DNSName(host)] => {
                (Self::of_uri(uri)?, Some(*host))
            }
            _ => return Err(wrong("its names are not those of a node or an administrator")),
        };
        if peer.host().as_deref() != host {
            return Err(wrong("its host name does not belong to its identity"));
        }
        Ok(peer)
    }

    /// Strict by writing it again: whatever we would not have written ourselves is refused.
    fn of_uri(uri: &str) -> Result<Self, Error> {
        let read = || {
            let (cluster, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
            let cluster = checked_cluster(&ClusterId(cluster.into())).ok()?;
            let peer = match *path.split('/').collect::<Vec<_>>() {
                ["node", id, role] => {
                    Self::Node { id: NodeId(id.parse().ok()?), cluster, role: role_of(role)? }
                }
                ["admin", name] => Self::Admin { name: checked_admin(name).ok()?, cluster },
                _ => return None,
            };
            (peer.uri() == uri).then_some(peer)
        };
        read().ok_or_else(|| wrong(&format!("it names \"{}\"", shown(uri))))
    }

    /// The identity as it stands in the certificate.
    pub fn uri(&self) -> String {
        match self {
            Self::Node { id, cluster, role } => format!("spiffe://{cluster}/node/{id}/{role}"),
            Self::Admin { name, cluster } => format!("spiffe://{cluster}/admin/{name}"),
        }
    }

    /// The host name under which a client reaches this peer and no other; an administrator serves nobody.
    pub(crate) fn host(&self) -> Option<String> {
        match self {
            Self::Node { id, .. } => Some(host(*id)),
            Self::Admin { .. } => None,
        }
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> &ClusterId {
        match self {
            Self::Node { cluster, .. } | Self::Admin { cluster, .. } => cluster,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node { id, .. } => write!(f, "node {id}"),
            Self::Admin { name, .. } => write!(f, "administrator {name}"),
        }
    }
}

/// The name to dial a node under: only that node's certificate bears it, so an address that another node took
/// over is noticed in the handshake.
pub fn server_name(id: NodeId) -> ServerName<'static> {
    ServerName::try_from(host(id)).expect("digits between letters make a DNS name")
}

fn host(id: NodeId) -> String {
    format!("node-{id}.cluster")
}

fn role_of(text: &str) -> Option<Role> {
    [Role::Manager, Role::Worker].into_iter().find(|role| role.to_string() == text)
}

/// The cluster id, if it has the form of one: it becomes the authority part of a URI.
pub(crate) fn checked_cluster(id: &ClusterId) -> Result<ClusterId, Error> {
    let digits = id.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits && id.0.len() == 32 {
        return Ok(id.clone());
    }
    Err(Error::ClusterId { id: shown(&id.0) })
}

/// The name, if it may stand for an administrator: it becomes a segment of a URI.
pub(crate) fn checked_admin(name: &str) -> Result<String, Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let start = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if start && name.len() <= model::limits::NAME_BYTES && name.bytes().all(allowed) {
        return Ok(name.to_owned());
    }
    Err(Error::AdminName { name: shown(name) })
}

fn wrong(why: &str) -> Error {
    Error::Certificate { why: why.into() }
}
