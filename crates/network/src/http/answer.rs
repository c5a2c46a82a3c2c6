//! One request, from its head to that of its response.

use crate::core::{Core, Slot};
use crate::counters::{Open, count};
use crate::http::body::{Answered, Carried, Rest, Sent};
use crate::http::forward::{Failure, Reply, forward};
use crate::http::headers::{self, Told};
use crate::http::pace::Busy;
use crate::http::pool::Wire;
use crate::http::table::{Request as Turn, Site};
use crate::http::target::{Target, target};
use crate::http::tunnel;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use model::limits::HTTPS_PORT;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

/// Where whoever gives out certificates asks without TLS whether a host is ours (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// A client's connection, as its requests know it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) secure: bool,
    /// Its place among the connections; held on by what becomes of it.
    pub(crate) _slot: Slot,
}

/// A refusal of the edge's own: a status, and a line that says why.
#[derive(Clone, Copy)]
struct Refused(StatusCode, &'static str);

/// Why a request is not brought to a replica.
enum Refusal {
    Here(Refused),
    /// It is to come again to this place (RFC 9110 §15.4.9).
    Elsewhere(HeaderValue),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Here(refused)
    }
}

/// A request on its way.
struct Asked {
    site: Arc<Site>,
    request: Request<Sent>,
    again: Option<Request<()>>,
    wire: Wire,
    websocket: Option<OnUpgrade>,
}

