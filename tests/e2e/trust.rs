//! Who may do what over the control port: certificates that are absent, foreign, expired, of a worker, of a
//! node that was removed. Calls go out over real connections from outside the hosts.

use crate::cluster::{Cluster, MANAGERS, SPARE, Step, WEB, eventually, hold, say, seconds};
use crate::wire::{self, Stolen, dial, run};
use api::v1;
use api::v1::admin_client::AdminClient;
use api::v1::containers_client::ContainersClient;
use api::v1::members_client::MembersClient;
use identity::{Authority, CaDigest, KeyRequest, Tls, Token};
use lab::harness::Verdict;
use model::{ClusterId, NodeId, Role};
use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::ClientConfig;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// What each call over that connection is answered with, by the call's name.
fn answers(
    cluster: &Cluster,
    host: u8,
    config: &Arc<ClientConfig>,
) -> Step<Vec<(&'static str, Result<(), Status>)>> {
    let (address, config) = (cluster.host(host)?.control_address(), Arc::clone(config));
    let report = foreign_report(cluster)?;
    run(async move {
        let channel = dial(address, config, u64::from(host)).await?;
        let raft = |path| empty(channel.clone(), path);
        let members = || MembersClient::new(channel.clone());
        let admin = || AdminClient::new(channel.clone());
        let engine = || ContainersClient::new(channel.clone());
        let scale = v1::ScaleRequest {
            project: "app".into(),
            counts: [("web".to_owned(), 0)].into_iter().collect(),
            ..v1::ScaleRequest::default()
        };
        let token = v1::TokenRequest { role: "manager".into(), ..v1::TokenRequest::default() };
        let image =
            v1::ImageRequest { reference: "e2e/web:1".into(), ..v1::ImageRequest::default() };
        let down = v1::DownRequest { project: "app".into(), ..v1::DownRequest::default() };
        Ok(vec![
            ("append", raft("/cluster.v1.Raft/Append").await),
            ("vote", raft("/cluster.v1.Raft/Vote").await),
            ("propose", raft("/cluster.v1.Raft/Propose").await),
            ("key", members().key(v1::KeyRequest {}).await.map(drop)),
            ("report", members().report(report).await.map(drop)),
            ("watch", members().watch(v1::WatchRequest::default()).await.map(drop)),
            ("scale", admin().scale(scale).await.map(drop)),
            ("down", admin().down(down).await.map(drop)),
            ("token", admin().token(token).await.map(drop)),
            ("status", admin().status(v1::ReadRequest::default()).await.map(drop)),
            ("image", engine().image(image).await.map(drop)),
        ])
    })?
}

/// A call with an empty message to a service whose messages are nobody's business but the managers'.
async fn empty(channel: Channel, path: &'static str) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|e| Status::from_error(e.into()))?;
    let codec = ProstCodec::<v1::KeyRequest, v1::KeyRequest>::default();
    let request = Request::new(v1::KeyRequest {});
    client.unary(request, PathAndQuery::from_static(path), codec).await.map(drop)
}

/// A report that says that another node's task has failed.
fn foreign_report(cluster: &Cluster) -> Step<v1::ReportRequest> {
    let said = cluster.say(1, &["--json", "ps", "-p", "app"])?.stdout;
    let rows = crate::look::rows(&said, "replicas")?;
    let task = rows.iter().find_map(|r| r["task"].as_str()).ok_or("no task")?;
    let mut numbers = task.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut number =
        || numbers.next().and_then(|text| text.parse().ok()).ok_or(format!("task {task}"));
    let status = v1::Status {
        task_index: number()?,
        task_position: u32::try_from(number()?)?,
        state: v1::status::State::Failed.into(),
        reason: "a lie".into(),
        ..v1::Status::default()
    };
    Ok(v1::ReportRequest { statuses: vec![status], ..v1::ReportRequest::default() })
}

/// Insists that none of these calls was carried out, except those named.
fn denied(answers: &[(&'static str, Result<(), Status>)], except: &[&str]) -> Step<()> {
    for (call, answer) in answers.iter().filter(|(call, _)| !except.contains(call)) {
        let code = answer.as_ref().err().map(Status::code);
        let refused = matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated));
        hold(refused, || format!("`{call}` was answered with {answer:?}"))?;
    }
    Ok(())
}

/// Attack 2: without a certificate, and with one of another cluster.
pub(crate) fn attack_02_no_or_foreign_certificate(cluster: &Cluster) -> Verdict {
    let before = cluster.running(&MANAGERS)?;
    for host in MANAGERS {
        let own = Stolen::from(cluster.host(host)?)?;
        denied(&answers(cluster, host, &own.nobody()?)?, &[])?;
    }
    let own = Stolen::from(cluster.host(1)?)?;
    for id in [ClusterId("f".repeat(32)), cluster_id(&own)?] {
        // Another authority, once for another cluster and once for one that claims to be ours.
        let other = Authority::create(&id, wire::now())?;
        let config = signed_by(&other, &own, wire::now())?;
        hold(!admitted(cluster, 1, config)?, || format!("an authority of {id} is trusted"))?;
    }
    assert_eq!(before, cluster.running(&MANAGERS)?);
    Ok(())
}

