//! The simulated cluster: real managers and agents, a modelled log, network and engines, on virtual time.
//!
//! `cluster.rs` holds what there is and takes one step after the other; `raft.rs`, `duties.rs`,
//! `sessions.rs` and `hosts.rs` are what the steps do.

use crate::engine::Turn;
use crate::host::{Host, Hosts};
use crate::invariants::Invariants;
use crate::log::Log;
use crate::network::Network;
use crate::people::People;
use crate::queue::Queue;
use crate::random::Random;
use crate::trace::Trace;
use agent::{Action, ContainerId};
use manager::{Ended, ProposalId};
use model::{Entry, NodeId, Refresh, Report, State, Timers, View};
use planner::Settings;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Everything that can happen next.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A node beats to all managers.
    Beat { node: NodeId, life: u64 },
    /// A beat arrives.
    Beaten { to: NodeId, from: NodeId, heard: Arc<Vec<(NodeId, Duration)>> },
    /// The time a manager named has come.
    ManagerWakes { node: NodeId, life: u64 },
    /// The time an agent named has come.
    AgentWakes { node: NodeId, life: u64 },
    /// Raft's own clock.
    Raft,
    /// Entries arrive at a member.
    Append { to: NodeId, term: u64, upto: u64, known: u64 },
    /// A member's acknowledgement arrives at the leader.
    Ack { from: NodeId, term: u64, upto: u64 },
    /// A member applies what it knows to be committed.
    Apply { member: NodeId },
    /// The membership of the log changes.
    Membership { term: u64, voters: BTreeSet<NodeId> },
    /// A proposal's end reaches its manager.
    Proposed { node: NodeId, life: u64, id: ProposalId, ended: Ended },
    /// A probe ends.
    Probed { node: NodeId, life: u64, of: NodeId, answers: bool },
    /// A node looks after its session and its own condition.
    Sign { node: NodeId, life: u64 },
    /// A manager sends views to whom they changed for.
    Push { node: NodeId, life: u64 },
    /// A view arrives.
    View { node: NodeId, life: u64, session: u64, view: Arc<View>, age: Duration },
    /// A report arrives at the leader.
    Report { node: NodeId, life: u64, number: u64, report: Report },
    /// What became of a report arrives.
    Reported { node: NodeId, life: u64, number: u64, accepted: bool },
    /// A node's word about itself arrives at the leader.
    Refresh { life: u64, refresh: Refresh },
    /// An action of the engine ends.
    Acted { node: NodeId, life: u64, action: Box<Action> },
    /// The engine does not answer a request in time.
    Unanswered { node: NodeId, life: u64, action: Box<Action> },
    /// An agent finds an answer that came while it stood still.
    Answered { node: NodeId, life: u64, done: Box<agent::Input> },
    /// A question that an engine does not answer is given up.
    Pinged { node: NodeId, life: u64 },
    /// The engine's list arrives, or does not.
    Listed { node: NodeId, life: u64 },
    /// A program takes its turn.
    Turn { node: NodeId, container: ContainerId, run: u64, turn: Turn },
    /// Somebody at a keyboard tries to be heard.
    Ask { wish: usize },
    /// A daemon starts.
    Starts { node: NodeId },
    /// A daemon that announced its stop stops.
    Leaves { node: NodeId, life: u64, until: u64 },
    /// A link to a host flaps: cut, or back, so many times more.
    Flaps { node: NodeId, cuts: bool, left: u64, millis: u64, healed: u64 },
}

/// How nasty the world is where nobody asked it to be: what gets lost, of a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nastiness {
    /// Answers, although the connection works.
    pub(crate) answers: u64,
    /// Proposals, for no reason a manager could know.
    pub(crate) proposals: u64,
    /// Events of the engine.
    pub(crate) events: u64,
    /// Reports and words of nodes about themselves that come once more, later.
    pub(crate) doubled: u64,
    /// Views before which an older one is sent.
    pub(crate) older: u64,
    /// Most that a daemon's clock gains or loses, in parts of a million.
    pub(crate) drift: u64,
}

impl Nastiness {
    pub(crate) const NONE: Self =
        Self { answers: 0, proposals: 0, events: 0, doubled: 0, older: 0, drift: 0 };
    pub(crate) const SOME: Self =
        Self { answers: 10, proposals: 10, events: 10, doubled: 30, older: 20, drift: 200 };
}

/// The simulated cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: u64,
    pub(crate) queue: Queue<Happening>,
    pub(crate) random: Random,
    pub(crate) network: Network,
    pub(crate) log: Log,
    pub(crate) hosts: Hosts,
    pub(crate) people: People,
    pub(crate) trace: Trace,
    pub(crate) invariants: Invariants,
    pub(crate) nastiness: Nastiness,
    /// How long members gather entries, and managers changes of views, at most, in milliseconds.
    pub(crate) gather: u64,
    pub(crate) timers: Timers,
    pub(crate) settings: Settings,
    /// What managers told, for people to read, with the time.
    pub(crate) told: Vec<(u64, String)>,
}

