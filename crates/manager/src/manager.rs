//! The manager: a value that is handed the time and an input, and hands back what should be done.

use crate::input::{Ended, Event, Input, Output, ProposalId};
use crate::judge::Bench;
use crate::leader::{Flight, Leader};
use crate::links::Link;
use crate::table::Table;
use model::{Command, Node, NodeId, Readiness, State, Time, Timers};
use planner::Settings;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Ticks of a manager's own duties per beat of a node.
const TICKS_PER_BEAT: u32 = 5;
/// Shortest wait until the planner is asked again about a state that has not moved.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// A managing member. `Time` is its driver's monotonic clock, never compared with cluster time.
#[derive(Clone, Debug)]
pub struct Manager {
    node: NodeId,
    timers: Timers,
    settings: Settings,
    state: Arc<State>,
    table: Table,
    leader: Option<Leader>,
    /// Nodes whose broken link to this manager was told.
    broken: BTreeSet<NodeId>,
    next_id: u64,
    ticked: Time,
}

impl Manager {
    /// A manager on `node` that has just started and applied nothing yet.
    pub fn new(node: NodeId, timers: Timers, settings: Settings, now: Time) -> Self {
        Self {
            node,
            timers,
            settings,
            state: Arc::default(),
            table: Table::new(now),
            leader: None,
            broken: BTreeSet::new(),
            next_id: 0,
            ticked: now,
        }
    }

