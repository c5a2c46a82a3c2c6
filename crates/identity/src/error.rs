//! The one error of this crate. No variant carries a secret: what was refused is named, never quoted.

use model::NodeId;

/// Why something about an identity was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that should hold certificates or a key in PEM does not.
    #[error("{what} cannot be read as PEM")]
    Pem {
        /// Which text.
        what: &'static str,
    },
    /// A certificate that is not one of ours in form.
    #[error("certificate is not one of a cluster: {why}")]
    Certificate {
        /// What it breaks.
        why: String,
    },
    /// The authority's certificate and its private key do not belong together, or it is no authority.
    #[error("the cluster's authority cannot be used: {why}")]
    Authority {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The authority's own certificate has run out.
    #[error("the certificate of the cluster's authority expired on {date}")]
    AuthorityExpired {
        /// The day, in UTC.
        date: String,
    },
    /// A signing request larger than [`crate::CSR_BYTES`].
    #[error("signing request has {bytes} bytes, more than the {limit} allowed")]
    RequestTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A signing request that is not well-formed.
    #[error("signing request is not a well-formed PKCS #10 document")]
    RequestMalformed,
    /// A signing request for a key of a kind that is not accepted.
    #[error("signing request holds a key that is neither ECDSA P-256 nor Ed25519")]
    RequestKey,
    /// A signing request not signed by the key it holds.
    #[error("signing request is not signed by the key that it holds")]
    RequestSignature,
    /// A name for an administrator that breaks the rule.
    #[error(
        "\"{name}\" is not a valid name for an administrator: use 1 to 63 of a-z, A-Z, 0-9, '.', '-' and '_', starting with a letter or digit"
    )]
    AdminName {
        /// The name, escaped and cut after 80 characters.
        name: String,
    },
    /// A cluster id that is not 32 hexadecimal digits.
    #[error("\"{id}\" is not a cluster id: 32 digits of 0-9 and a-f")]
    ClusterId {
        /// The id, escaped and cut after 80 characters.
        id: String,
    },
    /// A join token that cannot be read. The token itself is not repeated: it is a secret.
    #[error("the join token is not valid: {why}")]
    Token {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A digest of a certificate that cannot be read.
    #[error("digest of the authority's certificate is not 52 characters of a-z and 2-7")]
    Digest,
    /// A cluster key that cannot be read. The key itself is not repeated: it is a secret.
    #[error("the cluster key is not 52 characters of a-z and 2-7")]
    ClusterKey,
    /// Sealed bytes of a format that this version does not know, or too short to be any.
    #[error("sealed bytes have an unknown format")]
    SealFormat,
    /// Sealed bytes that this key does not open for this purpose.
    #[error("sealed bytes do not open: another cluster key, another purpose, or damage")]
    SealBroken,
    /// The server did not prove that it belongs to the cluster that the token names.
    #[error("the server does not belong to the cluster that the join token names")]
    WrongAuthority,
    /// The server is of the cluster, but is no manager.
    #[error("{peer} is not a manager of the cluster: give the address of one")]
    NotManager {
        /// Who answered.
        peer: String,
    },
    /// rustls refused a key, a chain or a root.
    #[error("TLS identity of {what} is refused")]
    Tls {
        /// Whose, or which part.
        what: &'static str,
        /// Why.
        source: rustls::Error,
    },
    /// A key or a certificate could not be made.
    #[error("{what} could not be made")]
    Make {
        /// What it was for.
        what: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// A node's certificate was asked for under an id that no log entry has.
    #[error("{0} is not the id of a node")]
    NodeId(NodeId),
}

/// Text from outside, fit to be shown: unprintable characters escaped, cut after 80.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}
