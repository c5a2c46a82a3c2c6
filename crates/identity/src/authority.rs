//! The cluster's certificate authority: made once when the cluster is founded, its key then kept in the state,
//! sealed. It writes every word of a certificate itself and takes nothing from a request but the public key.

use crate::csr;
use crate::digest::CaDigest;
use crate::error::Error;
use crate::peer::{Peer, checked_admin, checked_cluster};
use crate::random;
use crate::validity::{Validity, date};
use model::{ClusterId, NodeId, Role};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of the authority's own certificate: 20 years.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Life of the certificate of a node or an administrator: 90 days.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(90 * DAY.as_secs());
/// How far before its making a certificate counts, so that a clock a little behind accepts it.
pub const BACKDATE: Duration = Duration::from_secs(3600);

/// A certificate authority with its private key.
pub struct Authority {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    not_after: SystemTime,
    key: KeyPair,
}

impl Authority {
    /// Founds the authority of a new cluster: an ECDSA P-256 key and a certificate signed by itself.
    pub fn create(cluster: &ClusterId, now: SystemTime) -> Result<Self, Error> {
        let cluster = checked_cluster(cluster)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(make)?;
        let mut params = params(format!("{PREFIX}{cluster}"), now);
        params.not_after = (now + AUTHORITY_LIFETIME).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(make)?;
        Self::of(certificate.pem(), key)
    }

    /// Takes up an authority from what [`certificate_pem`](Self::certificate_pem) and
    /// [`key_pem`](Self::key_pem) gave. Refused when the two do not belong together.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let key =
            KeyPair::from_pem(key_pem).map_err(|_| Error::Pem { what: "the authority's key" })?;
        Self::of(certificate_pem.to_owned(), key)
    }

    fn of(certificate_pem: String, key: KeyPair) -> Result<Self, Error> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| Error::Pem { what: "the authority's certificate" })?;
        let (cluster, not_after) = inspect(&certificate, &key)?;
        Ok(Self { cluster, certificate, certificate_pem, not_after, key })
    }

    /// The cluster whose authority this is.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The certificate, PEM: public, and the root that every node trusts.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, PKCS #8 PEM: to be sealed at once.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// SHA-256 of the certificate, as join tokens carry it.
    pub fn digest(&self) -> CaDigest {
        CaDigest::of_der(&self.certificate)
    }

    /// Signs the key in a request as that node, from [`BACKDATE`] before `now` for [`LEAF_LIFETIME`]. Returns
    /// the chain as PEM: the node's certificate, then the authority's. The request is checked for size, kind of
    /// key and its own signature; what it says about its sender is ignored.
    pub fn sign_node(
        &self,
        csr_der: &[u8],
        node: NodeId,
        role: Role,
        now: SystemTime,
    ) -> Result<String, Error> {
        if node == NodeId(0) {
            return Err(Error::NodeId(node));
        }
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let peer = Peer::Node { id: node, cluster: self.cluster.clone(), role };
        self.sign(csr_der, &peer, &usages, now)
    }

    /// Signs the key in a request as that administrator. The certificate opens connections and serves none.
    /// The rest is as for [`sign_node`](Self::sign_node).
    pub fn sign_admin(&self, csr_der: &[u8], name: &str, now: SystemTime) -> Result<String, Error> {
        let peer = Peer::Admin { name: checked_admin(name)?, cluster: self.cluster.clone() };
        self.sign(csr_der, &peer, &[ExtendedKeyUsagePurpose::ClientAuth], now)
    }

    fn sign(
        &self,
        csr_der: &[u8],
        peer: &Peer,
        usages: &[ExtendedKeyUsagePurpose],
        now: SystemTime,
    ) -> Result<String, Error> {
        let key = csr::public_key(csr_der)?;
        if now > self.not_after {
            return Err(Error::AuthorityExpired { date: date(self.not_after) });
        }
        let mut params = params(peer.to_string(), now);
        params.not_after = (now + LEAF_LIFETIME).min(self.not_after).into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names.push(SanType::URI(peer.uri().try_into().map_err(make)?));
        if let Some(host) = peer.host() {
            params.subject_alt_names.push(SanType::DnsName(host.try_into().map_err(make)?));
        }
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key).map_err(make)?;
        let leaf = params.signed_by(&key, &issuer).map_err(make)?;
        Ok(leaf.pem() + &self.certificate_pem)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// What the common name of an authority starts with; the cluster id follows.
const PREFIX: &str = "clusterd ";

/// What every certificate has: a common name for people, a serial number nobody can guess, a start in the past.
fn params(common_name: String, now: SystemTime) -> CertificateParams {
    let mut serial = [0; 16];
    random::fill(&mut serial);
    // RFC 5280 §4.1.2.2: positive.
    serial[0] &= 0x7f;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = (now - BACKDATE).into();
    params
}

/// The cluster id in an authority's certificate and when that expires; refused if it is no authority of ours
/// or of another key.
fn inspect(certificate: &[u8], key: &KeyPair) -> Result<(ClusterId, SystemTime), Error> {
    let refuse = |why| Error::Authority { why };
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| refuse("its certificate is not well-formed"))?;
    if !certificate.is_ca() {
        return Err(refuse("its certificate is not an authority's"));
    }
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(refuse("its private key belongs to another certificate"));
    }
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let cluster = name.and_then(|name| name.strip_prefix(PREFIX));
    let cluster = cluster.ok_or_else(|| refuse("its certificate names no cluster"))?;
    Ok((checked_cluster(&ClusterId(cluster.into()))?, Validity::of(&certificate).not_after))
}

fn make(source: rcgen::Error) -> Error {
    Error::Make { what: "a certificate", source }
}
