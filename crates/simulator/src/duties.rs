//! What managers hear, and what they want done.

use crate::cluster::{Cluster, Happening};
use crate::log::Origin;
use manager::{Ended, Input, Output, ProposalId};
use model::{Command, NodeId};
use std::sync::Arc;
use std::time::Duration;

/// How long a probe waits for an answer, in milliseconds.
const PROBE: u64 = 500;

impl Cluster {
    /// A node beats to all managers but itself.
    pub(crate) fn beat(&mut self, node: NodeId, life: u64) {
        let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) else {
            return;
        };
        let time = daemon.time(self.now);
        let heard = daemon.member.as_ref().map(|m| m.manager.testimony(time)).unwrap_or_default();
        let heard = Arc::new(heard);
        for to in self.managers() {
            if to == node {
                continue;
            }
            if let Some(delay) = self.network.send(&mut self.random, node, to) {
                let at = self.now + delay.as_millis() as u64;
                let heard = Arc::clone(&heard);
                self.queue.push(at, Happening::Beaten { to, from: node, heard });
            }
        }
        let next = self.now + self.timers.beat.as_millis() as u64;
        self.queue.push(next, Happening::Beat { node, life });
    }

    pub(crate) fn beaten(
        &mut self,
        to: NodeId,
        from: NodeId,
        heard: &Arc<Vec<(NodeId, Duration)>>,
    ) {
        let life = self.hosts[&to].life;
        if self.hosts[&to].member().is_some() {
            self.invariants.heard(self.now, to, from, heard);
        }
        self.tell_manager(to, life, Input::Beat { from, heard: heard.to_vec() });
    }

    pub(crate) fn manager_wakes(&mut self, node: NodeId, life: u64) {
        if let Some(member) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) {
            let wakes = member.time(self.now);
            let due = member.member.as_ref().and_then(|m| m.manager.wake_at());
            if let Some(member) = &mut member.member {
                member.wakes = u64::MAX;
            }
            if due.is_some_and(|at| at <= wakes) {
                self.tell_manager(node, life, Input::Wake);
            } else {
                self.manager_sleeps(node);
            }
        }
    }

    /// Hands an input to a manager and does what it wants.
    pub(crate) fn tell_manager(&mut self, node: NodeId, life: u64, input: Input) {
        let now = self.now;
        let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) else {
            return;
        };
        let time = daemon.time(now);
        let Some(member) = &mut daemon.member else { return };
        let outputs = member.manager.handle(time, input);
        self.manager_sleeps(node);
        for output in outputs {
            self.manager_wants(node, life, output);
        }
    }

    /// Sees to it that a manager is woken when it wants to be.
    fn manager_sleeps(&mut self, node: NodeId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let life = host.life;
        let Some(daemon) = &mut host.daemon else { return };
        let Some(at) = daemon.member.as_ref().and_then(|m| m.manager.wake_at()) else { return };
        let at = daemon.global(at).max(now);
        let Some(member) = &mut daemon.member else { return };
        if at < member.wakes {
            member.wakes = at;
            self.queue.push(at, Happening::ManagerWakes { node, life });
        }
    }

    fn manager_wants(&mut self, node: NodeId, life: u64, output: Output) {
        match output {
            Output::Propose { id, command } => {
                if let (Command::Judge(verdicts), Some(member)) =
                    (&command, self.hosts.get(&node).and_then(|h| h.member()))
                {
                    let manager = &member.manager;
                    self.invariants.judges(self.now, &self.timers, node, manager, verdicts);
                }
                self.manager_proposes(node, life, id, command);
            }
            Output::Reconcile { voters, learners } => {
                if self.log.leader() == Some(node) {
                    self.reconcile(voters, &learners);
                }
            }
            Output::Probe { node: of } => self.probe(node, life, of),
            Output::HandOver { to } => {
                let name = |n| self.log.state.node_name(n);
                let text = format!("{} hands leadership to {}", name(node), name(to));
                self.told.push((self.now, text));
                self.hand_over(node, to);
            }
            Output::Event(event) => {
                let name = self.log.state.node_name(node);
                let about = |n: NodeId| self.log.state.node_name(n);
                let text = match event {
                    manager::Event::LinkBroken { node } => {
                        format!("{name} does not hear {}, others do", about(node))
                    }
                    manager::Event::LinkHealed { node } => {
                        format!("{name} hears {} again", about(node))
                    }
                    manager::Event::Stalled { paused } => {
                        format!("{name} stood still for {:.1}s", paused.as_secs_f64())
                    }
                };
                self.note(&text);
                self.told.push((self.now, text));
            }
        }
    }

    fn manager_proposes(&mut self, node: NodeId, life: u64, id: ProposalId, command: Command) {
        let lost = self.random.per_mille(self.nastiness.proposals);
        if lost || !self.propose(node, command, None, Origin::Manager(id)) {
            let at = self.now + self.random.between(0, 5);
            let ended = Ended::Failed;
            self.queue.push(at, Happening::Proposed { node, life, id, ended });
        }
    }

    /// A host answers when it has power and is reached, whatever its daemon does.
    fn probe(&mut self, node: NodeId, life: u64, of: NodeId) {
        let answers =
            self.network.joined(node, of) && self.hosts.get(&of).is_some_and(|h| h.powered);
        let at = self.now + if answers { 5 } else { PROBE };
        self.queue.push(at, Happening::Probed { node, life, of, answers });
    }
}
