//! A cluster in a value: a state driven by real commands, and agents that do as they are told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![allow(dead_code, reason = "each test target uses its part")]

use model::{
    Availability, Cause, Change, ClusterId, Command, Dependency, DependencyCondition, Deploy,
    Entry, Facts, Found, Join, JoinToken, Mesh, Mode, Mount, MountSource, Node, NodeId, Outcome,
    Placement, ProjectSpec, Readiness, Refresh, Remove, Report, Resources, Role, Scale, Service,
    ServiceName, ServiceSpec, SetNode, State, Task, TaskId, TaskState, TaskStatus, Time,
    UpdatePolicy, Verdict, VolumeKey, VolumeName, VolumeSpec, WallTime, Wanted, limits,
};
use planner::{Plan, Settings, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// A host with four cores and eight gigabytes.
pub(crate) fn facts() -> Facts {
    Facts {
        milli_cpus: 4_000,
        memory: 8 * GIB,
        memory_free: 7 * GIB,
        os: "linux".into(),
        arch: "amd64".into(),
        level: limits::LEVEL,
        engine_ready: true,
        ..Facts::default()
    }
}

pub(crate) fn spec(replicas: u32) -> ServiceSpec {
    ServiceSpec {
        container: model::ContainerSpec::default(),
        mode: Mode::Replicated { replicas: Some(replicas) },
        resources: Resources::default(),
        placement: Placement::default(),
        restart: model::RestartPolicy::default(),
        update: UpdatePolicy::default(),
        rollback: UpdatePolicy::default(),
        ports: Vec::new(),
        networks: Vec::new(),
        refers_to: Vec::new(),
        depends_on: Vec::new(),
        shares_with: Vec::new(),
        once: None,
        networking: model::Networking::default(),
        round_robin: false,
        told: BTreeSet::new(),
        http: Vec::new(),
    }
}

pub(crate) fn global() -> ServiceSpec {
    ServiceSpec { mode: Mode::Global, ..spec(0) }
}

/// A job of so many copies.
pub(crate) fn job(total: u32, concurrent: Option<u32>) -> ServiceSpec {
    ServiceSpec { mode: Mode::ReplicatedJob { total: Some(total), concurrent }, ..spec(0) }
}

/// That starts after another, which it cannot do without.
pub(crate) fn after(on: &str, condition: DependencyCondition, spec: ServiceSpec) -> ServiceSpec {
    let service = on.parse().unwrap();
    let dependency = Dependency { service, condition, required: true, restart: false };
    ServiceSpec { depends_on: vec![dependency], ..spec }
}

/// With a volume that each copy writes to.
pub(crate) fn with_volume(mut spec: ServiceSpec, volume: &str) -> ServiceSpec {
    spec.container.mounts.push(Mount {
        source: MountSource::Volume(volume.parse().unwrap()),
        target: "/data".into(),
        read_only: false,
        options: model::MountOptions::default(),
    });
    spec
}

pub(crate) fn reserving(memory: u64, mut spec: ServiceSpec) -> ServiceSpec {
    spec.resources.reserved_memory = memory;
    spec
}

pub(crate) fn image(name: &str, mut spec: ServiceSpec) -> ServiceSpec {
    spec.container.image.reference = name.into();
    spec
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Time,
    pub(crate) settings: Settings,
    /// Agents leave these nodes' tasks alone.
    pub(crate) mute: Vec<NodeId>,
    deployed: BTreeMap<String, BTreeMap<ServiceName, Arc<ServiceSpec>>>,
    volumes: Vec<VolumeName>,
    /// Wall clock of whoever leads.
    pub(crate) wall: WallTime,
}

impl World {
    /// A founded cluster of `managers`.
    pub(crate) fn new(managers: usize) -> Self {
        Self::founded(managers, None)
    }

    /// One of `managers` that has a mesh, or none.
    pub(crate) fn founded(managers: usize, mesh: Option<Mesh>) -> Self {
        let token = JoinToken { digest: String::new(), sealed: Vec::new() };
        let mut world = Self {
            state: State::default(),
            now: Time(1_000),
            settings: Settings::default(),
            mute: Vec::new(),
            deployed: BTreeMap::new(),
            volumes: vec!["data".parse().unwrap()],
            wall: WallTime::default(),
        };
        world.apply(Command::Found(Found {
            cluster: ClusterId("c".into()),
            authority: String::new(),
            sealed_key: Vec::new(),
            manager_token: token.clone(),
            worker_token: token,
            mesh,
            node: join(1, Role::Manager, facts()),
        }));
        for n in 2..=managers {
            world.join(n, Role::Manager, facts());
        }
        world
    }

    pub(crate) fn join(&mut self, n: usize, role: Role, facts: Facts) -> NodeId {
        match self.apply(Command::Join(join(n, role, facts))) {
            Outcome::Joined { node } => node,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        let entry = Entry { at: self.now, wall: self.wall, request: None, command };
        self.state.apply(self.state.index + 1, &entry)
    }

    /// The `n`th node, from 1.
    pub(crate) fn node(&self, n: usize) -> NodeId {
        self.node_of(n).id
    }

    pub(crate) fn node_of(&self, n: usize) -> &Node {
        self.state.node_named(&format!("node{n}").parse().unwrap()).expect("a node of that name")
    }

    /// Sets one service of project `shop`, keeping the others.
    pub(crate) fn deploy(&mut self, name: &str, spec: ServiceSpec) {
        self.deploy_in("shop", name, spec);
    }

    pub(crate) fn deploy_in(&mut self, project: &str, name: &str, spec: ServiceSpec) {
        let services = self.deployed.entry(project.into()).or_default();
        services.insert(name.parse().unwrap(), Arc::new(spec));
        let spec = ProjectSpec {
            name: project.parse().unwrap(),
            services: services.clone(),
            volumes: self.volumes.iter().map(|v| (v.clone(), VolumeSpec::default())).collect(),
            contents: BTreeMap::new(),
            networks: BTreeMap::new(),
            source: String::new(),
        };
        let deploy = Deploy {
            spec,
            seen: None,
            logins: BTreeMap::new(),
            contents: BTreeMap::new(),
            powers: BTreeSet::new(),
            grant: false,
        };
        let outcome = self.apply(Command::Deploy(deploy));
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    }

    /// Says what a service of `shop` is to be from the next deploy on.
    pub(crate) fn declare(&mut self, name: &str, spec: ServiceSpec) {
        let services = self.deployed.entry("shop".into()).or_default();
        services.insert(name.parse().unwrap(), Arc::new(spec));
    }

    pub(crate) fn scale(&mut self, name: &str, count: u32) {
        let counts = [(name.parse().unwrap(), count)].into();
        let project = "shop".parse().unwrap();
        self.apply(Command::Scale(Scale { project, counts, seen: None }));
    }

    pub(crate) fn remove(&mut self, volumes: bool) {
        self.deployed.remove("shop");
        self.apply(Command::Remove(Remove { project: "shop".parse().unwrap(), volumes }));
    }

    pub(crate) fn judge(&mut self, n: usize, readiness: Readiness) {
        let node = self.node(n);
        self.apply(Command::Judge(vec![Verdict { node, readiness }]));
    }

    pub(crate) fn set(&mut self, n: usize, availability: Availability) {
        let node = self.node(n);
        let availability = Some(availability);
        self.apply(Command::SetNode(SetNode {
            node,
            availability,
            role: None,
            labels: BTreeMap::new(),
        }));
    }

    pub(crate) fn label(&mut self, n: usize, key: &str, value: &str) {
        let node = self.node(n);
        let labels = [(key.to_owned(), Some(value.to_owned()))].into();
        self.apply(Command::SetNode(SetNode { node, availability: None, role: None, labels }));
    }

    /// A node says something else of itself.
    pub(crate) fn refresh(&mut self, n: usize, change: impl FnOnce(&mut Facts)) {
        let (node, mut facts) = (self.node(n), self.node_of(n).facts.clone());
        change(&mut facts);
        self.apply(Command::Refresh(Refresh { node, facts, address: None, away: None }));
    }

    pub(crate) fn away(&mut self, n: usize, away: Duration) {
        let (node, facts) = (self.node(n), self.node_of(n).facts.clone());
        self.apply(Command::Refresh(Refresh { node, facts, address: None, away: Some(away) }));
    }

    pub(crate) fn report(&mut self, task: TaskId, state: TaskState, healthy: bool) {
        let Some(node) = self.state.tasks.get(&task).map(|t| t.node) else { return };
        let status =
            TaskStatus { task, state, healthy, address: None, memory: 0, restarts_in_place: 0 };
        let report = Report { node, statuses: vec![status], deleted_volumes: Vec::new() };
        self.apply(Command::Report(report));
    }

    pub(crate) fn exits(&mut self, task: TaskId, code: i64) {
        self.report(task, TaskState::Exited { code }, false);
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.state, self.now, &self.settings)
    }

    /// Plans and applies once.
    pub(crate) fn step(&mut self) -> Vec<Change> {
        let changes = self.plan().changes;
        if !changes.is_empty() {
            self.apply(Command::Plan(changes.clone()));
        }
        changes
    }

    /// Ready nodes do as they are told.
    pub(crate) fn obey(&mut self) -> bool {
        let ready = |t: &&Task| {
            let node = &self.state.nodes[&t.node];
            node.readiness == Readiness::Ready
                && node.facts.engine_ready
                && !self.mute.contains(&t.node)
        };
        let tasks: Vec<Task> = self.state.tasks.values().filter(ready).cloned().collect();
        let mut any = false;
        for task in tasks.iter().filter(|t| !t.state.ended()) {
            match task.wanted {
                Wanted::Run if task.state.rank() < TaskState::Running.rank() => {
                    self.report(task.id, TaskState::Running, true);
                }
                Wanted::Stop => self.exits(task.id, 0),
                Wanted::Run => continue,
            }
            any = true;
        }
        any
    }

    /// Plans and obeys until nothing moves, without time passing. Panics when it does not settle.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100 {
            let moved = !self.step().is_empty();
            if !self.obey() && !moved {
                return;
            }
        }
        panic!("does not settle: {:?}", self.plan().changes);
    }

    /// Lets time pass, waking where the planner asked for it.
    pub(crate) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.settle();
            match self.plan().wake_at {
                Some(at) if at <= until => self.now = at,
                _ => break,
            }
        }
        self.now = until;
        self.settle();
    }

    pub(crate) fn service(&self, name: &str) -> &Service {
        let (project, name) = ("shop".parse().unwrap(), name.parse().unwrap());
        self.state.service(&project, &name).expect("a service of that name")
    }

    /// Live tasks of a service, by slot.
    pub(crate) fn live(&self, name: &str) -> Vec<Task> {
        self.state.tasks_of(self.service(name).id).filter(|t| t.live()).cloned().collect()
    }

    /// Names of the nodes with live tasks of a service, sorted.
    pub(crate) fn nodes_of(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.live(name).iter().map(|t| self.state.node_name(t.node)).collect();
        names.sort();
        names
    }

    /// Live tasks of a service per node, by number of node.
    pub(crate) fn per_node(&self, name: &str) -> Vec<usize> {
        let tasks = self.live(name);
        self.state.nodes.keys().map(|n| tasks.iter().filter(|t| t.node == *n).count()).collect()
    }

    /// What waits, in words.
    pub(crate) fn waits(&self) -> Vec<String> {
        let words = |w: &planner::Waiting| format!("{}: {}", w.slot, w.reason);
        self.plan().waiting.iter().map(words).collect()
    }

    pub(crate) fn home(&self, volume: &str) -> Option<NodeId> {
        let (project, volume) = ("shop".parse().unwrap(), volume.parse().unwrap());
        self.state.volumes.get(&VolumeKey { project, volume }).map(|v| v.home)
    }
}

fn join(n: usize, role: Role, facts: Facts) -> Join {
    Join {
        name: format!("node{n}").parse().unwrap(),
        role,
        address: format!("10.0.{}.{}", n / 250, n % 250 + 1).parse().unwrap(),
        control_port: 7070,
        edge_port: 7071,
        key_digest: format!("key{n}"),
        facts,
        replace: false,
    }
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The causes of the stops among some changes.
pub(crate) fn stops(changes: &[Change]) -> Vec<Cause> {
    let cause = |c: &Change| match c {
        Change::Stop { cause, .. } => Some(cause.clone()),
        _ => None,
    };
    changes.iter().filter_map(cause).collect()
}

/// The causes of the creations among some changes.
pub(crate) fn creates(changes: &[Change]) -> Vec<Cause> {
    let cause = |c: &Change| match c {
        Change::Create { cause, .. } => Some(cause.clone()),
        _ => None,
    };
    changes.iter().filter_map(cause).collect()
}
