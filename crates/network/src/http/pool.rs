//! Connections to replicas that wait for the next request, per lane. Those of a replica that gets no more
//! requests are closed at once, so that it does not wait for them when it stops.

use crate::http::body::Sent;
use crate::limits::{REPLICA_IDLE, REPLICA_IDLE_ALL, REPLICA_IDLE_EACH};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use model::{TaskId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// How a replica is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    /// HTTP/1.1.
    One,
    /// HTTP/2, known beforehand (RFC 9113 §3.3).
    Two,
}

/// Which connections may stand for each other: the replica, its port, and how it is spoken to.
pub(crate) type Key = (TaskId, u16, Wire);

/// A connection to a replica.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) sender: Sender,
    /// Cancelled when the link to the replica's node is given up; `None` on this host.
    pub(crate) link: Option<CancellationToken>,
}

/// Sends requests over a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// Not a byte of the request was sent; here it is again.
    Whole(Box<Request<Sent>>, String),
    /// The connection failed when the replica may have seen the request.
    Lost(hyper::Error),
}

impl Sender {
    pub(crate) async fn send(
        &mut self,
        request: Request<Sent>,
    ) -> Result<Response<Incoming>, Unsent> {
        let sent = match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| match error.take_message() {
            Some(request) => Unsent::Whole(Box::new(request), error.error().to_string()),
            None => Unsent::Lost(error.into_error()),
        })
    }

    fn usable(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_ready(),
            Self::Two(sender) => sender.is_ready(),
        }
    }
}

/// The idle connections of one lane.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    lines: BTreeMap<Key, Vec<(Line, Time)>>,
    all: usize,
    /// Replicas that may get requests.
    serving: BTreeSet<TaskId>,
}

impl Pool {
    /// A connection that was used lately. One of HTTP/2 stays for others.
    pub(crate) fn take(&self, key: Key, now: Time) -> Option<Line> {
        let mut idle = self.idle();
        loop {
            let lines = idle.lines.get_mut(&key)?;
            let (line, since) = lines.pop()?;
            if now.since(since) > REPLICA_IDLE || !line.sender.usable() {
                idle.all -= 1;
                continue;
            }
            if let Sender::Two(sender) = &line.sender {
                let copy = Line { sender: Sender::Two(sender.clone()), link: line.link.clone() };
                lines.push((line, now));
                return Some(copy);
            }
            idle.all -= 1;
            return Some(line);
        }
    }

    /// Keeps a connection for the next request, where there is room for it.
    pub(crate) fn put(&self, key: Key, line: Line, now: Time) {
        let mut idle = self.idle();
        let held = idle.lines.get(&key).map_or(0, Vec::len);
        let room = idle.all < REPLICA_IDLE_ALL && held < REPLICA_IDLE_EACH;
        let another = key.2 == Wire::Two && held > 0;
        if room && !another && idle.serving.contains(&key.0) {
            idle.all += 1;
            idle.lines.entry(key).or_default().push((line, now));
        }
    }

    /// Closes what is idle to a replica that has failed.
    pub(crate) fn forget(&self, key: Key) {
        let mut idle = self.idle();
        let gone = idle.lines.remove(&key).map_or(0, |lines| lines.len());
        idle.all -= gone;
    }

    /// Closes what is idle to replicas that get no more requests.
    pub(crate) fn serve(&self, serving: &BTreeSet<TaskId>) {
        let mut idle = self.idle();
        idle.lines.retain(|(task, ..), _| serving.contains(task));
        idle.all = idle.lines.values().map(Vec::len).sum();
        idle.serving.clone_from(serving);
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self, now: Time) {
        let mut idle = self.idle();
        for lines in idle.lines.values_mut() {
            lines.retain(|(line, since)| now.since(*since) <= REPLICA_IDLE && line.sender.usable());
        }
        idle.lines.retain(|_, lines| !lines.is_empty());
        idle.all = idle.lines.values().map(Vec::len).sum();
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
