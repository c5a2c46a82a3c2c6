//! A large cluster in memory, for benches that need no sockets.

use model::{
    ClusterId, Command, ContainerSpec, Deploy, Entry, Facts, Found, Join, JoinToken, Mode, NodeId,
    Placement, ProjectSpec, Report, Resources, RestartPolicy, Role, ServiceSpec, State, TaskState,
    TaskStatus, Time, UpdatePolicy, WallTime,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many nodes a large cluster has.
pub const NODES: usize = 1_000;

/// Applies a command as the next entry.
pub fn apply(state: &mut State, command: Command) {
    let entry = Entry { at: Time(1_000), wall: WallTime::default(), request: None, command };
    state.apply(state.index + 1, &entry);
}

/// [`NODES`] nodes, ready, with room for everything; nothing deployed.
pub fn cluster() -> State {
    let mut state = State::default();
    let cluster = ClusterId("00112233445566778899aabbccddeeff".into());
    apply(&mut state, Command::Found(founding(cluster, join(0, Role::Manager))));
    for n in 1..NODES {
        apply(&mut state, Command::Join(join(n, Role::Worker)));
    }
    state
}

/// A founding command with placeholders for what is secret.
pub fn founding(cluster: ClusterId, node: Join) -> Found {
    let token = JoinToken { digest: String::new(), sealed: Vec::new() };
    Found {
        cluster,
        authority: String::new(),
        sealed_key: Vec::new(),
        manager_token: token.clone(),
        worker_token: token,
        mesh: None,
        node,
    }
}

/// Node number `n`, as it asks to be let in.
///
/// # Panics
/// Never: every number gives a valid name.
pub fn join(n: usize, role: Role) -> Join {
    Join {
        name: format!("node{n}").parse().expect("a valid name"),
        role,
        address: [10, 0, (n / 250) as u8, (n % 250) as u8].into(),
        control_port: model::limits::CONTROL_PORT,
        edge_port: model::limits::EDGE_PORT,
        key_digest: format!("key{n}"),
        facts: Facts {
            milli_cpus: 64_000,
            memory: 256 << 30,
            memory_free: 200 << 30,
            level: 1,
            engine_ready: true,
            ..Facts::default()
        },
        replace: false,
    }
}

/// Deploys `services` services with `replicas` replicas each, in one project.
///
/// # Panics
/// Never: every number gives a valid name.
pub fn deploy(state: &mut State, services: usize, replicas: usize) {
    let spec = Arc::new(ServiceSpec {
        container: ContainerSpec::default(),
        mode: Mode::Replicated { replicas: Some(replicas as u32) },
        resources: Resources { reserved_memory: 64 << 20, ..Resources::default() },
        placement: Placement::default(),
        restart: RestartPolicy::default(),
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
        told: [].into(),
        http: Vec::new(),
    });
    let named = |n| (format!("s{n}").parse().expect("a valid name"), Arc::clone(&spec));
    let spec = ProjectSpec {
        name: "bench".parse().expect("a valid name"),
        services: (0..services).map(named).collect(),
        volumes: BTreeMap::new(),
        contents: BTreeMap::new(),
        networks: BTreeMap::new(),
        source: String::new(),
    };
    apply(
        state,
        Command::Deploy(Deploy {
            spec,
            seen: None,
            logins: BTreeMap::new(),
            contents: BTreeMap::new(),
            powers: BTreeSet::new(),
            grant: false,
        }),
    );
}

/// What every node has to say once all its tasks run and are healthy.
pub fn reports(state: &State) -> Vec<Command> {
    let report = |node: NodeId| {
        let status = |task: &model::Task| TaskStatus {
            task: task.id,
            state: TaskState::Running,
            healthy: true,
            address: None,
            memory: 0,
            restarts_in_place: 0,
        };
        let statuses = state.tasks_on(node).map(status).collect();
        Command::Report(Report { node, statuses, deleted_volumes: Vec::new() })
    };
    state.nodes.keys().copied().map(report).collect()
}
