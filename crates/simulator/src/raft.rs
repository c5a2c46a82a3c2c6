//! The log's members at work: heartbeats, elections, replication, commits and what follows from them.

use crate::cluster::{Cluster, Happening};
use crate::log::{Commit, Origin};
use manager::{Ended, Input};
use model::{Command, Entry, NodeId, RequestId, WallTime};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Hosts above which a command is noted in short.
const LARGE: usize = 50;
/// How often Raft's clock ticks, in milliseconds.
const TICK: u64 = 50;

impl Cluster {
    pub(crate) fn raft_tick(&mut self) {
        self.queue.push(self.now + TICK, Happening::Raft);
        if let Some(leader) = self.log.leader() {
            self.heartbeat(leader);
        }
        self.elect();
    }

    fn heartbeat(&mut self, leader: NodeId) {
        let reached: Vec<NodeId> = self.members_joined(leader);
        let has_quorum = self.lives(leader) && self.log.majority(reached.iter().copied());
        let lease = self.timers.election_max.as_millis() as u64;
        let Some(reign) = self.log.reign.as_mut() else { return };
        if has_quorum {
            reign.quorum_at = self.now;
        } else if self.now - reign.quorum_at > lease {
            self.step_down(leader);
            return;
        }
        if !self.lives(leader) {
            return;
        }
        let (behind, index) = (self.log.end(), self.log.index());
        for member in reached {
            let Some(replica) = self.log.replicas.get_mut(&member) else { continue };
            if has_quorum {
                replica.contact = self.now;
                replica.waits_from = self.now;
            }
            if replica.have < behind || replica.known < index || behind > index {
                self.send_entries(leader, member);
            }
        }
    }

    /// Members, the leader included, that it has a working connection to.
    fn members_joined(&self, leader: NodeId) -> Vec<NodeId> {
        let members = self.log.replicas.keys().copied();
        members.filter(|m| self.lives(*m) && self.network.joined(leader, *m)).collect()
    }

    pub(crate) fn step_down(&mut self, leader: NodeId) {
        self.note(&format_args!("raft: {leader} steps down"));
        self.log.abdicate();
        let life = self.hosts[&leader].life;
        self.tell_manager_when_awake(leader, life, Input::Followed);
    }

    /// A manager that stands still learns of it when it wakes; what it says until then is not heard.
    fn tell_manager_when_awake(&mut self, node: NodeId, life: u64, input: Input) {
        if self.lives(node) {
            self.tell_manager(node, life, input);
        } else if let Some(member) = self.hosts.get_mut(&node).and_then(|h| h.member_mut()) {
            // Its first input after the pause is this one: nothing of it is believed before.
            let _ = member.manager.handle(model::Time(0), input);
        }
    }

    fn elect(&mut self) {
        let least = self.timers.election_max.as_millis() as u64;
        let ready = |v: &NodeId| {
            self.lives(*v)
                && self.log.leader() != Some(*v)
                && self
                    .log
                    .replicas
                    .get(v)
                    .is_some_and(|r| self.now > r.waits_from + least + r.patience)
        };
        let standing: Vec<NodeId> = self.log.voters.iter().copied().filter(ready).collect();
        for candidate in standing {
            let voters: Vec<NodeId> = self.granting(candidate, least);
            if self.log.majority(voters.into_iter()) {
                self.crown(candidate);
                return;
            }
        }
    }

    /// Members that would vote for the candidate (with pre-vote: that miss their leader, too).
    fn granting(&self, candidate: NodeId, lease: u64) -> Vec<NodeId> {
        let have = self.log.replicas[&candidate].have;
        let grants = |m: &NodeId| {
            let replica = &self.log.replicas[m];
            let misses = *m == candidate || self.now > replica.contact + lease;
            misses && replica.have <= have && self.log.leader() != Some(*m)
        };
        self.members_joined(candidate).into_iter().filter(grants).collect()
    }

    pub(crate) fn crown(&mut self, candidate: NodeId) {
        if let Some(old) = self.log.leader() {
            self.step_down(old);
        }
        self.log.crown(self.now, candidate);
        let term = self.log.term;
        self.note(&format_args!("raft: {candidate} leads term {term}"));
        let (low, high) = (
            self.timers.election_min.as_millis() as u64,
            self.timers.election_max.as_millis() as u64,
        );
        for member in self.managers() {
            self.log.reset_patience(&mut self.random, member, low, high);
        }
        for replica in self.log.replicas.values_mut() {
            replica.waits_from = self.now;
        }
        self.replicate();
        self.commit();
    }