/// Whether a host's daemon accepts a certificate. In TLS 1.3 a client learns of a refusal with the first
/// bytes it reads, so a call is made; any answer of the server proves that the handshake was accepted.
fn admitted(cluster: &Cluster, host: u8, config: Arc<ClientConfig>) -> Step<bool> {
    let address = cluster.host(host)?.control_address();
    run(async move {
        let Ok(channel) = dial(address, config, u64::from(host)).await else { return false };
        let answer = MembersClient::new(channel).key(v1::KeyRequest {}).await;
        // A status that was made here, for want of an answer, has a source.
        answer.err().is_none_or(|status| std::error::Error::source(&status).is_none())
    })
}

/// The cluster that a node's certificate names.
fn cluster_id(own: &Stolen) -> Step<ClusterId> {
    Ok(identity::Peer::of_pem(&own.certificate)?.cluster().clone())
}

/// A manager's certificate by that authority, made at `now`; trusting the real cluster.
fn signed_by(authority: &Authority, own: &Stolen, now: SystemTime) -> Step<Arc<ClientConfig>> {
    let key = KeyRequest::generate()?;
    let chain = authority.sign_node(&key.csr_der, NodeId(1), Role::Manager, now)?;
    Ok(Tls::new(&chain, &key.key_pem, &own.authority)?.any_manager_config())
}

/// Attack 9: an expired and a future certificate are refused, half an hour of skew is not. A
/// host is made to trust an authority of the test beside its own, as while an authority is exchanged.
pub(crate) fn attack_09_expired_certificate(cluster: &Cluster) -> Verdict {
    let host = cluster.host(3)?;
    let own = Stolen::from(host)?;
    let ours = Authority::create(&cluster_id(&own)?, wire::now())?;
    let file = host.data_dir().join("authority.pem");
    fs::write(&file, format!("{}{}", own.authority, ours.certificate_pem()))?;
    let restart = || {
        cluster.terminate_daemon(3)?;
        cluster.start_daemon(3)?;
        cluster.wait_daemon(3)
    };
    restart()?;
    let verdict = (|| {
        let now = wire::now();
        let (minutes, days) =
            (|n: u64| Duration::from_secs(60 * n), |n: u64| Duration::from_secs(86_400 * n));
        for (when, good) in [
            (now, true),
            (now + minutes(30), true),
            (now + minutes(120), false),
            (now - days(89), true),
            (now - days(120), false),
        ] {
            let config = signed_by(&ours, &own, when)?;
            let seen = admitted(cluster, 3, config)?;
            hold(seen == good, || format!("a certificate of {when:?}: {seen}"))?;
        }
        Ok(())
    })();
    fs::write(&file, &own.authority)?;
    restart()?;
    verdict
}

/// Attacks 1, 3 and 4: what a worker's certificate opens, and that it opens nothing once the
/// node was removed.
pub(crate) fn attack_01_worker_certificate(cluster: &Cluster) -> Verdict {
    let said = cluster.join(SPARE, "worker", &[])?.stdout;
    assert!(said.contains("worker"), "{said}");
    let worker = Stolen::from(cluster.host(SPARE)?)?;
    assert!(
        !cluster.host(SPARE)?.data_dir().join("cluster.key").exists(),
        "a worker holds the cluster key"
    );
    assert!(!cluster.host(SPARE)?.data_dir().join("raft").exists(), "a worker holds the log");
    let before = cluster.running(&MANAGERS)?;
    for host in MANAGERS {
        let said = answers(cluster, host, &worker.tls()?)?;
        denied(&said, &["report", "watch"])?;
    }
    lab::pause(Duration::from_secs(1));
    let ps = cluster.ps(1, "app")?;
    assert!(
        ps.iter().all(|r| r.condition == "running"),
        "a lie about another's task was believed: {ps:?}"
    );
    assert_eq!(before, cluster.running(&MANAGERS)?);
    cluster.refused(SPARE, &["scale", "-p", "app", "web=3"], 1)?;

    cluster.scale_app("web=8")?;
    eventually("replicas on the worker", || {
        let on = cluster.running(&[SPARE])?;
        hold(!on.is_empty(), || "none".to_owned())
    })?;
    cluster.say(1, &["nodes", "drain", &format!("host{SPARE}")])?;
    assert!(cluster.running(&[SPARE])?.is_empty());
    cluster.refused(1, &["nodes", "rm", &format!("host{SPARE}")], 1)?;
    cluster.terminate_daemon(SPARE)?;
    cluster.say(1, &["nodes", "rm", "--force", &format!("host{SPARE}")])?;
    for host in MANAGERS {
        eventually("the refusal of a removed node's certificate", || {
            denied(&answers(cluster, host, &worker.tls()?)?, &[])
        })?;
    }
    say("a removed node's certificate opens nothing on any manager");
    cluster.start_daemon(SPARE)?;
    cluster.wait_daemon(SPARE)?;
    eventually("a removed node that knows it", || {
        let said = cluster.clusterctl(SPARE, &["status"])?;
        hold(!said.success() && said.stderr.contains("was removed"), || said.stderr)
    })?;
    cluster.say(SPARE, &["leave", "--force"])?;
    cluster.scale_app("web=2")
}

