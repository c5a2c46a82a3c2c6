//! Prints placements per second: 1,000 nodes in memory, planned and applied until nothing is left to do,
//! and what a pass costs that finds nothing to change. `cargo run --release -p planner --example placements`

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use model::{
    ClusterId, Command, ContainerSpec, Deploy, Entry, Facts, Found, Join, JoinToken, Mode,
    Placement, ProjectSpec, Report, Resources, RestartPolicy, Role, ServiceSpec, State, TaskState,
    TaskStatus, Time, UpdatePolicy, WallTime,
};
use planner::{Settings, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

const NODES: usize = 1_000;
const NOW: Time = Time(60_000);

fn main() {
    println!("{NODES} nodes; plan and apply together");
    for (services, tasks) in [(100, 10_000), (1, 10_000), (1_000, 10_000), (100, 100_000)] {
        for limit in [usize::MAX, model::limits::CHANGES_PER_PLAN] {
            place(services, tasks, limit);
        }
    }
}

fn place(services: usize, tasks: usize, limit: usize) {
    let mut state = cluster();
    deploy(&mut state, services, tasks / services);
    let settings = Settings { changes_per_plan: limit, ..Settings::default() };
    let (start, mut planning, mut plans) = (Instant::now(), 0.0, 0);
    loop {
        let before = Instant::now();
        let plan = plan(&state, NOW, &settings);
        planning += before.elapsed().as_secs_f64();
        plans += 1;
        if plan.changes.is_empty() {
            assert!(plan.waiting.is_empty(), "{}", plan.waiting[0].reason);
            break;
        }
        apply(&mut state, Command::Plan(plan.changes));
    }
    let took = start.elapsed().as_secs_f64();
    assert_eq!(state.tasks.len(), tasks);
    run_all(&mut state);
    let quiet = quiet_pass(&state, &settings);
    let rate = tasks as f64 / took;
    let limit = if limit == usize::MAX { "unlimited".into() } else { limit.to_string() };
    println!(
        "{tasks:>7} tasks of {services:>4} services, {limit:>9} a plan: {rate:>9.0} placements/s \
         (planning {:.0} %, {plans} plans), a pass with nothing to do {quiet:.2} ms",
        100.0 * planning / took
    );
}

/// Milliseconds of a pass that finds nothing to change, the median of 21.
fn quiet_pass(state: &State, settings: &Settings) -> f64 {
    let mut took: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            let plan = plan(state, NOW, settings);
            assert!(plan.changes.is_empty());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn cluster() -> State {
    let mut state = State::default();
    let token = JoinToken { digest: String::new(), sealed: Vec::new() };
    apply(
        &mut state,
        Command::Found(Found {
            cluster: ClusterId("bench".into()),
            authority: String::new(),
            sealed_key: Vec::new(),
            manager_token: token.clone(),
            worker_token: token,
            mesh: None,
            node: join(0, Role::Manager),
        }),
    );
    for n in 1..NODES {
        apply(&mut state, Command::Join(join(n, Role::Worker)));
    }
    state
}

fn join(n: usize, role: Role) -> Join {
    Join {
        name: format!("node{n}").parse().expect("a valid name"),
        role,
        address: [10, 0, (n / 250) as u8, (n % 250) as u8].into(),
        control_port: 7070,
        edge_port: 7071,
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

fn deploy(state: &mut State, services: usize, replicas: usize) {
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

/// Every task runs and is healthy, and was for long.
fn run_all(state: &mut State) {
    for node in state.nodes.keys().copied().collect::<Vec<_>>() {
        let status = |t: &model::Task| TaskStatus {
            task: t.id,
            state: TaskState::Running,
            healthy: true,
            address: None,
            memory: 0,
            restarts_in_place: 0,
        };
        let statuses = state.tasks_on(node).map(status).collect();
        apply(state, Command::Report(Report { node, statuses, deleted_volumes: Vec::new() }));
    }
}

fn apply(state: &mut State, command: Command) {
    let entry = Entry { at: Time(1_000), wall: WallTime::default(), request: None, command };
    state.apply(state.index + 1, &entry);
}
