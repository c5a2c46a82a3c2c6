//! A real agent on a real engine: set `DOCKER_SOCKET` to run them. Each test has a cluster of its own, so
//! that they can share an engine.

mod support;

use agent::{Action, ActionResult, Agent, Phase, Settings};
use docker::{ExecRequest, LogRequest, LogSource, Resolved};
use futures::StreamExt;
use model::{
    HealthCheck, Mount, MountSource, NodeId, Port, PortMode, Protocol, Pull, TaskId, TaskState,
    VolumeKey, VolumeSpec, Wanted,
};
use std::time::Duration;
use support::proxy::{Proxy, Way};
use support::{IMAGE, Rig, engine, project, refusal, run, service, task};
use tokio::io::AsyncWriteExt;

const ASKED: &str = "trap 'echo bye; exit 3' TERM; echo hello; echo oops >&2; touch /tmp/up; while :; do sleep 0.1; done";

fn sh(script: &str) -> ExecRequest {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    ExecRequest { command, ..ExecRequest::default() }
}

#[tokio::test]
async fn a_task_lives_is_read_and_ends() {
    let Some(engine) = engine("life").await else { return };
    let mut rig = Rig::new(&engine);
    let mut spec = service(ASKED);
    spec.container.environment.insert("COLOUR".into(), "blue".into());
    spec.container.healthcheck = Some(HealthCheck {
        test: vec!["CMD".into(), "test".into(), "-e".into(), "/tmp/up".into()],
        interval: Some(Duration::from_millis(300)),
        timeout: Some(Duration::from_secs(5)),
        retries: Some(3),
        start_period: None,
        start_interval: None,
    });
    let mut web = task(&engine, 1, spec);
    rig.assign(vec![web.clone()], vec![]);
    rig.until("it is healthy", |rig| rig.healthy(1)).await;
    assert!(rig.seen.contains(&TaskState::Starting), "before its check passed: {:?}", rig.seen);
    assert!(rig.statuses[&web.task].address.is_some());
    let container = rig.container(1);

    let (out, err, code) = run(&engine, &container, sh("echo $COLOUR; echo no >&2; exit 7")).await;
    assert_eq!((out.as_str(), err.as_str(), code), ("blue\n", "no\n", Some(7)));
    assert!(engine.memory().await.iter().any(|(id, used)| *id == container && *used > 0));

    let lines: Vec<_> =
        engine.logs(&container, LogRequest::default()).await.unwrap().collect().await;
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    let of = |source: LogSource| lines.iter().find(|l| l.source == source).unwrap().line.clone();
    assert_eq!(of(LogSource::Stdout).as_ref(), b"hello\n");
    assert_eq!(of(LogSource::Stderr).as_ref(), b"oops\n");
    let since = Some(lines.iter().map(|l| l.at).max().unwrap() + 1);
    let follow = LogRequest { follow: true, since, tail: None };
    let followed = engine.logs(&container, follow).await.unwrap();

    web.wanted = Wanted::Stop;
    rig.assign(vec![web], vec![]);
    rig.until("it has ended", |rig| rig.state(1).ended()).await;
    assert_eq!(rig.state(1), TaskState::Exited { code: 3 });
    let rest: Vec<_> = followed.map(|l| l.unwrap().line).collect().await;
    assert_eq!(rest, ["bye\n"]);
    assert!(matches!(rig.look(1).await.phase, Phase::Exited { code: 3, .. }));
    rig.clear().await;
}

#[tokio::test]
async fn a_terminal_answers_before_the_line_ends() {
    let Some(engine) = engine("tty").await else { return };
    let mut rig = Rig::new(&engine);
    rig.assign(vec![task(&engine, 1, service(ASKED))], vec![]);
    rig.until("it runs", |rig| rig.healthy(1)).await;
    let request =
        ExecRequest { tty: true, stdin: true, ..sh("echo -n ready; read x; stty size; exit 4") };
    let mut exec = engine.exec(&rig.container(1), request).await.unwrap();
    let first = exec.output.next().await.unwrap().unwrap();
    assert_eq!(first.bytes.as_ref(), b"ready");
    engine.exec_resize(&exec.id, 101, 33).await.unwrap();
    exec.input.write_all(b"go\n").await.unwrap();
    let mut rest = Vec::new();
    while let Some(piece) = exec.output.next().await {
        rest.extend_from_slice(&piece.unwrap().bytes);
    }
    assert!(String::from_utf8(rest).unwrap().contains("33 101"));
    assert_eq!(engine.exec_exit(&exec.id).await.unwrap(), Some(4));
    rig.clear().await;
}

