//! A context from its making on a node to its use elsewhere, over real mutual TLS.

#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod fake;

use api::v1::admin_server::AdminServer;
use api::v1::{CertifyReply, Manager};
use fake::{Fake, Place, Ran, node};
use identity::{Authority, KeyRequest, Tls};
use model::{NodeId, Role};
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;

#[expect(clippy::disallowed_methods, reason = "certificates count from now on")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn authority() -> Authority {
    Authority::create(&identity::random::cluster_id(), now()).unwrap()
}

fn tls(authority: &Authority) -> Tls {
    let key = KeyRequest::generate().unwrap();
    let chain = authority.sign_node(&key.csr_der, NodeId(3), Role::Manager, now()).unwrap();
    Tls::new(&chain, &key.key_pem, authority.certificate_pem()).unwrap()
}

/// Serves the fake on a port of loopback to whoever has a certificate; returns its address.
fn serve(place: &Place, fake: &Fake, authority: &Authority) -> String {
    let runtime = place.runtime.as_ref().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = TlsAcceptor::from(tls(authority).server_config());
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if stream.get_ref().1.peer_certificates().is_none() {
                continue;
            }
            // tonic takes streams that it knows: this one goes through a pipe.
            let (mut near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut stream, &mut near).await },
            );
            let _ = sender.send(Ok::<_, std::io::Error>(far)).await;
        }
    });
    let incoming = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let server = tonic::transport::Server::builder()
        .add_service(AdminServer::new(fake.clone()))
        .serve_with_incoming(incoming);
    runtime.spawn(server);
    address
}

fn certifying(fake: &Fake, authority: Authority, members: Vec<String>) {
    let sign = move |request: &api::v1::CertifyRequest| CertifyReply {
        certificate: authority.sign_admin(&request.csr, &request.name, now()).unwrap(),
        authority: authority.certificate_pem().to_owned(),
        cluster: "c0ffee".into(),
        members: members.iter().map(|a| Manager { node: 3, address: a.clone() }).collect(),
    };
    fake.set(|s| s.certify = Some(Box::new(sign)));
}

#[test]
fn a_context_made_on_a_node_works_elsewhere() {
    let fake = Fake::new();
    fake.set(|s| s.nodes = vec![node("node3")]);
    let on_node = Place::with(&fake);
    let authority = authority();
    let address = serve(&on_node, &fake, &authority);
    // The first member is dead: the next one is tried.
    certifying(&fake, authority, vec!["127.0.0.1:1".into(), address]);
    let ran = on_node.run("context new anna --out anna.toml");
    assert_eq!(ran.code, 0, "{ran:?}");
    let file = on_node.path("anna.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let elsewhere = Place::empty();
    let run = |args: &str| Ran::of(&elsewhere.anywhere(args).output().unwrap());
    std::fs::copy(&file, elsewhere.path("anna.toml")).unwrap();
    let ran = run("context import anna.toml --name prod");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(run("--context prod nodes").out.contains("node3"));
    assert_eq!(run("context use prod").code, 0);
    let ran = run("nodes");
    assert!(ran.code == 0 && ran.out.contains("node3"), "{ran:?}");
    assert_eq!(run("--json context ls").json()[0]["current"], true);
    assert_eq!(run("context rm prod").code, 0);
    assert_eq!(run("--context prod nodes").code, 1);
}

#[test]
fn attack_27_a_context_that_others_may_read_is_not_taken() {
    let fake = Fake::new();
    let place = Place::with(&fake);
    certifying(&fake, authority(), vec!["127.0.0.1:1".into()]);
    place.run("context new anna --out anna.toml");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.path("anna.toml"), open).unwrap();
    let ran = place.run("context import anna.toml");
    assert!(ran.code == 1 && ran.err.contains("next: chmod 600 anna.toml"), "{ran:?}");
}

#[test]
fn a_cluster_of_another_authority_is_refused_with_the_reason() {
    let fake = Fake::new();
    let place = Place::with(&fake);
    let address = serve(&place, &fake, &authority());
    certifying(&fake, authority(), vec![address]);
    assert_eq!(place.run("context new anna").code, 0);
    let ran = Ran::of(&place.anywhere("--context anna nodes").output().unwrap());
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("certificate of another cluster"), "{ran:?}");
}
