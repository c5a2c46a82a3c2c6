//! Bringing one request to a replica, and its response back as far as its head.
//!
//! A request of which nothing was sent goes to the next replica, whatever it is. One that a replica may have
//! seen goes to another one only when doing it twice is as doing it once (RFC 9110 §9.2.2) and it has no body.
//! While no replica serves, a request is held as long as a connection to a published port is.

use crate::carry::missed;
use crate::core::Core;
use crate::counters::count;
use crate::dial::{Miss, Reached, reach};
use crate::http::body::{BodyError, Sent};
use crate::http::pool::{Key, Line, Sender, Unsent, Wire};
use crate::http::table::Site;
use crate::limits::{HTTP_ATTEMPTS, HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_RESENDS};
use crate::route::{Target, Ticket};
use crate::search::Search;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::TaskId;
use std::sync::Arc;

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No replica takes requests.
    Unavailable,
    /// The replica ended the connection, or spoke no HTTP.
    Broken,
    /// The replica did not answer in time.
    Late,
    /// The client's body did not come in time.
    Stalled,
    /// The client's body broke off, or is malformed.
    Client,
}

/// A response's head, and what it came over.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<Incoming>,
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    pub(crate) line: Line,
}

/// A replica that was found for a request.
struct Placed {
    ticket: Ticket,
    target: Target,
    key: Key,
    line: Line,
    /// The connection has carried requests before: the replica may have closed it meanwhile.
    used: bool,
}

/// Brings `request` to a replica of `site`. `again` is its like, when it may be sent more than once.
pub(crate) async fn forward(
    core: &Arc<Core>,
    lane: usize,
    site: &Arc<Site>,
    wire: Wire,
    request: Request<Sent>,
    again: Option<Request<()>>,
) -> Result<Reply, Failure> {
    let mut request = request;
    let mut tried = Vec::new();
    let mut resent = 0;
    for _ in 0..HTTP_ATTEMPTS {
        let placed = place(core, lane, site, wire, &mut tried);
        let placed = tokio::time::timeout(core.config.hold, placed).await;
        let Ok(mut placed) = placed else {
            count(&site.served.counters.unanswered);
            return Err(Failure::Unavailable);
        };
        let sent = placed.line.sender.send(request);
        let sent = tokio::time::timeout(core.config.http.patience.answer, sent).await;
        let unsent = match sent.map_err(|_| Failure::Late)? {
            Ok(response) => {
                let Placed { ticket, key, line, .. } = placed;
                return Ok(Reply { response, ticket, key, line });
            }
            Err(unsent) => unsent,
        };
        request = match unsent {
            Unsent::Whole(request, why) => {
                failed(core, lane, placed, &mut tried, why);
                *request
            }
            Unsent::Lost(error) => {
                match BodyError::within(&error) {
                    Some(BodyError::Stalled) => return Err(Failure::Stalled),
                    Some(BodyError::Broken(_)) => return Err(Failure::Client),
                    None => {}
                }
                failed(core, lane, placed, &mut tried, error.to_string());
                let spare = again.clone().filter(|_| resent < HTTP_RESENDS);
                let Some(spare) = spare else { return Err(Failure::Broken) };
                resent += 1;
                count(&site.meter.resent);
                spare.map(|()| Sent::default())
            }
        };
    }
    Err(Failure::Broken)
}

/// Notes against a replica that a new connection to it failed. That an old one did says nothing about it, but
/// the others that are idle may be dead as well.
fn failed(core: &Core, lane: usize, placed: Placed, tried: &mut Vec<TaskId>, why: String) {
    core.lanes[lane].pool.forget(placed.key);
    if !placed.used {
        tried.push(placed.target.task);
        missed(core, placed.ticket, &placed.target, &Miss::Replica(why));
    }
}

/// Finds a replica, none of those in `tried`, and a connection to it; goes on until the caller gives up.
async fn place(
    core: &Arc<Core>,
    lane: usize,
    site: &Arc<Site>,
    wire: Wire,
    tried: &mut Vec<TaskId>,
) -> Placed {
    let mut search = Search::new(core);
    loop {
        let (ticket, target) = search.next(core, &site.served, tried).await;
        let now = core.clock.now();
        let key = (target.task, target.port, wire);
        if let Some(line) = core.lanes[lane].pool.take(key, now) {
            return Placed { ticket, target, key, line, used: true };
        }
        let reached = match reach(core, lane, &target, search.patience).await {
            Ok(reached) => speak(core, lane, reached, wire).await.map_err(Miss::Replica),
            Err(miss) => Err(miss),
        };
        match reached {
            Ok(line) => {
                ticket.answered();
                if let Sender::Two(sender) = &line.sender {
                    let copy =
                        Line { sender: Sender::Two(sender.clone()), link: line.link.clone() };
                    core.lanes[lane].pool.put(key, copy, now);
                }
                return Placed { ticket, target, key, line, used: false };
            }
            Err(miss) => {
                tried.push(target.task);
                missed(core, ticket, &target, &miss);
            }
        }
    }
}

/// Begins to speak HTTP over a connection that a replica has taken. It is kept up on the lane.
async fn speak(core: &Core, lane: usize, reached: Reached, wire: Wire) -> Result<Line, String> {
    let Reached { stream, link } = reached;
    let io = TokioIo::new(stream);
    let handle = &core.lanes[lane].handle;
    let given_up = link.clone().unwrap_or_default();
    let sender = match wire {
        Wire::One => {
            let mut builder = http1::Builder::new();
            builder.max_headers(HTTP_HEADERS).max_buf_size(HTTP_HEAD_BYTES);
            let (sender, connection) = builder.handshake(io).await.map_err(|e| e.to_string())?;
            handle.spawn(
                async move { given_up.run_until_cancelled(connection.with_upgrades()).await },
            );
            Sender::One(sender)
        }
        Wire::Two => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_header_list_size(HTTP_HEAD_BYTES as u32);
            let (sender, connection) = builder.handshake(io).await.map_err(|e| e.to_string())?;
            handle.spawn(async move { given_up.run_until_cancelled(connection).await });
            Sender::Two(sender)
        }
    };
    Ok(Line { sender, link })
}