#[tokio::test]
async fn what_runs_is_adopted_and_not_restarted() {
    let Some(engine) = engine("adopt").await else { return };
    let mut rig = Rig::new(&engine);
    let web = task(&engine, 1, service(ASKED));
    rig.assign(vec![web.clone()], vec![]);
    rig.until("it runs", |rig| rig.healthy(1)).await;
    let before = rig.look(1).await;
    let snapshot = rig.agent.snapshot().unwrap();
    drop(rig);
    let agent = Agent::restore(NodeId(1), engine.cluster().clone(), Settings::default(), snapshot);
    let mut rig = Rig::with(&engine, agent);
    rig.assign(vec![web], vec![]);
    rig.until("it is found again", |rig| rig.healthy(1)).await;
    assert_eq!(rig.look(1).await, before);
    rig.clear().await;
}

#[tokio::test]
async fn what_is_done_behind_our_back_is_noticed() {
    let Some(engine) = engine("back").await else { return };
    let mut rig = Rig::new(&engine);
    rig.assign((1..=2).map(|n| task(&engine, n, service("exec sleep 600"))).collect(), vec![]);
    rig.until("both run", |rig| rig.healthy(1) && rig.healthy(2)).await;
    for n in [1, 2] {
        let (task, container) = (TaskId { index: n, position: 0 }, rig.container(n));
        engine.execute(&Action::Kill { task, container: container.clone() }).await;
        if n == 2 {
            engine.execute(&Action::Remove { task, container }).await;
        }
    }
    rig.until("both ends are told", |rig| rig.state(1).ended() && rig.state(2).ended()).await;
    assert_eq!(rig.state(1), TaskState::Exited { code: 137 });
    rig.clear().await;
}

#[tokio::test]
async fn what_cannot_be_made_fails_with_a_reason() {
    let Some(engine) = engine("cannot").await else { return };
    let mut rig = Rig::new(&engine);
    let mut image = service("true");
    image.container.image.reference = "nobody/nothing:1".into();
    image.container.image.pull = Pull::Never;
    let mut bind = service("true");
    let source = MountSource::Bind("/nowhere/at/all".into());
    bind.container.mounts = vec![Mount {
        source,
        target: "/x".into(),
        read_only: true,
        options: model::MountOptions::default(),
    }];
    let mut command = service("true");
    command.container.command = Some(vec!["/no/such/program".into()]);
    let mut volume = service("true");
    let name: model::VolumeName = "data".parse().unwrap();
    let source = MountSource::Volume(name.clone());
    volume.container.mounts = vec![Mount {
        source,
        target: "/x".into(),
        read_only: false,
        options: model::MountOptions::default(),
    }];
    let mut volume = task(&engine, 4, volume);
    volume.volumes.insert(name.clone(), VolumeSpec::default());
    volume.established.insert(name);
    let tasks =
        vec![task(&engine, 1, image), task(&engine, 2, bind), task(&engine, 3, command), volume];
    rig.assign(tasks, vec![]);
    rig.until("all have failed", |rig| (1..=4).all(|n| rig.state(n).ended())).await;
    for (n, words) in [
        (1, "never to be pulled"),
        (2, "bind source path does not exist"),
        (3, "no such file"),
        (4, "held data and is gone"),
    ] {
        assert!(rig.failure(n).contains(words), "{words}: {:?}", rig.state(n));
    }
    rig.clear().await;
}

#[tokio::test]
async fn a_volume_is_made_kept_and_removed_when_condemned() {
    let Some(engine) = engine("volume").await else { return };
    let mut rig = Rig::new(&engine);
    let name: model::VolumeName = "data".parse().unwrap();
    let mut spec = service("echo kept >> /x/file; exec sleep 600");
    let source = MountSource::Volume(name.clone());
    spec.container.mounts = vec![Mount {
        source,
        target: "/x".into(),
        read_only: false,
        options: model::MountOptions::default(),
    }];
    let mut first = task(&engine, 1, spec);
    first.volumes.insert(name.clone(), VolumeSpec::default());
    rig.assign(vec![first.clone()], vec![]);
    rig.until("the first runs", |rig| rig.healthy(1)).await;
    first.wanted = Wanted::Stop;
    let mut second = first.clone();
    (second.task.index, second.wanted) = (2, Wanted::Run);
    second.established.insert(name.clone());
    rig.assign(vec![first, second], vec![]);
    rig.until("the second runs", |rig| rig.healthy(2) && rig.state(1).ended()).await;
    let (out, ..) = run(&engine, &rig.container(2), sh("cat /x/file")).await;
    assert_eq!(out, "kept\nkept\n");
    let key = VolumeKey { project: project(&engine), volume: name };
    rig.assign(vec![], vec![key.clone()]);
    rig.until("the volume is deleted", |rig| rig.deleted.contains(&key)).await;
    rig.clear().await;
}

