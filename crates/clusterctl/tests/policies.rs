//! `policy`, and deploys that need one, against a cluster that answers as told.

mod fake;

use api::v1::*;
use fake::{Fake, Place, node, replica, service};

const FILE: &str =
    "name: shop\nservices:\n  web:\n    image: nginx\n    privileged: true\n    pid: host\n";

fn granted(keys: &[&str]) -> Policy {
    let granted = keys.iter().map(ToString::to_string).collect();
    Policy { project: "shop".into(), granted }
}

#[test]
fn a_deploy_names_the_place_and_the_command_until_it_is_granted() {
    let fake = Fake::new();
    fake.set(|s| {
        s.nodes = vec![node("node1")];
        s.services = vec![vec![service("web", 1)]];
        s.replicas = vec![vec![replica("web.1", "running", "")]];
        s.policies = vec![granted(&["pid"])];
    });
    let place = Place::with(&fake);
    place.write("docker-compose.yml", FILE);
    let ran = place.run("deploy -d");
    assert_eq!(ran.code, 1);
    for words in ["docker-compose.yml:5:5", "clusterctl policy grant -p shop privileged`"] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    assert!(!ran.err.contains("docker-compose.yml:6"), "that was granted: {}", ran.err);
    assert!(fake.set(|s| s.deploys.is_empty()));
    fake.set(|s| s.policies = vec![granted(&["pid", "privileged"])]);
    let ran = place.run("deploy -d");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!fake.set(|s| s.deploys.remove(0)).allow_host);
}

#[test]
fn grants_and_revocations_name_keys() {
    let fake = Fake::new();
    let place = Place::with(&fake);
    assert_eq!(place.run("policy grant -p new privileged volumes").code, 0);
    assert_eq!(place.run("policy revoke -p new all").code, 0);
    let wrong = place.run("policy grant -p new root");
    assert!(wrong.code == 2 && wrong.err.contains("cap_add, cgroup"), "{wrong:?}");
    let asked = fake.set(|s| s.policies_set.clone());
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].project.as_str(), asked[0].grant.len()), ("new", 2));
    assert_eq!((asked[1].grant.len(), asked[1].revoke.len()), (0, model::Power::ALL.len()));
}

#[test]
fn what_is_granted_is_shown() {
    let fake = Fake::new();
    fake.set(|s| s.policies = vec![granted(&["pid"])]);
    let ran = Place::with(&fake).run("policy show -p shop");
    assert_eq!((ran.code, ran.out.as_str()), (0, "shop  pid\n"));
}

#[test]
fn one_value_is_granted_asked_for_and_shown_by_itself() {
    let fake = Fake::new();
    fake.set(|s| {
        s.nodes = vec![node("node1")];
        s.services = vec![vec![service("web", 1)]];
        s.replicas = vec![vec![replica("web.1", "running", "")]];
        s.policies = vec![granted(&["cap_add=SYS_TIME"])];
    });
    let place = Place::with(&fake);
    place.write(
        "docker-compose.yml",
        "name: shop\nservices:\n  web:\n    image: nginx\n    cap_add: [SYS_TIME, SYS_ADMIN]\n    \
         volumes: ['/var/run/docker.sock:/var/run/docker.sock']\n",
    );
    let ran = place.run("deploy -d");
    assert_eq!(ran.code, 1);
    for words in ["grant -p shop cap_add=SYS_ADMIN`", "volumes=/var/run/docker.sock`"] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    assert!(!ran.err.contains("cap_add=SYS_TIME"), "that was granted: {}", ran.err);
    let all = ["cap_add=SYS_TIME", "cap_add=SYS_ADMIN", "volumes=/var/run/docker.sock"];
    fake.set(|s| s.policies = vec![granted(&all)]);
    assert_eq!(place.run("deploy -d").code, 0);
    let ran = place.run("policy ls -p shop");
    assert_eq!(ran.out, format!("shop  {}\n", all.join(" ")));
    assert_eq!(place.run("policy grant -p shop cap_add=cap_bpf volumes=/a").code, 0);
    let asked = fake.set(|s| s.policies_set.remove(0));
    assert_eq!(asked.grant[0], "cap_add=BPF");
    let wrong = place.run("policy grant -p shop pid=host");
    assert!(wrong.code == 2 && wrong.err.contains("has no values"), "{wrong:?}");
}
