//! Listening: the control port (mutual TLS) and the Unix socket, as streams of connections that know
//! who is at their far end. Handshakes run side by side and with a deadline, so a slow one blocks nobody.

use crate::caller::{Caller, FarEnd};
use anyhow::Context as _;
use identity::{Peer, Tls};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// Deadline of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way at the same time, and how many of them may be one source's.
const HANDSHAKES: usize = 256;
const HANDSHAKES_OF_ONE: usize = 32;
/// Connections without a certificate at the same time, how many of them may be one source's, and how long
/// one may last: joining takes seconds.
const GUESTS: usize = 64;
const GUESTS_OF_ONE: usize = 16;
const GUEST_AGE: Duration = Duration::from_secs(60);
/// Where groups are listed.
const GROUPS: &str = "/etc/group";
/// Pause after an accept failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that knows who is at its far end.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    caller: Caller,
    source: Option<IpAddr>,
    guest: Option<Guest>,
}

/// What a connection without a certificate holds, until it ends or its time is over.
struct Guest {
    over: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

impl Connection {
    /// Fails once a guest's time is over; wakes the task when that happens.
    fn in_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(guest) = &mut self.guest
            && guest.over.as_mut().poll(cx).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connected for Connection {
    type ConnectInfo = FarEnd;

    fn connect_info(&self) -> FarEnd {
        FarEnd { caller: self.caller.clone(), source: self.source }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Connections as they come in.
pub(crate) type Incoming = ReceiverStream<io::Result<Connection>>;

/// Listens on the control port, until the receiving end is dropped.
pub(crate) async fn control(address: SocketAddr, tls: Arc<Tls>) -> anyhow::Result<Incoming> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another daemon running?"))?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = accept(&listener, &tls, &sender) => {}
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// Takes in connections, for ever.
async fn accept(
    listener: &TcpListener,
    tls: &Arc<Tls>,
    sender: &mpsc::Sender<io::Result<Connection>>,
) {
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    let sources = Sources::default();
    let door = Door { slots: Arc::new(Semaphore::new(GUESTS)), sources: Sources::default() };
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(place) = sources.enter(from.ip(), HANDSHAKES_OF_ONE) else { continue };
        let (tls, sender, door) = (Arc::clone(tls), sender.clone(), door.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE, handshake(stream, from.ip(), &tls)).await;
            drop((slot, place));
            if let Ok(Ok(connection)) = shaken
                && let Some(connection) = door.admit(connection, from.ip())
            {
                let _ = sender.send(Ok(connection)).await;
            }
        });
    }
}

/// Where callers without a certificate are counted.
#[derive(Clone)]
struct Door {
    slots: Arc<Semaphore>,
    sources: Sources,
}

impl Door {
    /// Lets in whoever has a certificate, and guests while there is room.
    fn admit(&self, mut connection: Connection, from: IpAddr) -> Option<Connection> {
        if connection.caller == Caller::Nobody {
            connection.guest = Some(Guest {
                over: Box::pin(tokio::time::sleep(GUEST_AGE)),
                _place: self.sources.enter(from, GUESTS_OF_ONE)?,
                _slot: Arc::clone(&self.slots).try_acquire_owned().ok()?,
            });
        }
        Some(connection)
    }
}

/// How much each source holds at the moment.
#[derive(Clone, Default)]
struct Sources(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl Sources {
    /// A place for a source, unless it holds `most` already.
    fn enter(&self, ip: IpAddr, most: usize) -> Option<Place> {
        let source = source(ip);
        let mut held = self.0.lock().expect("no panic while held");
        let count = held.get(&source).copied().unwrap_or_default();
        (count < most).then(|| {
            held.insert(source, count + 1);
            Place { sources: self.clone(), source }
        })
    }
}

/// A source's share of a common good; given back when dropped.
struct Place {
    sources: Sources,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.sources.0.lock().expect("no panic while held");
        match held.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.source)),
        }
    }
}