#[tokio::test]
async fn a_host_port_is_bound_once() {
    let Some(engine) = engine("port").await else { return };
    let mut rig = Rig::new(&engine);
    let mut spec = service("exec sleep 600");
    spec.ports = vec![Port {
        published: 18_765,
        target: 80,
        protocol: Protocol::Tcp,
        mode: PortMode::Host,
        host_ip: None,
    }];
    rig.assign(vec![task(&engine, 1, spec.clone()), task(&engine, 2, spec)], vec![]);
    rig.until("one runs, one cannot", |rig| {
        (1..=2).any(|n| rig.healthy(n)) && (1..=2).any(|n| rig.failure(n).contains("18765"))
    })
    .await;
    rig.clear().await;
}

#[tokio::test]
async fn images_are_resolved_exported_and_missed() {
    let Some(engine) = engine("image").await else { return };
    let id = engine.image_id(IMAGE).await.unwrap().expect("it was loaded");
    let found = engine.resolve(IMAGE, Pull::Missing, None).await.unwrap();
    assert_eq!(found, Resolved::LocalOnly(id.clone()));
    let archive: Vec<_> = engine.export(IMAGE).await.unwrap().map(Result::unwrap).collect().await;
    let names = engine.load(futures::stream::iter(archive)).await.unwrap();
    assert_eq!(names, [IMAGE]);
    assert_eq!(engine.image_id(IMAGE).await.unwrap(), Some(id));
    assert_eq!(engine.image_id("nobody/nothing:1").await.unwrap(), None);
    let found = engine.resolve("nobody/nothing:1", Pull::Never, None).await.unwrap();
    assert!(matches!(found, Resolved::Nowhere { .. }));
    // An address without a listener: no network beyond this host is needed.
    let (task, image) = (TaskId::default(), "127.0.0.1:1/nothing:1".to_owned());
    let pull = Action::Pull { task, image: image.clone(), login: None };
    let why = refusal(engine.execute(&pull).await);
    assert!(
        why.starts_with(&format!("image {image} is not on this node and could not be pulled")),
        "{why}"
    );
}

#[tokio::test]
async fn the_engine_tells_of_itself() {
    let Some(engine) = engine("facts").await else { return };
    let facts = engine.facts().await;
    assert!(facts.ready && facts.milli_cpus >= 1000 && facts.memory > 64 << 20, "{facts:?}");
    assert_eq!(facts.os, "linux");
    assert!(["amd64", "arm64"].contains(&facts.arch.as_str()), "{facts:?}");
    assert!(facts.memory_free > 0 && !facts.version.is_empty());
}

#[tokio::test]
async fn an_engine_that_is_not_there_does_not_answer() {
    let socket = std::path::Path::new("/nonexistent/engine.sock");
    let engine = docker::Engine::open(socket, model::ClusterId("none".into()));
    let container = agent::ContainerId("x".into());
    let start = Action::Start { task: TaskId::default(), container };
    assert!(matches!(engine.execute(&start).await, ActionResult::Unanswered(_)));
    assert!(engine.observe().await.is_err());
    assert!(!engine.facts().await.ready);
}

#[tokio::test]
async fn fault_19_an_engine_that_hangs_does_not_hang_us() {
    let proxy = Proxy::new("hang", None);
    let engine = docker::Engine::open(&proxy.socket, model::ClusterId("none".into()));
    let container = agent::ContainerId("x".into());
    let start = Action::Start { task: TaskId::default(), container };
    assert!(matches!(engine.execute(&start).await, ActionResult::Unanswered(_)));
}

#[tokio::test]
async fn an_engine_that_hangs_or_goes_is_noticed_and_found_again() {
    let Some(direct) = engine("gone").await else { return };
    let socket = std::env::var_os("DOCKER_SOCKET").map(Into::into);
    let proxy = Proxy::new("gone", socket);
    let engine = docker::Engine::open(&proxy.socket, direct.cluster().clone());
    let mut rig = Rig::new(&engine);
    rig.assign(vec![task(&engine, 1, service(ASKED))], vec![]);
    rig.until("it runs", |rig| rig.healthy(1)).await;
    let before = rig.look(1).await;
    for way in [Way::Frozen, Way::Cut] {
        proxy.set(way);
        rig.until("the engine is out", |rig| !rig.agent.engine_ready()).await;
        assert!(!engine.facts().await.ready);
        proxy.set(Way::Open);
        rig.until("the engine is back", |rig| rig.agent.engine_ready()).await;
        assert!(rig.healthy(1));
    }
    assert_eq!(rig.look(1).await, before, "nothing was restarted");
    // Events flow again.
    direct.execute(&Action::Kill { task: before.task, container: before.id }).await;
    rig.until("its end is seen", |rig| rig.state(1).ended()).await;
    rig.clear().await;
}
