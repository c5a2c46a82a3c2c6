//! The entries that found a cluster of a given shape.

use model::{
    ClusterId, Command, Entry, Facts, Found, Join, JoinToken, Role, Time, WallTime, limits,
};

/// The shape of a cluster to be founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Nodes that hold the log.
    pub(crate) managers: usize,
    /// Nodes that do not.
    pub(crate) workers: usize,
    /// Memory of each, in bytes.
    pub(crate) memory: u64,
    /// Processor time of each, in thousandths of a core.
    pub(crate) milli_cpus: u64,
}

/// The entries that found it: nodes `n1`, `n2`, ..., managers first.
pub(crate) fn entries(shape: Shape) -> Vec<Entry> {
    let all = shape.managers + shape.workers;
    (1..=all).map(|n| entry(shape, n)).collect()
}

fn entry(shape: Shape, n: usize) -> Entry {
    let role = if n <= shape.managers { Role::Manager } else { Role::Worker };
    let join = join(shape, n, role);
    let token = || JoinToken { digest: String::new(), sealed: Vec::new() };
    let command = if n == 1 {
        Command::Found(Found {
            cluster: ClusterId("5e".repeat(16)),
            authority: String::new(),
            sealed_key: Vec::new(),
            manager_token: token(),
            worker_token: token(),
            mesh: None,
            node: join,
        })
    } else {
        Command::Join(join)
    };
    Entry { at: Time::ZERO, wall: WallTime(0), request: None, command }
}

fn join(shape: Shape, n: usize, role: Role) -> Join {
    let facts = Facts {
        milli_cpus: shape.milli_cpus,
        memory: shape.memory,
        kept_memory: limits::SYSTEM_MEMORY,
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        engine: "27.0".to_owned(),
        version: "0.1.0".to_owned(),
        level: limits::LEVEL,
        memory_free: shape.memory - limits::SYSTEM_MEMORY,
        engine_ready: true,
        ..Facts::default()
    };
    Join {
        name: format!("n{n}").parse().expect("a valid name"),
        role,
        address: [10, 0, (n / 250) as u8, (n % 250) as u8 + 1].into(),
        control_port: limits::CONTROL_PORT,
        edge_port: limits::EDGE_PORT,
        key_digest: format!("key of n{n}"),
        facts,
        replace: false,
    }
}
