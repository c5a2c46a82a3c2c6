//! Whole handshakes over loopback: who is let in, who is not, and what a person is told.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use identity::{
    ALPN_CONTROL, ALPN_EDGE, KeyRequest, Peer, Tls, explain, joiner_config, server_name,
};
use model::{NodeId, Role};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use support::{DAY, admin, authority, manager, node_at, now, worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

type Server = server::TlsStream<TcpStream>;
type Client = client::TlsStream<TcpStream>;

/// Connects, and carries one byte each way. With TLS 1.3 a client learns that it was refused only when it
/// reads, and a write before that could meet a closed socket instead.
async fn connect(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> (io::Result<Server>, io::Result<Client>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = async {
        let (stream, _) = listener.accept().await?;
        let mut stream = TlsAcceptor::from(server).accept(stream).await?;
        beat(&mut stream).await?;
        Ok(stream)
    };
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(client).connect(name, stream).await?;
        stream.read_u8().await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        Ok(stream)
    };
    tokio::join!(accepting, connecting)
}

async fn beat<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.write_all(b"x").await?;
    stream.flush().await?;
    stream.read_u8().await.map(drop)
}

/// Both ends must agree that it works; returns whom the server sees.
async fn accepted(server: Arc<ServerConfig>, client: Arc<ClientConfig>, id: u64) -> Option<Peer> {
    let (server, client) = connect(server, client, server_name(NodeId(id))).await;
    client.expect("the client accepts");
    let server = server.expect("the server accepts");
    Peer::of_chain(server.get_ref().1.peer_certificates()).unwrap()
}

/// Both ends must agree that it does not; returns what each is told: (server, client).
async fn refused(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    id: u64,
) -> (String, String) {
    let (server, client) = connect(server, client, server_name(NodeId(id))).await;
    let words = |error: io::Error| explain(&error, "node 9").unwrap_or_else(|| error.to_string());
    (words(server.expect_err("the server refuses")), words(client.expect_err("the client refuses")))
}

#[tokio::test]
async fn nodes_of_one_cluster_meet_and_know_each_other() {
    let authority = authority();
    let (one, two) = (manager(&authority, 1), worker(&authority, 2));
    let seen = accepted(one.server_config(), two.client_config(), 1).await;
    assert_eq!(seen, Some(two.me().unwrap()));
    let seen = accepted(two.edge_server_config(), one.edge_client_config(), 2).await;
    assert_eq!(seen, Some(one.me().unwrap()));
    let anna = admin(&authority, "anna");
    let seen = accepted(one.server_config(), anna.any_manager_config(), 99).await.unwrap();
    assert_eq!(seen, Peer::Admin { name: "anna".into(), cluster: authority.cluster().clone() });
}

