//! Where a request is to go, as its client says it: host and path, in one way of writing them. A request that
//! says it in two ways is malformed (RFC 9112 §3.2, RFC 9113 §8.3.1).

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Version};

/// Where a request is to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The host as the client wrote it, with its port; empty when it named none.
    pub(crate) authority: HeaderValue,
    /// The host in lower case, without port and closing dot.
    pub(crate) host: Option<String>,
    /// The path as rules are held against it.
    pub(crate) path: String,
}

/// Reads it. The error says what is wrong, to the client.
pub(crate) fn target(head: &Parts) -> Result<Target, &'static str> {
    let authority = authority(head)?;
    let host = host(authority.as_bytes())?;
    let path = match head.uri.path() {
        "*" if head.method == Method::OPTIONS => "/".to_owned(),
        path => normal(path)?,
    };
    Ok(Target { authority, host, path })
}

/// The authority of the request line or pseudo-header where there is one, else that of the only `Host`.
fn authority(head: &Parts) -> Result<HeaderValue, &'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err("more than one Host");
    }
    let named = head.uri.authority().map(Authority::as_str);
    if head.version == Version::HTTP_2 {
        if let (Some(named), Some(host)) = (named, host)
            && !named.as_bytes().eq_ignore_ascii_case(host.as_bytes())
        {
            return Err("Host differs from :authority");
        }
    } else if head.version == Version::HTTP_11 && host.is_none() {
        return Err("no Host");
    }
    match named {
        Some(named) => HeaderValue::from_str(named).map_err(|_| "not a host"),
        None => Ok(host.cloned().unwrap_or_else(|| HeaderValue::from_static(""))),
    }
}

/// The host of `host[:port]` (RFC 3986 §3.2.2); `None` when it is empty.
fn host(authority: &[u8]) -> Result<Option<String>, &'static str> {
    let text = std::str::from_utf8(authority).map_err(|_| "not a host")?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let digits = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    if !digits || (!port.is_empty() && port.parse::<u16>().is_err()) {
        return Err("not a port");
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().map_err(|_| "not a host")?;
        return Ok(Some(format!("[{address}]")));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if host.len() > 255 || !host.bytes().all(plain) {
        return Err("not a host");
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok((!host.is_empty()).then_some(host))
}

/// A path with what need not be encoded decoded, and dot segments gone (RFC 3986 §6.2.2, §5.2.4). An encoded
/// slash stays one: it is part of a segment.
pub(crate) fn normal(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("not a path");
    }
    if !path.contains(['%', '.']) {
        return Ok(path.to_owned());
    }
    let decoded = decoded(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = decoded[1..].split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    Ok(format!("/{}", segments.join("/")))
}

fn decoded(path: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(path.len());
    let mut parts = path.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.ok_or("a broken percent-encoding in the path")?;
        let byte = u8::from_str_radix(code, 16).map_err(|_| "a broken percent-encoding")?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&code.to_ascii_uppercase());
        }
        out.push_str(&part[2..]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn read(
        version: Version,
        uri: &str,
        hosts: &[&str],
    ) -> Result<(Option<String>, String), &'static str> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        target(&head).map(|t| (t.host, t.path))
    }

    #[test]
    fn a_host_is_named_once() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (version, uri, hosts, want) in [
            (one, "/", &["Shop.Example:8080"][..], Ok(Some("shop.example"))),
            (one, "/", &["shop.example."], Ok(Some("shop.example"))),
            (one, "/", &["[::1]:80"], Ok(Some("[::1]"))),
            (one, "/", &["10.0.0.1"], Ok(Some("10.0.0.1"))),
            (one, "/", &[""], Ok(None)),
            (one, "/", &[], Err("no Host")),
            (Version::HTTP_10, "/", &[], Ok(None)),
            (one, "/", &["a", "a"], Err("more than one Host")),
            (one, "http://a.example/", &["b.example"], Ok(Some("a.example"))),
            (one, "http://user@a.example/", &["a.example"], Err("not a host")),
            (one, "/", &["a b"], Err("not a host")),
            (one, "/", &["a/b"], Err("not a host")),
            (one, "/", &["a:b"], Err("not a port")),
            (one, "/", &["a:65536"], Err("not a port")),
            (one, "/", &["a:"], Ok(Some("a"))),
            (one, "/", &["a:80:80"], Err("not a host")),
            (one, "/", &["[::1"], Err("not a host")),
            (two, "http://a.example/", &[], Ok(Some("a.example"))),
            (two, "http://a.example/", &["A.example"], Ok(Some("a.example"))),
            (two, "http://a.example/", &["b.example"], Err("Host differs from :authority")),
        ] {
            let got = read(version, uri, hosts).map(|(host, _)| host);
            assert_eq!(got, want.map(|h| h.map(str::to_owned)), "{uri} {hosts:?}");
        }
    }

    #[test]
    fn a_path_is_written_in_one_way() {
        for (path, want) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a%2fb", "/a%2Fb"),
            ("/a//b", "/a//b"),
            ("/a.b/...", "/a.b/..."),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(want), "{path}");
        }
        for path in ["", "a", "/%", "/%4", "/%zz", "/%+1"] {
            assert!(normal(path).is_err(), "{path}");
        }
    }
}
