//! Secrets and configs at the command line: what is sent, and that nothing of it is ever shown.

mod fake;

use api::v1::*;
use fake::{Fake, Place, Ran, node, replica, service};
use std::io::Write;
use std::process::Stdio;

const FILE: &str = "\
name: shop
services:
  web:
    image: nginx
    secrets: [token, password]
    configs: [settings]
secrets:
  token: {file: ./token.txt}
  password: {environment: DB_PASSWORD}
configs:
  settings: {content: plain}
";

const WORDS: [&str; 2] = ["of-the-file-9", "of-the-variable-9"];

fn place(fake: &Fake) -> Place {
    fake.set(|s| {
        s.nodes = vec![node("node1")];
        s.services = vec![vec![service("web", 1)]];
        s.replicas = vec![vec![replica("web.1", "running", "")]];
        s.deploy_reply = DeployReply { index: 10, generation: 8, ..DeployReply::default() };
    });
    let place = Place::with(fake);
    place.write("docker-compose.yml", FILE);
    place.write("token.txt", WORDS[0]);
    place
}

fn run(place: &Place, args: &str) -> Ran {
    Ran::of(&place.command(args).env("DB_PASSWORD", WORDS[1]).output().expect("it can be run"))
}

#[test]
fn a_deploy_sends_what_secrets_hold_beside_the_document() {
    let fake = Fake::new();
    let place = place(&fake);
    let ran = run(&place, "deploy");
    assert_eq!(ran.code, 0, "{ran:?}");
    let deploy = fake.set(|s| s.deploys.remove(0));
    let sent: Vec<(&str, &str, &[u8])> = deploy
        .contents
        .iter()
        .map(|c| (c.kind.as_str(), c.name.as_str(), &c.content[..]))
        .collect();
    let expected =
        [("secret", "password", WORDS[1].as_bytes()), ("secret", "token", WORDS[0].as_bytes())];
    assert_eq!(sent, expected);
    assert!(WORDS.iter().all(|word| !deploy.document.contains(word)));
    assert!(WORDS.iter().all(|word| !ran.out.contains(word) && !ran.err.contains(word)));
}

#[test]
fn attack_19_no_secret_is_shown_whatever_is_asked() {
    let fake = Fake::new();
    let place = place(&fake);
    for args in ["config", "config --json", "check", "check --json", "deploy --dry-run --json"] {
        let ran = run(&place, args);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(WORDS.iter().all(|word| !ran.out.contains(word) && !ran.err.contains(word)));
    }
    let unset = place.run("deploy");
    assert_eq!(unset.code, 1);
    assert!(unset.err.contains("variable `DB_PASSWORD`, which secret password comes from"));
}

#[test]
fn one_that_no_project_owns_is_made_from_a_file_or_standard_input() {
    let fake = Fake::new();
    let place = place(&fake);
    let ran = place.run("secret create own ./token.txt");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    assert!(ran.err.contains("secret own is there"), "{ran:?}");
    let mut child = place
        .command("config create own -")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe\n").unwrap();
    assert!(child.wait().unwrap().success());
    let made = fake.set(|s| std::mem::take(&mut s.contents));
    let made: Vec<(&str, &[u8])> = made.iter().map(|c| (c.kind.as_str(), &c.content[..])).collect();
    assert_eq!(made, [("secret", WORDS[0].as_bytes()), ("config", &b"from a pipe\n"[..])]);

    place.write("empty", "");
    place.write("large", &"x".repeat(model::limits::CONTENT_BYTES + 1));
    for (args, why) in [
        ("secret create a empty", "empty is empty"),
        ("secret create a large", "large is too large for a secret: more than 500 KiB"),
        ("secret create a missing", "missing"),
    ] {
        let ran = place.run(args);
        assert!(ran.code == 1 && ran.err.contains(why), "{ran:?}");
    }
    assert!(fake.set(|s| s.contents.is_empty()));
}

#[test]
fn they_are_listed_and_removed() {
    let fake = Fake::new();
    let place = place(&fake);
    let ran = place.run("secret ls");
    assert!(
        ran.code == 0 && ran.out.starts_with("NAME") && ran.out.contains("shop/web"),
        "{ran:?}"
    );
    let listed = place.run("config ls --json").json();
    assert_eq!(listed[0]["used_by"][0], "shop/web");
    assert_eq!(place.run("secret rm tls").code, 0);
}
