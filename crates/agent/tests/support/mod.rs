//! Small makers of assignments, containers and views, and a rig that drives an agent by hand.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use agent::{
    Action, ActionResult, Agent, Container, ContainerId, Event, Health, Input, Kind, Observation,
    Output, Phase, Settings, Snapshot,
};
use model::{
    Assignment, ClusterId, ContainerSpec, Image, Mode, Mount, MountSource, NodeId, Placement, Port,
    PortMode, Protocol, Pull, Report, Resources, RestartPolicy, ServiceSpec, Slot, TaskId,
    TaskState, TaskStatus, Time, UpdatePolicy, View, VolumeKey, VolumeSpec, Wanted,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const NODE: NodeId = NodeId(7);

pub(crate) fn cluster() -> ClusterId {
    ClusterId("c1".into())
}

pub(crate) fn id(n: u64) -> TaskId {
    TaskId { index: n, position: 0 }
}

pub(crate) fn spec() -> ServiceSpec {
    ServiceSpec {
        container: ContainerSpec {
            image: Image { reference: "app:1".into(), resolved: None, pull: Pull::Missing },
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

pub(crate) fn published(mode: PortMode) -> Port {
    Port { published: 8080, target: 80, protocol: Protocol::Tcp, mode, host_ip: None }
}

pub(crate) fn with_spec(n: u64, spec: ServiceSpec) -> Assignment {
    Assignment {
        task: id(n),
        project: "shop".parse().unwrap(),
        service: "web".parse().unwrap(),
        slot: Slot::Number(n as u32),
        generation: 1,
        wanted: Wanted::Run,
        state: TaskState::Assigned,
        spec: Arc::new(spec),
        volumes: BTreeMap::new(),
        established: BTreeSet::new(),
        service_id: Some(model::ServiceId(5)),
        node: Some(model::Host { id: model::NodeId(7), name: "n7".parse().unwrap() }),
        shares: Vec::new(),
        attachment: None,
        logins: BTreeMap::new(),
    }
}

pub(crate) fn task(n: u64) -> Assignment {
    with_spec(n, spec())
}

/// One that keeps data in a named volume `data`.
pub(crate) fn stateful(n: u64) -> Assignment {
    let mut spec = spec();
    let volume: model::VolumeName = "data".parse().unwrap();
    let source = MountSource::Volume(volume.clone());
    spec.container.mounts = vec![Mount {
        source,
        target: "/data".into(),
        read_only: false,
        options: model::MountOptions::default(),
    }];
    let mut task = with_spec(n, spec);
    task.volumes.insert(volume, VolumeSpec::default());
    task
}

pub(crate) fn in_state(state: TaskState, task: Assignment) -> Assignment {
    Assignment { state, ..task }
}

pub(crate) fn stopped(task: Assignment) -> Assignment {
    Assignment { wanted: Wanted::Stop, ..task }
}

/// Container `c<n>` of task `n`.
pub(crate) fn container(n: u64, phase: Phase) -> Container {
    Container {
        id: ContainerId(format!("c{n}")),
        cluster: cluster(),
        task: id(n),
        project: "shop".parse().unwrap(),
        step: None,
        digest: String::new(),
        phase,
        health: Health::Unchecked,
        created: 1,
        started: u64::from(phase != Phase::Created) * 10,
        address: (phase == Phase::Running).then(|| [10, 0, 0, n as u8].into()),
        grace: Duration::from_secs(10),
        output: String::new(),
    }
}

pub(crate) fn running(n: u64) -> Container {
    container(n, Phase::Running)
}

pub(crate) fn exited(n: u64, code: i64) -> Container {
    container(n, Phase::Exited { code, out_of_memory: false })
}

pub(crate) fn health(health: Health, container: Container) -> Container {
    Container { health, ..container }
}

pub(crate) fn view(index: u64, tasks: Vec<Assignment>, condemned: Vec<VolumeKey>) -> View {
    View {
        cluster: cluster(),
        index,
        now: Time::ZERO,
        node: NODE,
        tasks,
        routes: Arc::default(),
        datagrams: Arc::default(),
        sites: Arc::default(),
        nodes: Arc::default(),
        condemned,
        mesh: None,
    }
}

/// An agent driven by hand. What it asks for is collected until it is taken.
pub(crate) struct Rig {
    pub(crate) agent: Agent,
    pub(crate) now: Time,
    pub(crate) actions: Vec<Action>,
    pub(crate) reports: Vec<(u64, Report)>,
    pub(crate) events: Vec<Event>,
    pub(crate) resyncs: usize,
    /// What was last asked to be kept.
    pub(crate) kept: Option<Snapshot>,
    index: u64,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Agent::new(NODE, cluster(), Settings::default()))
    }

    pub(crate) fn with(agent: Agent) -> Self {
        Self {
            index: agent.view().map_or(0, |v| v.index),
            agent,
            now: Time(1_000),
            actions: vec![],
            reports: vec![],
            events: vec![],
            resyncs: 0,
            kept: None,
        }
    }

    /// With a confirmed view of these tasks, and these containers.
    pub(crate) fn ready(tasks: Vec<Assignment>, containers: Vec<Container>) -> Self {
        let mut rig = Self::new();
        rig.view(tasks);
        rig.observed(containers);
        rig
    }

    /// The daemon was killed and started again: only the snapshot is left.
    pub(crate) fn reborn(&self) -> Self {
        let snapshot = self.agent.snapshot().expect("there was a view");
        Self::with(Agent::restore(NODE, cluster(), Settings::default(), snapshot))
    }

    pub(crate) fn input(&mut self, input: Input) {
        for output in self.agent.handle(self.now, input) {
            match output {
                Output::Do(action) => self.actions.push(action),
                Output::Report { number, report } => self.reports.push((number, report)),
                Output::Event(event) => self.events.push(event),
                Output::Keep => self.kept = self.agent.snapshot(),
                Output::Resync => self.resyncs += 1,
            }
        }
    }

    pub(crate) fn view(&mut self, tasks: Vec<Assignment>) {
        self.view_with(tasks, vec![]);
    }

    pub(crate) fn view_with(&mut self, tasks: Vec<Assignment>, condemned: Vec<VolumeKey>) {
        self.index += 1;
        let view = Arc::new(view(self.index, tasks, condemned));
        self.input(Input::View { view, age: Duration::ZERO });
    }

    pub(crate) fn observed(&mut self, containers: Vec<Container>) {
        self.input(Input::Observed(Observation { containers, networks: vec![] }));
    }

    /// Time passes while the view stays confirmed.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(500) {
            self.now = Time(self.now.0 + 500.min(ms));
            self.input(Input::Confirmed { age: Duration::ZERO });
        }
    }

    /// Time passes and no manager is heard.
    pub(crate) fn pass_alone(&mut self, ms: u64) {
        let end = Time(self.now.0 + ms);
        while let Some(at) = self.agent.wake_at().filter(|at| *at <= end) {
            assert!(at > self.now, "woken in the past");
            self.now = at;
            self.input(Input::Wake);
        }
        self.now = end;
        self.input(Input::Wake);
    }

    /// Takes the only action, which must be of this kind.
    pub(crate) fn only(&mut self, kind: Kind) -> Action {
        let kinds: Vec<Kind> = self.actions.iter().map(Action::kind).collect();
        assert_eq!(kinds, [kind]);
        self.actions.remove(0)
    }

    pub(crate) fn idle(&self) {
        assert!(self.actions.is_empty(), "nothing was to be done: {:?}", self.actions);
    }

    /// Ends the only action, which must be of this kind.
    pub(crate) fn end(&mut self, kind: Kind, result: ActionResult) {
        let action = self.only(kind);
        self.input(Input::Done { action, result });
    }

    pub(crate) fn done(&mut self, kind: Kind, container: Container) {
        self.end(kind, ActionResult::Done(Some(container)));
    }

    /// Acknowledges every report, and says what was last reported of a task.
    pub(crate) fn told(&mut self, n: u64) -> Option<TaskStatus> {
        let mut last = None;
        while !self.reports.is_empty() {
            let (number, report) = self.reports.remove(0);
            assert_eq!(report.node, NODE);
            last = report.statuses.into_iter().find(|s| s.task == id(n)).or(last);
            self.input(Input::Reported { number, accepted: true });
        }
        last
    }

    pub(crate) fn state(&mut self, n: u64) -> TaskState {
        self.told(n).expect("something was reported").state
    }
}
