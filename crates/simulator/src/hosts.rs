//! Hosts: their daemons and engines, how they start, stop and fail, and what agents want done there.

use crate::cluster::{Cluster, Happening};
use crate::engine::{Mode, Turn};
use crate::host::{Daemon, Member, Standing};
use agent::{Action, ActionResult, Agent, ContainerId, Input, Output};
use manager::Manager;
use model::{NodeId, Role, Time};
use std::sync::Arc;

/// How long a request to the engine may take, in milliseconds.
const DEADLINE: u64 = 10_000;
/// How long a sign of life of the engine may take, in milliseconds.
const PING: u64 = 2_000;
/// How long a daemon that is asked to stop waits for its announcement to be known, in milliseconds.
const FAREWELL: u64 = 5_000;
/// How long a list of all containers takes, in milliseconds.
const LIST: u64 = 20;

impl Cluster {
    /// Starts the daemon of a host that has power and none.
    pub(crate) fn start_daemon(&mut self, node: NodeId) {
        let clock = self.random.between(1_000_000, 1_000_000_000);
        let drift = self.nastiness.drift;
        let drift = match drift {
            0 => 0,
            most => self.random.between(0, 2 * most) as i64 - most as i64,
        };
        let cluster = self.log.state.cluster_id();
        let Some(host) = self.hosts.get_mut(&node) else { return };
        if host.daemon.is_some() || !host.powered || host.standing != Standing::Member {
            return;
        }
        host.life += 1;
        host.frozen_until = 0;
        self.invariants.started(node);
        let life = host.life;
        let time = Time(self.now + clock);
        let settings = agent::Settings::from(&self.timers);
        let agent = match host.snapshot.clone() {
            Some(snapshot) => Agent::restore(node, cluster, settings, snapshot),
            None => Agent::new(node, cluster, settings),
        };
        let member = (host.role == Role::Manager).then(|| Member {
            manager: Manager::new(node, self.timers.clone(), self.settings.clone(), time),
            wakes: u64::MAX,
            serves: false,
            pushing: false,
        });
        host.daemon = Some(Daemon {
            clock,
            since: self.now,
            drift,
            agent,
            agent_wakes: u64::MAX,
            member,
            session: None,
            sessions: 0,
            refreshing_until: 0,
            leaving: false,
        });
        if let Some(replica) = self.log.replicas.get_mut(&node) {
            replica.waits_from = self.now;
            let state = Arc::new(replica.state.clone());
            self.tell_manager(node, life, manager::Input::Applied(state));
        }
        let beat = self.now + self.random.between(0, self.timers.beat.as_millis() as u64);
        self.queue.push(beat, Happening::Beat { node, life });
        let sign = self.now + self.random.between(50, 300);
        self.queue.push(sign, Happening::Sign { node, life });
        self.queue.push(self.now + LIST, Happening::Listed { node, life });
    }

    /// The daemon ends at once.
    pub(crate) fn kill_daemon(&mut self, node: NodeId) {
        if let Some(replica) = self.log.replicas.get_mut(&node) {
            replica.applying = false;
        }
        if let Some(host) = self.hosts.get_mut(&node) {
            host.daemon = None;
            host.frozen_until = 0;
        }
        if self.log.leader() == Some(node) {
            self.log.abdicate();
        }
    }

    /// The daemon is asked to stop: it says that it will be away, hands leadership on, and ends.
    pub(crate) fn stop_daemon(&mut self, node: NodeId) {
        if self.lives(node) {
            self.announce(node);
            let life = self.hosts[&node].life;
            let until = self.now + FAREWELL;
            self.queue.push(self.now + 100, Happening::Leaves { node, life, until });
        }
    }

