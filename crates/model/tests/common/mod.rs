//! A state driven by commands, as a log would drive it.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test target uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub struct Log {
    pub state: State,
    pub at: Time,
}

pub fn facts() -> Facts {
    Facts {
        milli_cpus: 2000,
        memory: 4 << 30,
        level: limits::LEVEL,
        engine_ready: true,
        memory_free: 3 << 30,
        ..Facts::default()
    }
}

pub fn join(name: &str, role: Role) -> Join {
    Join {
        name: name.parse().unwrap(),
        role,
        address: [10, 0, 0, name.bytes().last().unwrap()].into(),
        control_port: 7070,
        edge_port: 7071,
        key_digest: format!("key of {name}"),
        facts: facts(),
        replace: false,
    }
}

pub fn service() -> ServiceSpec {
    ServiceSpec {
        container: ContainerSpec {
            image: Image { reference: "web:1".into(), ..Image::default() },
            ..ContainerSpec::default()
        },
        mode: Mode::Replicated { replicas: None },
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
        networking: Networking::default(),
        round_robin: false,
        told: BTreeSet::new(),
        http: vec![],
    }
}

pub fn published(port: u16) -> Port {
    Port {
        published: port,
        target: 80,
        protocol: Protocol::Tcp,
        mode: PortMode::Ingress,
        host_ip: None,
    }
}

pub fn project(name: &str, services: &[(&str, ServiceSpec)]) -> ProjectSpec {
    ProjectSpec {
        name: name.parse().unwrap(),
        services: services.iter().map(|(n, s)| (n.parse().unwrap(), Arc::new(s.clone()))).collect(),
        volumes: BTreeMap::new(),
        contents: BTreeMap::new(),
        networks: BTreeMap::new(),
        source: String::new(),
    }
}

pub fn deploy(name: &str, services: &[(&str, ServiceSpec)]) -> Command {
    Command::Deploy(Deploy {
        spec: project(name, services),
        seen: None,
        logins: BTreeMap::new(),
        contents: BTreeMap::new(),
        powers: BTreeSet::new(),
        grant: false,
    })
}

impl Log {
    /// A founded cluster of one manager, node 1.
    pub fn founded() -> Self {
        Self::founded_by(facts())
    }

    /// By a node that says so of itself.
    pub fn founded_by(facts: Facts) -> Self {
        Self::founded_with(facts, None)
    }

    /// With a mesh of this pool, and a worker as node 2.
    pub fn founded_on(pool: &str) -> Self {
        let mesh = Mesh { pool: pool.parse().unwrap(), carrier: Carrier::Direct };
        let mut log = Self::founded_with(facts(), Some(mesh));
        log.apply(Command::Join(join("n2", Role::Worker)));
        log
    }

    fn founded_with(facts: Facts, mesh: Option<Mesh>) -> Self {
        let mut log = Self { state: State::default(), at: Time(0) };
        let token = JoinToken { digest: "d".into(), sealed: vec![1] };
        log.apply(Command::Found(Found {
            cluster: ClusterId("c".into()),
            authority: "pem".into(),
            sealed_key: vec![1],
            manager_token: token.clone(),
            worker_token: token,
            mesh,
            node: Join { facts, ..join("n1", Role::Manager) },
        }));
        log
    }

    pub fn apply(&mut self, command: Command) -> Outcome {
        self.request(None, command)
    }

    pub fn request(&mut self, request: Option<RequestId>, command: Command) -> Outcome {
        let index = self.state.index + 1;
        let wall = WallTime(self.at.0 as i64);
        self.state.apply(index, &Entry { at: self.at, wall, request, command })
    }

    pub fn pass(&mut self, time: Duration) {
        self.at = self.at + time;
    }

    pub fn service(&self, project: &str, service: &str) -> &Service {
        self.state.service(&project.parse().unwrap(), &service.parse().unwrap()).unwrap()
    }

    pub fn create(&mut self, project: &str, service: &str, slot: u32, node: u64) -> Option<TaskId> {
        let service = self.service(project, service);
        let (id, generation, slot) = (service.id, service.generation, Slot::Number(slot));
        let newest = self.state.tasks_in(id, slot).last().map(|t| t.id);
        let node = NodeId(node);
        let change =
            Change::Create { service: id, generation, slot, node, newest, cause: Cause::Wanted };
        match self.apply(Command::Plan(vec![change])) {
            Outcome::Planned { applied: 1, .. } => self.state.tasks.keys().next_back().copied(),
            _ => None,
        }
    }

    pub fn report(&mut self, node: u64, task: TaskId, state: TaskState, healthy: bool) {
        let status = TaskStatus {
            task,
            state,
            healthy,
            address: Some([172, 17, 0, 2].into()),
            memory: 0,
            restarts_in_place: 0,
        };
        self.apply(Command::Report(Report {
            node: NodeId(node),
            statuses: vec![status],
            deleted_volumes: vec![],
        }));
    }
}
