//! Who is who: the cluster's certificate authority, the certificates of its nodes and administrators, join
//! tokens, the sealing of what must not lie in the state in the clear, and the rustls configurations.
//!
//! It opens no socket, touches no file and logs nothing. It does not know who may do what: it turns a
//! presented certificate into a [`Peer`], and the caller decides. It reads no clock either: the moment is
//! an argument (inside a handshake rustls reads its own). Randomness is drawn here, and nowhere else.
//!
//! Start with [`Authority`], which signs; then [`Peer`], which is what a signature is worth; then [`Tls`].

mod authority;
mod csr;
mod digest;
mod error;
mod explain;
mod key;
mod named;
mod peer;
pub mod random;
mod rotating;
mod sealer;
mod text;
mod tls;
mod token;
mod validity;
mod verifier;

pub use authority::{AUTHORITY_LIFETIME, Authority, BACKDATE, LEAF_LIFETIME};
pub use csr::{CSR_BYTES, key_digest};
pub use digest::CaDigest;
pub use error::Error;
pub use explain::explain;
pub use key::KeyRequest;
pub use named::Certificates;
pub use peer::{Peer, server_name};
pub use sealer::{ClusterKey, Sealer};
pub use tls::{ALPN_CONTROL, ALPN_EDGE, Tls, joiner_config};
pub use token::Token;
pub use validity::Validity;