/// Attack 8: many who guess tokens at once. Nothing is stored for them, and whoever works with the
/// cluster meanwhile does not notice.
pub(crate) fn attack_08_join_flood(cluster: &Cluster) -> Verdict {
    let own = Stolen::from(cluster.host(1)?)?;
    let (nobody, address) = (own.nobody()?, cluster.host(1)?.control_address());
    let guess = Token::generate(Role::Manager, CaDigest::of_pem(&own.authority)?).to_string();
    let index = cluster.status(1)?.nodes.len();
    let (flood, writes) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            run(async {
                let mut tries = tokio::task::JoinSet::new();
                for _ in 0..FLOOD {
                    tries.spawn(guessing(address.clone(), Arc::clone(&nobody), guess.clone()));
                }
                tries.join_all().await.into_iter().sum::<u32>()
            })
        });
        let mut writes = Vec::new();
        while !flood.is_finished() && writes.len() < 200 {
            writes.push(cluster.say(1, &["scale", "-p", "app", "clock=1", "--detach"]));
        }
        (flood.join().expect("no panic"), writes)
    });
    let slowest = writes.into_iter().map(|done| done.map(|d| d.took)).collect::<Step<Vec<_>>>()?;
    let slowest = slowest.into_iter().max().unwrap_or_default();
    say(&format!("{} guesses; the slowest write beside them took {}", flood?, seconds(slowest)));
    assert_eq!(cluster.status(1)?.nodes.len(), index, "a guess left something behind");
    Ok(())
}

/// Connections that guess at the same time, and guesses of each.
const FLOOD: usize = 100;
const GUESSES: u32 = 5;

/// Tries to join with a wrong token a few times over one connection; how often it was refused for it.
async fn guessing(address: String, config: Arc<ClientConfig>, token: String) -> u32 {
    let Ok(channel) = dial(address, config, 1).await else { return 0 };
    let mut refused = 0;
    for _ in 0..GUESSES {
        let request = v1::JoinRequest {
            token: token.clone(),
            name: "guess".into(),
            ..v1::JoinRequest::default()
        };
        let answer = MembersClient::new(channel.clone()).join(request).await;
        assert!(answer.is_err(), "a guessed token was accepted");
        refused += 1;
    }
    refused
}

/// Attack 18: connections that say nothing. They are closed, and others are served meanwhile.
pub(crate) fn attack_18_half_open_connections(cluster: &Cluster) -> Verdict {
    let own = Stolen::from(cluster.host(1)?)?;
    let term = cluster.status(1)?.term;
    let mut silent = Vec::new();
    for (host, port) in [(1, lab::daemon::CONTROL_PORT), (1, lab::daemon::EDGE_PORT), (2, WEB)] {
        let address = cluster.at(host, port)?;
        for _ in 0..300 {
            silent.push(TcpStream::connect_timeout(&address, Duration::from_secs(10))?);
        }
    }
    let started = lab::now();
    eventually("a handshake beside the silent ones", || {
        hold(admitted(cluster, 1, own.tls()?)?, || "it was not accepted".to_owned())
    })?;
    say(&format!(
        "served beside {} silent connections after {}",
        silent.len(),
        seconds(started.elapsed())
    ));
    cluster.say(1, &["scale", "-p", "app", "clock=1", "--detach"])?;
    for host in MANAGERS {
        assert_eq!(cluster.ask(host, WEB, "/")?.status, 200);
    }
    drop(silent);
    cluster.whole()?;
    assert_eq!(cluster.status(1)?.term, term, "silent connections caused an election");
    Ok(())
}

/// A person's certificate: made on a node, used from elsewhere, kept in a file that only they may read.
pub(crate) fn contexts_reach_the_cluster(cluster: &Cluster) -> Verdict {
    let folder = cluster.options().root.join("home");
    fs::create_dir_all(&folder)?;
    let file = folder.join("anna.context").display().to_string();
    cluster.say(1, &["context", "new", "anna", "--out", &file])?;
    let program = cluster.clusterctl_command(1)?.get_program().to_owned();
    let elsewhere = |words: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.env("HOME", &folder).env_remove("XDG_CONFIG_HOME").env_remove("CLUSTER_SOCKET");
        command.args(words).output()
    };
    let imported = elsewhere(&["context", "import", &file])?;
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let listed = elsewhere(&["--context", "anna", "ps"])?;
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(text.contains("app/web.1"), "{text}{}", String::from_utf8_lossy(&listed.stderr));
    let written = elsewhere(&["--context", "anna", "scale", "-p", "app", "web=3"])?;
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let local = elsewhere(&["--context", "anna", "leave"])?;
    assert!(!local.status.success(), "a context can make hosts leave");
    cluster.scale_app("web=2")
}
