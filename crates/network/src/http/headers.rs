//! Headers on their way: what concerns one connection only goes no further (RFC 9110 §7.6.1), what is said of
//! the client is said by the edge and by nobody else.

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use std::net::IpAddr;

/// What an upgrade to HTTP/2 would begin with (RFC 7540 §3.2.1); there is none.
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Names a request, in the logs of whoever handles it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a replica is told of a request that it cannot see itself.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    /// The client.
    pub(crate) client: IpAddr,
    /// It came over TLS.
    pub(crate) secure: bool,
    /// The host that it asked for.
    pub(crate) host: &'a HeaderValue,
    /// The request's number.
    pub(crate) id: &'a HeaderValue,
}

/// Makes a client's headers those of the request to a replica. `websocket` keeps the wish for one. `Via` is not
/// added, as common servers take it for a reason not to compress.
pub(crate) fn outgoing(headers: &mut HeaderMap, told: &Told<'_>, websocket: bool) {
    let trailers = headers.get_all(TE).iter().any(|te| lists(te, "trailers"));
    strip(headers);
    headers.remove(EXPECT);
    headers.remove(FORWARDED);
    headers.remove(TRAILER);
    headers.remove(HTTP2_SETTINGS);
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| speaks_of_client(name) || frames_in_disguise(name))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    headers.insert(HOST, told.host.clone());
    if !told.host.is_empty() {
        headers.insert(FORWARDED_HOST, told.host.clone());
    }
    let client = told.client.to_canonical().to_string();
    if let Ok(client) = HeaderValue::from_str(&client) {
        headers.insert(FOR, client);
    }
    let proto = if told.secure { "https" } else { "http" };
    headers.insert(PROTO, HeaderValue::from_static(proto));
    headers.insert(REQUEST_ID, told.id.clone());
}

/// Makes a replica's headers those of the response to a client.
pub(crate) fn incoming(headers: &mut HeaderMap, id: &HeaderValue, websocket: bool) {
    strip(headers);
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    headers.insert(REQUEST_ID, id.clone());
}

/// Whether a request asks to become a WebSocket (RFC 6455 §4.1). No other upgrade is passed on: one to HTTP/2
/// would carry requests past the router.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| lists(value, "upgrade"))
        && headers
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether a header says what only an edge can know. Many programs take `_` for `-`, so both are looked for.
fn speaks_of_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    alike(name, "x-forwarded-")
        || alike_whole(name, "x-real-ip")
        || alike_whole(name, "x-request-id")
}

/// Whether a header would be taken for one that says where a request ends, by programs that take `_` for `-`.
fn frames_in_disguise(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_')
        && (alike_whole(name, "content-length") || alike_whole(name, "transfer-encoding"))
}

/// Whether a name begins as `known` does, for programs that take `_` for `-`.
fn alike(name: &str, known: &str) -> bool {
    name.len() >= known.len()
        && name.bytes().zip(known.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
}

fn alike_whole(name: &str, known: &str) -> bool {
    name.len() == known.len() && alike(name, known)
}

fn lists(value: &HeaderValue, word: &str) -> bool {
    let value = value.to_str().unwrap_or_default();
    value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<'a>(host: &'a HeaderValue, id: &'a HeaderValue) -> Told<'a> {
        Told { client: IpAddr::from([10, 0, 0, 9]), secure: false, host, id }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let each = lines.iter();
        each.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn attack_24_what_concerns_one_connection_or_is_forged_goes_no_further() {
        let (host, id) = (HeaderValue::from_static("shop.example"), HeaderValue::from_static("7"));
        let mut sent = headers(&[
            ("connection", "close, x-mine , keep-alive"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("proxy-authorization", "secret"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded-server", "evil"),
            ("x-real-ip", "1.2.3.4"),
            ("x-request-id", "forged"),
            ("content_length", "3"),
            ("transfer_encoding", "chunked"),
            ("trailer", "x-forwarded-for"),
            ("http2-settings", "AAMAAABk"),
            ("host", "other"),
            ("accept", "text/html"),
        ]);
        outgoing(&mut sent, &told(&host, &id), false);
        let mut left: Vec<(&str, &str)> =
            sent.iter().map(|(n, v)| (n.as_str(), v.to_str().expect("text"))).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                ("accept", "text/html"),
                ("host", "shop.example"),
                ("te", "trailers"),
                ("x-forwarded-for", "10.0.0.9"),
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-proto", "http"),
                ("x-request-id", "7"),
            ]
        );
    }

    #[test]
    fn a_websocket_is_asked_for_with_both_headers() {
        for (lines, wanted) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")][..], true),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
            (&[("connection", "upgrade"), ("upgrade", "websocket, h2c")], false),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "upgrade")], false),
        ] {
            assert_eq!(wants_websocket(&headers(lines)), wanted, "{lines:?}");
        }
    }
}
