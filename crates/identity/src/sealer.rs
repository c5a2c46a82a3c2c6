//! Sealing: what the state must hold and nobody may read there (the authority's key, join tokens, registry
//! logins) is encrypted with the cluster key, which lies in a file on each manager and never in the state.

use crate::error::Error;
use crate::{random, text};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// First byte of everything sealed: XChaCha20-Poly1305, then 24 bytes of nonce, then text and tag.
const FORMAT: u8 = 1;
const NONCE: usize = 24;

/// The cluster key: 32 random bytes, wiped from memory when dropped.
#[derive(Clone)]
pub struct ClusterKey(Zeroizing<[u8; 32]>);

impl ClusterKey {
    /// Draws a new one, when a cluster is founded.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random::fill(key.as_mut());
        Self(key)
    }

    /// As text for its file, which is to be readable by its owner alone: 52 characters of base32.
    pub fn encode(&self) -> Zeroizing<String> {
        Zeroizing::new(text::base32(self.0.as_ref()))
    }

    /// Reads what [`encode`](Self::encode) wrote; white space around it is forgiven.
    pub fn parse(text: &str) -> Result<Self, Error> {
        text::from_base32(text.trim()).map(|key| Self(Zeroizing::new(key))).ok_or(Error::ClusterKey)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey([redacted])")
    }
}

/// Seals and opens with one cluster key.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key: ClusterKey,
}

impl Sealer {
    /// A sealer with that key.
    pub fn new(key: &ClusterKey) -> Self {
        let cipher = XChaCha20Poly1305::new_from_slice(key.0.as_ref());
        let cipher = cipher.expect("a cluster key has the length of a key of this cipher");
        Self { cipher, key: key.clone() }
    }

    /// A name for `plain` that tells nothing of it without the cluster key: HMAC-SHA-256 (RFC 2104), hexadecimal.
    /// The same for the same purpose, on every manager.
    pub fn digest(&self, plain: &[u8], purpose: &[u8]) -> String {
        let keyed = |key: &[u8]| {
            <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
        };
        // Not the key that seals, but one that is made from it for this alone.
        let own = keyed(self.key.0.as_ref()).chain_update(b"digest of ").chain_update(purpose);
        let digest = keyed(&own.finalize().into_bytes()).chain_update(plain).finalize();
        text::hex(&digest.into_bytes())
    }

    /// Seals `plain` for a purpose, such as `b"authority key"` or a token's role: what is sealed for one
    /// purpose does not open for another, so sealed values cannot be exchanged for each other. The nonce is
    /// random (192 bits), so sealing the same twice gives different bytes.
    pub fn seal(&self, plain: &[u8], purpose: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        random::fill(&mut nonce);
        let context = context(purpose);
        let payload = Payload { msg: plain, aad: &context };
        let text = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("only more than 256 GiB are too much to seal");
        [&[FORMAT][..], &nonce, &text].concat()
    }

    /// Opens what [`seal`](Self::seal) made with the same key for the same purpose.
    pub fn open(&self, sealed: &[u8], purpose: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Some((&FORMAT, rest)) = sealed.split_first() else {
            return Err(Error::SealFormat);
        };
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(Error::SealFormat)?;
        let context = context(purpose);
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: text, aad: &context })
            .map(Zeroizing::new)
            .map_err(|_| Error::SealBroken)
    }
}

/// The associated data: the format is bound in with the purpose.
fn context(purpose: &[u8]) -> Vec<u8> {
    [&[FORMAT], purpose].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}
