//! Certificates for names that are not the cluster's own: those that clients of services ask for. Found by the
//! name a client gives in its greeting (RFC 6066 §3), as RFC 6125 §6.4.3 matches it.

use crate::error::Error;
use crate::rotating::load;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A set of certificates with their keys, by the names in them.
#[derive(Debug, Default)]
pub struct Certificates {
    /// Names in lower case; those of wildcards with their `*.`.
    by_name: BTreeMap<String, Arc<CertifiedKey>>,
    /// For clients that give no name.
    first: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Takes pairs of a chain (leaf first) and the leaf's key, PEM. Of two for one name the first counts. An
    /// error says which text is wrong, never what is in it.
    pub fn new<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<Self, Error> {
        let mut all = Self::default();
        for (chain, key) in pairs {
            let certified = Arc::new(load(chain, key)?);
            for name in names(&certified)? {
                all.by_name.entry(name).or_insert_with(|| Arc::clone(&certified));
            }
            all.first.get_or_insert(certified);
        }
        Ok(all)
    }

    /// The names there is a certificate for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The certificate for the name that a client gives; the first one for a client that gives none.
    pub fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        match name {
            Some(name) => self.find(name).cloned(),
            None => self.first.clone(),
        }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wildcard = || {
            let (_, under) = name.split_once('.')?;
            self.by_name.get(&format!("*.{under}"))
        };
        self.by_name.get(&name).or_else(wildcard)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

fn names(certified: &CertifiedKey) -> Result<Vec<String>, Error> {
    let wrong = |why: &str| Error::Certificate { why: why.into() };
    let leaf = certified.cert.first().ok_or_else(|| wrong("there is none"))?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| wrong("it is not well-formed"))?;
    let names =
        leaf.subject_alternative_name().map_err(|_| wrong("its names are not well-formed"))?;
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    let names: Vec<String> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if names.is_empty() { Err(wrong("it names no host")) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_name_finds_its_certificate() {
        let pairs = [made(&["Shop.example"]), made(&["*.shop.example", "shop.example"])];
        let all = Certificates::new(pairs.iter().map(|(c, k)| (c.as_str(), k.as_str())));
        let all = all.expect("they are well-formed");
        let which = |name: &str| {
            let leaf = all.find(name).map(|found| found.cert[0].clone());
            pairs.iter().position(|(chain, _)| {
                let own = crate::rotating::certificates(chain, "it").expect("PEM");
                leaf.as_ref() == own.first()
            })
        };
        for (name, found) in [
            ("shop.example", Some(0)),
            ("SHOP.example", Some(0)),
            ("a.shop.example", Some(1)),
            ("b.a.shop.example", None),
            ("other.example", None),
        ] {
            assert_eq!(which(name), found, "{name}");
        }
        assert_eq!(all.names().collect::<Vec<_>>(), ["*.shop.example", "shop.example"]);
    }

    #[test]
    fn a_key_of_another_certificate_and_no_names_are_refused() {
        let (chain, _) = made(&["a.example"]);
        let (_, key) = made(&["b.example"]);
        assert!(Certificates::new([(chain.as_str(), key.as_str())]).is_err());
        let (chain, key) = made(&[]);
        let said = Certificates::new([(chain.as_str(), key.as_str())]).expect_err("no names");
        assert!(said.to_string().contains("names no host"), "{said}");
    }
}
