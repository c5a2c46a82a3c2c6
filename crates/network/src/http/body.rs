//! The bodies that pass: a client's on its way to a replica, a replica's on its way to a client.

use crate::core::Core;
use crate::http::pace::Busy;
use crate::http::pool::{Key, Line, Sender};
use crate::http::table::{Request, Site};
use crate::route::Ticket;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Why a client's body did not arrive whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Nothing of it came for too long.
    #[error("the rest of the body did not come")]
    Stalled,
    /// The connection to the client ended, or what it sent is malformed.
    #[error("the client's body broke off")]
    Broken(#[source] hyper::Error),
}

impl BodyError {
    /// The client's fault in an error of a connection to a replica, if it was that.
    pub(crate) fn within<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut error = Some(error);
        while let Some(at) = error {
            if let Some(found) = at.downcast_ref() {
                return Some(found);
            }
            error = at.source();
        }
        None
    }
}

/// A client's body, or none.
#[derive(Debug, Default)]
pub(crate) struct Sent(Option<Box<Arriving>>);

#[derive(Debug)]
struct Arriving {
    body: Incoming,
    pause: Duration,
    late: Pin<Box<Sleep>>,
    site: Arc<Site>,
}

impl Sent {
    /// A body of which a piece must come within each `pause`.
    pub(crate) fn new(body: Incoming, pause: Duration, site: &Arc<Site>) -> Self {
        let late = Box::pin(tokio::time::sleep(pause));
        Self(Some(Box::new(Arriving { body, pause, late, site: Arc::clone(site) })))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(arriving) = &mut self.0 else { return Poll::Ready(None) };
        match Pin::new(&mut arriving.body).poll_frame(cx) {
            // What comes after a body may be dropped (RFC 9110 §6.5.1), and is: it was not looked at as headers
            // are, and some programs take it for headers.
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => Poll::Ready(None),
            Poll::Ready(frame) => {
                arriving.late.as_mut().reset(after(arriving.pause));
                count(&arriving.site.served.counters.sent, frame.as_ref());
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending if arriving.late.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|arriving| arriving.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |arriving| arriving.body.size_hint())
    }
}

/// What a client is answered with.
#[derive(Debug)]
pub(crate) enum Answered {
    /// A text of the edge's own.
    Text(Option<Bytes>),
    /// A replica's body.
    Carried(Box<Carried>),
}

/// A replica's body, with all that ends when it does.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) body: Incoming,
    pub(crate) site: Arc<Site>,
    pub(crate) rest: Option<Rest>,
}

/// What ends with a response.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) core: Arc<Core>,
    pub(crate) lane: usize,
    pub(crate) key: Key,
    pub(crate) line: Line,
    pub(crate) ticket: Ticket,
    pub(crate) busy: Busy,
    pub(crate) request: Request,
}

impl Rest {
    /// The connection is kept for the next request, once the replica's last byte was read from it.
    fn end(self) {
        let Self { core, lane, key, mut line, ticket, busy, request } = self;
        drop((ticket, busy, request));
        let handle = core.lanes[lane].handle.clone();
        if let Sender::One(sender) = &mut line.sender {
            if sender.is_closed() {
                return;
            }
            if !sender.is_ready() {
                handle.spawn(async move {
                    let Sender::One(sender) = &mut line.sender else { return };
                    if poll_fn(|cx| sender.poll_ready(cx)).await.is_ok() {
                        core.lanes[lane].pool.put(key, line, core.clock.now());
                    }
                });
                return;
            }
        }
        core.lanes[lane].pool.put(key, line, core.clock.now());
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            rest.end();
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Carried(carried) => {
                let polled = Pin::new(&mut carried.body).poll_frame(cx);
                if let Poll::Ready(frame) = &polled {
                    count(&carried.site.served.counters.received, frame.as_ref());
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Carried(carried) => carried.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |t| t.len() as u64)),
            Self::Carried(carried) => carried.body.size_hint(),
        }
    }
}

fn count<E>(counter: &AtomicU64, frame: Option<&Result<Frame<Bytes>, E>>) {
    if let Some(Ok(frame)) = frame
        && let Some(bytes) = frame.data_ref()
    {
        counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

fn after(pause: Duration) -> Instant {
    Instant::now() + pause
}
