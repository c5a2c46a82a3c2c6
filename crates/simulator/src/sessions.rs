//! Views to agents, reports from them, and a node's word about itself.

use crate::cluster::{Cluster, Happening};
use crate::host::Session;
use crate::log::Origin;
use agent::Input;
use model::{Command, NodeId, Refresh, Report, State, View};
use std::sync::Arc;
use std::time::Duration;

/// How often a node looks after its session, in milliseconds.
const SIGN: u64 = 500;
/// How long a refused or unsendable report takes to come back, in milliseconds.
const REFUSED: u64 = 100;
/// Signs between two full lists of an engine's containers.
const LIST_EVERY: u64 = 60;
/// Signs between two questions whether an engine lives.
const PING_EVERY: u64 = 6;
/// How long something that was sent twice may be late, in milliseconds.
const LATE: u64 = 3_000;
/// How often a node says again what the cluster has not taken, in milliseconds.
const REFRESH_AGAIN: u64 = 1_000;

impl Cluster {
    /// A node looks for a manager whose views can be trusted, and hears that its view is still the newest.
    pub(crate) fn sign(&mut self, node: NodeId, life: u64) {
        if self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)).is_none() {
            return;
        }
        if self.is_told_of_its_removal(node) {
            self.go(node);
            return;
        }
        self.queue.push(self.now + SIGN, Happening::Sign { node, life });
        let current = self.session(node).filter(|m| self.serves(*m, node));
        let stale = self.timers.view_stale.as_millis() as u64;
        let fresh = |m: &NodeId| self.contact_age(*m) <= stale;
        match current {
            Some(manager) if fresh(&manager) => self.confirm(node, life, manager),
            _ => self.look_around(node, life, current),
        }
        self.refresh(node, life);
        if (self.now / SIGN + node.0).is_multiple_of(PING_EVERY) {
            self.ping(node, life);
        }
        // Events get lost: now and then the driver asks for everything.
        if (self.now / SIGN + node.0).is_multiple_of(LIST_EVERY) {
            self.queue.push(self.now, Happening::Listed { node, life });
        }
    }

    fn session(&self, node: NodeId) -> Option<NodeId> {
        Some(self.hosts.get(&node)?.daemon.as_ref()?.session.as_ref()?.manager)
    }

    /// Whether a manager can serve views to a node at all.
    fn serves(&self, manager: NodeId, node: NodeId) -> bool {
        let serves = self.hosts.get(&manager).and_then(|h| h.member()).is_some_and(|m| m.serves);
        serves && self.lives(manager) && self.network.joined(manager, node)
    }

    /// Age of a manager's contact with a leader that has a quorum, in milliseconds.
    fn contact_age(&self, manager: NodeId) -> u64 {
        let contact = match &self.log.reign() {
            Some(reign) if reign.leader == manager => reign.quorum_at,
            _ => self.log.replicas.get(&manager).map_or(0, |r| r.contact),
        };
        self.now - contact
    }

    fn look_around(&mut self, node: NodeId, life: u64, current: Option<NodeId>) {
        let stale = self.timers.view_stale.as_millis() as u64;
        let managers = self.managers();
        let fit = |m: &NodeId| self.serves(*m, node) && self.contact_age(*m) <= stale;
        let better: Vec<NodeId> = managers.into_iter().filter(fit).collect();
        let own = better.iter().copied().find(|m| *m == node);
        let chosen = own.or_else(|| self.random.pick(&better));
        match (chosen, current) {
            (None, Some(manager)) => self.confirm(node, life, manager),
            (None, None) => {
                if let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) {
                    daemon.session = None;
                }
            }
            (Some(manager), _) => {
                if let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) {
                    daemon.sessions += 1;
                    let number = daemon.sessions;
                    daemon.session = Some(Session { manager, number, arrives: 0, sent: None });
                }
                self.tell_agent(node, life, Input::Session);
                self.views_due(manager);
            }
        }
    }

    fn confirm(&mut self, node: NodeId, life: u64, manager: NodeId) {
        let now = self.now;
        let sent = |s: &Session| s.manager == manager && s.sent.is_some() && s.arrives <= now;
        let daemon = self.hosts.get(&node).and_then(|h| h.daemon.as_ref());
        let newest = self.log.replicas.get(&manager).map(|r| r.moved.at(node));
        let session = daemon.and_then(|d| d.session.as_ref());
        if session.is_some_and(|s| sent(s) && s.sent == newest) {
            let age = Duration::from_millis(self.contact_age(manager));
            self.tell_agent(node, life, Input::Confirmed { age });
        } else {
            self.views_due(manager);
        }
    }

    /// A manager's state moved: it will send views soon.
    pub(crate) fn views_due(&mut self, manager: NodeId) {
        let Some(host) = self.hosts.get_mut(&manager) else { return };
        let life = host.life;
        let Some(member) = host.member_mut() else { return };
        if !member.pushing {
            member.pushing = true;
            self.queue.push(self.now + 2 * self.gather, Happening::Push { node: manager, life });
        }
    }

    pub(crate) fn push_views(&mut self, manager: NodeId, life: u64) {
        let index = self.log.index();
        let contact = self.contact_age(manager) <= self.timers.view_stale.as_millis() as u64;
        let applied = self.log.replicas.get(&manager).map_or(0, |r| r.state.index);
        let Some(daemon) = self.hosts.get_mut(&manager).and_then(|h| h.daemon_of(life)) else {
            return;
        };
        let Some(member) = &mut daemon.member else { return };
        member.pushing = false;
        // After a start it waits for a read index that the leader confirmed.
        member.serves |= contact && applied == index;
        let listens = |h: &crate::host::Host| {
            h.daemon.as_ref().and_then(|d| d.session.as_ref()).is_some_and(|s| s.manager == manager)
        };
        let nodes: Vec<NodeId> = self.hosts.values().filter(|h| listens(h)).map(|h| h.id).collect();
        for node in nodes {
            self.push_view(manager, node);
        }
    }

    fn push_view(&mut self, manager: NodeId, node: NodeId) {
        if !self.serves(manager, node) {
            return;
        }
        let Some(replica) = self.log.replicas.get(&manager) else { return };
        if !replica.state.nodes.contains_key(&node) {
            return;
        }
        let (state, newest) = (&replica.state, Some(replica.moved.at(node)));
        let host = self.hosts.get_mut(&node).expect("only hosts listen");
        let life = host.life;
        let Some(daemon) = &mut host.daemon else { return };
        let seen = daemon.agent.view().map_or(0, |v| v.index);
        let Some(session) = &mut daemon.session else { return };
        if session.sent == newest || state.index < seen {
            return;
        }
        let Some(delay) = self.network.call(&mut self.random, manager, node) else { return };
        let often = self.nastiness.older;
        let older = often > 0 && self.random.per_mille(often);
        let older = older && replica.past.nodes.contains_key(&node);
        session.arrives = session.arrives.max(self.now + delay.as_millis() as u64);
        let (at, number) = (session.arrives, session.number);
        // The right one follows when it moves next, or when the node asks whether its view is the newest.
        session.sent = if older { None } else { newest };
        let state = if older { &replica.past } else { state };
        // Agents do not look at what all views share.
        let view = Arc::new(state.view_for(node, &State::default().shared()));
        let age = Duration::from_millis(self.contact_age(manager));
        self.queue.push(at, Happening::View { node, life, session: number, view, age });
    }

    pub(crate) fn view_arrives(
        &mut self,
        node: NodeId,
        life: u64,
        session: u64,
        view: Arc<View>,
        age: Duration,
    ) {
        let daemon = self.hosts.get(&node).and_then(|h| h.daemon.as_ref());
        if daemon.and_then(|d| d.session.as_ref()).is_some_and(|s| s.number == session) {
            self.tell_agent(node, life, Input::View { view, age });
        }
    }

    /// An agent wants a report brought to the leader.
    pub(crate) fn send_report(&mut self, node: NodeId, life: u64, number: u64, report: Report) {
        let way = self.way_to_leader(node);
        let Some(delay) = way else {
            let at = self.now + REFUSED;
            self.queue.push(at, Happening::Reported { node, life, number, accepted: false });
            return;
        };
        let at = self.now + delay.as_millis() as u64;
        if self.comes_twice() {
            // Nobody waits for the answer to this one.
            let (at, report) = (at + self.random.between(0, LATE), report.clone());
            self.queue.push(at, Happening::Report { node, life: 0, number, report });
        }
        if !self.random.per_mille(self.nastiness.answers) {
            self.queue.push(at, Happening::Report { node, life, number, report });
        }
    }

    /// Whether what is sent now comes once more, later.
    fn comes_twice(&mut self) -> bool {
        let often = self.nastiness.doubled;
        often > 0 && self.random.per_mille(often)
    }

    /// How long a message takes from a node through its manager to the leader.
    fn way_to_leader(&mut self, node: NodeId) -> Option<Duration> {
        let manager = self.session(node)?;
        let leader = self.log.leader()?;
        if !self.lives(manager) || !self.lives(leader) {
            return None;
        }
        let first = self.network.call(&mut self.random, node, manager)?;
        Some(first + self.network.call(&mut self.random, manager, leader)?)
    }

    pub(crate) fn report_arrives(&mut self, node: NodeId, life: u64, number: u64, report: Report) {
        let origin = Origin::Report { node, life, number };
        let leader = self.log.leader();
        let taken = leader.is_some_and(|l| self.propose(l, Command::Report(report), None, origin));
        if !taken {
            let at = self.now + REFUSED;
            self.queue.push(at, Happening::Reported { node, life, number, accepted: false });
        }
    }

    /// A node tells the cluster what it has recorded wrong of it.
    fn refresh(&mut self, node: NodeId, life: u64) {
        let Some(known) = self.log.state.nodes.get(&node).cloned() else { return };
        let now = self.now;
        let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) else {
            return;
        };
        let ready = daemon.agent.engine_ready();
        let away = daemon.leaving.then_some(self.timers.away);
        let right =
            known.facts.engine_ready == ready && known.away_until.is_some() == daemon.leaving;
        if right || now < daemon.refreshing_until {
            return;
        }
        daemon.refreshing_until = now + REFRESH_AGAIN;
        let facts = model::Facts { engine_ready: ready, ..known.facts };
        let refresh = Refresh { node, facts, address: None, away };
        if let Some(delay) = self.way_to_leader(node) {
            let at = now + delay.as_millis() as u64;
            if self.comes_twice() {
                let (at, refresh) = (at + self.random.between(0, LATE), refresh.clone());
                self.queue.push(at, Happening::Refresh { life: 0, refresh });
            }
            self.queue.push(at, Happening::Refresh { life, refresh });
        }
    }

    /// A daemon that is about to stop says so.
    pub(crate) fn announce(&mut self, node: NodeId) {
        let life = self.hosts[&node].life;
        if let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon.as_mut()) {
            daemon.leaving = true;
            daemon.refreshing_until = 0;
        }
        self.refresh(node, life);
    }

    pub(crate) fn refresh_arrives(&mut self, life: u64, refresh: Refresh) {
        let origin = Origin::Refresh { node: refresh.node, life };
        if let Some(leader) = self.log.leader() {
            self.propose(leader, Command::Refresh(refresh), None, origin);
        }
    }
}
