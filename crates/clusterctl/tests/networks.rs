//! `network`, against a cluster that answers as told.

mod fake;

use api::v1::*;
use fake::{Fake, Place};

fn network(project: &str, name: &str) -> Network {
    let web = NetworkService { project: "shop".into(), service: "web".into(), ..<_>::default() };
    let services = vec![web];
    Network { project: project.into(), name: name.into(), services, ..Network::default() }
}

fn finding(problem: &str) -> Finding {
    let aspect = "route".into();
    Finding {
        node: "host1".into(),
        to: "host2".into(),
        aspect,
        problem: problem.into(),
        ..<_>::default()
    }
}

#[test]
fn networks_are_listed_and_shown_in_full() {
    let fake = Fake::new();
    fake.set(|s| s.networks = vec![network("shop", "front"), network("blog", "front")]);
    let place = Place::with(&fake);
    let listed = place.run("network ls");
    assert!(listed.out.contains("shop/front") && listed.out.contains("shop/web"), "{listed:?}");
    let one = place.run("network inspect blog/front --json");
    assert!(one.code == 0 && one.out.contains("\"project\": \"blog\""), "{one:?}");
    let two = place.run("net inspect front");
    assert!(two.code == 2 && two.err.contains("shop/front or blog/front"), "{two:?}");
    let none = place.run("network inspect back");
    assert!(none.code == 1 && none.err.contains("network ls"), "{none:?}");
}

#[test]
fn the_doctor_ends_with_1_when_something_is_wrong() {
    let fake = Fake::new();
    fake.set(|s| s.findings = vec![finding("")]);
    let place = Place::with(&fake);
    assert_eq!(place.run("net doctor").code, 0);
    fake.set(|s| s.findings = vec![finding(""), finding("there is no route")]);
    let ran = place.run("net doctor");
    assert!(ran.code == 1 && ran.out.contains("there is no route"), "{ran:?}");
    let ran = place.run("net doctor --json");
    assert!(ran.code == 1 && ran.out.contains("\"problem\": \"there is no route\""), "{ran:?}");
}
