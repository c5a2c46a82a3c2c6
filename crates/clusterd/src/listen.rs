//! Listening: the control port (mutual TLS) and the Unix socket, as streams of connections that know
//! who is at their far end. Handshakes run side by side and with a deadline, so a slow one blocks nobody.

use crate::caller::Caller;
use anyhow::Context as _;
use identity::{Peer, Tls};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// Deadline of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way at the same time.
const HANDSHAKES: usize = 256;
/// Pause after an accept failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that knows who is at its far end.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    caller: Caller,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Connections as they come in.
pub(crate) type Incoming = ReceiverStream<io::Result<Connection>>;

/// Listens on the control port.
pub(crate) async fn control(address: SocketAddr, tls: Arc<Tls>) -> anyhow::Result<Incoming> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another daemon running?"))?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            if sender.is_closed() {
                return;
            }
            let (tls, sender) = (Arc::clone(&tls), sender.clone());
            tokio::spawn(async move {
                if let Ok(Ok(connection)) =
                    tokio::time::timeout(HANDSHAKE, handshake(stream, &tls)).await
                {
                    drop(slot);
                    let _ = sender.send(Ok(connection)).await;
                }
            });
        }
    });
    Ok(ReceiverStream::new(receiver))
}

async fn handshake(stream: TcpStream, tls: &Tls) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(tls.server_config()).accept(stream).await?;
    let caller =
        match Peer::of_chain(stream.get_ref().1.peer_certificates()).map_err(io::Error::other)? {
            Some(peer) => Caller::Certified(peer),
            None => Caller::Nobody,
        };
    Ok(Connection { stream: Box::new(stream), caller })
}

/// Listens on the Unix socket; mode 0660, so that a group can be given the right to administer.
pub(crate) fn local(path: &Path) -> anyhow::Result<Incoming> {
    if path.exists() {
        std::fs::remove_file(path)
            .with_context(|| format!("cannot replace the socket {}", path.display()))?;
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("cannot listen on the socket {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let connection = Connection { stream: Box::new(stream), caller: Caller::Local };
            if sender.send(Ok(connection)).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}