    /// Hands leadership to a voter that holds all entries.
    pub(crate) fn hand_over(&mut self, from: NodeId, to: NodeId) {
        let complete = self.log.replicas.get(&to).is_some_and(|r| r.have == self.log.end());
        let possible = self.log.leader() == Some(from)
            && self.log.voters.contains(&to)
            && self.lives(to)
            && self.network.joined(from, to);
        if complete && possible {
            self.crown(to);
        }
    }

    /// Sends each member what it lacks.
    fn replicate(&mut self) {
        let Some(leader) = self.log.leader() else { return };
        let others: Vec<NodeId> =
            self.log.replicas.keys().copied().filter(|m| *m != leader).collect();
        for member in others {
            self.send_entries(leader, member);
        }
    }

    fn send_entries(&mut self, leader: NodeId, to: NodeId) {
        if leader == to {
            return;
        }
        let Some(delay) = self.network.call(&mut self.random, leader, to) else { return };
        let (term, upto, known) = (self.log.term, self.log.end(), self.log.index());
        let at = self.now + delay.as_millis() as u64;
        self.queue.push(at, Happening::Append { to, term, upto, known });
    }

    pub(crate) fn appended(&mut self, to: NodeId, term: u64, upto: u64, known: u64) {
        let Some(leader) = self.log.leader().filter(|_| term == self.log.term) else { return };
        if !self.lives(to) {
            return;
        }
        let Some(replica) = self.log.replicas.get_mut(&to) else { return };
        replica.have = replica.have.max(upto);
        replica.known = replica.known.max(known);
        if let Some(delay) = self.network.call(&mut self.random, to, leader) {
            let at = self.now + delay.as_millis() as u64;
            self.queue.push(at, Happening::Ack { from: to, term, upto });
        }
        self.apply_soon(to);
    }

    pub(crate) fn acknowledged(&mut self, from: NodeId, term: u64, upto: u64) {
        if !self.log.leader().is_some_and(|l| self.lives(l)) {
            return;
        }
        self.log.acknowledge(from, term, upto);
        self.commit();
    }

    /// Commits all that can be, tells who waits, and lets the leader apply it.
    pub(crate) fn commit(&mut self) {
        let Some(leader) = self.log.leader() else { return };
        let before = self.log.index();
        let mut commits = Vec::new();
        loop {
            let was = self.log.state.clone();
            let Some(commit) = self.log.commit() else { break };
            self.committed(&was, &commit);
            commits.push(commit);
        }
        if self.log.index() == before {
            return;
        }
        let index = self.log.index();
        if let Some(replica) = self.log.replicas.get_mut(&leader) {
            replica.known = index;
        }
        // What was committed is applied in batches; the answer may come before or after.
        self.apply_soon(leader);
        for commit in &commits {
            self.answer(leader, commit);
        }
        self.replicate();
    }

    fn committed(&mut self, was: &model::State, commit: &Commit) {
        if let Some(entry) = &commit.entry {
            // What a large cluster decides is too long to be read.
            if self.hosts.len() > LARGE {
                self.note(&format_args!("{} {}", commit.index, gist(&entry.command)));
            } else {
                self.note(&format_args!("{} {:?}", commit.index, entry.command));
            }
        }
        self.invariants.committed(self.now, was, &self.log.state, commit, &self.hosts);
        self.admitted(commit);
    }

    /// The new leader has applied an entry of its own term.
    fn crowned(&mut self) {
        if let Some((node, term, cluster_now)) = self.log.lead(self.now) {
            let life = self.hosts[&node].life;
            self.tell_manager(node, life, Input::Led { term, cluster_now });
        }
    }

    fn answer(&mut self, leader: NodeId, commit: &Commit) {
        match commit.origin {
            Origin::Nobody => {}
            Origin::Manager(id) => {
                let (life, ended) =
                    (self.hosts[&leader].life, Ended::Applied { index: commit.index });
                let what = Happening::Proposed { node: leader, life, id, ended };
                let at = self.now + self.random.between(0, 3);
                self.queue.push(at, what);
            }
            Origin::Report { node, life, number } => {
                let lost = self.random.per_mille(self.nastiness.answers);
                let back = self.network.call(&mut self.random, leader, node);
                if let Some(delay) = back.filter(|_| !lost) {
                    let what = Happening::Reported { node, life, number, accepted: true };
                    self.queue.push(self.now + delay.as_millis() as u64, what);
                }
            }
            Origin::Refresh { node, life } => {
                if let Some(daemon) = self.hosts.get_mut(&node).and_then(|h| h.daemon_of(life)) {
                    daemon.refreshing_until = self.now + 20;
                }
            }
            Origin::Client(wish) => {
                let outcome = commit.outcome.clone();
                self.people.answered(wish, outcome);
            }
        }
    }