/// Whom an address counts for: one host usually has a whole /64 of IPv6.
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let prefix = ip.to_bits() & (u128::from(u64::MAX) << 64);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        ip @ IpAddr::V4(_) => ip,
    }
}

async fn handshake(stream: TcpStream, from: IpAddr, tls: &Tls) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(tls.server_config()).accept(stream).await?;
    let caller =
        match Peer::of_chain(stream.get_ref().1.peer_certificates()).map_err(io::Error::other)? {
            Some(peer) => Caller::Certified(peer),
            None => Caller::Nobody,
        };
    Ok(Connection { stream: Box::new(stream), caller, source: Some(source(from)), guest: None })
}

/// Listens on the Unix socket; mode 0660, so that a group can be given the right to administer.
pub(crate) fn local(path: &Path, group: Option<&str>) -> anyhow::Result<Incoming> {
    let group = group.map(group_number).transpose()?;
    if path.exists() {
        std::fs::remove_file(path)
            .with_context(|| format!("cannot replace the socket {}", path.display()))?;
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("cannot listen on the socket {}", path.display()))?;
    std::os::unix::fs::chown(path, None, group)
        .with_context(|| format!("cannot give the socket {} to its group", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = accept_local(&listener, &sender) => {}
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// The number of a group that is named, or given by its number.
fn group_number(group: &str) -> anyhow::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups =
        std::fs::read_to_string(GROUPS).with_context(|| format!("cannot read {GROUPS}"))?;
    listed_group(&groups, group)
        .with_context(|| format!("socket_group: there is no group {group} in {GROUPS}"))
}

/// The number of a group in the form of group(5): `name:password:number:members`.
fn listed_group(groups: &str, name: &str) -> Option<u32> {
    let line = groups.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// Takes in connections, for ever.
async fn accept_local(listener: &UnixListener, sender: &mpsc::Sender<io::Result<Connection>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let stream = Box::new(stream);
        let caller = Caller::Local;
        let _ = sender.send(Ok(Connection { stream, caller, source: None, guest: None })).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[test]
    fn attack_18_one_source_cannot_hold_everything() {
        let sources = Sources::default();
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let held: Vec<_> = (0..2).map_while(|_| sources.enter(a, 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(sources.enter(a, 2).is_none());
        assert!(sources.enter(b, 2).is_some(), "another source has its own share");
        drop(held);
        assert!(sources.enter(a, 2).is_some(), "given back");
    }

    #[test]
    fn addresses_of_one_host_count_together() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }

    #[test]
    fn groups_are_found_by_name_or_number() {
        let groups = "root:x:0:\nops:x:1005:ann,bob\nopsy:x:7:\n";
        assert_eq!(listed_group(groups, "ops"), Some(1005));
        assert_eq!(listed_group(groups, "op"), None);
        assert_eq!(group_number("42").unwrap(), 42);
        assert!(group_number("no such group").is_err());
    }

    #[tokio::test]
    async fn attack_18_guests_are_few_and_leave_in_time() {
        let door = Door { slots: Arc::new(Semaphore::new(1)), sources: Sources::default() };
        let connection = |caller| {
            let (near, far) = tokio::io::duplex(64);
            (Connection { stream: Box::new(near), caller, source: None, guest: None }, far)
        };
        let from = "10.0.0.1".parse().unwrap();
        let (first, _far) = connection(Caller::Nobody);
        let mut first = door.admit(first, from).unwrap();
        assert!(door.admit(connection(Caller::Nobody).0, from).is_none(), "no room");
        assert!(door.admit(connection(Caller::Local).0, from).is_some(), "no guest");
        first.guest.as_mut().unwrap().over = Box::pin(tokio::time::sleep(Duration::ZERO));
        let end = first.read_u8().await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        drop(first);
        assert!(door.admit(connection(Caller::Nobody).0, from).is_some());
    }
}
