//! What counts as an identity in a certificate. The certificates here are made by hand, as somebody who got
//! hold of the authority's key would have to.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use identity::{Authority, Error, KeyRequest, Peer, random};
use model::{ClusterId, NodeId, Role};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};

const CLUSTER: &str = "0123456789abcdef0123456789abcdef";

fn read(names: &[SanType], is_ca: IsCa) -> Result<Peer, Error> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.is_ca = is_ca;
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Peer::of_der(certificate.der())
}

fn uri(path: &str) -> SanType {
    SanType::URI(format!("spiffe://{CLUSTER}/{path}").try_into().unwrap())
}

fn host(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn nodes_and_administrators_are_recognised() {
    let cluster = || ClusterId(CLUSTER.into());
    let node = read(&[uri("node/17/worker"), host("node-17.cluster")], IsCa::NoCa).unwrap();
    assert_eq!(node, Peer::Node { id: NodeId(17), cluster: cluster(), role: Role::Worker });
    assert_eq!(node.to_string(), "node 17");
    let admin = read(&[uri("admin/anna.b")], IsCa::NoCa).unwrap();
    assert_eq!(admin, Peer::Admin { name: "anna.b".into(), cluster: cluster() });
    assert_eq!(admin.cluster(), &cluster());
}

#[test]
fn anything_else_is_refused() {
    let good = || vec![uri("node/17/worker"), host("node-17.cluster")];
    let with = |more: SanType| [good(), vec![more]].concat();
    let node = |path: &str| vec![uri(path), host("node-17.cluster")];
    let raw = |text: &str| vec![SanType::URI(text.try_into().unwrap()), host("node-17.cluster")];
    let table = [
        ("no names", vec![]),
        ("no host name", vec![uri("node/17/worker")]),
        ("no identity", vec![host("node-17.cluster")]),
        ("another node's host name", vec![uri("node/17/worker"), host("node-18.cluster")]),
        ("a second host name", with(host("node-18.cluster"))),
        ("a second identity", with(uri("node/18/manager"))),
        ("an address", with(SanType::IpAddress([127, 0, 0, 1].into()))),
        ("an administrator that serves", vec![uri("admin/anna"), host("node-17.cluster")]),
        ("an unknown role", node("node/17/leader")),
        ("a leading zero", node("node/017/worker")),
        ("a sign", node("node/+17/worker")),
        ("too large a number", node("node/99999999999999999999/worker")),
        ("a longer path", node("node/17/worker/x")),
        ("no role", node("node/17")),
        ("an empty name", vec![uri("admin/")]),
        ("an escape", vec![uri("admin/%61")]),
        ("another scheme", raw(&format!("http://{CLUSTER}/node/17/worker"))),
        ("a short cluster id", raw("spiffe://0123/node/17/worker")),
        ("no path", raw(&format!("spiffe://{CLUSTER}"))),
    ];
    for (what, names) in table {
        assert!(read(&names, IsCa::NoCa).is_err(), "{what}");
    }
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(read(&good(), ca).is_err(), "an authority");
    assert!(read(&good(), IsCa::NoCa).is_ok(), "the rest of the table rests on this");
    assert!(Peer::of_der(b"nonsense").is_err());
}

#[test]
fn no_certificate_is_nobody_and_a_bad_one_is_an_error() {
    assert_eq!(Peer::of_chain(None).unwrap(), None);
    assert_eq!(Peer::of_chain(Some(&[])).unwrap(), None);
    assert!(Peer::of_chain(Some(&[b"nonsense".to_vec().into()])).is_err());
}

#[test]
fn the_authority_writes_what_is_read() {
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    let now = std::time::SystemTime::now();
    let authority = Authority::create(&random::cluster_id(), now).unwrap();
    let request = KeyRequest::generate().unwrap().csr_der;
    for role in [Role::Manager, Role::Worker] {
        let chain = authority.sign_node(&request, NodeId(u64::MAX), role, now).unwrap();
        let cluster = authority.cluster().clone();
        assert_eq!(
            Peer::of_pem(&chain).unwrap(),
            Peer::Node { id: NodeId(u64::MAX), cluster, role }
        );
    }
    let chain = authority.sign_admin(&request, "anna", now).unwrap();
    let cluster = authority.cluster().clone();
    assert_eq!(Peer::of_pem(&chain).unwrap(), Peer::Admin { name: "anna".into(), cluster });
}