#[tokio::test]
async fn only_tls_13_without_resumption_and_with_the_protocol_agreed() {
    let authority = authority();
    let one = manager(&authority, 1);
    for (server, client, alpn) in [
        (one.server_config(), one.client_config(), ALPN_CONTROL),
        (one.edge_server_config(), one.edge_client_config(), ALPN_EDGE),
    ] {
        for _ in 0..2 {
            let name = server_name(NodeId(1));
            let (met, _) = connect(Arc::clone(&server), Arc::clone(&client), name).await;
            let met = met.unwrap();
            let connection = met.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
            assert_eq!(connection.alpn_protocol(), Some(alpn));
            assert_ne!(connection.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
        }
    }
    refused(one.edge_server_config(), one.client_config(), 1).await;
    refused(one.server_config(), one.edge_client_config(), 1).await;
}

#[tokio::test]
async fn attack_02_another_clusters_certificate_is_refused_by_either_end() {
    let (ours, theirs) = (manager(&authority(), 1), manager(&authority(), 1));
    let (_, told) = refused(ours.server_config(), theirs.client_config(), 1).await;
    assert_eq!(told, "node 9 presented a certificate of another cluster");

    // One that trusts our authority but shows another's certificate.
    let authority = authority();
    let server = manager(&authority, 1);
    let stranger = manager(&support::authority(), 2);
    stranger.set_roots(authority.certificate_pem()).unwrap();
    for (server, client) in [
        (server.server_config(), stranger.client_config()),
        (server.edge_server_config(), stranger.edge_client_config()),
    ] {
        let (server_told, client_told) = refused(server, client, 1).await;
        assert_eq!(server_told, "node 9 presented a certificate of another cluster");
        assert!(client_told.contains("does not know our certificate"), "{client_told}");
    }
}

#[tokio::test]
async fn attack_09_a_certificate_that_does_not_count_today_is_refused_in_words() {
    let authority = authority();
    let good = manager(&authority, 1);
    let old = node_at(&authority, 2, Role::Manager, now() - 100 * DAY);
    let early = node_at(&authority, 2, Role::Manager, now() + DAY);

    let (_, told) = refused(old.server_config(), good.client_config(), 2).await;
    assert!(told.starts_with("the certificate of node 9 expired on 20"), "{told}");
    assert!(told.contains("clusterctl join --replace"), "{told}");
    let (told, other) = refused(good.server_config(), old.client_config(), 1).await;
    assert!(told.starts_with("the certificate of node 9 expired on 20"), "{told}");
    assert!(other.contains("our certificate has expired"), "{other}");

    let (_, told) = refused(early.server_config(), good.client_config(), 2).await;
    assert!(told.contains("counts only from 20") && told.contains("clocks"), "{told}");
    refused(good.edge_server_config(), early.edge_client_config(), 1).await;
}

#[tokio::test]
async fn attack_09_a_clock_half_an_hour_behind_the_authoritys_is_forgiven() {
    let authority = authority();
    let ahead = node_at(&authority, 2, Role::Manager, now() + Duration::from_secs(1800));
    let good = manager(&authority, 1);
    accepted(ahead.server_config(), good.client_config(), 2).await;
    accepted(good.server_config(), ahead.client_config(), 1).await;
}

#[tokio::test]
async fn attack_02_without_a_certificate_one_may_join_and_nothing_else() {
    let authority = authority();
    let one = manager(&authority, 1);
    let joiner = joiner_config(authority.digest()).unwrap();
    assert_eq!(accepted(one.server_config(), Arc::clone(&joiner), 99).await, None);

    let mut edge = (*joiner).clone();
    edge.alpn_protocols = vec![ALPN_EDGE.to_vec()];
    let (server_told, client_told) = refused(one.edge_server_config(), Arc::new(edge), 1).await;
    assert_eq!(server_told, "node 9 presented no certificate; it has to join the cluster first");
    assert!(client_told.contains("asks for a certificate"), "{client_told}");
}

#[tokio::test]
async fn attack_06_a_joiner_talks_to_a_manager_of_the_tokens_cluster_and_to_nobody_else() {
    let (ours, theirs) = (authority(), authority());
    let joiner = joiner_config(ours.digest()).unwrap();

    // An impostor with a cluster of its own; one that also sends our authority's certificate along.
    let key = KeyRequest::generate().unwrap();
    let chain = theirs.sign_node(&key.csr_der, NodeId(1), Role::Manager, now()).unwrap();
    let plain = Tls::new(&chain, &key.key_pem, theirs.certificate_pem()).unwrap();
    let (_, told) = refused(plain.server_config(), Arc::clone(&joiner), 1).await;
    assert!(told.contains("does not belong to the cluster that the join token names"), "{told}");
    let both = chain + ours.certificate_pem();
    let sly = Tls::new(&both, &key.key_pem, theirs.certificate_pem()).unwrap();
    let (_, told) = refused(sly.server_config(), Arc::clone(&joiner), 1).await;
    assert_eq!(told, "node 9 presented a certificate of another cluster");

    let servants = [
        ("is not a manager", worker(&ours, 2)),
        ("is not a manager", admin(&ours, "anna")),
        ("expired on", node_at(&ours, 3, Role::Manager, now() - 100 * DAY)),
    ];
    for (wanted, server) in servants {
        let (_, told) = refused(server.server_config(), Arc::clone(&joiner), 1).await;
        assert!(told.contains(wanted), "{told}");
    }
    accepted(manager(&ours, 4).server_config(), joiner, 1).await;
}

/// A certificate is public: showing one proves nothing without its key.
#[tokio::test]
async fn a_copied_certificate_without_its_key_is_refused() {
    let authority = authority();
    let (real, own) = (KeyRequest::generate().unwrap(), KeyRequest::generate().unwrap());
    let chain = authority.sign_node(&real.csr_der, NodeId(1), Role::Manager, now()).unwrap();
    assert!(Tls::new(&chain, &own.key_pem, authority.certificate_pem()).is_err());

    let thief = thief(&chain, &own);
    let node = manager(&authority, 2);
    let joiner = joiner_config(authority.digest()).unwrap();
    for client in [joiner, node.any_manager_config(), node.client_config()] {
        let (_, client) = connect(Arc::clone(&thief), client, server_name(NodeId(1))).await;
        let told = format!("{:?}", client.expect_err("the client refuses"));
        assert!(told.contains("BadSignature"), "{told}");
    }
}

/// A server that shows a chain whose key it does not have.
fn thief(chain: &str, own: &KeyRequest) -> Arc<ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).unwrap();
    let shown = CertifiedKey::new(chain, provider.key_provider.load_private_key(key).unwrap());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![ALPN_CONTROL.to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn the_node_reached_is_the_one_meant() {
    let authority = authority();
    let (one, two) = (manager(&authority, 1), manager(&authority, 2));
    let (_, told) = refused(one.server_config(), two.client_config(), 3).await;
    assert!(told.starts_with("node 9 was meant, but another node answered"), "{told}");
    assert!(told.contains("node-1.cluster"), "{told}");
    refused(one.edge_server_config(), two.edge_client_config(), 3).await;

    // An administrator's certificate serves nobody, whatever was dialled.
    let anna = admin(&authority, "anna");
    refused(anna.server_config(), two.client_config(), 1).await;
    refused(anna.server_config(), two.any_manager_config(), 1).await;
    refused(worker(&authority, 3).server_config(), two.any_manager_config(), 3).await;
}

fn leaf(presented: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> Vec<u8> {
    presented.unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_rotated_certificate_is_seen_by_new_connections_while_old_ones_live() {
    let authority = authority();
    let (one, two) = (manager(&authority, 1), manager(&authority, 2));
    let name = || server_name(NodeId(1));
    let (server, client) = connect(one.server_config(), two.client_config(), name()).await;
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let before = one.validity().unwrap();

    let key = KeyRequest::generate().unwrap();
    let later = now() + Duration::from_secs(600);
    let chain = authority.sign_node(&key.csr_der, NodeId(1), Role::Manager, later).unwrap();
    let wrong = KeyRequest::generate().unwrap();
    assert!(one.rotate(&chain, &wrong.key_pem).is_err(), "a key that does not fit is refused");
    one.rotate(&chain, &key.key_pem).unwrap();
    assert!(one.validity().unwrap().renew_at() > before.renew_at());

    // The configurations handed out earlier show the new one too, in both directions.
    let (_, new) = connect(one.server_config(), two.client_config(), name()).await;
    let new = new.unwrap();
    let (old, fresh) = (client.get_ref().1, new.get_ref().1);
    assert_ne!(leaf(old.peer_certificates()), leaf(fresh.peer_certificates()));
    let (seen, _) = connect(two.server_config(), one.client_config(), server_name(NodeId(2))).await;
    let seen = seen.unwrap();
    assert_eq!(leaf(seen.get_ref().1.peer_certificates()), leaf(fresh.peer_certificates()));

    let (a, b) = tokio::join!(beat(&mut server), beat(&mut client));
    a.and(b).expect("the old connection lives on");
}

#[tokio::test]
async fn trusted_authorities_can_be_exchanged_with_an_overlap() {
    let (old, new) = (authority(), authority());
    let (one, two) = (manager(&old, 1), manager(&new, 2));
    refused(one.server_config(), two.client_config(), 1).await;

    let both = format!("{}{}", old.certificate_pem(), new.certificate_pem());
    one.set_roots(&both).unwrap();
    two.set_roots(&both).unwrap();
    assert_eq!(
        accepted(one.server_config(), two.client_config(), 1).await,
        Some(two.me().unwrap())
    );

    two.set_roots(new.certificate_pem()).unwrap();
    refused(one.server_config(), two.client_config(), 1).await;
    assert!(two.set_roots("").is_err());
    refused(one.server_config(), two.client_config(), 1).await;
}

#[tokio::test]
async fn what_is_not_about_identity_is_left_alone() {
    let error = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody there");
    assert_eq!(explain(&error, "node 9"), None);
    let deep = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
    let deep = io::Error::other(io::Error::other(deep));
    assert!(explain(&deep, "node 9").unwrap().contains("has expired"));
}
