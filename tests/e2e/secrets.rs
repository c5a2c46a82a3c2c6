//! Secrets and configs: read by the containers on every host, rolled out when they change, and seen by nobody else.

use crate::cluster::{Cluster, MANAGERS, Step, eventually, hold};
use crate::look::Container;
use lab::Part;
use lab::harness::Verdict;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

const FILE: &str = r#"name: sealed
services:
  it:
    image: e2e/web:1
    stop_grace_period: 1s
    secrets:
      - token
      - {source: password, target: db/password, uid: "1000", mode: 0440}
      - certificate
    configs:
      - settings
    deploy:
      replicas: 3
      placement: {max_replicas_per_node: 1}
secrets:
  token: {file: ./token.txt}
  password: {environment: E2E_PASSWORD}
  certificate: {external: true, name: e2e-certificate}
configs:
  settings: {content: "plain = yes"}
"#;

/// What the secrets hold, the changed one too. Of one piece, so that it is found wherever it lies.
const HELD: [&str; 4] = [
    "E2E-SECRET-of-the-file",
    "E2E-SECRET-of-the-variable",
    "E2E-SECRET-of-no-project",
    "E2E-SECRET-of-the-changed-file",
];

/// From a file, a variable, the command line and the Compose file itself.
pub(crate) fn secrets_reach_containers_only(cluster: &Cluster) -> Verdict {
    let place = Place::new(cluster)?;
    place.write("token.txt", HELD[0])?;
    place.write("certificate", HELD[2])?;
    let missing = cluster.refused(1, &place.deploy(), 1)?;
    assert!(missing.contains("clusterctl secret create e2e-certificate"), "{missing}");
    cluster.say(1, &["secret", "create", "e2e-certificate", &place.path("certificate")])?;

    cluster.say(2, &place.deploy())?;
    reads(cluster, HELD[0])?;
    let first = ours(cluster)?;
    cluster.say(3, &place.deploy())?;
    assert_eq!(ours(cluster)?, first, "nothing changed, and yet something was restarted");

    place.write("token.txt", HELD[3])?;
    cluster.say(1, &place.deploy())?;
    reads(cluster, HELD[3])?;
    assert!(ours(cluster)?.is_disjoint(&first), "it runs on with the secret before");

    outlives_the_daemon(cluster)?;
    shown_nowhere(cluster)?;
    let used = cluster.refused(2, &["secret", "rm", "e2e-certificate"], 1)?;
    assert!(used.contains("used by sealed/it"), "{used}");
    cluster.undeploy(1, "sealed")?;
    cluster.say(3, &["secret", "rm", "e2e-certificate"])?;
    fs::remove_dir_all(&place.folder)?;
    for host in MANAGERS {
        let listed = |folder: &str| -> Step<String> {
            Ok(cluster.exec(host, "/bin/busybox", &["ls", folder])?.stdout)
        };
        eventually("that the files go with the containers", || {
            let configs = cluster.host(host)?.data_dir().join("configs");
            let left = listed(SECRETS)? + &listed(&configs.display().to_string())?;
            hold(left.is_empty(), || format!("host{host} still has {left}"))
        })?;
    }
    found_nowhere(cluster)
}

/// Where the daemon keeps secrets unless told otherwise.
const SECRETS: &str = "/run/clusterd/secrets";

/// A Compose project in a folder of its own, with a variable in a file of its own.
struct Place {
    folder: PathBuf,
    file: String,
}

