//! The smallest HTTP client that load and probes need: one GET on a connection of its own.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Largest answer that is read.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection within the time.
    #[error("no connection to {to}")]
    Connect {
        /// The address.
        to: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke or fell silent.
    #[error("the connection broke before the answer was whole")]
    Broken(#[source] io::Error),
    /// What came back is not HTTP, or is cut short.
    #[error("not a whole HTTP answer ({0} bytes)")]
    Garbled(usize),
}

/// Asks `address` for `path` on a new connection. `limit` holds for the connection and again for each
/// wait on the answer.
///
/// # Errors
/// [`HttpError`]; an answer with any status is no error.
pub fn http_get(address: SocketAddr, path: &str, limit: Duration) -> Result<Response, HttpError> {
    let connect = |source| HttpError::Connect { to: address, source };
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(connect)?;
    stream.set_read_timeout(Some(limit)).map_err(HttpError::Broken)?;
    stream.set_write_timeout(Some(limit)).map_err(HttpError::Broken)?;
    exchange(&mut stream, &address.to_string(), path)
}

/// One GET over an open stream, which the other side is asked to close.
pub(crate) fn exchange(
    stream: &mut (impl Read + Write),
    host: &str,
    path: &str,
) -> Result<Response, HttpError> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(HttpError::Broken)?;
    let mut bytes = Vec::new();
    Read::by_ref(stream).take(MAX_ANSWER).read_to_end(&mut bytes).map_err(HttpError::Broken)?;
    parse(&bytes).ok_or(HttpError::Garbled(bytes.len()))
}

fn parse(bytes: &[u8]) -> Option<Response> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| body.len() < length) {
        return None;
    }
    Some(Response { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_status_and_body_and_refuses_what_is_cut_short() {
        let whole = parse(b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nbad").unwrap();
        assert_eq!((whole.status, whole.body.as_str()), (503, "bad"));
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbad").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_none());
    }
}
