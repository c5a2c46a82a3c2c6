//! Certificates that services give, and requests that are to come over TLS.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;
#[path = "support/web.rs"]
mod web;

use model::HttpMatch;
use network::{CertificatePair, PortState};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, Mutex};
use support::*;
use web::*;

#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[tokio::test]
async fn the_secure_port_is_open_while_there_is_a_certificate() {
    let (target, secure) = (free_port(), free_port());
    let taken = Arc::<Mutex<Vec<Vec<CertificatePair>>>>::default();
    let takes = Arc::clone(&taken);
    let (edge, _, _folder) = edge_with(|config| {
        config.http.secure.port = secure;
        config.http.certificates = Some(Arc::new(Nobody));
        config.http.take = Some(Arc::new(move |pairs| {
            takes.lock().unwrap().push(pairs.to_vec());
            !pairs.is_empty()
        }));
    })
    .await;
    let open = |edge: &network::Edge| {
        edge.status().shared.iter().any(|p| p.secure && p.state == PortState::Listening)
    };
    edge.serve(sites(1, &[site("web", target, &[("shop.example", "/")], &serving(&[1]))]));
    until("the other port is open", || {
        edge.status().shared.iter().any(|p| !p.secure && p.state == PortState::Listening)
    })
    .await;
    assert!(!edge.status().shared.iter().any(|p| p.secure), "there is no certificate");
    let pair = CertificatePair { chain: "chain".into(), key: "hunter2".into() };
    assert!(!format!("{pair:?}").contains("hunter2"));
    edge.certify(std::slice::from_ref(&pair));
    until("it is open", || open(&edge)).await;
    edge.certify(&[]);
    until("it is closed", || std::net::TcpListener::bind(("0.0.0.0", secure)).is_ok()).await;
    edge.certify(std::slice::from_ref(&pair));
    until("it is open again", || open(&edge)).await;
    edge.serve(sites(2, &[]));
    until("nobody needs it", || edge.status().shared.is_empty()).await;
    assert_eq!(*taken.lock().unwrap(), [vec![], vec![pair.clone()], vec![], vec![pair]]);
}

#[tokio::test]
async fn requests_are_sent_to_the_same_place_over_tls() {
    let target = free_port();
    let replica = Web::start(1, target);
    let secure = free_port();
    let (edge, port, _folder) = edge_with(|config| config.http.secure.port = secure).await;
    let rules = [("shop.example", "/"), ("shop.example", "/plain")];
    let mut site = site("web", target, &rules, &serving(&[1]));
    site.secured = vec![HttpMatch { host: Some("shop.example".into()), path: "/".into() }];
    edge.serve(sites(1, &[site]));
    for (host, path, place) in [
        ("shop.example", "/", Some("/")),
        ("SHOP.example:81", "/a%20b?c=d&e=%0d%0a", Some("/a%20b?c=d&e=%0d%0a")),
        ("shop.example", "//evil.example/", Some("//evil.example/")),
        ("shop.example", "/plain/x", None),
        ("shop.example", "/.well-known/acme-challenge/token", None),
        (
            "shop.example",
            "/.well-known/acme-challenge/../x",
            Some("/.well-known/acme-challenge/../x"),
        ),
    ] {
        let (said, answer) = get(port, host, path).await;
        if let Some(place) = place {
            assert_eq!(said, 308, "{path}: {answer}");
            let line = format!("location: https://shop.example:{secure}{place}\r\n");
            assert!(answer.contains(&line), "{answer}");
        } else {
            assert_eq!(said, 200, "{path}: {answer}");
        }
    }
    assert_eq!(replica.heard().len(), 2);
}
