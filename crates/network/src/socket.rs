//! Sockets as the edge wants them: how they listen, what they accept, how they end.

use crate::limits::BACKLOG;
use crate::picture::Bind;
use rustix::net::sockopt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_COUNT: u32 = 6;

/// A listening socket whose connections are not yet tied to a runtime, so that any thread can take them.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on `bind`: on one address, or on all of both families where the host has IPv6.
    pub(crate) fn bind(bind: Bind) -> io::Result<Self> {
        if let Some(address) = bind.address {
            return Self::bind_to(SocketAddr::new(address, bind.port));
        }
        match Self::bind_to(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), bind.port)) {
            Err(error) if lacks_ipv6(&error) => {
                Self::bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), bind.port))
            }
            bound => bound,
        }
    }

    /// Listens on exactly this address; the IPv6 wildcard also takes IPv4.
    pub(crate) fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        }
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket: socket.listen(BACKLOG)? })
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. An error leaves the listener usable.
    pub(crate) async fn accept(&self) -> io::Result<std::net::TcpStream> {
        self.socket.accept().await?.0.into_std()
    }
}

pub(crate) fn lacks_ipv6(error: &io::Error) -> bool {
    let wanted = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| wanted.iter().any(|e| e.raw_os_error() == code))
}

/// Settings of every carried connection: bytes leave at once, and a peer that vanished is noticed within
/// a minute when nothing is under way. A socket that is already gone makes no difference here.
pub(crate) fn tune(socket: impl AsFd) {
    let socket = socket.as_fd();
    let set = || -> rustix::io::Result<()> {
        sockopt::set_tcp_nodelay(socket, true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)
    };
    let _ = set();
}

/// Makes the coming close a reset, so that the other end learns that the connection failed rather than
/// taking it for finished.
pub(crate) fn reset_on_close(socket: impl AsFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}