    /// Takes in what happened; hands back what should be done, in order.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        if let Some(paused) = self.table.alive(now, &self.timers) {
            out.push(Output::Event(Event::Stalled { paused }));
        }
        self.table.stay_in_touch(now, self.node, &self.state, &self.timers);
        match input {
            Input::Applied(state) => self.applied(now, state, &mut out),
            Input::Led { term, cluster_now } => self.led(now, term, cluster_now, &mut out),
            Input::Followed => self.leader = None,
            Input::Beat { from, heard } => self.beat(now, from, heard, &mut out),
            Input::Proposed { id, ended } => self.proposed(now, id, ended, &mut out),
            Input::Probed { node, answers } => self.probed(now, node, answers),
            Input::Wake => {}
        }
        if now >= self.next_tick() || self.replan_due(now) {
            self.tick(now, &mut out);
        }
        out
    }

    /// When to send [`Input::Wake`]. Early calls do nothing; late ones look like a stall.
    pub fn wake_at(&self) -> Option<Time> {
        let replan = self.leader.as_ref().filter(|l| l.planning.landed());
        let replan = replan.and_then(Leader::replan_wake).map(|at| at.max(self.ticked));
        Some(self.next_tick().min(replan.unwrap_or(Time(u64::MAX))))
    }

    /// What this node's own beats are to say of the others: how long each has been silent.
    pub fn testimony(&self, now: Time) -> Vec<(NodeId, Duration)> {
        self.table.testimony(now, self.node, &self.timers)
    }

    /// Broken links, as far as this manager can know: both ends live, one does not hear the other.
    pub fn links(&self, now: Time) -> Vec<Link> {
        self.bench(now).links()
    }

    /// How long this manager has not heard a node.
    pub fn silence(&self, now: Time, node: NodeId) -> Duration {
        self.table.silence(now, node)
    }

    /// The term in which this manager leads.
    pub fn leads(&self) -> Option<u64> {
        self.leader.as_ref().map(|l| l.term)
    }

    /// Cluster time, while this manager leads.
    pub fn cluster_time(&self, now: Time) -> Option<Time> {
        self.leader.as_ref().map(|l| l.cluster_time(now).max(self.state.now))
    }

    /// The newest state it was handed.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    fn applied(&mut self, now: Time, state: Arc<State>, out: &mut Vec<Output>) {
        self.table.follow(now, &self.state, &state);
        self.state = state;
        self.table.stay_in_touch(now, self.node, &self.state, &self.timers);
        if let Some(leader) = &mut self.leader {
            leader.judging.reached(self.state.index);
            leader.planning.reached(self.state.index);
            leader.unplanned = true;
        }
        self.reconcile(now, out);
        self.plan(now, out);
    }

    fn led(&mut self, now: Time, term: u64, cluster_now: Time, out: &mut Vec<Output>) {
        self.leader = Some(Leader::new(now, term, cluster_now));
        self.reconcile(now, out);
        self.judge(now, out);
        self.plan(now, out);
    }

    fn beat(
        &mut self,
        now: Time,
        from: NodeId,
        heard: Vec<(NodeId, Duration)>,
        out: &mut Vec<Output>,
    ) {
        self.table.hear(now, from, heard);
        self.table.stay_in_touch(now, self.node, &self.state, &self.timers);
        if self.state.nodes.get(&from).is_some_and(|n| n.readiness != Readiness::Ready) {
            self.judge(now, out);
        }
    }

    fn proposed(&mut self, now: Time, id: ProposalId, ended: Ended, out: &mut Vec<Output>) {
        let Some(leader) = &mut self.leader else { return };
        for flight in [&mut leader.judging, &mut leader.planning] {
            flight.ended(id, ended);
            flight.reached(self.state.index);
        }
        // What was not accepted is tried again at the next tick, not in a tight loop.
        if ended != Ended::Failed {
            self.plan(now, out);
        }
    }

    fn probed(&mut self, now: Time, node: NodeId, answers: bool) {
        if let Some(leader) = &mut self.leader {
            leader.probes.answer(now, node, answers);
        }
    }

    fn next_tick(&self) -> Time {
        self.ticked + self.timers.beat / TICKS_PER_BEAT
    }

    fn replan_due(&self, now: Time) -> bool {
        let Some(leader) = self.leader.as_ref().filter(|l| l.planning.landed()) else {
            return false;
        };
        leader.replan_wake().is_some_and(|at| at <= now)
    }

    /// What a manager does a few times per beat whatever happens.
    fn tick(&mut self, now: Time, out: &mut Vec<Output>) {
        self.ticked = now;
        self.watch_links(now, out);
        self.probe(now, out);
        self.judge(now, out);
        self.reconcile(now, out);
        self.plan(now, out);
    }

    fn bench(&self, now: Time) -> Bench<'_> {
        Bench::new(now, self.node, &self.timers, &self.table, &self.state)
    }

    fn watch_links(&mut self, now: Time, out: &mut Vec<Output>) {
        let bench = self.bench(now);
        let missed = bench.own_links();
        let better = bench.better_leader(&missed);
        let (limit, table) = (self.timers.suspect, &self.table);
        let healed = |n: &NodeId| table.hears(now, *n, limit);
        for node in missed.iter().filter(|n| !self.broken.contains(n)) {
            out.push(Output::Event(Event::LinkBroken { node: *node }));
        }
        for node in self.broken.iter().filter(|n| healed(n)) {
            out.push(Output::Event(Event::LinkHealed { node: *node }));
        }
        let state = &self.state;
        self.broken.retain(|n| !healed(n) && state.nodes.contains_key(n));
        self.broken.extend(missed);
        if let (Some(leader), Some(to)) = (&mut self.leader, better)
            && !leader.handed_over
        {
            leader.handed_over = true;
            out.push(Output::HandOver { to });
        }
    }

    /// Asks the hosts of silent nodes that announced a planned stop.
    fn probe(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(leader) = &mut self.leader else { return };
        let cluster_now = leader.cluster_time(now);
        let silent = |n: &&Node| self.table.silence(now, n.id) >= self.timers.testimony;
        let away = |n: &&Node| n.away(cluster_now) && n.id != self.node && silent(n);
        let nodes: Vec<NodeId> = self.state.nodes.values().filter(away).map(|n| n.id).collect();
        let due = leader.probes.ask(now, &nodes, &self.timers);
        out.extend(due.into_iter().map(|node| Output::Probe { node }));
    }

    fn judge(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(leader) = self.leader.as_ref().filter(|l| l.judging.landed()) else { return };
        if !self.table.in_touch() {
            return;
        }
        let cluster_now = leader.cluster_time(now);
        let answered = |n: &Node| leader.probes.silence(now, n.id) < self.timers.lost;
        let excused = |n: &Node| n.away(cluster_now) && answered(n);
        let verdicts = self.bench(now).verdicts(excused);
        if verdicts.is_empty() {
            return;
        }
        let id = self.propose(Command::Judge(verdicts), out);
        if let Some(leader) = &mut self.leader {
            leader.judging = Flight::Proposed(id);
        }
    }

    fn reconcile(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.state.cluster.is_none() {
            return;
        }
        let Some(leader) = &mut self.leader else { return };
        if let Some((voters, learners)) = leader.membership(now, &self.state) {
            out.push(Output::Reconcile { voters, learners });
        }
    }

    /// Asks the planner when the state moved or its own time has come, and nothing of its last word is
    /// still on the way.
    fn plan(&mut self, now: Time, out: &mut Vec<Output>) {
        let due = self.replan_due(now);
        let Some(leader) = &mut self.leader else { return };
        if !leader.planning.landed() || !(leader.unplanned || due) {
            return;
        }
        let cluster_now = leader.cluster_time(now).max(self.state.now);
        let plan = planner::plan(&self.state, cluster_now, &self.settings);
        leader.unplanned = !plan.changes.is_empty();
        leader.replan_at = plan.wake_at.map(|at| at.max(cluster_now + SHORTEST_WAIT));
        if plan.changes.is_empty() {
            return;
        }
        let id = self.propose(Command::Plan(plan.changes), out);
        if let Some(leader) = &mut self.leader {
            leader.planning = Flight::Proposed(id);
        }
    }

    fn propose(&mut self, command: Command, out: &mut Vec<Output>) -> ProposalId {
        self.next_id += 1;
        let id = ProposalId(self.next_id);
        out.push(Output::Propose { id, command });
        id
    }
}
