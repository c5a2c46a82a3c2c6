//! Join tokens: what a person copies from one host to another.
//!
//! `CLUSTER-1-w-<digest of the authority>-<secret>-<check>`: the digest lets the joiner recognise the cluster,
//! the secret lets the cluster recognise the joiner, and the check (CRC-32 of all before it, which any change of
//! one character breaks) tells a typing error from a token that was rotated away.

use crate::digest::CaDigest;
use crate::error::Error;
use crate::{random, text};
use model::Role;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const PREFIX: &str = "CLUSTER-1";

/// A join token. Its text, by `Display`, is a secret: for a terminal, or to be sealed, never for a log.
#[derive(Clone)]
pub struct Token {
    role: Role,
    authority: CaDigest,
    secret: Zeroizing<[u8; 16]>,
}

impl Token {
    /// Draws a new token that admits nodes of `role` to the cluster of that authority.
    pub fn generate(role: Role, authority: CaDigest) -> Self {
        let mut secret = Zeroizing::new([0; 16]);
        random::fill(secret.as_mut());
        Self { role, authority, secret }
    }

    /// The role that it gives, and the only one.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The authority that the joiner must find at the other end.
    pub fn authority(&self) -> CaDigest {
        self.authority
    }

    /// What the state keeps in place of the secret: SHA-256 of role and secret, in hexadecimal. A secret of 128
    /// random bits needs no slow hash.
    pub fn secret_digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(letter(self.role));
        hash.update(*self.secret);
        text::hex(&hash.finalize())
    }

    /// Whether this is the token with that [`secret_digest`](Self::secret_digest). Takes the same time however
    /// much of it agrees.
    pub fn matches(&self, digest: &str) -> bool {
        self.secret_digest().as_bytes().ct_eq(digest.as_bytes()).into()
    }
}

fn letter(role: Role) -> &'static str {
    match role {
        Role::Manager => "m",
        Role::Worker => "w",
    }
}

fn check(body: &str) -> String {
    text::base32(&crc32fast::hash(body.as_bytes()).to_be_bytes())
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = Zeroizing::new(text::base32(self.secret.as_ref()));
        let role = letter(self.role);
        let body = Zeroizing::new(format!("{PREFIX}-{role}-{}-{}", self.authority, *secret));
        write!(f, "{}-{}", *body, check(&body))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("role", &self.role)
            .field("authority", &self.authority)
            .field("secret", &"[redacted]")
            .finish()
    }
}

impl FromStr for Token {
    type Err = Error;

    /// White space around it is forgiven; it comes from copying.
    fn from_str(s: &str) -> Result<Self, Error> {
        let s = s.trim();
        let wrong = |why| Error::Token { why };
        let form = || wrong("it must look like CLUSTER-1-w-...-...-... (copy all of it)");
        let rest = s.strip_prefix("CLUSTER-").ok_or_else(form)?;
        if !rest.starts_with("1-") {
            return Err(wrong("its version is not known here; this program may be too old"));
        }
        let (body, sum) = s.rsplit_once('-').ok_or_else(form)?;
        let [_, _, role, authority, secret] = *body.split('-').collect::<Vec<_>>() else {
            return Err(form());
        };
        if check(body) != sum {
            return Err(wrong(
                "its check does not fit, so a character is wrong or missing (copy it again)",
            ));
        }
        let role = match role {
            "m" => Role::Manager,
            "w" => Role::Worker,
            _ => return Err(wrong("it is for neither a manager nor a worker")),
        };
        let secret = text::from_base32(secret).ok_or_else(form)?;
        Ok(Self {
            role,
            authority: authority.parse().map_err(|_| form())?,
            secret: Zeroizing::new(secret),
        })
    }
}
