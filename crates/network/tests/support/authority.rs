//! An authority for tests and measurements, and the nodes it vouches for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use model::{ClusterId, NodeId};
use network::{Security, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Signs the certificates of all nodes.
pub(crate) struct Authority {
    cluster: ClusterId,
    issuer: CertifiedIssuer<'static, KeyPair>,
    holders: Arc<Mutex<Vec<(CertificateDer<'static>, NodeId)>>>,
}

impl Authority {
    pub(crate) fn new(cluster: ClusterId) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, holders: Arc::default(), cluster }
    }

    fn configs(&self, node: u64) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![format!("node-{node}.test")]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        self.holders.lock().unwrap().push((leaf.clone(), NodeId(node)));
        let key = || PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&rustls::version::TLS13];
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider.clone());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![leaf.clone()], key())
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![leaf], key())
            .unwrap();
        (Arc::new(server), Arc::new(client))
    }

    pub(crate) fn tls(&self, node: u64) -> Security {
        self.counted(node).0
    }

    /// Also counts how often the second identity, loaded by `reload`, was dialled with.
    pub(crate) fn counted(&self, node: u64) -> (Security, Arc<AtomicU64>) {
        let (server, first) = self.configs(node);
        let (_, second) = self.configs(node);
        let (current, used) = (Arc::new(Mutex::new(first)), Arc::new(AtomicU64::new(0)));
        let (dialling, loaded, count) = (current.clone(), second.clone(), used.clone());
        let (holders, cluster) = (self.holders.clone(), self.cluster.clone());
        let tls = Tls {
            server: Box::new(move || Some(server.clone())),
            client: Box::new(move || {
                let config = dialling.lock().unwrap().clone();
                count.fetch_add(u64::from(Arc::ptr_eq(&config, &loaded)), Ordering::SeqCst);
                Some(config)
            }),
            name: Box::new(|node| ServerName::try_from(format!("node-{node}.test")).unwrap()),
            holder: Box::new(move |chain| {
                let holders = holders.lock().unwrap();
                let (_, node) = holders.iter().find(|(leaf, _)| chain.first() == Some(leaf))?;
                Some((cluster.clone(), *node))
            }),
            reload: Box::new(move |files| {
                assert_eq!(files.certificate.as_os_str(), "second");
                *current.lock().unwrap() = second.clone();
                Ok(())
            }),
        };
        (Security::Tls(tls), used)
    }
}
