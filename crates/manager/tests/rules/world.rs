//! A little world for the manager's tests: a founded cluster, one manager under test, and a log of one
//! member that applies what is proposed at once.

use manager::{Ended, Input, Manager, Output};
use model::{
    ClusterId, Command, Entry, Facts, Found, Join, JoinToken, NodeId, Readiness, Role, State, Time,
    Timers, WallTime, limits,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds.
pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What node `n` says when it joins.
pub(crate) fn join(n: u64, role: Role) -> Join {
    let facts = Facts {
        milli_cpus: 4_000,
        memory: 8 << 30,
        engine_ready: true,
        level: limits::LEVEL,
        ..Facts::default()
    };
    Join {
        name: format!("n{n}").parse().expect("a valid name"),
        role,
        address: [10, 0, 0, n as u8].into(),
        control_port: 7070,
        edge_port: 7071,
        key_digest: format!("key{n}"),
        facts,
        replace: false,
    }
}

/// A cluster of nodes 1, 2, ... in these roles; node 1 founds it.
pub(crate) fn cluster(roles: &[Role]) -> State {
    let mut state = State::default();
    for (n, role) in (1..).zip(roles) {
        let token = JoinToken { digest: String::new(), sealed: Vec::new() };
        let command = if n == 1 {
            Command::Found(Found {
                cluster: ClusterId("c".into()),
                authority: String::new(),
                sealed_key: Vec::new(),
                manager_token: token.clone(),
                worker_token: token,
                mesh: None,
                node: join(n, *role),
            })
        } else {
            Command::Join(join(n, *role))
        };
        state.apply(n, &entry(0, command));
    }
    state
}

/// An entry without a request.
pub(crate) fn entry(at: u64, command: Command) -> Entry {
    Entry { at: Time(at), wall: WallTime(0), request: None, command }
}

/// The manager under test is on node 1. Cluster time and its own clock differ by `SKEW`.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) manager: Manager,
    pub(crate) state: State,
    /// Silence of each node as each other manager hears it, from when on.
    pub(crate) deaf: BTreeMap<(u64, u64), u64>,
    /// What node 1 does not hear any more, from when on.
    pub(crate) cut: BTreeMap<u64, u64>,
    /// Hosts that answer a probe.
    pub(crate) answers: bool,
    /// All outputs but proposals.
    pub(crate) said: Vec<Output>,
    /// Plans are swallowed; verdicts are applied unless this is set.
    pub(crate) log_stuck: bool,
}

/// Cluster time minus the manager's own clock.
pub(crate) const SKEW: u64 = 1_000_000;

impl World {
    /// Node 1 leads a cluster of these roles at time 10 s, all nodes having been heard for a while.
    pub(crate) fn leading(roles: &[Role]) -> Self {
        let mut world = Self::following(roles);
        world.lead();
        world
    }

    /// As `leading`, but nobody leads yet.
    pub(crate) fn following(roles: &[Role]) -> Self {
        let state = cluster(roles);
        let settings = planner::Settings::default();
        let mut world = Self {
            now: 0,
            manager: Manager::new(NodeId(1), Timers::LAN, settings, Time(0)),
            state,
            deaf: BTreeMap::new(),
            cut: BTreeMap::new(),
            answers: false,
            said: Vec::new(),
            log_stuck: false,
        };
        world.applied();
        world.run(10_000);
        world
    }

    pub(crate) fn lead(&mut self) {
        let cluster_now = Time(self.now + SKEW);
        self.input(Input::Led { term: 1, cluster_now });
    }

    /// The manager is handed the state as it is.
    pub(crate) fn applied(&mut self) {
        self.input(Input::Applied(Arc::new(self.state.clone())));
    }

    /// These nodes vote instead of node 1 alone.
    pub(crate) fn vote(&mut self, voters: &[u64]) {
        let to = voters.iter().map(|n| NodeId(*n)).collect();
        self.apply(Command::Plan(vec![model::Change::Voters { was: [NodeId(1)].into(), to }]));
    }

    /// Applies a command.
    pub(crate) fn apply(&mut self, command: Command) {
        self.state.apply(self.state.index + 1, &entry(self.now + SKEW, command));
        self.applied();
    }

    /// Hands in an input and does what comes out.
    pub(crate) fn input(&mut self, input: Input) {
        for output in self.manager.handle(Time(self.now), input) {
            match output {
                Output::Propose { id, command } => {
                    if self.log_stuck || matches!(command, Command::Plan(_)) {
                        self.input(Input::Proposed { id, ended: Ended::Failed });
                        continue;
                    }
                    self.apply(command);
                    let ended = Ended::Applied { index: self.state.index };
                    self.input(Input::Proposed { id, ended });
                }
                Output::Probe { node } => {
                    let answers = self.answers;
                    self.said.push(Output::Probe { node });
                    self.input(Input::Probed { node, answers });
                }
                other => self.said.push(other),
            }
        }
    }

    /// Lets time pass until `until`, in steps of 50 ms. Nodes beat each half second, other managers
    /// with their testimony.
    pub(crate) fn run(&mut self, until: u64) {
        while self.now < until {
            self.now += 50;
            if self.now.is_multiple_of(500) {
                self.beats();
            }
            self.input(Input::Wake);
        }
    }

    /// Time passes while this manager stands still; the beats that piled up reach it at the end.
    pub(crate) fn stand_still(&mut self, until: u64) {
        self.now = until;
        self.beats();
    }

    fn beats(&mut self) {
        let nodes: Vec<_> = self.state.nodes.values().map(|n| (n.id.0, n.role)).collect();
        for (n, role) in nodes {
            if n == 1 || self.cut.get(&n).is_some_and(|at| *at < self.now) {
                continue;
            }
            let heard = if role == Role::Manager { self.testimony_of(n) } else { Vec::new() };
            self.input(Input::Beat { from: NodeId(n), heard });
        }
    }

    fn testimony_of(&self, witness: u64) -> Vec<(NodeId, Duration)> {
        let silence = |n: u64| match self.deaf.get(&(witness, n)) {
            Some(at) => ms(self.now.saturating_sub(*at)),
            None => ms(0),
        };
        let others = self.state.nodes.keys().filter(|n| n.0 != witness);
        others.map(|n| (*n, silence(n.0))).collect()
    }

    /// Node `n` dies now: nobody hears it any more.
    pub(crate) fn dies(&mut self, n: u64) {
        self.cut.insert(n, self.now);
        for witness in 1..=self.state.nodes.len() as u64 {
            self.deaf.insert((witness, n), self.now);
        }
    }

    /// Everybody hears node `n` again.
    pub(crate) fn returns(&mut self, n: u64) {
        self.cut.remove(&n);
        self.deaf.retain(|(_, silent), _| *silent != n);
    }

    pub(crate) fn readiness(&self, n: u64) -> Readiness {
        self.state.nodes[&NodeId(n)].readiness
    }

    /// Events told by the manager, as text, oldest first.
    pub(crate) fn events(&self) -> Vec<String> {
        let event = |o: &Output| match o {
            Output::Event(e) => Some(format!("{e:?}")),
            _ => None,
        };
        self.said.iter().filter_map(event).collect()
    }
}
