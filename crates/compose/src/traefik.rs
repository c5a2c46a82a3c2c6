//! The labels by which many files already say which requests reach a service, as far as hosts and leading
//! paths go: `traefik.http.routers.*.rule` and `traefik.http.services.*.loadbalancer.server.port`. A router of
//! which anything else matters is set aside, and that is said: half of a rule could show what it was to hide.

use crate::card::Standing;
use crate::complaint::shown;
use crate::http;
use crate::limits::{HTTP_RULES, RULE_DEPTH};
use crate::reader::{Fields, Reader};
use crate::scalar;
use crate::tree::{Node, Place, Value};
use model::{HttpMatch, HttpRule, Protocol, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};

const ROUTERS: &str = "traefik.http.routers.";
const SERVICES: &str = "traefik.http.services.";
const PORT: &str = ".loadbalancer.server.port";
const SEGMENTS: &str = "a prefix is of whole segments: `/api` is not of `/apis`";
const ENTRY: &str = "requests are answered on the shared ports of every node";
const LONGEST: &str = "the longest host wins, then the longest path";
const TLS: &str = "requests are answered over TLS where the node has a certificate for the host";

/// A label's value, and where it stands.
type Labels = BTreeMap<String, (String, Place)>;

/// The rules that the labels of a service come to.
pub(crate) fn read(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    spec: &ServiceSpec,
) -> Vec<(HttpRule, Place)> {
    let labels = labels(r, fields, spec);
    let off = labels.get("traefik.enable").is_some_and(|(v, _)| v.eq_ignore_ascii_case("false"));
    // In a canonical document, what was to come of labels stands written out.
    if off || r.rules.deployer.is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (label, (rule, at)) in &labels {
        let Some(router) = label.strip_prefix(ROUTERS).and_then(|l| l.strip_suffix(".rule")) else {
            continue;
        };
        match one(&labels, fields, spec, router, rule) {
            Ok(rules) => {
                let whole = rules.iter().all(|rule| rule.matches.path == "/");
                let (standing, how) =
                    if whole { (Standing::Honoured, "") } else { (Standing::Emulated, SEGMENTS) };
                let path = format!("{}.labels.{label}", r.scope);
                r.log.find(*at, path, standing, how, "");
                others(r, &labels, router);
                found.extend(rules.into_iter().map(|rule| (rule, *at)));
            }
            Err(why) => r.harmless(*at, &format!("labels.{label}"), &why),
        }
    }
    found
}

/// Whether labels speak of routers at all.
pub(crate) fn speaks<'l>(mut labels: impl Iterator<Item = &'l String>) -> bool {
    labels.any(|label| label.starts_with(ROUTERS))
}

/// What one router comes to, or why it is set aside.
fn one(
    labels: &Labels,
    fields: &Fields<'_>,
    spec: &ServiceSpec,
    router: &str,
    rule: &str,
) -> Result<Vec<HttpRule>, String> {
    if spec.container.engine.network_mode.is_some() || http::shares_network(spec) {
        return Err("the service has no address of its own".to_owned());
    }
    if labels.contains_key(&format!("{ROUTERS}{router}.middlewares")) {
        return Err(
            "the router's middlewares are not known here, and it is not to be shown without them"
                .into(),
        );
    }
    let matches = matches(rule)?;
    let port = port(labels, fields, spec, router)?;
    Ok(matches.into_iter().map(|matches| HttpRule { matches, port, tls: None }).collect())
}

/// What else is said of a router, and does nothing.
fn others(r: &mut Reader<'_>, labels: &Labels, router: &str) {
    for (label, (_, at)) in labels {
        let Some(rest) = label.strip_prefix(ROUTERS).and_then(|l| l.strip_prefix(router)) else {
            continue;
        };
        let why = match rest.strip_prefix('.') {
            Some("entrypoints") => ENTRY,
            Some("priority") => LONGEST,
            Some(tls) if tls == "tls" || tls.starts_with("tls.") => TLS,
            _ => continue,
        };
        let path = format!("{}.labels.{label}", r.scope);
        r.log.find(*at, path, Standing::Harmless, why, "");
    }
}

