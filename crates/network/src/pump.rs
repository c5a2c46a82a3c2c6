//! Carrying bytes both ways between two connections until both have said that they are done.
//!
//! A connection that is idle holds no buffer: bytes are read into one that belongs to the thread, and only
//! what the other side does not take at once is kept with the connection. So ten thousand idle connections
//! cost their sockets and little more.

use crate::limits::CHUNK;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// Lends the buffer of this thread.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}

/// Carries bytes between `client` and `replica` until both directions have ended; the end of one is passed
/// on and leaves the other open. Bytes are counted as they pass. An error of either side ends both: the
/// caller resets them.
pub(crate) async fn pump<C, R>(
    client: &mut C,
    replica: &mut R,
    sent: &AtomicU64,
    received: &AtomicU64,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Half::default(), Half::default());
    poll_fn(|cx| {
        let there = there.poll(cx, client, replica, sent)?;
        let back = back.poll(cx, replica, client, received)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// Bytes read that the writer has not taken yet, from `taken` on.
    rest: Vec<u8>,
    taken: usize,
    unflushed: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Copying,
    Ending,
    Ended,
}

impl Half {
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        count: &AtomicU64,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_rest(cx, writer))?;
            match self.stage {
                Stage::Ended => return Poll::Ready(Ok(())),
                Stage::Ending => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.stage = Stage::Ended;
                }
                Stage::Copying => match self.poll_copy(cx, reader, writer, count)? {
                    Poll::Ready(0) => self.stage = Stage::Ending,
                    Poll::Ready(_) => {}
                    Poll::Pending => return self.poll_flush(cx, writer),
                },
            }
        }
    }

    /// Writes what an earlier read left over.
    fn poll_rest<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.taken < self.rest.len() {
            let n = ready!(Pin::new(&mut *writer).poll_write(cx, &self.rest[self.taken..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += n;
        }
        if self.taken > 0 {
            self.rest = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and hands on as much as is taken at once. Returns how much was read.
    fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        count: &AtomicU64,
    ) -> io::Result<Poll<usize>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(reader).poll_read(cx, &mut buffer)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(()) => {}
            }
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Ok(Poll::Ready(0));
            }
            count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.unflushed = true;
            let n = match Pin::new(writer).poll_write(cx, bytes)? {
                Poll::Ready(n) => n,
                Poll::Pending => 0,
            };
            if n < bytes.len() {
                self.rest = bytes[n..].to_vec();
            }
            Ok(Poll::Ready(bytes.len()))
        })
    }

    /// Nothing more to read for now: what was written must not wait in a buffer.
    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }
}