    /// A member will apply what it knows to be committed, and what it learns of until then.
    fn apply_soon(&mut self, member: NodeId) {
        let gather = self.random.between(0, self.gather);
        let Some(replica) = self.log.replicas.get_mut(&member) else { return };
        if !replica.applying {
            replica.applying = true;
            self.queue.push(self.now + gather, Happening::Apply { member });
        }
    }

    /// A member applies what it knows to be committed, and its manager is told.
    pub(crate) fn apply_at(&mut self, member: NodeId) {
        if let Some(replica) = self.log.replicas.get_mut(&member) {
            replica.applying = false;
        }
        if !self.lives(member) || !self.log.advance(member) {
            return;
        }
        let state = self.log.replicas[&member].state.clone();
        self.invariants.applied(self.now, member, &state, &self.log.state);
        let life = self.hosts[&member].life;
        let state = Arc::new(state);
        self.tell_manager(member, life, Input::Applied(Arc::clone(&state)));
        self.views_due(member);
        self.crowned();
    }

    /// Appends a command at the leader. False when that member does not lead.
    pub(crate) fn propose(
        &mut self,
        leader: NodeId,
        command: Command,
        request: Option<RequestId>,
        origin: Origin,
    ) -> bool {
        let Some(reign) = self.log.reign().filter(|r| r.leader == leader && r.led) else {
            return false;
        };
        if !self.lives(leader) {
            return false;
        }
        let at = reign.cluster_now(self.now);
        let entry = Entry { at, wall: self.wall(leader), request, command };
        if !self.log.append(leader, entry, origin) {
            return false;
        }
        self.replicate();
        self.commit();
        true
    }

    /// Wall time as a host sees it.
    fn wall(&self, node: NodeId) -> WallTime {
        WallTime(self.now as i64 + self.hosts.get(&node).map_or(0, |h| h.wall))
    }

    /// Makes the log's membership this one, some time later.
    pub(crate) fn reconcile(&mut self, voters: BTreeSet<NodeId>, learners: &BTreeSet<NodeId>) {
        let mut members: BTreeSet<NodeId> = voters.union(learners).copied().collect();
        members.extend(&self.log.voters);
        if self.log.voters != voters {
            let at = self.now + self.random.between(5, 50);
            self.queue.push(at, Happening::Membership { term: self.log.term, voters });
        }
        // Who neither votes nor learns is sent nothing any more.
        self.log.replicas.retain(|member, _| members.contains(member));
    }

    /// The change needs a majority of both sets, each of which holds all that is committed.
    pub(crate) fn membership(&mut self, term: u64, voters: BTreeSet<NodeId>) {
        let Some(leader) = self.log.leader().filter(|_| term == self.log.term) else { return };
        let joined = self.members_joined(leader);
        let index = self.log.index();
        let complete = |m: &&NodeId| self.log.replicas[*m].have >= index;
        let complete: Vec<NodeId> = joined.iter().filter(complete).copied().collect();
        let of_new = complete.iter().filter(|m| voters.contains(m)).count();
        let possible = self.lives(leader)
            && self.log.majority(complete.iter().copied())
            && of_new > voters.len() / 2;
        if possible && self.log.voters != voters {
            self.note(&format_args!("raft: voters {voters:?}"));
            self.log.voters = voters;
            if !self.log.voters.contains(&leader) {
                self.step_down(leader);
            }
        }
    }
}

/// A command in short.
fn gist(command: &Command) -> String {
    match command {
        Command::Plan(changes) => format!("a plan of {} changes", changes.len()),
        Command::Judge(verdicts) => format!("{verdicts:?}"),
        Command::Report(report) => format!("{} reports {}", report.node, report.statuses.len()),
        Command::Deploy(deploy) => format!("{} is deployed", deploy.spec.name),
        other => format!("{other:?}"),
    }
}