/// The labels of the containers, and over them those under `deploy`, each with its place.
fn labels(r: &Reader<'_>, fields: &Fields<'_>, spec: &ServiceSpec) -> Labels {
    let mut places = BTreeMap::new();
    if let Some(node) = fields.get("labels") {
        place(node, &mut places);
    }
    if let Some(Value::Map(entries)) = fields.get("deploy").map(|n| &n.value)
        && let Some(entry) = entries.iter().find(|e| e.key == "labels")
    {
        place(&entry.node, &mut places);
    }
    let all = spec.container.labels.iter().chain(&r.own.labels);
    all.filter(|(label, _)| label.starts_with("traefik."))
        .map(|(label, value)| {
            let at = places.get(label.as_str()).copied().unwrap_or(fields.at);
            (label.clone(), (value.clone(), at))
        })
        .collect()
}

fn place<'n>(node: &'n Node, places: &mut BTreeMap<&'n str, Place>) {
    match &node.value {
        Value::Map(entries) => places.extend(entries.iter().map(|e| (e.key.as_str(), e.at))),
        Value::List(items) => places.extend(items.iter().filter_map(|item| {
            let text = item.scalar()?;
            Some((text.split_once('=').map_or(text, |(key, _)| key), item.at))
        })),
        _ => {}
    }
}

/// The port that a router's requests go to: of the service it names, or of the only one, or the only port that
/// the container is known to have.
fn port(
    labels: &Labels,
    fields: &Fields<'_>,
    spec: &ServiceSpec,
    router: &str,
) -> Result<u16, String> {
    let said: BTreeMap<&str, &str> = labels
        .iter()
        .filter_map(|(label, (value, _))| {
            let name = label.strip_prefix(SERVICES)?.strip_suffix(PORT)?;
            Some((name, value.as_str()))
        })
        .collect();
    let named = labels.get(&format!("{ROUTERS}{router}.service")).map(|(name, _)| name.as_str());
    let named = named.map(|name| name.strip_suffix("@docker").unwrap_or(name));
    if let Some(name) = named.filter(|name| name.contains('@')) {
        return Err(format!("its requests are for `{}`, which is not here", shown(name)));
    }
    let value = match named {
        Some(name) => said.get(name).copied(),
        None if said.len() == 1 => said.values().next().copied(),
        None => said.get(router).copied(),
    };
    if let Some(value) = value {
        let wrong = |why| format!("`{SERVICES}*{PORT}`: expected {why}, found `{}`", shown(value));
        return scalar::port(value).map_err(wrong);
    }
    let exposed = fields.get("expose").map(|node| match &node.value {
        Value::List(items) => items.iter().filter_map(Node::scalar).collect(),
        _ => Vec::new(),
    });
    let exposed = exposed.unwrap_or_default().into_iter();
    let exposed = exposed.filter_map(|text| scalar::port(text.trim_end_matches("/tcp")).ok());
    let exposed: BTreeSet<u16> = exposed.collect();
    let published = spec.ports.iter().filter(|p| p.protocol == Protocol::Tcp).map(|p| p.target);
    let published: BTreeSet<u16> = published.collect();
    let only = [exposed, published].into_iter().find(|ports| ports.len() == 1);
    only.and_then(|ports| ports.first().copied()).ok_or_else(|| {
        format!(
            "which port of the container is meant is not said; add the label `{SERVICES}NAME{PORT}`"
        )
    })
}

/// The hosts and paths of a rule, each of which suffices.
fn matches(rule: &str) -> Result<Vec<HttpMatch>, String> {
    let mut parser = Parser { rest: rule.trim(), depth: 0 };
    let found = parser.any()?;
    if !parser.rest.is_empty() {
        return Err(format!("the rule goes on with `{}`", shown(parser.rest)));
    }
    let whole = |part: Part| HttpMatch {
        host: part.host,
        path: part.path.unwrap_or_else(|| "/".to_owned()),
    };
    Ok(found.into_iter().map(whole).collect())
}

/// What all of a request has to agree with.
#[derive(Clone, Default)]
struct Part {
    host: Option<String>,
    path: Option<String>,
}

impl Part {
    fn and(&self, other: &Self) -> Result<Self, String> {
        let both = |a: &Option<String>, b: &Option<String>, what: &str| match (a, b) {
            (Some(a), Some(b)) if a != b => Err(format!("no request has two {what} at once")),
            (a, b) => Ok(a.clone().or_else(|| b.clone())),
        };
        Ok(Self {
            host: both(&self.host, &other.host, "hosts")?,
            path: both(&self.path, &other.path, "paths")?,
        })
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        let eaten = rest.strip_prefix(token);
        self.rest = eaten.unwrap_or(rest).trim_start();
        eaten.is_some()
    }

    fn any(&mut self) -> Result<Vec<Part>, String> {
        let mut parts = self.all()?;
        while self.eat("||") {
            parts.extend(self.all()?);
            few(&parts)?;
        }
        Ok(parts)
    }