    /// A daemon that was about to stop does not.
    pub(crate) fn stay(&mut self, node: NodeId) {
        if let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon.as_mut()) {
            daemon.leaving = false;
        }
    }

    /// The daemon ends once its announcement is in the log, or when that takes too long.
    pub(crate) fn leave(&mut self, node: NodeId, life: u64, until: u64) {
        let leaving = |h: &mut crate::host::Host| h.daemon_of(life).is_some_and(|d| d.leaving);
        if !self.hosts.get_mut(&node).is_some_and(leaving) {
            return;
        }
        let known = self.log.state.nodes.get(&node).is_some_and(|n| n.away_until.is_some());
        if !known && self.now < until {
            self.announce(node);
            self.queue.push(self.now + 100, Happening::Leaves { node, life, until });
            return;
        }
        let voters: Vec<NodeId> = self.log.voters.iter().copied().collect();
        for to in voters {
            if to != node && self.log.leader() == Some(node) {
                self.hand_over(node, to);
            }
        }
        self.kill_daemon(node);
    }

    /// The host loses its power.
    pub(crate) fn crash(&mut self, node: NodeId) {
        self.kill_daemon(node);
        if let Some(host) = self.hosts.get_mut(&node) {
            host.powered = false;
            host.engine.kill_all();
            host.engine.mode = Mode::Stopped;
        }
    }

    /// The host gets its power back.
    pub(crate) fn boot(&mut self, node: NodeId) {
        let off = |h: &&mut crate::host::Host| !h.powered && h.standing == Standing::Member;
        let Some(host) = self.hosts.get_mut(&node).filter(off) else { return };
        host.powered = true;
        host.engine.mode = Mode::Answers;
        let at = self.now + 1_000;
        self.queue.push(at, Happening::Starts { node });
    }

    /// The daemon stands still for a while.
    pub(crate) fn freeze(&mut self, node: NodeId, millis: u64) {
        if let Some(host) = self.hosts.get_mut(&node).filter(|h| h.daemon.is_some()) {
            host.frozen_until = self.now + millis;
        }
    }

    /// The engine stops answering, or answers again.
    pub(crate) fn set_engine(&mut self, node: NodeId, mode: Mode, kills: bool) {
        let Some(host) = self.hosts.get_mut(&node).filter(|h| h.powered) else { return };
        host.engine.mode = mode;
        if kills {
            host.engine.kill_all();
        }
        let life = host.life;
        // The stream of events breaks, or comes back: the driver lists anew, as after a start.
        match mode {
            Mode::Answers | Mode::Slow => {
                self.queue.push(self.now + LIST, Happening::Listed { node, life });
            }
            Mode::Stopped => self.tell_agent(node, life, Input::Engine { ready: false }),
            Mode::Hangs => {}
        }
    }

    pub(crate) fn agent_wakes(&mut self, node: NodeId, life: u64) {
        let now = self.now;
        let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) else {
            return;
        };
        daemon.agent_wakes = u64::MAX;
        let time = daemon.time(now);
        if daemon.agent.wake_at().is_some_and(|at| at <= time) {
            self.tell_agent(node, life, Input::Wake);
        } else {
            self.agent_sleeps(node);
        }
    }

    /// Hands an input to an agent and does what it wants.
    pub(crate) fn tell_agent(&mut self, node: NodeId, life: u64, input: Input) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let is_view = matches!(input, Input::View { .. });
        let Some(daemon) = host.daemon_of(life) else { return };
        let time = daemon.time(now);
        self.invariants.tells(now, node, &input);
        let outputs = daemon.agent.handle(time, input);
        if is_view {
            self.invariants.views(node, daemon.agent.view().map(Arc::as_ref));
        }
        // The last view is on the disk before anything of it is done.
        let kept = |o: &Output| {
            matches!(o, Output::Keep | Output::Event(agent::Event::RestartedInPlace { .. }))
        };
        if is_view || outputs.iter().any(kept) {
            let snapshot = daemon.agent.snapshot();
            host.snapshot = snapshot;
        }
        self.agent_sleeps(node);
        for output in outputs {
            self.agent_wants(node, life, output);
        }
    }

    fn agent_sleeps(&mut self, node: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let life = host.life;
        let Some(daemon) = &mut host.daemon else { return };
        let Some(at) = daemon.agent.wake_at() else { return };
        let at = daemon.global(at).max(now);
        if at < daemon.agent_wakes {
            daemon.agent_wakes = at;
            self.queue.push(at, Happening::AgentWakes { node, life });
        }
    }

    fn agent_wants(&mut self, node: NodeId, life: u64, output: Output) {
        match output {
            Output::Do(action) => {
                let fresh = self.timers.suspect.as_millis() as u64;
                self.invariants.wants(self.now, &self.hosts, node, fresh, &action);
                self.act(node, life, action);
            }
            Output::Report { number, report } => self.send_report(node, life, number, report),
            Output::Resync => {
                self.queue.push(self.now + LIST, Happening::Listed { node, life });
            }
            Output::Event(agent::Event::ViewRefused { reason }) => {
                let older = self.nastiness.older > 0 && reason.starts_with("it was taken at index");
                if !older {
                    self.invariants.refused(self.log.index(), node, &reason);
                }
            }
            // It was kept before anything of this was done.
            Output::Keep | Output::Event(_) => {}
        }
    }

    fn act(&mut self, node: NodeId, life: u64, action: Action) {
        let usual = self.random.millis(20, 150);
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let action = Box::new(action);
        if host.engine.answers() {
            let at = self.now + host.engine.takes(&action, usual).as_millis() as u64;
            let at = host.engine.after_others(&action, at);
            self.queue.push(at, Happening::Acted { node, life, action });
        } else {
            let at = self.now + if host.engine.mode == Mode::Hangs { DEADLINE } else { 5 };
            self.queue.push(at, Happening::Unanswered { node, life, action });
        }
    }

    /// The engine did an action; whoever asked for it may be gone. When the engine hangs or stopped
    /// meanwhile, it may have done it or not, and does not say.
    pub(crate) fn acted(&mut self, node: NodeId, life: u64, action: Action) {
        let now = self.now;
        let half = self.random.per_mille(500);
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let silent = !host.engine.answers();
        if silent && (half || !host.powered || host.engine.mode == Mode::Stopped) {
            self.unanswered(node, life, action);
            return;
        }
        let (result, turns) = host.engine.act(now, &action);
        for (after, container, run, turn) in turns {
            let at = now + after.as_millis() as u64;
            self.queue.push(at, Happening::Turn { node, container, run, turn });
        }
        let line = format!("{node}: {action}: {}", told(&result));
        self.note(&line);
        self.invariants.acted(now, &self.log.state, &self.hosts, node, &action);
        // A daemon that did not ask hears of it as of everything else that happens.
        if let ActionResult::Done(Some(container)) = &result
            && self.hosts.get(&node).is_some_and(|h| h.life != life)
        {
            self.announce_container(node, &container.id);
        }
        if silent {
            self.unanswered(node, life, action);
        } else if self.frozen(node) {
            // A daemon that stands still finds the answer when it wakes.
            let until = self.hosts[&node].frozen_until;
            let done = Box::new(Input::Done { action, result });
            self.queue.push(until, Happening::Answered { node, life, done });
        } else {
            self.tell_agent(node, life, Input::Done { action, result });
        }
    }

    fn frozen(&self, node: NodeId) -> bool {
        self.hosts.get(&node).is_some_and(|h| h.frozen_until > self.now)
    }

    pub(crate) fn unanswered(&mut self, node: NodeId, life: u64, action: Action) {
        let result = ActionResult::Unanswered("the engine did not answer".to_owned());
        self.tell_agent(node, life, Input::Done { action, result });
    }

    /// The driver asks the engine for a sign of life.
    pub(crate) fn ping(&mut self, node: NodeId, life: u64) {
        if self.hosts.get(&node).is_some_and(|h| !h.engine.answers()) {
            self.queue.push(self.now + PING, Happening::Pinged { node, life });
        }
    }

    pub(crate) fn pinged(&mut self, node: NodeId, life: u64) {
        if self.hosts.get(&node).is_some_and(|h| !h.engine.answers()) {
            self.tell_agent(node, life, Input::Engine { ready: false });
        }
    }

    pub(crate) fn listed(&mut self, node: NodeId, life: u64) {
        let Some(host) = self.hosts.get(&node) else { return };
        let input = if host.engine.answers() {
            Input::Observed(host.engine.observe())
        } else {
            Input::Engine { ready: false }
        };
        self.tell_agent(node, life, input);
    }

    /// A program does something by itself; the engine announces it.
    pub(crate) fn turn(&mut self, node: NodeId, id: &ContainerId, run: u64, turn: Turn) {
        let Some(host) = self.hosts.get_mut(&node).filter(|h| h.powered) else { return };
        if host.engine.turn(id, run, turn) {
            self.announce_container(node, id);
        }
    }

    /// The engine announces a change of a container.
    pub(crate) fn announce_container(&mut self, node: NodeId, id: &ContainerId) {
        let lost = self.random.per_mille(self.nastiness.events);
        let Some(host) = self.hosts.get(&node) else { return };
        if !host.engine.answers() || lost {
            return;
        }
        let (life, lives) = (host.life, host.lives(self.now));
        let input = match host.engine.containers.get(id) {
            Some(held) => Input::Changed(held.shown.clone()),
            None => Input::Gone(id.clone()),
        };
        if lives {
            self.tell_agent(node, life, input);
        }
    }
}

fn told(result: &ActionResult) -> &str {
    match result {
        ActionResult::Done(_) => "done",
        ActionResult::NoImage => "no image",
        ActionResult::Again(reason) | ActionResult::Never(reason) => reason,
        ActionResult::Unanswered(_) => "unanswered",
        ActionResult::Prepared(_) => "prepared",
        ActionResult::Ended { .. } => "ended",
    }
}
