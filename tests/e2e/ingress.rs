//! What answers on every host besides published TCP ports: published UDP ports, and TLS with certificates from secrets.

use crate::cluster::{Cluster, MANAGERS, Step, eventually, hold};
use lab::harness::Verdict;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const DATAGRAMS: &str = "name: datagrams
services:
  it:
    image: e2e/web:1
    stop_grace_period: 1s
    environment: {VERSION: one, UDP_PORT: '9053'}
    ports: ['9053:9053/udp']
    deploy: {replicas: 2, placement: {max_replicas_per_node: 1}}
";

/// Two replicas answer over UDP at every host, also at the one that has none; a client keeps to one of them.
pub(crate) fn datagrams_reach_their_service(cluster: &Cluster) -> Verdict {
    cluster.deploy_text(1, DATAGRAMS, &[])?.ok()?;
    cluster.serving(1, ("datagrams", "it"), 2, None)?;
    for host in MANAGERS {
        let mut answers = BTreeSet::new();
        for _ in 0..4 {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(Duration::from_millis(500)))?;
            socket.connect(cluster.at(host, 9053)?)?;
            let first = eventually("an answer", || question(&socket))?;
            assert_eq!(question(&socket)?, first, "it is the same replica that goes on");
            answers.insert(first);
        }
        assert_eq!(answers.len(), 2, "both replicas answer at host{host}: {answers:?}");
    }
    cluster.undeploy(1, "datagrams")?;
    Ok(())
}

fn question(socket: &UdpSocket) -> Step<String> {
    let mut buffer = [0; 512];
    socket.send(b"who?")?;
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

const SECURE: &str = "name: secure
services:
  it:
    image: e2e/web:1
    stop_grace_period: 1s
    environment: {PORT: '8080', VERSION: one}
    x-cluster:
      http: {host: secure.example, port: 8080, tls: {certificate: chain, key: key, redirect: true}}
secrets:
  chain: {file: ./chain.pem}
  key: {file: ./key.pem}
";

/// Every host shows the certificate of the secrets, and the next one after a deploy that restarts nothing; what is no
/// certificate with its key is refused.
pub(crate) fn certificates_come_from_secrets(cluster: &Cluster) -> Verdict {
    let file = cluster.write("secure/compose.yml", SECURE)?;
    let folder = file.parent().ok_or("a folder")?.to_owned();
    let words = ["deploy", "-f", &file.display().to_string()].map(str::to_owned);
    let deploy = || words.iter().map(String::as_str).collect::<Vec<_>>();
    make(&folder, "chain.pem", "key.pem")?;
    make(&folder, "other.pem", "other-key.pem")?;
    cluster.say(1, &deploy())?;
    let shown = |chain: &str| -> Step<()> {
        for host in MANAGERS {
            eventually("the certificate is shown", || {
                let body = over_tls(cluster, host, &folder.join(chain))?;
                hold(body.contains("version one"), || body)
            })?;
        }
        Ok(())
    };
    shown("chain.pem")?;
    let ids = || -> Step<BTreeSet<String>> {
        Ok(cluster.of("secure", "it")?.into_iter().map(|c| c.id).collect())
    };
    let first = ids()?;
    let plain = run(Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"])
        .args([
            "--resolve",
            &format!("secure.example:80:{}", cluster.at(2, 80)?.ip()),
            "http://secure.example/a?b=c",
        ]))?;
    assert_eq!(plain, "308 https://secure.example/a?b=c");
    std::fs::copy(folder.join("other.pem"), folder.join("chain.pem"))?;
    let said = cluster.refused(1, &deploy(), 1)?;
    assert!(said.contains("no certificate with its key"), "{said}");
    std::fs::copy(folder.join("other-key.pem"), folder.join("key.pem"))?;
    cluster.say(2, &deploy())?;
    shown("other.pem")?;
    assert_eq!(ids()?, first, "nothing was restarted");
    cluster.undeploy(1, "secure")?;
    Ok(())
}

fn make(folder: &Path, chain: &str, key: &str) -> Step<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example"]);
    command.arg("-out").arg(folder.join(chain)).arg("-keyout").arg(folder.join(key));
    run(&mut command).map(drop)
}

/// Asks a host over TLS, trusting nothing but one certificate.
fn over_tls(cluster: &Cluster, host: u8, trusted: &Path) -> Step<String> {
    let place = format!("secure.example:443:{}", cluster.at(host, 443)?.ip());
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "5", "--resolve", &place, "--cacert"]);
    run(command.arg(trusted).arg("https://secure.example/"))
}

fn run(command: &mut Command) -> Step<String> {
    let done = command.output()?;
    hold(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
