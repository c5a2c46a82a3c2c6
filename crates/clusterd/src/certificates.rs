//! The certificates that clients of services are shown: those that this host's configuration gives, read from their
//! files, and again whenever those change, so that whatever renews them need tell nobody; and those that services
//! give, as the daemon hands them on. Whatever else obtains certificates, by ACME say, hands them on in the same way.

use crate::config::CertificateFiles;
use anyhow::Context;
use identity::Certificates;
use network::CertificatePair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// The certificates in force.
#[derive(Debug, Default)]
pub(crate) struct Current {
    of_services: RwLock<Arc<Certificates>>,
    of_host: RwLock<Arc<Certificates>>,
}

impl Current {
    fn sets(&self) -> [Arc<Certificates>; 2] {
        [&self.of_services, &self.of_host]
            .map(|set| Arc::clone(&set.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Takes those of services, instead of the ones before. One that cannot be used is said and left out. Returns
    /// whether there is any certificate now.
    pub(crate) fn take(&self, pairs: &[CertificatePair]) -> bool {
        let texts = || pairs.iter().map(|pair| (pair.chain.as_str(), pair.key.as_str()));
        let usable = texts().filter(|pair| match Certificates::new([*pair]) {
            Ok(_) => true,
            Err(why) => {
                let why = format!("{:#}", anyhow::Error::from(why));
                warn!(why, "a certificate of a service cannot be used");
                false
            }
        });
        let usable: Vec<_> = usable.collect();
        if let Ok(loaded) = Certificates::new(usable) {
            put(&self.of_services, loaded, "certificates of services loaded");
        }
        self.sets().iter().any(|set| !set.is_empty())
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.sets().iter().find_map(|set| set.choose(hello.server_name()))
    }
}

fn put(place: &RwLock<Arc<Certificates>>, loaded: Certificates, words: &'static str) {
    let names: Vec<&str> = loaded.names().collect();
    info!(names = names.join(" "), "{words}");
    *place.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
}

/// Reads the files and keeps them read. Ones that cannot be used are said, and looked for again: an edge without
/// them still carries everything else.
pub(crate) fn watch(files: Vec<CertificateFiles>) -> Arc<Current> {
    let current = Arc::new(Current::default());
    if files.is_empty() {
        return current;
    }
    let mut seen = None;
    look(&files, &current, &mut seen);
    let watched = Arc::clone(&current);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            look(&files, &watched, &mut seen);
        }
    });
    current
}

type Stamps = Vec<Option<SystemTime>>;

fn look(files: &[CertificateFiles], current: &Current, seen: &mut Option<Stamps>) {
    let stamp = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let stamps: Stamps =
        files.iter().flat_map(|f| [stamp(&f.certificate), stamp(&f.key)]).collect();
    if seen.as_ref() == Some(&stamps) {
        return;
    }
    *seen = Some(stamps);
    match load(files) {
        Ok(loaded) => put(&current.of_host, loaded, "certificates loaded"),
        Err(why) => warn!(why = format!("{why:#}"), "the certificates cannot be used"),
    }
}

fn load(files: &[CertificateFiles]) -> anyhow::Result<Certificates> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut texts = Vec::new();
    for CertificateFiles { certificate, key } in files {
        let pair = (read(certificate)?, read(key)?);
        Certificates::new([(pair.0.as_str(), pair.1.as_str())])
            .with_context(|| format!("in {} and {}", certificate.display(), key.display()))?;
        texts.push(pair);
    }
    Ok(Certificates::new(texts.iter().map(|(chain, key)| (chain.as_str(), key.as_str())))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> CertificatePair {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        CertificatePair { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn known(current: &Current) -> Vec<String> {
        current
            .sets()
            .iter()
            .flat_map(|set| set.names().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn the_certificates_of_services_take_the_place_of_those_before() {
        let current = Current::default();
        assert!(!current.take(&[]));
        let (one, two) = (made("one.example"), made("two.example"));
        assert!(current.take(&[one.clone(), two.clone()]));
        assert_eq!(known(&current), ["one.example", "two.example"]);
        let mixed = CertificatePair { key: one.key.clone(), ..two.clone() };
        assert!(current.take(&[mixed, one]), "one that cannot be used is left out");
        assert_eq!(known(&current), ["one.example"]);
        assert!(!current.take(&[]));
        *current.of_host.write().unwrap() =
            Arc::new(Certificates::new([(two.chain.as_str(), two.key.as_str())]).unwrap());
        assert!(current.take(&[]), "the host's own stay");
        assert_eq!(known(&current), ["two.example"]);
    }
}