impl Cluster {
    /// A cluster that these entries founded; its first node leads. Nothing has happened yet.
    pub(crate) fn new(seed: u64, entries: Vec<Entry>, nastiness: Nastiness) -> Self {
        let mut founded = State::default();
        for (index, entry) in (1..).zip(&entries) {
            founded.apply(index, entry);
        }
        let members: Vec<NodeId> = founded.managers().map(|n| n.id).collect();
        let hosts = founded.nodes.values().map(|n| (n.id, Host::new(n.id, n.role))).collect();
        let mut cluster = Self {
            now: 0,
            queue: Queue::new(),
            random: Random::new(seed),
            network: Network::default(),
            log: Log::new(entries, &members, members[0]),
            hosts,
            people: People::default(),
            trace: Trace::new(),
            invariants: Invariants::new(&founded),
            nastiness,
            gather: if founded.nodes.len() > 100 { 50 } else { 4 },
            timers: Timers::LAN,
            settings: Settings::default(),
            told: Vec::new(),
        };
        if nastiness != Nastiness::NONE {
            cluster.log.snapshot_behind = cluster.random.between(2, 200);
        }
        for node in founded.nodes.keys() {
            cluster.start_daemon(*node);
        }
        cluster.log.crown(0, members[0]);
        cluster.commit();
        cluster.queue.push(0, Happening::Raft);
        cluster
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, millis: u64) {
        let until = self.now + millis;
        while let Some((at, what)) = self.queue.pop(until) {
            self.now = at;
            self.step(what);
            if self.invariants.broken.is_some() {
                return;
            }
        }
        self.now = until;
    }

    /// What is meant for a daemon that stands still waits.
    fn put_off(&mut self, what: &Happening) -> bool {
        use Happening as H;
        let (H::Beat { node, .. }
        | H::Beaten { to: node, .. }
        | H::ManagerWakes { node, .. }
        | H::AgentWakes { node, .. }
        | H::Append { to: node, .. }
        | H::Apply { member: node }
        | H::Proposed { node, .. }
        | H::Probed { node, .. }
        | H::Sign { node, .. }
        | H::Push { node, .. }
        | H::View { node, .. }
        | H::Reported { node, .. }
        | H::Answered { node, .. }
        | H::Listed { node, .. }) = what
        else {
            return false;
        };
        let until = self.hosts.get(node).map_or(0, |h| h.frozen_until);
        if until <= self.now {
            return false;
        }
        self.queue.push(until, what.clone());
        true
    }

    fn step(&mut self, what: Happening) {
        use Happening as H;
        if self.put_off(&what) {
            return;
        }
        match what {
            H::Beat { node, life } => self.beat(node, life),
            H::Beaten { to, from, heard } => self.beaten(to, from, &heard),
            H::ManagerWakes { node, life } => self.manager_wakes(node, life),
            H::AgentWakes { node, life } => self.agent_wakes(node, life),
            H::Raft => self.raft_tick(),
            H::Append { to, term, upto, known } => self.appended(to, term, upto, known),
            H::Ack { from, term, upto } => self.acknowledged(from, term, upto),
            H::Apply { member } => self.apply_at(member),
            H::Membership { term, voters } => self.membership(term, voters),
            H::Proposed { node, life, id, ended } => {
                self.tell_manager(node, life, manager::Input::Proposed { id, ended });
            }
            H::Probed { node, life, of, answers } => {
                self.tell_manager(node, life, manager::Input::Probed { node: of, answers });
            }
            H::Sign { node, life } => self.sign(node, life),
            H::Push { node, life } => self.push_views(node, life),
            H::View { node, life, session, view, age } => {
                self.view_arrives(node, life, session, view, age);
            }
            H::Report { node, life, number, report } => {
                self.report_arrives(node, life, number, report);
            }
            H::Reported { node, life, number, accepted } => {
                self.tell_agent(node, life, agent::Input::Reported { number, accepted });
            }
            H::Refresh { life, refresh } => self.refresh_arrives(life, refresh),
            H::Acted { node, life, action } => self.acted(node, life, *action),
            H::Unanswered { node, life, action } => self.unanswered(node, life, *action),
            H::Answered { node, life, done } => self.tell_agent(node, life, *done),
            H::Pinged { node, life } => self.pinged(node, life),
            H::Listed { node, life } => self.listed(node, life),
            H::Turn { node, container, run, turn } => self.turn(node, &container, run, turn),
            H::Ask { wish } => self.ask_again(wish),
            H::Starts { node } => self.start_daemon(node),
            H::Leaves { node, life, until } => self.leave(node, life, until),
            H::Flaps { node, cuts, left, millis, healed } => {
                if self.network.healed == healed {
                    self.flap_on(node, cuts, left, millis);
                }
            }
        }
    }

    /// A host is cut off and comes back so many times, each for so many milliseconds.
    pub(crate) fn flap(&mut self, node: NodeId, times: u64, millis: u64) {
        self.flap_on(node, true, 2 * times, millis);
    }

    fn flap_on(&mut self, node: NodeId, cuts: bool, left: u64, millis: u64) {
        if cuts {
            self.network.isolate(node);
        } else {
            self.network.rejoin(node);
        }
        if let Some(left) = left.checked_sub(1).filter(|left| *left > 0) {
            let healed = self.network.healed;
            let next = Happening::Flaps { node, cuts: !cuts, left, millis, healed };
            self.queue.push(self.now + millis, next);
        }
    }

    /// The node of this name, or the leader's when the name is `leader`.
    pub(crate) fn named(&self, name: &str) -> Option<NodeId> {
        if name == "leader" {
            return self.log.leader();
        }
        self.log.state.nodes.values().find(|n| n.name.as_str() == name).map(|n| n.id)
    }

    /// A line for the fingerprint.
    pub(crate) fn note(&mut self, what: &dyn std::fmt::Display) {
        self.trace.line(self.now, what);
    }

    /// Managers' hosts.
    pub(crate) fn managers(&self) -> Vec<NodeId> {
        self.log.replicas.keys().copied().collect()
    }

    pub(crate) fn lives(&self, node: NodeId) -> bool {
        self.hosts.get(&node).is_some_and(|h| h.lives(self.now))
    }
}
