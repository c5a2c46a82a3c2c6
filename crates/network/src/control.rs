//! What the daemon and its edge say to each other over a Unix socket: JSON, each message behind its length
//! in four bytes, big endian. Either side may be newer: unknown fields are passed over, an unknown message
//! is answered with [`FromEdge::NotUnderstood`].

use crate::limits::CONTROL_BYTES;
use crate::picture::Picture;
use crate::security::{CertificatePair, IdentityFiles};
use crate::status::Status;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// From the daemon. Each is answered, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToEdge {
    /// Serve from this picture.
    Serve(Picture),
    /// Load the identity anew: it was exchanged.
    Identity(IdentityFiles),
    /// These are the certificates of services from now on. Not kept on any disk.
    Certificates(Vec<CertificatePair>),
    /// Say how you are.
    Status,
}

/// From the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromEdge {
    /// It serves from the picture, or, when that was older than its own, from its own.
    Serving {
        /// Index of the picture in force.
        index: u64,
        /// Whether that is the one just sent.
        taken: bool,
    },
    /// It has loaded the identity, or goes on with the one it had.
    Identity {
        /// Why it could not.
        refused: Option<String>,
    },
    /// It shows the certificates from now on.
    Certified,
    /// How it is.
    Status(Box<Status>),
    /// The message is of a kind this edge does not know.
    NotUnderstood,
}

/// Sends one message.
pub(crate) async fn send<S, M>(to: &mut S, message: &M) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
    M: Serialize,
{
    let bytes = serde_json::to_vec(message)?;
    let length = u32::try_from(bytes.len()).ok().filter(|n| *n as usize <= CONTROL_BYTES);
    let length = length.ok_or_else(|| too_long(bytes.len()))?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&bytes).await?;
    to.flush().await
}

/// Receives one message; the inner error is that it was not understood, and the next one may be.
pub(crate) async fn receive<S, M>(from: &mut S) -> io::Result<Result<M, serde_json::Error>>
where
    S: AsyncRead + Unpin,
    M: DeserializeOwned,
{
    let length = from.read_u32().await? as usize;
    if length > CONTROL_BYTES {
        return Err(too_long(length));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes))
}

fn too_long(bytes: usize) -> io::Error {
    let text = format!("a message of {bytes} bytes; {CONTROL_BYTES} is the most");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
