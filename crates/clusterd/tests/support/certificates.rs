//! Certificates of every kind: real ones of the cluster, and those that a second authority signs, which the daemon
//! is made to trust as while an authority is exchanged.

use super::Daemon;
use api::v1;
use api::v1::members_client::MembersClient;
use identity::{Authority, CaDigest, KeyRequest, Tls, Token, joiner_config};
use model::{ClusterId, NodeId, Role};
use std::fs;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::rustls::ClientConfig;

/// The wall clock, for certificates and joins of the test's own making.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates are dated by the wall clock, and so are these"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Authorities of a test: one of the daemon's own cluster and one of another, both of which it trusts, and a
/// stranger's that calls itself the daemon's.
pub(crate) struct Authorities {
    pub(crate) ours: Authority,
    pub(crate) theirs: Authority,
    pub(crate) stranger: Authority,
}

/// Makes the daemon trust two more authorities than its own.
pub(crate) async fn exchange(daemon: &mut Daemon) -> Authorities {
    let id = ClusterId(daemon.founded.cluster.clone());
    let create = |id: &ClusterId| Authority::create(id, now()).unwrap();
    let all = Authorities {
        ours: create(&id),
        theirs: create(&ClusterId("e".repeat(32))),
        stranger: create(&id),
    };
    let file = daemon.data().join("authority.pem");
    let (ours, theirs) = (all.ours.certificate_pem(), all.theirs.certificate_pem());
    let text = format!("{}{ours}{theirs}", fs::read_to_string(&file).unwrap());
    fs::write(&file, text).unwrap();
    daemon.restart().await;
    all
}

/// The daemon's own authority.
fn authority(daemon: &Daemon) -> String {
    fs::read_to_string(daemon.data().join("authority.pem")).unwrap()
}

/// Somebody without a certificate.
pub(crate) fn nobody(daemon: &Daemon) -> Arc<ClientConfig> {
    joiner_config(CaDigest::of_pem(&authority(daemon)).unwrap()).unwrap()
}

/// Whoever stole the daemon's data folder: a manager.
pub(crate) fn manager(daemon: &Daemon) -> Arc<ClientConfig> {
    let read = |name: &str| fs::read_to_string(daemon.data().join(name)).unwrap();
    let tls = Tls::new(&read("certificate.pem"), &read("key.pem"), &read("authority.pem"));
    tls.unwrap().any_manager_config()
}

/// A certificate that this authority signs at `at`.
pub(crate) fn node(
    daemon: &Daemon,
    by: &Authority,
    (id, role): (u64, Role),
    at: SystemTime,
) -> Arc<ClientConfig> {
    let key = KeyRequest::generate().unwrap();
    let chain = by.sign_node(&key.csr_der, NodeId(id), role, at).unwrap();
    Tls::new(&chain, &key.key_pem, &authority(daemon)).unwrap().any_manager_config()
}

/// An administrator's certificate that this authority signs.
pub(crate) fn admin_by(daemon: &Daemon, by: &Authority) -> Arc<ClientConfig> {
    let key = KeyRequest::generate().unwrap();
    let chain = by.sign_admin(&key.csr_der, "mallory", now()).unwrap();
    Tls::new(&chain, &key.key_pem, &authority(daemon)).unwrap().any_manager_config()
}

/// A real administrator's.
pub(crate) async fn admin(daemon: &Daemon) -> Arc<ClientConfig> {
    let key = KeyRequest::generate().unwrap();
    let request = v1::CertifyRequest { csr: key.csr_der.clone(), name: "anna".into() };
    let reply = daemon.admin().await.certify(request).await.unwrap().into_inner();
    Tls::new(&reply.certificate, &key.key_pem, &authority(daemon)).unwrap().any_manager_config()
}

/// Joins as a worker that nobody will ever hear of; its number and its certificate.
pub(crate) async fn worker(daemon: &Daemon, name: &str, source: u8) -> (u64, Arc<ClientConfig>) {
    let key = KeyRequest::generate().unwrap();
    let request = joining(&daemon.founded.worker_token, name, &key);
    let channel = daemon.channel(&nobody(daemon), source).await.unwrap();
    let reply = MembersClient::new(channel).join(request).await.unwrap().into_inner();
    let tls = Tls::new(&reply.certificate, &key.key_pem, &authority(daemon)).unwrap();
    (reply.node, tls.any_manager_config())
}

/// What a host asks that wants to join.
pub(crate) fn joining(token: &str, name: &str, key: &KeyRequest) -> v1::JoinRequest {
    let wall = now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // Nobody listens there, which is what a joiner's own port is like.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    v1::JoinRequest {
        token: token.to_owned(),
        csr: key.csr_der.clone(),
        name: name.to_owned(),
        address: "127.0.0.1".into(),
        control_port: free.local_addr().unwrap().port().into(),
        edge_port: 9,
        facts: Some(v1::Facts { level: model::limits::LEVEL, ..v1::Facts::default() }),
        replace: false,
        wall_ms: wall.as_millis() as i64,
    }
}

/// A join token that has the right form and names the right authority, with a secret that nobody gave out.
pub(crate) fn forged(daemon: &Daemon, role: Role) -> String {
    Token::generate(role, CaDigest::of_pem(&authority(daemon)).unwrap()).to_string()
}