/// Answers one request. There is always an answer; it is a text of the edge's own when no replica gives one.
pub(crate) async fn answer(
    core: Arc<Core>,
    lane: usize,
    client: Arc<Client>,
    busy: Busy,
    request: Request<Incoming>,
) -> Result<Response<Answered>, Infallible> {
    let begun = core.clock.exact();
    let id = core.http.number();
    // Each may need a connection to a replica, and there are files for as many.
    let Some(turn) = core.http.enter(core.most) else {
        let full = Refused(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once");
        return Ok(text(full, &id));
    };
    let asked = match ask(&core, &client, &id, request) {
        Ok(asked) => asked,
        Err(Refusal::Here(refused)) => return Ok(text(refused, &id)),
        Err(Refusal::Elsewhere(place)) => {
            let mut response = text(Refused(StatusCode::PERMANENT_REDIRECT, "over TLS"), &id);
            response.headers_mut().insert(LOCATION, place);
            return Ok(response);
        }
    };
    let site = Arc::clone(&asked.site);
    count(&site.served.counters.total);
    let response = carry(&core, lane, &client, asked, busy, turn, &id).await;
    let response = response.unwrap_or_else(|failure| {
        count(&site.meter.failed);
        text(words(&failure), &id)
    });
    site.meter.answered(response.status().as_u16(), core.clock.exact().saturating_sub(begun));
    Ok(response)
}

/// Makes a client's request a replica's, or says why not.
fn ask(
    core: &Arc<Core>,
    client: &Client,
    id: &HeaderValue,
    mut request: Request<Incoming>,
) -> Result<Asked, Refusal> {
    if [Method::CONNECT, Method::TRACE].contains(request.method()) {
        return Err(Refused(StatusCode::NOT_IMPLEMENTED, "this method is not served").into());
    }
    let websocket = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && headers::wants_websocket(request.headers());
    let websocket = websocket.then(|| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    let target = target(&head).map_err(|why| Refused(StatusCode::BAD_REQUEST, why))?;
    understood(&head)?;
    let site = core.http.site(&target);
    let (site, secured) =
        site.ok_or(Refused(StatusCode::NOT_FOUND, "no service answers for this host and path"))?;
    if secured && !client.secure && !target.path.starts_with(CHALLENGES) {
        return Err(Refusal::Elsewhere(secure_place(core, &target, &head)?));
    }
    let grpc = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    let wire = if head.version == Version::HTTP_2 && grpc { Wire::Two } else { Wire::One };
    let told = Told { client: client.address, secure: client.secure, host: &target.authority, id };
    headers::outgoing(&mut head.headers, &told, websocket.is_some());
    head.uri = uri(&head, &target, wire)?;
    if wire == Wire::Two {
        head.headers.remove(HOST);
    }
    head.version = if wire == Wire::Two { Version::HTTP_2 } else { Version::HTTP_11 };
    head.extensions.clear();
    let repeatable = body.is_end_stream() && head.method.is_idempotent();
    let again = repeatable.then(|| Request::from_parts(head.clone(), ()));
    let body = if body.is_end_stream() {
        Sent::default()
    } else {
        Sent::new(body, core.config.http.patience.body, &site)
    };
    Ok(Asked { site, request: Request::from_parts(head, body), again, wire, websocket })
}

/// Where a request is to come again, over TLS.
fn secure_place(core: &Core, target: &Target, head: &Parts) -> Result<HeaderValue, Refused> {
    let malformed = Refused(StatusCode::BAD_REQUEST, "no host");
    let host = target.host.as_deref().ok_or(malformed)?;
    let port = match core.config.http.secure.port {
        HTTPS_PORT => String::new(),
        port => format!(":{port}"),
    };
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    HeaderValue::try_from(format!("https://{host}{port}{path}")).map_err(|_| malformed)
}

/// A body in a coding that is not known here could not be handed on (RFC 9112 §6.1).
fn understood(head: &Parts) -> Result<(), Refused> {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let plain = codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if plain && head.headers.get_all(TRANSFER_ENCODING).iter().count() < 2 {
        Ok(())
    } else {
        Err(Refused(StatusCode::NOT_IMPLEMENTED, "this transfer coding is not served"))
    }
}

/// The request target as a replica gets it: path and query as the client wrote them, and over HTTP/2 the
/// authority.
fn uri(head: &Parts, target: &Target, wire: Wire) -> Result<Uri, Refused> {
    let malformed = |_| Refused(StatusCode::BAD_REQUEST, "not a request target");
    let mut parts = hyper::http::uri::Parts::default();
    let path = head.uri.path_and_query().cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if wire == Wire::Two {
        parts.scheme = Some(Scheme::HTTP);
        let authority = Authority::try_from(target.authority.as_bytes());
        parts.authority = Some(authority.map_err(|_| Refused(StatusCode::BAD_REQUEST, "no host"))?);
    }
    Uri::from_parts(parts).map_err(malformed)
}

/// Has a replica answer.
async fn carry(
    core: &Arc<Core>,
    lane: usize,
    client: &Arc<Client>,
    asked: Asked,
    busy: Busy,
    turn: Turn,
    id: &HeaderValue,
) -> Result<Response<Answered>, Failure> {
    let Asked { site, request, again, wire, websocket } = asked;
    let open = Open::new(&site.served.counters.open);
    let reply = forward(core, lane, &site, wire, request, again).await?;
    drop(open);
    let Reply { mut response, ticket, key, line } = reply;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(downstream) = websocket else { return Err(Failure::Broken) };
        let upstream = hyper::upgrade::on(&mut response);
        let held = (Arc::clone(client), ticket, turn);
        let ends = tunnel::Ends { downstream, upstream, link: line.link };
        core.lanes[lane].handle.spawn(tunnel::carry(Arc::clone(&site), ends, held));
        headers::incoming(response.headers_mut(), id, true);
        return Ok(response.map(|_| Answered::Text(None)));
    }
    headers::incoming(response.headers_mut(), id, false);
    let rest = Rest { core: Arc::clone(core), lane, key, line, ticket, busy, request: turn };
    Ok(response.map(|body| Answered::Carried(Box::new(Carried { body, site, rest: Some(rest) }))))
}

fn words(failure: &Failure) -> Refused {
    match failure {
        Failure::Unavailable => Refused(StatusCode::SERVICE_UNAVAILABLE, "no replica is available"),
        Failure::Broken => Refused(StatusCode::BAD_GATEWAY, "the replica gave no response"),
        Failure::Late => Refused(StatusCode::GATEWAY_TIMEOUT, "the replica took too long"),
        Failure::Stalled => Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        Failure::Client => Refused(StatusCode::BAD_REQUEST, "the body is malformed"),
    }
}

/// A text of the edge's own. What was malformed ends the connection: nobody knows where the next request begins.
fn text(refused: Refused, id: &HeaderValue) -> Response<Answered> {
    let Refused(status, why) = refused;
    let line = Bytes::from(format!("{} {why}\n", status.as_u16()));
    let mut response = Response::new(Answered::Text(Some(line)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(headers::REQUEST_ID, id.clone());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if [StatusCode::BAD_REQUEST, StatusCode::REQUEST_TIMEOUT, StatusCode::NOT_IMPLEMENTED]
        .contains(&status)
    {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
