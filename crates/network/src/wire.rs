//! What two edges say to each other before a connection's bytes flow. Fixed sizes, big endian.
//!
//! The dialler greets, and is welcomed or dropped. Then the connection is idle until the dialler asks: either
//! for a sign of life, as often as it likes, or, once, for a replica. After the answer "yes" the connection
//! belongs to the client and the replica.

use crate::limits::HANDSHAKE;
use model::{ClusterId, NodeId, Protocol, TaskId};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MAGIC: [u8; 4] = *b"edge";
/// Version of this protocol. An edge refuses a greeting with another one.
const VERSION: u8 = 1;
const CLUSTER_BYTES: usize = 32;
const GREETING_BYTES: usize = 4 + 1 + CLUSTER_BYTES + 8;
const REQUEST_BYTES: usize = 1 + 8 + 4 + 2 + 8 + 2;

/// Who dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
}

/// What the dialler wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// A sign of life.
    Ping,
    /// A connection to a replica.
    Connect(Connect),
}

/// A replica, named in a way that can mean nothing else: no address is ever asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) task: TaskId,
    /// Port in the container.
    pub(crate) target: u16,
    /// Of UDP, what flows afterwards are datagrams, each behind its length in two bytes.
    pub(crate) protocol: Protocol,
    /// Index of the asker's picture: an older answerer waits for its own to catch up.
    pub(crate) index: u64,
    /// How long the answer may take.
    pub(crate) patience: Duration,
}

impl Connect {
    fn decode(protocol: Protocol, bytes: &[u8; REQUEST_BYTES - 1]) -> Self {
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte))
        };
        Self {
            task: TaskId { index: number(0, 8), position: number(8, 12) as u32 },
            target: number(12, 14) as u16,
            protocol,
            index: number(14, 22),
            patience: Duration::from_millis(number(22, 24)),
        }
    }
}

/// What the dialled edge says, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Answer {
    /// Greeting accepted, or ping answered.
    Here = 1,
    /// The replica has taken the connection.
    Connected = 2,
    /// The replica refused the connection.
    Refused = 3,
    /// The replica did not answer in time.
    Silent = 4,
    /// No such task with such a port here.
    Unknown = 5,
    /// The replica takes no new connections.
    Leaving = 6,
    /// This edge carries as many connections as it may.
    Full = 7,
}

const ANSWERS: [Answer; 7] = [
    Answer::Here,
    Answer::Connected,
    Answer::Refused,
    Answer::Silent,
    Answer::Unknown,
    Answer::Leaving,
    Answer::Full,
];

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) async fn greet<S: AsyncWrite + Unpin>(
    to: &mut S,
    greeting: &Greeting,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(GREETING_BYTES);
    bytes.extend(MAGIC);
    bytes.push(VERSION);
    let mut cluster = greeting.cluster.0.clone().into_bytes();
    cluster.resize(CLUSTER_BYTES, 0);
    bytes.extend(cluster);
    bytes.extend(greeting.node.0.to_be_bytes());
    to.write_all(&bytes).await?;
    to.flush().await
}

pub(crate) async fn greeted<S: AsyncRead + Unpin>(from: &mut S) -> io::Result<Greeting> {
    let mut bytes = [0; GREETING_BYTES];
    tokio::time::timeout(HANDSHAKE, from.read_exact(&mut bytes)).await??;
    let (head, rest) = bytes.split_at(5);
    if head[..4] != MAGIC {
        return Err(invalid("this is not an edge"));
    }
    if head[4] != VERSION {
        return Err(invalid("an edge of another protocol version"));
    }
    let (cluster, node) = rest.split_at(CLUSTER_BYTES);
    let cluster = std::str::from_utf8(cluster).map_err(|_| invalid("not a cluster id"))?;
    let node = node.try_into().map_err(|_| invalid("not a node id"))?;
    Ok(Greeting {
        cluster: ClusterId(cluster.trim_end_matches('\0').into()),
        node: NodeId(u64::from_be_bytes(node)),
    })
}

pub(crate) async fn ask<S: AsyncWrite + Unpin>(to: &mut S, question: Question) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(REQUEST_BYTES);
    match question {
        Question::Ping => bytes.push(0),
        Question::Connect(c) => {
            bytes.push(match c.protocol {
                Protocol::Tcp => 1,
                Protocol::Udp => 2,
            });
            bytes.extend(c.task.index.to_be_bytes());
            bytes.extend(c.task.position.to_be_bytes());
            bytes.extend(c.target.to_be_bytes());
            bytes.extend(c.index.to_be_bytes());
            let patience = u16::try_from(c.patience.as_millis()).unwrap_or(u16::MAX);
            bytes.extend(patience.to_be_bytes());
        }
    }
    to.write_all(&bytes).await?;
    to.flush().await
}

/// Waits without limit for the question to begin; once it has, the rest must follow at once.
pub(crate) async fn asked<S: AsyncRead + Unpin>(from: &mut S) -> io::Result<Question> {
    let protocol = match from.read_u8().await? {
        0 => return Ok(Question::Ping),
        1 => Protocol::Tcp,
        2 => Protocol::Udp,
        _ => return Err(invalid("not a question")),
    };
    let mut bytes = [0; REQUEST_BYTES - 1];
    tokio::time::timeout(HANDSHAKE, from.read_exact(&mut bytes)).await??;
    Ok(Question::Connect(Connect::decode(protocol, &bytes)))
}

pub(crate) async fn answer<S: AsyncWrite + Unpin>(to: &mut S, answer: Answer) -> io::Result<()> {
    to.write_all(&[answer as u8]).await?;
    to.flush().await
}

pub(crate) async fn answered<S: AsyncRead + Unpin>(from: &mut S) -> io::Result<Answer> {
    let byte = from.read_u8().await?;
    ANSWERS.into_iter().find(|a| *a as u8 == byte).ok_or_else(|| invalid("not an answer"))
}
