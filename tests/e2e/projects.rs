//! Projects as people have them, deployed on three hosts as a new user would: the file as it is, and where that is
//! refused, what the refusal says. The files lie in `tests/e2e/projects/`.

use crate::cluster::{Cluster, MANAGERS, Step, eventually, hold};
use crate::standins;
use lab::harness::Verdict;
use std::path::Path;

/// How a `clusterctl` in the folder of a project ended, and what it said.
struct Said {
    code: Option<i32>,
    text: String,
}

fn inside(cluster: &Cluster, project: &str, words: &[&str], env: &[(&str, &str)]) -> Step<Said> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/projects").join(project);
    let socket = format!("unix://{}", cluster.host(1)?.docker_socket().display());
    let mut command = cluster.clusterctl_command(1)?;
    command.current_dir(folder).args(words).env("DOCKER_HOST", socket);
    let done = command.envs(env.iter().copied()).output()?;
    let text = [done.stdout, done.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    Ok(Said { code: done.status.code(), text: text.concat() })
}

fn works(cluster: &Cluster, project: &str, words: &[&str], env: &[(&str, &str)]) -> Step<String> {
    let said = inside(cluster, project, words, env)?;
    hold(said.code == Some(0), || format!("{words:?} ended with {:?}: {}", said.code, said.text))?;
    Ok(said.text)
}

/// Every host answers at that port with a page that has these words.
fn served(cluster: &Cluster, port: u16, words: &[&str]) -> Step<()> {
    for host in MANAGERS {
        eventually("the page", || {
            let page = cluster.ask(host, port, "/")?;
            let whole = page.status == 200 && words.iter().all(|w| page.body.contains(w));
            hold(whole, || format!("host {host}: {} {}", page.status, page.body))
        })?;
    }
    Ok(())
}

/// What the replicas of a service print has these words.
fn prints(cluster: &Cluster, project: &str, service: &str, words: &str) -> Step<()> {
    eventually("a line of its log", || {
        let said = cluster.say(2, &["-p", project, "logs", service])?.stdout;
        hold(said.contains(words), || said.clone())
    })
}

fn end(cluster: &Cluster, project: &str) -> Verdict {
    cluster.say(1, &["-p", project, "down", "--volumes"])?;
    Ok(())
}

/// A blog and its database.
pub(crate) fn wordpress(cluster: &Cluster) -> Verdict {
    standins::load(cluster, &standins::WORDPRESS)?;
    works(cluster, "wordpress", &["check"], &[])?;
    works(cluster, "wordpress", &["deploy"], &[])?;
    served(cluster, 8000, &["WordPress with wordpress of"])?;
    end(cluster, "wordpress")
}

/// A web application that is built, with a worker and Redis.
pub(crate) fn python_with_a_worker(cluster: &Cluster) -> Verdict {
    standins::load(cluster, &standins::PYTHON)?;
    works(cluster, "python", &["deploy"], &[])?;
    served(cluster, 8001, &["not-very-secret and redis"])?;
    prints(cluster, "python", "worker", "worker sees redis")?;
    // What is wished otherwise on the command line, as with Docker Compose.
    works(cluster, "python", &["deploy"], &[("WEB_PORT", "8003")])?;
    served(cluster, 8003, &["not-very-secret and redis"])?;
    end(cluster, "python")
}

/// Prometheus and Grafana, and on each node what shows it: what that is to be handed is asked for first, and
/// files of one machine become configs.
pub(crate) fn monitoring(cluster: &Cluster) -> Verdict {
    standins::load(cluster, &standins::MONITORING)?;
    let said = inside(cluster, "monitoring", &["deploy"], &[])?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    for words in [
        "clusterctl policy grant -p monitoring pid",
        "clusterctl policy grant -p monitoring volumes=/proc",
        "clusterctl policy grant -p monitoring privileged",
        "configs: [{source: prometheus_yml, target: /etc/prometheus/prometheus.yml}]",
        "file: ./grafana/provisioning/FILE",
    ] {
        assert!(said.text.contains(words), "{words}: {}", said.text);
    }
    let files = ["-f", "docker-compose.yml", "-f", "cluster.yml"];
    cluster.say(1, &["policy", "grant", "-p", "monitoring", "pid", "volumes"])?;
    works(cluster, "monitoring", &[&["deploy"], &files[..]].concat(), &[])?;
    let targets = ["node-exporter:9100 node ", "cadvisor:8080 containers"];
    served(cluster, 9090, &targets)?;
    served(cluster, 3000, &["Grafana, admin:", targets[0], targets[1]])?;
    let all = cluster.ps(1, "monitoring")?;
    for service in ["node-exporter", "cadvisor"] {
        assert_eq!(all.iter().filter(|r| r.service == service).count(), 3, "{all:?}");
    }
    cluster.say(1, &["policy", "revoke", "-p", "monitoring", "all"])?;
    end(cluster, "monitoring")
}

/// A broker, one who sends and three who receive.
pub(crate) fn message_queue(cluster: &Cluster) -> Verdict {
    standins::load(cluster, &standins::QUEUE)?;
    works(cluster, "queue", &["deploy"], &[])?;
    prints(cluster, "queue", "producer", "producer.py sees broker")?;
    prints(cluster, "queue", "consumer", "consumer.py sees broker")?;
    served(cluster, 15_672, &["broker"])?;
    end(cluster, "queue")
}

/// One file for all, one for development and one for production.
pub(crate) fn several_files(cluster: &Cluster) -> Verdict {
    standins::load(cluster, &standins::OVERRIDE)?;
    let version = [("API_VERSION", "7")];
    let said = inside(cluster, "override", &["deploy"], &version)?;
    let reason = "`.` is a path of this machine, but 3 nodes could run the service";
    assert!(said.code == Some(1) && said.text.contains(reason), "{}", said.text);
    let files = ["deploy", "-f", "compose.yaml", "-f", "compose.prod.yaml"];
    let said = inside(cluster, "override", &files, &[])?;
    assert!(said.code == Some(1) && said.text.contains("say which version"), "{}", said.text);
    works(cluster, "override", &files, &version)?;
    served(cluster, 8002, &["with 4 workers, debug '', and a database of 29"])?;
    let all = cluster.ps(1, "acme")?;
    let count = |service: &str| all.iter().filter(|r| r.service == service).count();
    assert_eq!([count("proxy"), count("api"), count("db"), count("adminer")], [2, 3, 1, 0]);
    end(cluster, "acme")
}
