//! The certificates that this host's configuration gives for HTTP over TLS: read from their files, and again
//! whenever those change, so that whatever renews them need tell nobody.

use crate::config::CertificateFiles;
use anyhow::Context;
use identity::Certificates;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// The certificates in force.
#[derive(Debug)]
pub(crate) struct Current(RwLock<Arc<Certificates>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        certificates.resolve(hello)
    }
}

/// Reads the files; `None` when none are given. Ones that cannot be used are said, and looked for again: an
/// edge without them still carries everything else.
pub(crate) fn watch(files: Vec<CertificateFiles>) -> Option<Arc<Current>> {
    if files.is_empty() {
        return None;
    }
    let current = Arc::new(Current(RwLock::default()));
    let mut seen = None;
    look(&files, &current, &mut seen);
    let watched = Arc::clone(&current);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            look(&files, &watched, &mut seen);
        }
    });
    Some(current)
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
        Ok(loaded) => {
            let names: Vec<&str> = loaded.names().collect();
            info!(names = names.join(" "), "certificates loaded");
            *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        }
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
