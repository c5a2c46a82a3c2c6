//! Whose a request is: a value made from the rules of all services. Opens nothing, knows no service.

use model::HttpMatch;
use std::collections::BTreeMap;

/// Leading paths under one host, the longest first, with whose they are.
type Paths = Vec<(String, usize)>;

/// Finds the rule that says most about a request: the longest host, then the longest leading path. A host whose
/// rules have no fitting path leaves the request to less particular hosts.
#[derive(Clone, Debug, Default)]
pub struct Router {
    exact: BTreeMap<String, Paths>,
    /// By what stands behind `*.`.
    under: BTreeMap<String, Paths>,
    any: Paths,
}

impl Router {
    /// A router by these rules; of two alike the first counts.
    pub fn new<'r>(rules: impl IntoIterator<Item = (&'r HttpMatch, usize)>) -> Self {
        let mut router = Self::default();
        for (rule, whose) in rules {
            let paths = match rule.host.as_deref().map(|h| (h, h.strip_prefix("*."))) {
                None => &mut router.any,
                Some((_, Some(name))) => router.under.entry(name.into()).or_default(),
                Some((host, None)) => router.exact.entry(host.into()).or_default(),
            };
            paths.push((rule.path.clone(), whose));
        }
        let each = router.exact.values_mut().chain(router.under.values_mut());
        for paths in each.chain([&mut router.any]) {
            paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        }
        router
    }

    /// Whose a request for `path` of `host` is; the host in lower case without its port, the path without dot
    /// segments (RFC 3986 §6.2.2). `None` when no rule fits.
    pub fn route(&self, host: Option<&str>, path: &str) -> Option<usize> {
        let exact = host.and_then(|host| self.exact.get(host));
        let names = host
            .into_iter()
            .flat_map(|host| host.match_indices('.').map(|(dot, _)| &host[dot + 1..]));
        let under = names.filter_map(|name| self.under.get(name));
        exact.into_iter().chain(under).chain([&self.any]).find_map(|paths| {
            paths.iter().find(|(prefix, _)| leads(prefix, path)).map(|(_, whose)| *whose)
        })
    }
}

/// Whether all segments of `prefix` are the first ones of `path`.
fn leads(prefix: &str, path: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_says_most_wins() {
        let rules = [
            (Some("shop.example"), "/", 1),
            (Some("shop.example"), "/api", 2),
            (Some("shop.example"), "/api/v2", 3),
            (Some("*.shop.example"), "/", 4),
            (Some("*.eu.shop.example"), "/", 5),
            (Some("only.example"), "/here", 6),
            (Some("*.example"), "/there", 7),
            (None, "/any", 8),
        ];
        let rules = rules.map(|(host, path, whose)| {
            (HttpMatch { host: host.map(str::to_owned), path: path.to_owned() }, whose)
        });
        let router = Router::new(rules.iter().map(|(rule, whose)| (rule, *whose)));
        for (host, path, whose) in [
            ("shop.example", "/", Some(1)),
            ("shop.example", "/apis", Some(1)),
            ("shop.example", "/api", Some(2)),
            ("shop.example", "/api/", Some(2)),
            ("shop.example", "/api/v2x", Some(2)),
            ("shop.example", "/api/v2/x", Some(3)),
            ("shop.example", "/any", Some(1)),
            ("a.shop.example", "/api", Some(4)),
            ("b.a.shop.example", "/", Some(4)),
            ("a.eu.shop.example", "/", Some(5)),
            ("eu.shop.example", "/", Some(4)),
            ("only.example", "/here/it/is", Some(6)),
            ("only.example", "/there", Some(7)),
            ("only.example", "/any/thing", Some(8)),
            ("only.example", "/", None),
            ("example", "/there", None),
            ("unknown", "/any", Some(8)),
            ("unknown", "/", None),
            ("*.shop.example", "/", Some(4)),
        ] {
            assert_eq!(router.route(Some(host), path), whose, "{host}{path}");
        }
        assert_eq!(router.route(None, "/any"), Some(8), "no host");
        assert_eq!(router.route(None, "/"), None, "no host, no such path");
        assert_eq!(Router::default().route(Some("shop.example"), "/"), None, "no rules");
    }
}
