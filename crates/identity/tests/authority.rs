//! What the authority signs, and what it refuses to.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use identity::{
    AUTHORITY_LIFETIME, Authority, BACKDATE, CSR_BYTES, CaDigest, Error, KeyRequest, LEAF_LIFETIME,
    Peer, Validity, key_digest, random,
};
use model::{ClusterId, NodeId, Role};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use std::time::{Duration, SystemTime};
use support::{DAY, authority, now};
use x509_parser::prelude::{FromDer, X509Certificate};

fn csr(kind: &'static SignatureAlgorithm, wish: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let key = KeyPair::generate_for(kind).unwrap();
    let mut params = CertificateParams::default();
    wish(&mut params);
    params.serialize_request(&key).unwrap().der().to_vec()
}

fn pem(text: &str) -> Vec<u8> {
    CertificateSigningRequestDer::from_pem_slice(text.as_bytes()).unwrap().to_vec()
}

type Wish = Box<dyn FnOnce(&mut CertificateParams)>;

#[test]
fn attack_07_nothing_that_a_request_wishes_is_granted() {
    let authority = authority();
    let foreign = format!("spiffe://{}/node/1/manager", authority.cluster());
    let wishes: [(&str, Wish); 4] = [
        (
            "another node's id",
            Box::new(move |p| {
                p.subject_alt_names.push(SanType::URI(foreign.try_into().unwrap()));
                p.subject_alt_names.push(SanType::DnsName("node-1.cluster".try_into().unwrap()));
                p.distinguished_name.push(DnType::CommonName, "node 1");
            }),
        ),
        ("to be an authority", Box::new(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        (
            "every name",
            Box::new(|p| {
                p.subject_alt_names.push(SanType::DnsName("*.cluster".try_into().unwrap()));
            }),
        ),
        (
            "the rank of a manager",
            Box::new(|p| {
                p.distinguished_name.push(DnType::OrganizationalUnitName, "manager");
            }),
        ),
    ];
    for (what, wish) in wishes {
        let request = csr(&PKCS_ECDSA_P256_SHA256, wish);
        let chain = authority.sign_node(&request, NodeId(7), Role::Worker, now()).unwrap();
        let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(Peer::of_der(&der).unwrap(), worker(&authority, 7), "{what}");
        assert!(!leaf.is_ca(), "{what}");
        assert_eq!(leaf.subject().to_string(), "CN=node 7", "{what}");
        assert!(!leaf.key_usage().unwrap().unwrap().value.key_cert_sign(), "{what}");
        let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names.len(), 2, "{what}: {names:?}");
    }
}

fn worker(authority: &Authority, id: u64) -> Peer {
    Peer::Node { id: NodeId(id), cluster: authority.cluster().clone(), role: Role::Worker }
}

#[test]
fn attack_07_weak_foreign_broken_and_huge_requests_are_refused() {
    let authority = authority();
    let good = KeyRequest::generate().unwrap().csr_der;
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = good.len() - 1;
    let table: [(&str, Vec<u8>, &str); 9] = [
        ("RSA of 512 bits", pem(RSA_512), "RequestKey"),
        ("RSA of 2048 bits", pem(RSA_2048), "RequestKey"),
        ("P-384", csr(&PKCS_ECDSA_P384_SHA384, |_| {}), "RequestKey"),
        ("bad signature", flipped(last), "RequestSignature"),
        ("a megabyte", [good.clone(), vec![0; 1 << 20]].concat(), "RequestTooLarge"),
        ("a byte more", [good.clone(), vec![0]].concat(), "RequestMalformed"),
        ("cut short", good[..last].to_vec(), "RequestMalformed"),
        ("empty", Vec::new(), "RequestMalformed"),
        ("no request", b"GET / HTTP/1.1".to_vec(), "RequestMalformed"),
    ];
    for (what, request, wanted) in table {
        for refusal in [
            authority.sign_node(&request, NodeId(7), Role::Worker, now()).unwrap_err(),
            authority.sign_admin(&request, "anna", now()).unwrap_err(),
            key_digest(&request).unwrap_err(),
        ] {
            assert!(format!("{refusal:?}").starts_with(wanted), "{what}: {refusal:?}");
        }
    }
    assert!(good.len() < CSR_BYTES / 10, "the limit leaves room");
}

/// The name of the signature's algorithm is not signed itself, so a change there may pass: for the same key.
#[test]
fn attack_07_no_change_of_a_request_makes_another_key_pass() {
    let good = KeyRequest::generate().unwrap().csr_der;
    let digest = key_digest(&good).unwrap();
    let mut refused = 0;
    for at in 0..good.len() {
        for flip in [0x01, 0x41, 0x80, 0xff] {
            let mut request = good.clone();
            request[at] ^= flip;
            match key_digest(&request) {
                Ok(same) => assert_eq!(same, digest, "byte {at}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > good.len() * 3, "{refused} of {}", good.len() * 4);
}

#[test]
fn ed25519_is_accepted() {
    let authority = authority();
    let chain = authority.sign_node(&csr(&PKCS_ED25519, |_| {}), NodeId(7), Role::Worker, now());
    assert_eq!(Peer::of_pem(&chain.unwrap()).unwrap(), worker(&authority, 7));
}

#[test]
fn a_retry_has_the_same_digest_and_another_key_another() {
    let first = KeyRequest::generate().unwrap();
    let retry = KeyRequest::from_pem(&first.key_pem).unwrap();
    let other = KeyRequest::generate().unwrap();
    let digest = key_digest(&first.csr_der).unwrap();
    assert_eq!(digest, key_digest(&retry.csr_der).unwrap());
    assert_ne!(digest, key_digest(&other.csr_der).unwrap());
    assert_eq!(digest.len(), 64);
    assert!(!format!("{first:?}").contains("PRIVATE"));
}

#[test]
fn a_leaf_lives_90_days_from_an_hour_ago_and_never_longer_than_the_authority() {
    let founded = now();
    let authority = Authority::create(&random::cluster_id(), founded).unwrap();
    let request = KeyRequest::generate().unwrap().csr_der;
    let life =
        |at| Validity::of_pem(&authority.sign_node(&request, NodeId(7), Role::Worker, at)?);
    // Certificates know no fractions of a second.
    let cut = |exact: SystemTime, got| exact.duration_since(got).unwrap() < Duration::from_secs(1);

    let fresh = life(founded).unwrap();
    assert!(cut(founded - BACKDATE, fresh.not_before));
    assert!(cut(founded + LEAF_LIFETIME, fresh.not_after));
    let due = fresh.renew_at().duration_since(founded).unwrap();
    assert!((59 * DAY..61 * DAY).contains(&due), "{due:?}");

    let end = Validity::of_pem(authority.certificate_pem()).unwrap().not_after;
    assert!(cut(founded + AUTHORITY_LIFETIME, end));
    assert_eq!(life(end - DAY).unwrap().not_after, end);
    assert!(matches!(life(end + DAY), Err(Error::AuthorityExpired { .. })));
}

#[test]
fn each_certificate_has_its_own_serial_number() {
    let authority = authority();
    let request = KeyRequest::generate().unwrap().csr_der;
    let serial = || {
        let chain = authority.sign_node(&request, NodeId(7), Role::Worker, now()).unwrap();
        let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        X509Certificate::from_der(&der).unwrap().1.raw_serial_as_string()
    };
    assert_ne!(serial(), serial(), "the same key renewed is still another certificate");
}

#[test]
fn an_authority_taken_up_again_is_the_same() {
    let first = authority();
    let again = Authority::load(first.certificate_pem(), &first.key_pem()).unwrap();
    assert_eq!(again.cluster(), first.cluster());
    assert_eq!(again.digest(), first.digest());
    assert_eq!(CaDigest::of_pem(first.certificate_pem()).unwrap(), first.digest());
    assert_eq!(first.digest().to_string().parse::<CaDigest>().unwrap(), first.digest());
    assert!(!format!("{first:?}").contains("PRIVATE"));
}

#[test]
fn what_is_no_authority_is_not_taken_up() {
    let (first, other) = (authority(), authority());
    let key = KeyRequest::generate().unwrap();
    let leaf = first.sign_node(&key.csr_der, NodeId(7), Role::Manager, now()).unwrap();
    for (what, certificate, key) in [
        ("another authority's key", first.certificate_pem(), other.key_pem()),
        ("a leaf", &leaf, key.key_pem.clone()),
        ("no certificate", "", first.key_pem()),
        ("no key", first.certificate_pem(), String::new().into()),
    ] {
        assert!(Authority::load(certificate, &key).is_err(), "{what}");
    }
}

#[test]
fn names_that_do_not_fit_into_a_certificate_are_refused() {
    let authority = authority();
    let request = KeyRequest::generate().unwrap().csr_der;
    for name in ["", "a/b", "../admin", "a b", "ä", "-a", "a\n", &"a".repeat(64)] {
        let refusal = authority.sign_admin(&request, name, now()).unwrap_err();
        assert!(matches!(refusal, Error::AdminName { .. }), "{name}: {refusal}");
    }
    for id in ["", "0123", &"g".repeat(32), &"A".repeat(32), "0123456789abcdef/123456789abcdef"] {
        let refusal = Authority::create(&ClusterId(id.into()), now()).unwrap_err();
        assert!(matches!(refusal, Error::ClusterId { .. }), "{id}: {refusal}");
    }
    assert!(authority.sign_node(&request, NodeId(0), Role::Worker, now()).is_err());
}

#[test]
fn random_values_differ() {
    assert_ne!(random::cluster_id(), random::cluster_id());
    assert_ne!(random::request_bits(), random::request_bits());
    assert_eq!(random::cluster_id().0.len(), 32);
}

const RSA_512: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHKMHYCAQAwETEPMA0GA1UEAwwGbm9kZSAxMFwwDQYJKoZIhvcNAQEBBQADSwAw
SAJBANqDZrffKheoPP5FEvgIC7tLdQn+ZhHHIMLLfLNwt1WczP9Ldt5JpAHzTqSP
Gl7ZvlEB3XRJPXuQISrfcKsqt0sCAwEAAaAAMA0GCSqGSIb3DQEBCwUAA0EAG4de
GZOrzZZb9qWKXKBSGtpQvoDuPlMAcfGdMZ82sji/nXd0EUs63zzRtoDCYYq8QSnm
fzCEs6oFM6YWaqh3Eg==
-----END CERTIFICATE REQUEST-----
";
const RSA_2048: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIICVjCCAT4CAQAwETEPMA0GA1UEAwwGbm9kZSAxMIIBIjANBgkqhkiG9w0BAQEF
AAOCAQ8AMIIBCgKCAQEA1YfnVe210yiw8HraoprAs8YMH8SmcqjCEdGf3VLMq/84
c+amVfzdTW2++Rc1lne4lBEfzeBUMcF2I/HYypoM0HgIm2G6BH4yYCIs4CFeR562
hdbgRPzaxWMnVtu/1JoaN27xQy5yZ0JyBIQSffxq3z7TnDuABGxWPkw0zvklOyAs
kWZZOdlEYo2l+5B6lFJPI1mdOgKhSupoPVvX3XBzAvXmU9dZRymT3IpaakK1PpY5
SFfNondJ3YJ5Ob4hO3JSVfHN5FdvG8bOYquKRR5oRN8obhPBD617sj6J2L/p+uiv
rTsnPNc0d6b8SzjrI/HUL0UsOGgxGya5Fx2U2Ru3/QIDAQABoAAwDQYJKoZIhvcN
AQELBQADggEBAE02ADx09YY+igsCjcoSv79qe4V97cRY+7WYFeYBEYgUe5n9taPs
RHa1eqVRkBpM5XKldz+Lov+nFK2+hK0XZU2TSw6rwb0Lednlxkt/XokhL564e5pX
yVZoLeI9bsbIdUbFD/YEuzh4D0KD5PgN3pdilcRhztDmtjGFhfGxFKzcKvXZxvww
L9nF1HIc2pCVCIr6K0qTqIhib3DnimmhKedkFhSVB0zVWWA8K26bd/8b1eh6QBFi
kKKudnegH4mOfXGZwEIcCcPgsRGp5zntxotGhMnXoIcgXmaxXZQbLOkHOxmVe755
YjK9kU/pb4ZEaBZlpB5mri5BBKplTNy3c44=
-----END CERTIFICATE REQUEST-----
";
