//! A real engine for the tests, an image made from nothing, and a small driver that lets a real agent
//! use it. Start with [`Rig`].

#![allow(clippy::print_stderr, reason = "a test may say what it does")]
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod image;
pub(crate) mod proxy;

use agent::{ActionResult, Agent, Container, ContainerId, Input, Output, Settings};
use docker::{Change, Engine};
use futures::StreamExt;
use model::{
    Assignment, ClusterId, ContainerSpec, Image, Mode, NodeId, Placement, Pull, Resources,
    RestartPolicy, ServiceSpec, Slot, TaskId, TaskState, TaskStatus, Time, UpdatePolicy, View,
    VolumeKey, Wanted,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Name of the image that [`engine`] brings in.
pub(crate) const IMAGE: &str = "docker-crate-test:1";
/// Nothing here takes longer on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// The engine of `DOCKER_SOCKET`, with the test image; `None`, said aloud, without one.
pub(crate) async fn engine(cluster: &str) -> Option<Engine> {
    let Some(socket) = std::env::var_os("DOCKER_SOCKET") else {
        eprintln!("skipped: set DOCKER_SOCKET to the socket of an engine to run this test");
        return None;
    };
    // A run that was cut short must not disturb the next one.
    let cluster = ClusterId(format!("{cluster}-{}", std::process::id()));
    let engine = Engine::open(Path::new(&socket), cluster);
    engine.ping().await.expect("the engine of DOCKER_SOCKET answers");
    let archive = image::archive(IMAGE);
    let names = engine.load(futures::stream::iter([archive])).await.expect("the image loads");
    assert_eq!(names, [IMAGE]);
    Some(engine)
}

/// A service that runs a shell script.
pub(crate) fn service(script: &str) -> ServiceSpec {
    ServiceSpec {
        container: ContainerSpec {
            image: Image { reference: IMAGE.into(), resolved: None, pull: Pull::Missing },
            command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
            stop_grace: Some(Duration::from_secs(2)),
            ..ContainerSpec::default()
        },
        mode: Mode::Replicated { replicas: Some(1) },
        resources: Resources::default(),
        placement: Placement::default(),
        restart: RestartPolicy::default(),
        update: UpdatePolicy::default(),
        rollback: UpdatePolicy::default(),
        ports: vec![],
        networks: vec![],
        refers_to: vec![],
        depends_on: vec![],
        shares_with: vec![],
        once: None,
        networking: model::Networking::default(),
        round_robin: false,
        told: [].into(),
        http: vec![],
    }
}

/// Task number `n`, of a service `web` of a project that is the test's own.
pub(crate) fn task(engine: &Engine, n: u64, spec: ServiceSpec) -> Assignment {
    Assignment {
        task: TaskId { index: n, position: 0 },
        project: project(engine),
        service: "web".parse().unwrap(),
        slot: Slot::Number(n as u32),
        generation: 1,
        wanted: Wanted::Run,
        state: TaskState::Assigned,
        spec: Arc::new(spec),
        volumes: BTreeMap::new(),
        established: std::collections::BTreeSet::new(),
        service_id: Some(model::ServiceId(5)),
        node: Some(model::Host { id: model::NodeId(7), name: "n7".parse().unwrap() }),
        shares: Vec::new(),
        attachment: None,
        logins: BTreeMap::new(),
    }
}

/// The test's own project.
pub(crate) fn project(engine: &Engine) -> model::ProjectName {
    engine.cluster().0.parse().unwrap()
}

/// An agent and an engine, driven.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) agent: Agent,
    pub(crate) statuses: BTreeMap<TaskId, TaskStatus>,
    pub(crate) seen: Vec<TaskState>,
    pub(crate) deleted: Vec<VolumeKey>,
    began: Instant,
    index: u64,
    view: Vec<Assignment>,
    condemned: Vec<VolumeKey>,
    sender: mpsc::UnboundedSender<Input>,
    inputs: mpsc::UnboundedReceiver<Input>,
    changes: mpsc::Receiver<Change>,
}

impl Rig {
    pub(crate) fn new(engine: &Engine) -> Self {
        let agent = Agent::new(NodeId(1), engine.cluster().clone(), Settings::default());
        Self::with(engine, agent)
    }

