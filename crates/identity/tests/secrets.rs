//! Join tokens and sealing: what is a secret, and stays one.

use identity::{CaDigest, ClusterKey, Error, Sealer, Token};
use model::Role;

fn token(role: Role) -> Token {
    Token::generate(role, CaDigest::of_der(b"an authority"))
}

#[test]
fn a_token_survives_being_written_and_read() {
    for role in [Role::Manager, Role::Worker] {
        let token = token(role);
        let text = format!("  {token}\n");
        let read: Token = text.parse().unwrap();
        assert_eq!(read.role(), role);
        assert_eq!(read.authority(), CaDigest::of_der(b"an authority"));
        assert!(read.matches(&token.secret_digest()));
    }
}

#[test]
fn attack_05_one_wrong_character_is_an_error_that_repeats_nothing() {
    let text = token(Role::Worker).to_string();
    let secret = text.split('-').nth(4).unwrap();
    for at in 0..text.len() {
        for with in ["a", "b", "7", "-", "A", "m", "w", ""] {
            let wrong = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            if wrong == text {
                continue;
            }
            let error = wrong.parse::<Token>().expect_err(&format!("{at} {with}"));
            assert!(!error.to_string().contains(&secret[4..12]), "{error}");
        }
    }
    for text in
        ["", "CLUSTER", "CLUSTER-1", "CLUSTER-1-w-a-b-c", "SWMTKN-1-x-y", "CLUSTER-2-w-a-b-c"]
    {
        assert!(matches!(text.parse::<Token>(), Err(Error::Token { .. })), "{text}");
    }
}

#[test]
fn a_token_matches_its_own_digest_only() {
    let (ours, rotated) = (token(Role::Worker), token(Role::Worker));
    assert!(ours.matches(&ours.secret_digest()));
    assert!(!ours.matches(&rotated.secret_digest()));
    assert!(!ours.matches(""));
    assert_eq!(ours.secret_digest().len(), 64);
}

#[test]
fn attack_05_a_workers_secret_is_worth_nothing_as_a_managers() {
    let worker = token(Role::Worker);
    let text = worker.to_string().replace("-w-", "-m-");
    let (body, _) = text.rsplit_once('-').unwrap();
    let check = spelled(crc32fast::hash(body.as_bytes()));
    let forged: Token = format!("{body}-{check}").parse().unwrap();
    assert_eq!(forged.role(), Role::Manager);
    assert!(!forged.matches(&worker.secret_digest()));
}

/// The check as a token spells it: 32 bits in seven symbols of five, most significant first.
fn spelled(check: u32) -> String {
    let bits = u64::from(check) << 3;
    let symbol =
        |at: u32| b"abcdefghijklmnopqrstuvwxyz234567"[(bits >> (30 - 5 * at)) as usize % 32];
    (0..7).map(|at| char::from(symbol(at))).collect()
}

#[test]
fn sealed_bytes_open_with_the_same_key_for_the_same_purpose() {
    let key = ClusterKey::generate();
    let sealed = Sealer::new(&key).seal(b"a private key", b"authority");
    let read = ClusterKey::parse(&format!("{}\n", *key.encode())).unwrap();
    assert_eq!(*Sealer::new(&read).open(&sealed, b"authority").unwrap(), b"a private key");
    assert!(!sealed.windows(7).any(|w| w == b"private"));
    assert_ne!(sealed, Sealer::new(&key).seal(b"a private key", b"authority"));
}

#[test]
fn another_key_another_purpose_and_any_change_are_refused() {
    let key = ClusterKey::generate();
    let sealer = Sealer::new(&key);
    let sealed = sealer.seal(b"secret", b"authority");
    let other = Sealer::new(&ClusterKey::generate());
    assert!(matches!(other.open(&sealed, b"authority"), Err(Error::SealBroken)));
    assert!(matches!(sealer.open(&sealed, b"token"), Err(Error::SealBroken)));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(sealer.open(&changed, b"authority").is_err(), "byte {at}");
    }
    for length in 0..sealed.len() {
        assert!(sealer.open(&sealed[..length], b"authority").is_err(), "length {length}");
    }
}

#[test]
fn a_cluster_key_that_is_none_is_refused() {
    let good = ClusterKey::generate().encode();
    for text in ["", "abc", &good[1..], &format!("{}a", *good), &good.to_uppercase()] {
        assert!(matches!(ClusterKey::parse(text), Err(Error::ClusterKey)));
    }
}

#[test]
fn attack_19_debug_output_shows_no_secret() {
    let (key, token) = (ClusterKey::generate(), token(Role::Manager));
    let secret = token.to_string().split('-').nth(4).unwrap().to_owned();
    let shown = format!("{key:?} {:?} {token:?}", Sealer::new(&key));
    assert!(!shown.contains(&secret) && !shown.contains(key.encode().as_str()), "{shown}");
    assert!(shown.contains("redacted"));
}

#[test]
fn a_digest_is_the_same_for_the_same_and_nothing_without_the_key() {
    let key = ClusterKey::generate();
    let (ours, restarted) = (Sealer::new(&key), Sealer::new(&key));
    let digest = ours.digest(b"hunter2", b"secret");
    assert_eq!(digest, restarted.digest(b"hunter2", b"secret"));
    assert_eq!(digest.len(), 64);
    assert_ne!(digest, ours.digest(b"hunter2", b"config"));
    assert_ne!(digest, ours.digest(b"hunter3", b"secret"));
    assert_ne!(digest, Sealer::new(&ClusterKey::generate()).digest(b"hunter2", b"secret"));
}
