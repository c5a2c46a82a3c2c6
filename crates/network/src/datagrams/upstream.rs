//! A replica that datagrams are carried to: on this host, on another one over the mesh, or where the two hosts share
//! no network of the project, through that host's edge.

use crate::core::Core;
use crate::counters::Counters;
use crate::dial::{self, Miss, Reached};
use crate::limits::{CHUNK, FLOW_IDLE};
use crate::pump::with_scratch;
use crate::route::Target;
use crate::stream::Stream;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use model::Protocol;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

/// The way to a replica.
pub(super) enum Upstream {
    Direct(UdpSocket),
    /// Datagrams behind their lengths, and what is cancelled when the link is given up.
    Tunnel(Box<Framed<Stream, LengthDelimitedCodec>>, CancellationToken),
}

/// A socket that speaks with `address` only, from one of this host's own addresses where `from` says which.
pub(crate) async fn to(address: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => from.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket)
}

impl Upstream {
    pub(super) async fn reach(
        core: &Arc<Core>,
        lane: usize,
        target: &Target,
        patience: Duration,
    ) -> Result<Self, Miss> {
        let address = SocketAddr::new(target.address, target.port);
        if !target.remote {
            let socket = to(address, None).await;
            return socket.map(Self::Direct).map_err(|e| Miss::Replica(format!("{address}: {e}")));
        }
        let doorway = core.picture.borrow().doorway(target.node, target.address);
        if let Some(doorway) = doorway {
            // No bridge here yet, or no route: the other edge has both.
            if let Ok(socket) = to(address, Some(doorway)).await {
                return Ok(Self::Direct(socket));
            }
        }
        let Reached { stream, link } =
            dial::remote(core, lane, target, Protocol::Udp, patience).await?;
        Ok(Self::Tunnel(Box::new(framed(stream)), link.unwrap_or_default()))
    }

    pub(super) async fn send(&mut self, bytes: &Bytes) -> io::Result<()> {
        match self {
            Self::Direct(socket) => socket.send(bytes).await.map(drop),
            Self::Tunnel(framed, _) => framed.send(bytes.clone()).await,
        }
    }

    /// The next datagram of the replica. Nothing is lost when it is not waited for to the end.
    pub(super) async fn receive(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Direct(socket) => receive(socket).await,
            Self::Tunnel(framed, link) => {
                let next = link.run_until_cancelled(framed.next()).await;
                let ended = || io::ErrorKind::ConnectionAborted.into();
                next.flatten().unwrap_or_else(|| Err(ended())).map(Into::into)
            }
        }
    }
}

async fn receive(socket: &UdpSocket) -> io::Result<Bytes> {
    loop {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            refused(socket)?;
        }
        let received = with_scratch(|scratch| {
            socket.try_recv(scratch).map(|n| Bytes::copy_from_slice(&scratch[..n]))
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received,
        }
    }
}

/// What the replica's host has said, by ICMP, of what was sent. Nothing arrives then, so that it is to be asked for.
fn refused(socket: &UdpSocket) -> io::Result<()> {
    let said = socket.try_io(Interest::ERROR, || match socket.take_error()? {
        Some(error) => Err(error),
        None => Err::<(), _>(io::ErrorKind::WouldBlock.into()),
    });
    match said {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

fn framed(stream: Stream) -> Framed<Stream, LengthDelimitedCodec> {
    LengthDelimitedCodec::builder()
        .length_field_length(2)
        .max_frame_length(CHUNK - 1)
        .new_framed(stream)
}

/// The other end of a tunnel: carries what another edge sends to a replica here, and its answers back, until the
/// other edge has ended it or nobody has said anything for long.
pub(crate) async fn unpack(caller: Stream, replica: UdpSocket, counters: &Counters) {
    let mut caller = framed(caller);
    let count = |counter: &std::sync::atomic::AtomicU64, bytes: usize| {
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    };
    loop {
        let carried = tokio::select! {
            asked = caller.next() => {
                let Some(Ok(asked)) = asked else { return };
                count(&counters.sent, asked.len());
                replica.send(&asked).await.map(drop)
            }
            answer = receive(&replica) => match answer {
                Ok(answer) => {
                    count(&counters.received, answer.len());
                    caller.send(answer).await
                }
                Err(error) => Err(error),
            },
            () = tokio::time::sleep(FLOW_IDLE * 2) => return,
        };
        // The replica refused, or the other edge has gone: ending it tells the other side, which then looks for
        // another replica.
        if carried.is_err() {
            return;
        }
    }
}