    pub(crate) fn with(engine: &Engine, agent: Agent) -> Self {
        let (sender, inputs) = mpsc::unbounded_channel();
        Self {
            engine: engine.clone(),
            index: agent.view().map_or(0, |v| v.index),
            view: agent.view().map_or_else(Vec::new, |v| v.tasks.clone()),
            agent,
            statuses: BTreeMap::new(),
            seen: vec![],
            deleted: vec![],
            began: Instant::now(),
            condemned: vec![],
            sender,
            inputs,
            changes: engine.changes(),
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.began.elapsed()
    }

    /// Gives the agent a confirmed view with these tasks.
    pub(crate) fn assign(&mut self, tasks: Vec<Assignment>, condemned: Vec<VolumeKey>) {
        self.index += 1;
        (self.view, self.condemned) = (tasks, condemned);
        let view = View {
            cluster: self.engine.cluster().clone(),
            index: self.index,
            now: Time::ZERO,
            node: NodeId(1),
            tasks: self.view.clone(),
            routes: Arc::default(),
            datagrams: Arc::default(),
            sites: Arc::default(),
            nodes: Arc::default(),
            condemned: self.condemned.clone(),
            mesh: None,
        };
        self.input(Input::View { view: Arc::new(view), age: Duration::ZERO });
    }

    /// Ends a test: no tasks any more, so no containers.
    pub(crate) async fn clear(&mut self) {
        self.assign(vec![], self.condemned.clone());
        let engine = self.engine.clone();
        self.until("nothing is left", |rig| {
            rig.agent.container_of(TaskId { index: 1, position: 0 }).is_none()
        })
        .await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = engine.observe().await.unwrap();
            if left.containers.is_empty() && left.networks.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind: {left:?}");
            self.step().await;
        }
    }

    fn input(&mut self, input: Input) {
        for output in self.agent.handle(self.now(), input) {
            let (engine, sender) = (self.engine.clone(), self.sender.clone());
            match output {
                Output::Do(action) => drop(tokio::spawn(async move {
                    let result = engine.execute(&action).await;
                    sender.send(Input::Done { action, result })
                })),
                // The agent lives as long as the test.
                Output::Keep => {}
                Output::Resync => self.resync(),
                Output::Report { number, report } => {
                    self.deleted.extend(report.deleted_volumes);
                    for status in report.statuses {
                        self.seen.push(status.state.clone());
                        self.statuses.insert(status.task, status);
                    }
                    self.sender.send(Input::Reported { number, accepted: true }).unwrap();
                }
                Output::Event(event) => eprintln!("  {event}"),
            }
        }
    }

    fn resync(&self) {
        let (engine, sender) = (self.engine.clone(), self.sender.clone());
        tokio::spawn(async move {
            let seen = engine.observe().await;
            sender.send(seen.map_or(Input::Engine { ready: false }, Input::Observed))
        });
    }

    /// Brings the agent the next thing that happens, and a confirmation when nothing does.
    pub(crate) async fn step(&mut self) {
        let input = tokio::select! {
            Some(input) = self.inputs.recv() => input,
            Some(change) = self.changes.recv() => match change {
                Change::Changed(container) => Input::Changed(container),
                Change::Gone(container) => Input::Gone(container),
                Change::Missed => return self.resync(),
            },
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                self.input(Input::Confirmed { age: Duration::ZERO });
                Input::Wake
            }
        };
        self.input(input);
    }

    /// Drives on until something is true.
    pub(crate) async fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "not reached: {what}; statuses {:?}", self.statuses);
            self.step().await;
        }
    }

    /// State last reported of task number `n`.
    pub(crate) fn state(&self, n: u64) -> TaskState {
        let status = self.statuses.get(&TaskId { index: n, position: 0 });
        status.map_or(TaskState::Assigned, |s| s.state.clone())
    }

    /// Why task number `n` failed; empty when it did not.
    pub(crate) fn failure(&self, n: u64) -> String {
        match self.state(n) {
            TaskState::Failed { reason } => reason,
            _ => String::new(),
        }
    }

    pub(crate) fn healthy(&self, n: u64) -> bool {
        self.statuses.get(&TaskId { index: n, position: 0 }).is_some_and(|s| s.healthy)
    }

    pub(crate) fn container(&self, n: u64) -> ContainerId {
        let task = TaskId { index: n, position: 0 };
        self.agent.container_of(task).expect("the task has a container").clone()
    }

    /// The container of task number `n`, as the engine shows it.
    pub(crate) async fn look(&self, n: u64) -> Container {
        self.engine.inspect(&self.container(n)).await.unwrap().expect("it is there")
    }
}

/// All bytes that a command writes, and its exit code.
pub(crate) async fn run(
    engine: &Engine,
    container: &ContainerId,
    request: docker::ExecRequest,
) -> (String, String, Option<i64>) {
    let mut exec = engine.exec(container, request).await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(piece) = exec.output.next().await {
        let piece = piece.unwrap();
        if piece.stderr { &mut err } else { &mut out }.extend_from_slice(&piece.bytes);
    }
    let code = engine.exec_exit(&exec.id).await.unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), code)
}

/// What came of an action that is expected to be refused.
pub(crate) fn refusal(result: ActionResult) -> String {
    match result {
        ActionResult::Again(why) | ActionResult::Never(why) => why,
        other => panic!("it was to be refused: {other:?}"),
    }
}
