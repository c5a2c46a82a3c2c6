//! The agent: what it knows, and what each input does to it. What the end of an
//! action does is in `results.rs`, what follows from it all in `steps.rs`.

use crate::inventory::Inventory;
use crate::reports::Reports;
use crate::task::{Record, Sight};
use crate::{ContainerId, Event, Input, Kind, Output, Settings, Snapshot, Subject};
use model::{ClusterId, NodeId, TaskId, Time, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What one node should do: a value, driven.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
    pub(crate) settings: Settings,
    /// When the last input came; every moment up to it has been acted upon.
    pub(crate) now: Time,
    born: Option<Time>,
    /// There was a daemon before this one.
    restored: bool,
    pub(crate) view: Option<Arc<View>>,
    /// The view is the last one that the manager of this session sent.
    current: bool,
    /// Up to when the view is known to have been the newest.
    confirmed_at: Option<Time>,
    pub(crate) isolation_told: bool,
    pub(crate) engine: Engine,
    pub(crate) ask_engine_at: Time,
    pub(crate) inventory: Inventory,
    pub(crate) records: BTreeMap<TaskId, Record>,
    pub(crate) under_way: BTreeMap<Subject, Kind>,
    pub(crate) backoff: BTreeMap<Subject, Backoff>,
    pub(crate) reports: Reports,
}

/// What is known of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// It does not answer.
    Out,
    /// It answers; what it holds is not known.
    Unlisted,
    /// All its containers are known.
    Listed,
}

/// Failures in a row of actions on one subject.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    pub(crate) failures: u32,
    pub(crate) until: Time,
}

impl Agent {
    /// An agent that knows nothing yet.
    pub fn new(node: NodeId, cluster: ClusterId, settings: Settings) -> Self {
        Self {
            node,
            inventory: Inventory::new(cluster.clone()),
            cluster,
            settings,
            now: Time::ZERO,
            born: None,
            restored: false,
            view: None,
            current: false,
            confirmed_at: None,
            isolation_told: false,
            engine: Engine::Unlisted,
            ask_engine_at: Time::ZERO,
            records: BTreeMap::new(),
            under_way: BTreeMap::new(),
            backoff: BTreeMap::new(),
            reports: Reports::default(),
        }
    }

    /// An agent that finds again what [`Agent::snapshot`] gave. Its view is not confirmed. A snapshot of
    /// another cluster or node is not used.
    pub fn restore(
        node: NodeId,
        cluster: ClusterId,
        settings: Settings,
        snapshot: Snapshot,
    ) -> Self {
        let mut agent = Self::new(node, cluster, settings);
        if snapshot.view.cluster == agent.cluster && snapshot.view.node == node {
            agent.restored = true;
            agent.assign(Time::ZERO, snapshot.view);
            for (task, restarts) in snapshot.restarts_in_place {
                if let Some(record) = agent.records.get_mut(&task) {
                    record.restarts_in_place = restarts;
                }
            }
            for (task, progress) in snapshot.hooks {
                if let Some(record) = agent.records.get_mut(&task) {
                    record.hooks = progress;
                }
            }
        }
        agent
    }

