//! The UDP socket that sealed packets leave and arrive by: many in one call where the kernel can.

use super::batch::Batch;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Bytes that wait in the kernel, each way: those of some milliseconds at full speed.
const BUFFER: usize = 2 * 1024 * 1024;

/// A socket for sealed packets.
#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
    /// It speaks IPv6, in which IPv4 addresses have a form of their own.
    wide: bool,
}

impl Socket {
    /// Takes the port, on all addresses of this host. Must be called on a runtime.
    pub(super) fn bind(port: u16) -> io::Result<Self> {
        let (socket, wide) = match std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)) {
            Ok(socket) => (socket, true),
            // A host without IPv6.
            Err(e) if e.kind() != io::ErrorKind::AddrInUse => {
                (std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?, false)
            }
            Err(taken) => return Err(taken),
        };
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into())?;
        // What does not fit on the way is cut and put together again: containers are told one size only.
        if !wide {
            sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
        }
        let _ = state.set_send_buffer_size((&socket).into(), BUFFER);
        let _ = state.set_recv_buffer_size((&socket).into(), BUFFER);
        Ok(Self { udp: UdpSocket::from_std(socket)?, state, wide })
    }

    /// How many datagrams one batch may hold.
    pub(super) fn most(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends a batch. What the kernel refuses is lost, as packets may be.
    pub(super) async fn send(&self, to: SocketAddr, batch: &Batch) {
        for (bytes, segment) in batch.parts() {
            let transmit = self.transmit(to, bytes, (bytes.len() > segment).then_some(segment));
            let send = || self.state.try_send((&self.udp).into(), &transmit);
            let _ = self.udp.async_io(Interest::WRITABLE, send).await;
        }
    }

    /// Sends one datagram, if that can be done at once.
    pub(super) fn send_now(&self, to: SocketAddr, bytes: &[u8]) {
        let _ = self.state.try_send((&self.udp).into(), &self.transmit(to, bytes, None));
    }

    /// Waits for datagrams. Returns how many of the buffers hold some, as `meta` says.
    pub(super) async fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let socket = &self.udp;
        let mut receive = || self.state.recv(socket.into(), buffers, meta);
        socket.async_io(Interest::READABLE, &mut receive).await
    }

    fn transmit<'a>(
        &self,
        to: SocketAddr,
        contents: &'a [u8],
        segment_size: Option<usize>,
    ) -> Transmit<'a> {
        let destination = match to.ip() {
            IpAddr::V4(v4) if self.wide => (v4.to_ipv6_mapped(), to.port()).into(),
            _ => to,
        };
        Transmit { destination, ecn: None, contents, segment_size, src_ip: None }
    }
}

/// Where a datagram came from, in the form that the cluster writes addresses in.
pub(super) fn source(meta: &RecvMeta) -> SocketAddr {
    (meta.addr.ip().to_canonical(), meta.addr.port()).into()
}
