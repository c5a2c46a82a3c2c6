//! The socket of a published UDP port. A host may have several addresses: an answer has to leave from the one that
//! was asked, or the client takes it for a stranger's. So each datagram comes with the address it arrived at.

use crate::picture::Bind;
use crate::socket::lacks_ipv6;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The port of the name server of containers. It listens on the gateways of bridges; who publishes this port on all
/// addresses gets what comes to the others.
const NAMES: u16 = 53;

/// A UDP port of this host.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// What arrived in one buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) client: SocketAddr,
    /// The address of this host that it was sent to.
    pub(crate) at: Option<IpAddr>,
    /// Bytes in all.
    pub(crate) length: usize,
    /// Bytes of each datagram but the last, which may have fewer: the kernel hands over several at once.
    pub(crate) each: usize,
}

impl Socket {
    /// Takes `at`: one address, or all of both families where the host has IPv6.
    pub(crate) fn bind(at: Bind) -> io::Result<Self> {
        if let Some(address) = at.address {
            return Self::bind_to(SocketAddr::new(address, at.port));
        }
        match Self::bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), at.port)) {
            Err(error) if lacks_ipv6(&error) => {
                Self::bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port))
            }
            bound => bound,
        }
    }

    fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        }
        // Any other holder of the port is to be noticed, so nowhere else.
        sockopt::set_socket_reuseaddr(&socket, address.port() == NAMES)?;
        bind(&socket, &address)?;
        let socket = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        // The library forbids fragments, for protocols that look for the largest packet. Here nobody does: an
        // answer that is larger than a packet is to arrive.
        sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::WANT)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::WANT)?;
        }
        Ok(Self { socket, state })
    }

    /// Waits for the next datagrams.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Arrived> {
        let mut meta = [RecvMeta::default()];
        let receive =
            || self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta);
        self.socket.async_io(Interest::READABLE, receive).await?;
        let [RecvMeta { addr, dst_ip, len, stride, .. }] = meta;
        Ok(Arrived { client: addr, at: dst_ip, length: len, each: stride })
    }

    /// Answers a client from the address that it knows.
    pub(crate) async fn send(
        &self,
        bytes: &[u8],
        client: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination: client,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: from,
        };
        let send = || self.state.try_send((&self.socket).into(), &transmit);
        self.socket.async_io(Interest::WRITABLE, send).await
    }
}
