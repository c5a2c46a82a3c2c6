//! Requests over HTTP that services share a port for: whose they are, on every node, and what a dead replica costs.

use crate::cluster::{Cluster, MANAGERS, Step, WEB, eventually, hold, say};
use lab::harness::Verdict;
use lab::{Load, LoadPlan, Response};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Where every node answers for all services.
const SHARED: u16 = 80;

const STACK: &str = "name: sites
services:
  one:
    image: e2e/web:1
    stop_grace_period: 1s
    environment: {PORT: '8080', VERSION: one}
    x-cluster: {http: [{host: one.example, port: 8080}, {port: 8080}]}
    deploy: {replicas: 3}
  two:
    image: e2e/web:1
    stop_grace_period: 1s
    environment: {VERSION: two}
    labels:
      traefik.http.routers.two.rule: Host(`two.example`) || Host(`other.example`)
      traefik.http.services.two.loadbalancer.server.port: 80
";

/// Two services by their host on three nodes; a container is killed under load, and nobody notices.
pub(crate) fn requests_find_their_service(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, STACK, &[])?.ok()?;
    for host in MANAGERS {
        for (name, version) in
            [("one.example", "one"), ("two.example", "two"), ("other.example", "two")]
        {
            let answer = eventually("an answer of the right service", || {
                let answer = get(cluster, host, name)?;
                hold(answer.status == 200, || format!("{name} at host{host}: {answer:?}"))?;
                Ok(answer)
            })?;
            assert!(answer.body.contains(&format!("version {version}")), "{name}: {answer:?}");
        }
    }
    let text = STACK.replace("name: sites", "name: again");
    let path = cluster.write("again.yml", &text)?;
    let said = cluster.refused(1, &["deploy", "-f", &path.display().to_string()], 1)?;
    assert!(said.contains("sites/one") && said.contains("again/one"), "{said}");
    let targets =
        MANAGERS.iter().map(|&host| cluster.at(host, SHARED)).collect::<Result<_, _>>()?;
    let load = Load::start(LoadPlan { rate: 100, ..LoadPlan::steady(targets) });
    lab::pause(Duration::from_secs(1));
    let serve = cluster.serving(1, ("sites", "one"), 3, None)?;
    let node = cluster.number(&serve[0].node)?;
    let victims = cluster.of("sites", "one")?.into_iter().filter(|c| c.host == node);
    for container in victims {
        cluster.docker(node, &["kill", &container.id])?.ok()?;
    }
    lab::pause(Duration::from_secs(3));
    cluster.serving(1, ("sites", "one"), 3, None)?;
    let report = load.stop();
    say(&format!("{} requests, {} failed", report.samples.len(), report.failed()));
    assert_eq!(report.failed(), 0, "{:?}", report.errors());
    let figures = ["wget", "-q", "-O", "-", "http://127.0.0.1:7072/metrics"];
    let metrics = cluster.exec(1, "/bin/busybox", &figures)?.ok()?.stdout;
    assert!(
        metrics.contains("http_responses_total{project=\"sites\",service=\"one\""),
        "{metrics}"
    );
    cluster.undeploy(1, "sites")?;
    eventually("the shared port is closed", || {
        hold(get(cluster, 1, "one.example").is_err(), || "it is open".to_owned())
    })?;
    assert_eq!(cluster.ask(1, WEB, "/")?.status, 200, "what is published is as it was");
    Ok(())
}

/// Asks for `/` of a host by its name.
fn get(cluster: &Cluster, host: u8, name: &str) -> Step<Response> {
    let mut stream = TcpStream::connect(cluster.at(host, SHARED)?)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    Ok(Response { status, body: answer })
}
