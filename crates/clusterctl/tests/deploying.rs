//! `deploy` and `down` against a cluster that answers as told: what is sent, what is shown, and that the exit
//! code is the truth.

mod fake;

use api::v1::*;
use fake::{Fake, Place, node, replica, service};

const FILE: &str = "\
name: shop
services:
  web:
    image: nginx
    deploy: {replicas: 2}
  api:
    image: api
    environment: {DB: 'http://web:80'}
";

fn place(fake: &Fake) -> Place {
    fake.set(|s| {
        s.nodes = vec![node("node1"), node("node2"), node("node3")];
        s.deploy_reply = DeployReply { index: 10, generation: 8, ..DeployReply::default() };
        s.services = vec![vec![service("web", 2), service("api", 1)]];
    });
    let place = Place::with(fake);
    place.write("docker-compose.yml", FILE);
    place
}

fn all() -> Vec<ReplicaSummary> {
    ["web.1", "web.2", "api.1"].map(|name| replica(name, "running", "")).to_vec()
}

#[test]
fn what_is_not_honoured_is_said_before_anything_starts() {
    let fake = Fake::new();
    let place = place(&fake);
    fake.set(|s| s.replicas = vec![all()]);
    let file =
        FILE.replace("image: nginx\n", "image: nginx\n    expose: [80]\n    privileged: true\n");
    place.write("docker-compose.yml", &file);
    let refused = place.run("deploy");
    assert!(refused.code == 1 && refused.err.contains("--allow-host"), "{refused:?}");
    assert!(fake.set(|s| s.deploys.is_empty()), "nothing is sent");
    let ran = place.run("deploy --allow-host");
    assert_eq!(ran.code, 0, "{ran:?}");
    let at = |words: &str| ran.err.find(words).unwrap_or_else(|| panic!("{words}: {}", ran.err));
    let start = at("Resolving images");
    assert!(at("harmless here: services.web.expose") < start);
    assert!(at("allowed by policy or --allow-host: services.web.privileged") < start);
    assert!(fake.set(|s| s.deploys.remove(0)).allow_host);
}

#[test]
fn a_deploy_waits_until_everything_runs() {
    let fake = Fake::new();
    let place = place(&fake);
    fake.set(|s| {
        s.replicas = vec![vec![replica("web.1", "starting", "")], all()];
        s.deploy_reply.scaled = vec![Scaled { service: "web".into(), from: 4, to: 2 }];
        s.deploy_reply.remarks = vec!["image api is known to no registry".into()];
    });
    let ran = place.run("deploy");
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        "warning: image api is known to no registry\n",
        "shop/web  4 → 2, as the file says\n",
        "shop/web.1  Starting on node2\n",
        "shop/web.1  Running on node2\n",
        "warning: api calls web by name",
    ] {
        assert!(ran.err.contains(line), "{line} in {}", ran.err);
    }
    let deploy = fake.set(|s| s.deploys.remove(0));
    assert_eq!((deploy.seen, deploy.dry_run, deploy.allow_host), (7, false, false));
    assert_eq!(compose::parse_canonical(&deploy.document, false).unwrap().name.as_str(), "shop");
}

#[test]
fn what_is_not_there_in_time_is_a_failure_with_reasons() {
    let fake = Fake::new();
    let place = place(&fake);
    fake.set(|s| {
        let mut replicas = all();
        replicas[1] = replica("web.2", "waiting", "2 nodes lack memory (need 512 MiB)");
        s.replicas = vec![replicas];
    });
    let ran = place.run("up --timeout 1s");
    assert_eq!(ran.code, 1, "{ran:?}");
    let missing = "  shop/web.2: Waiting: 2 nodes lack memory (need 512 MiB)";
    assert!(
        ran.err.contains("error: not there after 1.0s") && ran.err.contains(missing),
        "{ran:?}"
    );
    assert_eq!(place.run("up --detach").code, 0);
}

#[test]
fn what_one_node_knows_by_itself_is_no_success() {
    let fake = Fake::new();
    let place = place(&fake);
    fake.set(|s| {
        s.replicas = vec![all()];
        s.deploy_reply.index = 11;
    });
    assert_eq!(
        place.run("deploy --timeout 1s").code,
        1,
        "an older read says nothing of the change"
    );
    fake.set(|s| s.read.index = 11);
    assert_eq!(place.run("deploy --timeout 1s").code, 0);
}

#[test]
fn a_file_with_errors_starts_nothing_and_names_the_place() {
    let fake = Fake::new();
    let place = place(&fake);
    place.write("bad.yml", "name: shop\nservices:\n  web:\n    imgae: nginx\n");
    let ran = place.run("deploy -f bad.yml");
    assert_eq!((ran.code, fake.set(|s| s.deploys.len())), (1, 0));
    assert!(ran.err.contains("--> bad.yml:4:5") && ran.err.contains("imgae: nginx"), "{ran:?}");
    let ran = place.run("deploy -f none.yml");
    assert!(ran.code == 1 && ran.err.contains("cannot read none.yml"), "{ran:?}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let fake = Fake::new();
    let place = place(&fake);
    let ran = place.run("deploy --dry-run");
    assert_eq!(ran.code, 0);
    assert!(fake.set(|s| s.deploys.iter().all(|d| d.dry_run)));
    assert!(ran.err.contains("shop/api  image nginx → api\n"), "{ran:?}");
}

#[test]
fn json_is_printed_alone_when_all_is_done() {
    let fake = Fake::new();
    let place = place(&fake);
    fake.set(|s| s.replicas = vec![all()]);
    let document = place.run("--json deploy").json();
    assert_eq!((&document["project"], &document["generation"]), (&"shop".into(), &8.into()));
}

#[test]
fn logins_are_sent_only_when_asked_for() {
    let fake = Fake::new();
    let place = place(&fake);
    std::fs::create_dir(place.path(".docker")).unwrap();
    place.write(".docker/config.json", r#"{"auths":{"ghcr.io":{"auth":"Ym9iOng="}}}"#);
    place.run("deploy -d");
    place.run("deploy -d --with-registry-auth");
    let logins = fake.set(|s| s.deploys.iter().map(|d| d.logins.len()).collect::<Vec<_>>());
    assert_eq!(logins, [0, 1]);
}

#[test]
fn down_waits_until_nothing_is_left() {
    let fake = Fake::new();
    let place = place(&fake);
    fake.set(|s| {
        s.write_reply.index = 10;
        s.services.push(Vec::new());
        s.services.insert(0, s.services[0].clone());
        s.replicas = vec![all(), Vec::new()];
    });
    let ran = place.run("down");
    assert_eq!((ran.code, ran.out.as_str()), (0, "shop is removed; its named volumes are kept.\n"));
}
