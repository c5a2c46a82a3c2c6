//! How slowly a client may go: what it is doing, since when, and when that is too long. A client that sends its
//! head byte by byte, or takes no response, holds a connection and no more than that, and not for long.

use crate::clock::Clock;
use crate::http::settings::Patience;
use hyper::Version;
use model::Time;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one client's connection is doing.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Clock,
    patience: Patience,
    /// It is HTTP/2, where bytes are not always of a head.
    two: AtomicBool,
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Since when there is none, in milliseconds.
    idle: AtomicU64,
    /// Since when there is a part of a head; 0 while there is not.
    head: AtomicU64,
    /// Since when the client has taken nothing; 0 while it takes.
    unread: AtomicU64,
}

impl Pace {
    /// Of a connection that was just accepted: a head is due.
    pub(crate) fn new(clock: Clock, patience: Patience) -> Self {
        let now = clock.now().millis();
        Self {
            clock,
            patience,
            two: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            idle: AtomicU64::new(now),
            head: AtomicU64::new(now),
            unread: AtomicU64::new(0),
        }
    }

    /// A request has arrived; it is being answered until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>, version: Version) -> Busy {
        self.two.store(version == Version::HTTP_2, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.head.store(0, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Completes when the client has been too slow. Looked at a few times within the shortest patience.
    pub(crate) async fn exhausted(&self) {
        let Patience { head, idle, unread, .. } = self.patience;
        let look = head.min(idle).min(unread) / 4;
        while !self.too_slow(self.clock.now()) {
            tokio::time::sleep(look).await;
        }
    }

    fn too_slow(&self, now: Time) -> bool {
        let longer = |since: &AtomicU64, most: Duration| {
            let since = since.load(Ordering::Relaxed);
            since > 0 && now.since(Time(since)) > most
        };
        if longer(&self.unread, self.patience.unread) {
            return true;
        }
        self.busy.load(Ordering::Relaxed) == 0
            && (longer(&self.head, self.patience.head) || longer(&self.idle, self.patience.idle))
    }

    /// Bytes came in. While nothing is being answered they are of a head.
    fn read(&self) {
        let begins = self.busy.load(Ordering::Relaxed) == 0 && !self.two.load(Ordering::Relaxed);
        if begins && self.head.load(Ordering::Relaxed) == 0 {
            self.head.store(self.clock.now().millis(), Ordering::Relaxed);
        }
    }

    fn wrote(&self, taken: bool) {
        if taken {
            self.unread.store(0, Ordering::Relaxed);
        } else if self.unread.load(Ordering::Relaxed) == 0 {
            self.unread.store(self.clock.now().millis(), Ordering::Relaxed);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Pace>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle.store(self.0.clock.now().millis(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose pace is watched.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self { stream, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pace.read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pace.wrote(polled.is_ready());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.pace.wrote(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