impl Place {
    fn new(cluster: &Cluster) -> Step<Self> {
        let folder = cluster.options().root.join("files/sealed");
        fs::create_dir_all(&folder)?;
        let file = folder.join("docker-compose.yml").display().to_string();
        let place = Self { folder, file };
        place.write("docker-compose.yml", FILE)?;
        place.write(".env", &format!("E2E_PASSWORD={}\n", HELD[1]))?;
        Ok(place)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Step<()> {
        Ok(fs::write(self.folder.join(name), text)?)
    }

    fn deploy(&self) -> [&str; 3] {
        ["deploy", "-f", &self.file]
    }
}

fn ours(cluster: &Cluster) -> Step<BTreeSet<Container>> {
    let mut all = cluster.running(&MANAGERS)?;
    all.retain(|c| c.project == "sealed");
    Ok(all)
}

/// What a container is to find.
const LOOK: &str = "cat /run/secrets/token /run/secrets/db/password /run/secrets/certificate /settings; echo; \
                    stat -c '%a %u' /run/secrets/token /run/secrets/db/password; \
                    echo x >> /run/secrets/token";

/// Every replica, each on a host of its own, reads everything, and can write nothing.
fn reads(cluster: &Cluster, token: &str) -> Verdict {
    let replicas = cluster.serving(1, ("sealed", "it"), 3, None)?;
    let hosts: BTreeSet<&String> = replicas.iter().map(|r| &r.node).collect();
    assert_eq!(hosts.len(), 3, "{replicas:?}");
    let expected = format!("{token}{}{}plain = yes\n444 0\n440 1000\n", HELD[1], HELD[2]);
    for name in ["it.1", "it.2", "it.3"] {
        let words = ["-p", "sealed", "exec", name, "--", "sh", "-c", LOOK];
        let said = cluster.clusterctl(2, &words)?;
        hold(said.stdout == expected, || format!("{name}: {}{}", said.stdout, said.stderr))?;
        hold(said.stderr.contains("Read-only file system"), || said.stderr.clone())?;
    }
    Ok(())
}

/// The daemon is killed: its containers read on, and even one that is restarted meanwhile does.
fn outlives_the_daemon(cluster: &Cluster) -> Verdict {
    let (_, [host, _]) = cluster.roles()?;
    let before = ours(cluster)?;
    let container = before.iter().find(|c| c.host == host).ok_or("none on that host")?;
    cluster.kill(host, Part::Daemon)?;
    let read = || -> Verdict {
        let words = ["exec", &container.id, "/bin/sh", "-c", "cat /run/secrets/token"];
        let said = cluster.docker(host, &words)?.ok()?;
        hold(said.stdout == HELD[3], || format!("{}{}", said.stdout, said.stderr))
    };
    read()?;
    // Not by a signal that it would answer: the image remembers that it was asked to stop.
    cluster.docker(host, &["kill", &container.id])?.ok()?;
    cluster.docker(host, &["start", &container.id])?.ok()?;
    read()?;
    cluster.start_daemon(host)?;
    cluster.wait_daemon(host)?;
    cluster.whole()?;
    reads(cluster, HELD[3])
}

/// No word of the command line shows what a secret holds, and no disk has it.
fn shown_nowhere(cluster: &Cluster) -> Verdict {
    let words = [
        "inspect sealed",
        "inspect sealed/it",
        "inspect sealed/it.1",
        "inspect host1",
        "secret ls",
        "config ls",
        "events -n 500",
        "ps --all",
        "status",
    ];
    for words in words {
        for json in [false, true] {
            let mut words: Vec<&str> = words.split(' ').collect();
            words.extend(json.then_some("--json"));
            let said = cluster.say(2, &words)?;
            let shown = said.stdout.contains("E2E-SECRET") || said.stderr.contains("E2E-SECRET");
            hold(!shown, || format!("`{words:?}` shows a secret"))?;
        }
    }
    found_nowhere(cluster)
}

/// Everything of every host that is on a disk: the log, snapshots and views of its daemon, its logs, and
/// everything of its engine.
fn found_nowhere(cluster: &Cluster) -> Verdict {
    for number in cluster.numbers() {
        let data = cluster.host(number)?.data_dir();
        let folder = data.parent().ok_or("a host has a folder")?;
        let (mut files, mut found) = (0, Vec::new());
        search(folder, &mut files, &mut found);
        hold(files > 0, || format!("{} has no files", folder.display()))?;
        hold(found.is_empty(), || format!("a secret lies in {found:?}"))?;
    }
    Ok(())
}

fn search(folder: &Path, files: &mut usize, found: &mut Vec<PathBuf>) {
    // What is gone while it is looked at holds nothing.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            search(&path, files, found);
        } else if kind.is_file() && holds(&path) {
            found.push(path);
        }
        *files += usize::from(kind.is_file());
    }
}

/// Whether a file has one of the secrets in it, piece by piece: some are large.
fn holds(path: &Path) -> bool {
    let Ok(mut file) = fs::File::open(path) else { return false };
    let longest = HELD.iter().map(|held| held.len()).max().unwrap_or(0);
    let mut window = Vec::new();
    loop {
        let mut piece = Vec::new();
        let read = (&mut file).take(1 << 20).read_to_end(&mut piece);
        if !matches!(read, Ok(1..)) {
            return false;
        }
        window.extend(piece);
        let has = |held: &&str| window.windows(held.len()).any(|w| w == held.as_bytes());
        if HELD.iter().any(has) {
            return true;
        }
        window.drain(..window.len().saturating_sub(longest));
    }
}