    /// What to find again after a restart; `None` before the first view.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let restarts = self.records.iter().filter(|(_, r)| r.restarts_in_place > 0);
        let restarts = restarts.map(|(id, r)| (*id, r.restarts_in_place)).collect();
        let hooked = self.records.iter().filter(|(_, r)| r.hooks.started > 0);
        let hooked = hooked.filter(|(_, r)| !r.assignment.spec.container.hooks.is_default());
        let hooks: Vec<_> = hooked.map(|(id, r)| (*id, r.hooks.clone())).collect();
        self.view.as_ref().map(|view| Snapshot::new(view, restarts, hooks))
    }

    /// The newest view, confirmed or not.
    pub fn view(&self) -> Option<&Arc<View>> {
        self.view.as_ref()
    }

    /// Whether the engine is believed to answer.
    pub fn engine_ready(&self) -> bool {
        self.engine != Engine::Out
    }

    /// Whether the view is confirmed.
    pub fn confirmed(&self, now: Time) -> bool {
        let fresh = self.settings.fresh;
        self.current && self.confirmed_at.is_some_and(|at| now.since(at) <= fresh)
    }

    /// The container of a task, dead or alive, whether the task is in the view or not.
    pub fn container_of(&self, task: TaskId) -> Option<&ContainerId> {
        self.inventory.keeper(task).map(|c| &c.id)
    }

    /// Whether the files of a task must stay: its container is there, or may be, or is being made.
    pub fn holds_files(&self, task: TaskId) -> bool {
        self.engine != Engine::Listed
            || self.under_way.contains_key(&Subject::Task(task))
            || self.inventory.of(task).next().is_some()
    }

    /// Takes an input, and says what should follow.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Output> {
        self.now = now;
        self.born.get_or_insert(now);
        let mut out = Vec::new();
        match input {
            Input::Session => self.session(),
            Input::View { view, age } => self.take_view(now, view, age, &mut out),
            Input::Confirmed { age } => self.confirm(now, age, &mut out),
            Input::Observed(observation) => {
                self.engine(true, "", &mut out);
                self.engine = Engine::Listed;
                self.inventory.observe(observation);
            }
            Input::Changed(container) => self.inventory.merge(container),
            Input::Gone(container) => self.inventory.remove(&container),
            Input::Memory(memory) => self.inventory.measured(memory),
            Input::Done { action, result } => self.done(now, &action, result, &mut out),
            Input::Engine { ready } => self.engine(ready, "it was found out", &mut out),
            Input::Reported { number, accepted } => {
                self.reports.answered(now, &self.settings, number, accepted);
            }
            Input::Wake => {}
        }
        self.settle(now, &mut out);
        out
    }

    fn session(&mut self) {
        self.current = false;
        self.reports.restart();
    }

    fn take_view(&mut self, now: Time, view: Arc<View>, age: Duration, out: &mut Vec<Output>) {
        if let Some(reason) = self.refusal(&view) {
            self.current = false;
            out.push(Output::Event(Event::ViewRefused { reason }));
            return;
        }
        self.current = true;
        self.assign(now, view);
        self.confirm(now, age, out);
    }

    fn refusal(&self, view: &View) -> Option<String> {
        let seen = self.view.as_ref().map_or(0, |v| v.index);
        if view.cluster != self.cluster {
            Some(format!("it is of cluster {}, not of {}", view.cluster, self.cluster))
        } else if view.node != self.node {
            Some(format!("it is node {}'s, not node {}'s", view.node, self.node))
        } else if view.index < seen {
            Some(format!("it was taken at index {}, the last one at {seen}", view.index))
        } else {
            None
        }
    }

    fn confirm(&mut self, now: Time, age: Duration, out: &mut Vec<Output>) {
        if !self.current {
            return;
        }
        self.confirmed_at = self.confirmed_at.max(Some(now - age));
        if self.isolation_told && self.confirmed(now) {
            self.isolation_told = false;
            out.push(Output::Event(Event::Confirmed));
        }
    }

    /// Takes the tasks of a view.
    fn assign(&mut self, now: Time, view: Arc<View>) {
        let ids: BTreeSet<TaskId> = view.tasks.iter().map(|a| a.task).collect();
        // A container that is an orphan from now on is cleared away without delay.
        for gone in self.records.keys().filter(|id| !ids.contains(id)) {
            self.backoff.remove(&Subject::Task(*gone));
            self.backoff.remove(&Subject::Hook(*gone));
        }
        self.records.retain(|id, _| ids.contains(id));
        for assignment in &view.tasks {
            let id = assignment.task;
            let Some(record) = self.records.get_mut(&id) else {
                self.records.insert(id, Record::new(now, assignment.clone()));
                continue;
            };
            if record.assign(now, assignment.clone()) {
                // What failed before was on the way up; the way down starts afresh.
                self.backoff.remove(&Subject::Task(id));
            }
        }
        self.reports.keep(&ids, &view.condemned);
        self.view = Some(view);
    }

    /// Since when there has been no confirmed view.
    fn unconfirmed_since(&self) -> Time {
        self.confirmed_at.or(self.born).unwrap_or(self.now)
    }

    /// When restarts in place become due.
    pub(crate) fn isolated_at(&self) -> Time {
        self.unconfirmed_since() + self.settings.isolated
    }

    /// Until when the engine may be busy with what the daemon before this one asked for.
    pub(crate) fn inherits_until(&self) -> Option<Time> {
        self.born.filter(|_| self.restored).map(|born| born + self.settings.inherited)
    }

    pub(crate) fn sight(&self, now: Time) -> Sight<'_> {
        let confirmed = self.confirmed(now);
        let isolated = !confirmed && now >= self.isolated_at();
        let inherits = self.inherits_until().is_some_and(|until| now < until);
        Sight { now, confirmed, isolated, inherits, settings: &self.settings }
    }

    pub(crate) fn engine(&mut self, ready: bool, reason: &str, out: &mut Vec<Output>) {
        if self.engine_ready() == ready {
            return;
        }
        self.engine = if ready { Engine::Unlisted } else { Engine::Out };
        self.ask_engine_at = self.now + self.settings.engine_retry;
        out.push(Output::Event(if ready {
            Event::EngineBack
        } else {
            Event::EngineOut { reason: reason.to_owned() }
        }));
    }
}
