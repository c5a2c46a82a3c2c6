//! Which requests over HTTP reach a service: `x-cluster.http`, or the labels that people already have. Owns
//! what a host and a path may be, and that no two services of a file want the same.

use crate::keys::Section;
use crate::limits::HTTP_RULES;
use crate::reader::{Fields, Reader};
use crate::secrets::{self, AllDeclared};
use crate::tree::{Node, Place, Value};
use crate::{scalar, traefik};
use model::{HttpMatch, HttpRule, HttpTls, ServiceName, ServiceSpec};
use std::collections::BTreeMap;

const HOST: &str = "a host name such as `shop.example.com` or `*.example.com`";
const PATH: &str = "a path such as `/api`, without `.`, `..` or `%`";
/// Bytes of a host name (RFC 1035 §2.3.4), of one label of it, and of a path.
const HOST_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;
const PATH_BYTES: usize = 1_024;

/// The requests that services read so far answer, with who does.
#[derive(Default)]
pub(crate) struct Taken(BTreeMap<HttpMatch, ServiceName>);

/// The rules of a service whose other keys have been read. What `x-cluster` says sets labels aside.
pub(crate) fn read(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &ServiceName,
    spec: &ServiceSpec,
    declared: &AllDeclared,
    taken: &mut Taken,
) -> Vec<HttpRule> {
    let found = match own(r, fields, declared) {
        Some(found) => {
            if spec.container.engine.network_mode.is_some() || shares_network(spec) {
                if let Some((_, at)) = found.first() {
                    let help = "take `network_mode` away, so that it has an address of its own";
                    r.log.refuse(*at, "`http` needs a service on a network of the project", help);
                }
                return Vec::new();
            }
            found
        }
        None => traefik::read(r, fields, spec),
    };
    let mut rules: Vec<HttpRule> = Vec::new();
    for (rule, at) in found {
        if rules.contains(&rule) || !taken.take(r, &rule.matches, name, at) {
            continue;
        }
        if rules.len() == HTTP_RULES {
            r.log.error(at, format!("`http`: more than {HTTP_RULES} rules of one service"));
            break;
        }
        rules.push(rule);
    }
    rules.sort();
    rules
}

/// Whether it has no network of its own, but that of another service.
pub(crate) fn shares_network(spec: &ServiceSpec) -> bool {
    spec.shares_with.iter().any(|share| share.what == model::SharedPart::Network)
}

/// What `x-cluster.http` says; `None` when it says nothing, and labels may.
fn own(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    declared: &AllDeclared,
) -> Option<Vec<(HttpRule, Place)>> {
    let ours = r.fields(fields.get("x-cluster")?, "x-cluster", Section::Cluster);
    let node = ours.get("http")?;
    let items = match &node.value {
        Value::Map(_) => std::slice::from_ref(node),
        _ => r.items(node, "http", false),
    };
    Some(items.iter().filter_map(|item| Some((rule(r, item, declared)?, item.at))).collect())
}

fn rule(r: &mut Reader<'_>, node: &Node, declared: &AllDeclared) -> Option<HttpRule> {
    let inner = r.fields(node, "http", Section::ClusterHttp);
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let host = match inner.get("host") {
        Some(_) => Some(r.value(&inner, "host", host)?),
        None => None,
    };
    let path = match inner.get("path") {
        Some(_) => r.value(&inner, "path", path)?,
        None => "/".to_owned(),
    };
    if inner.get("port").is_none() {
        let help = "add `port: 8080`, with the port that the container listens on";
        r.log.refuse(node.at, "`http` needs a `port`, the one in the container", help);
        return None;
    }
    let port = r.value(&inner, "port", scalar::port)?;
    let tls = match inner.get("tls") {
        Some(node) => Some(tls(r, node, declared)?),
        None => None,
    };
    if let (Some(_), None) = (&tls, &host) {
        let help = "add the `host` that the certificate is for";
        r.log.refuse(node.at, "`http`: `tls` needs a `host`", help);
        return None;
    }
    Some(HttpRule { matches: HttpMatch { host, path }, port, tls })
}

/// The certificate of a rule: two secrets of the file.
fn tls(r: &mut Reader<'_>, node: &Node, declared: &AllDeclared) -> Option<HttpTls> {
    let inner = r.fields(node, "tls", Section::ClusterHttpTls);
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let secret = |r: &mut Reader<'_>, key: &str| {
        if inner.get(key).is_none() {
            let help = "write `tls: {certificate: NAME, key: NAME}`, with names of `secrets`";
            r.log.refuse(node.at, format!("`tls` needs a `{key}`"), help);
            return None;
        }
        let name = r.text(&inner, key)?;
        secrets::one(r, &name, inner.at(key).unwrap_or(node.at), declared)
    };
    let (certificate, key) = (secret(r, "certificate"), secret(r, "key"));
    let redirect = r.flag(&inner, "redirect").unwrap_or(false);
    Some(HttpTls { certificate: certificate?, key: key?, redirect })
}

/// A host name as rules hold it: lower case, no dot at its end.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.is_ascii() {
        return Err(format!("{HOST} (names in other scripts in their `xn--` form)"));
    }
    if host.len() <= HOST_BYTES && name.split('.').all(label) {
        Ok(host)
    } else {
        Err(HOST.to_owned())
    }
}

/// A path as rules hold it: no slash at its end but for the root.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(plain);
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    match trimmed.strip_prefix('/') {
        None if trimmed.is_empty() && text == "/" => Ok(text.to_owned()),
        Some(rest) if trimmed.len() <= PATH_BYTES && rest.split('/').all(segment) => {
            Ok(trimmed.to_owned())
        }
        _ => Err(PATH.to_owned()),
    }
}

impl Taken {
    /// Notes what a service answers; false, and a complaint, when another one does.
    fn take(
        &mut self,
        r: &mut Reader<'_>,
        wanted: &HttpMatch,
        service: &ServiceName,
        at: Place,
    ) -> bool {
        match self.0.get(wanted) {
            Some(other) if other == service => {
                r.log.error(at, format!("requests for {wanted} have two ports in `{service}`"));
                false
            }
            Some(other) => {
                let message = format!(
                    "requests for {wanted} are wanted by service `{other}` and by `{service}`"
                );
                r.log.refuse(at, message, "give one of the two another `host` or `path`");
                false
            }
            None => {
                self.0.insert(wanted.clone(), service.clone());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_paths_as_rules_hold_them() {
        for (text, held) in [
            ("Shop.Example.COM.", "shop.example.com"),
            ("*.example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(held), "{text}");
        }
        for text in ["", "*", "*.", "a..b", "-a.b", "a b", "a/b", "a:80", "a.*.b", "bücher.example"]
        {
            assert!(host(text).is_err(), "{text}");
        }
        for (text, held) in [("/", "/"), ("/api", "/api"), ("/api/", "/api"), ("/a/b.c", "/a/b.c")]
        {
            assert_eq!(path(text).as_deref(), Ok(held), "{text}");
        }
        for text in ["", "api", "//", "/a//b", "/a/../b", "/.", "/a?b", "/a#b", "/a%20", "/a b"] {
            assert!(path(text).is_err(), "{text}");
        }
    }
}