    fn all(&mut self) -> Result<Vec<Part>, String> {
        let mut parts = self.one()?;
        while self.eat("&&") {
            let more = self.one()?;
            let mut both = Vec::new();
            for (a, b) in parts.iter().flat_map(|a| more.iter().map(move |b| (a, b))) {
                both.push(a.and(b)?);
            }
            few(&both)?;
            parts = both;
        }
        Ok(parts)
    }

    fn one(&mut self) -> Result<Vec<Part>, String> {
        if self.eat("(") {
            self.depth += 1;
            if self.depth > RULE_DEPTH {
                return Err("the rule is nested too deeply".to_owned());
            }
            let inside = self.any()?;
            self.depth -= 1;
            return if self.eat(")") { Ok(inside) } else { Err("a `)` is missing".to_owned()) };
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        let part = |text: &str| match name {
            "Host" => Ok(Part { host: Some(http::host(text)?), path: None }),
            "PathPrefix" => Ok(Part { host: None, path: Some(http::path(text)?) }),
            "" => Err("only `Host` and `PathPrefix`, `&&`, `||` and brackets are known".to_owned()),
            other => {
                Err(format!("`{}` is not known here, only `Host` and `PathPrefix`", shown(other)))
            }
        };
        part("localhost").or_else(|why| part("/").map_err(|_| why))?;
        let values = self.values()?;
        let read = |text: &&str| {
            part(text).map_err(|why| format!("`{name}`: expected {why}, found `{}`", shown(text)))
        };
        values.iter().map(read).collect()
    }

    /// The arguments of a matcher, in any of the quotes.
    fn values(&mut self) -> Result<Vec<&'t str>, String> {
        let malformed = || "a matcher is written Host(`shop.example.com`)".to_owned();
        if !self.eat("(") {
            return Err(malformed());
        }
        let mut values = Vec::new();
        loop {
            let quote = self.rest.chars().next().filter(|c| ['`', '"', '\''].contains(c));
            let quote = quote.ok_or_else(malformed)?;
            let (value, rest) = self.rest[1..].split_once(quote).ok_or_else(malformed)?;
            values.push(value.trim());
            self.rest = rest;
            if self.eat(")") {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(malformed());
            }
        }
    }
}

fn few(parts: &[Part]) -> Result<(), String> {
    if parts.len() > HTTP_RULES {
        return Err(format!("the rule comes to more than {HTTP_RULES} hosts and paths"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rule: &str) -> Result<Vec<String>, String> {
        matches(rule).map(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rules_of_hosts_and_leading_paths() {
        for (rule, want) in [
            ("Host(`Shop.example.com`)", &["shop.example.com/"][..]),
            ("Host(`a.b`, \"c.d\")", &["a.b/", "c.d/"]),
            ("Host(`a.b`) || Host(`c.d`)", &["a.b/", "c.d/"]),
            ("PathPrefix(`/api/`)", &["*/api"]),
            ("Host(`a.b`)&&PathPrefix(`/x`, `/y`)", &["a.b/x", "a.b/y"]),
            ("(Host(`a.b`) || Host(`c.d`)) && PathPrefix('/x')", &["a.b/x", "c.d/x"]),
        ] {
            assert_eq!(
                read(rule).as_deref(),
                Ok(&want.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..]),
                "{rule}"
            );
        }
    }

    #[test]
    fn what_is_more_than_that_is_said() {
        for (rule, why) in [
            ("", "only `Host`"),
            ("HostRegexp(`.*`)", "`HostRegexp` is not known"),
            ("Host(`a.b`) && Headers(`x`, `y`)", "`Headers` is not known"),
            ("!Host(`a.b`)", "only `Host`"),
            ("Host(`a.b`) && Host(`c.d`)", "two hosts"),
            ("Host(`a.b`", "is written"),
            ("Host(a.b)", "is written"),
            ("Host()", "is written"),
            ("(Host(`a.b`)", "is missing"),
            ("Host(`a.b`) x", "goes on"),
            ("Host(`a b`)", "expected a host name"),
            ("PathPrefix(`x`)", "expected a path"),
        ] {
            let said = read(rule).expect_err(rule);
            assert!(said.contains(why), "{rule}: {said}");
        }
        let deep = format!("{}Host(`a.b`){}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(read(&deep).expect_err("too deep").contains("nested"));
        let wide = vec!["Host(`a.b`)"; 1_000].join("||");
        assert!(read(&wide).expect_err("too wide").contains("more than"));
    }
}
