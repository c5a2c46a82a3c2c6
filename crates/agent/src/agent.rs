//! The agent: what it knows, and what each input does to it. What follows from that is in `steps.rs`.

use crate::inventory::Inventory;
use crate::reports::Reports;
use crate::task::{ImageHere, Record, Sight, doubled};
use crate::{
    Action, ActionResult, Container, ContainerId, Event, Input, Kind, Output, Settings, Snapshot,
    Subject,
};
use model::{ClusterId, NodeId, Pull, TaskId, Time, View};
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
            agent.assign(Time::ZERO, snapshot.view);
            for (task, restarts) in snapshot.restarts_in_place {
                if let Some(record) = agent.records.get_mut(&task) {
                    record.restarts_in_place = restarts;
                }
            }
        }
        agent
    }

    /// What to find again after a restart; `None` before the first view.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let restarts = self.records.iter().filter(|(_, r)| r.restarts_in_place > 0);
        let restarts = restarts.map(|(id, r)| (*id, r.restarts_in_place)).collect();
        self.view.as_ref().map(|view| Snapshot::new(view, restarts))
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

    pub(crate) fn sight(&self, now: Time) -> Sight<'_> {
        let confirmed = self.confirmed(now);
        let isolated = !confirmed && now >= self.isolated_at();
        Sight { now, confirmed, isolated, settings: &self.settings }
    }

    fn engine(&mut self, ready: bool, reason: &str, out: &mut Vec<Output>) {
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

    fn done(&mut self, now: Time, action: &Action, result: ActionResult, out: &mut Vec<Output>) {
        let subject = action.subject();
        if self.under_way.get(&subject) != Some(&action.kind()) {
            return;
        }
        self.under_way.remove(&subject);
        match result {
            ActionResult::Done(container) => self.succeeded(now, action, container, out),
            ActionResult::NoImage => self.no_image(now, action, out),
            ActionResult::Again(reason) => self.failed(now, action, reason, out),
            ActionResult::Never(reason) => self.hopeless(now, action, reason, out),
            ActionResult::Unanswered(reason) => {
                self.engine(false, &reason, out);
                self.failed(now, action, reason, out);
                out.push(Output::Resync);
            }
        }
    }

    fn succeeded(
        &mut self,
        now: Time,
        action: &Action,
        container: Option<Container>,
        out: &mut Vec<Output>,
    ) {
        let phase_fits = match (action.kind(), &container) {
            (Kind::Create, None) => Err("the container vanished at once"),
            (Kind::Stop | Kind::Kill, Some(c)) if c.running() => Err("it still runs"),
            _ => Ok(()),
        };
        match (action, container) {
            (Action::RemoveVolume { volume, .. }, _) => self.reports.deleted(volume.clone()),
            (Action::RemoveNetwork { project, .. }, _) => self.inventory.network_removed(project),
            (Action::Pull { task, .. }, _) => self.image_is(*task, ImageHere::Pulled),
            (Action::Start { task, container: id }, Some(c)) => {
                self.count_restart(*task, id, out);
                self.inventory.replace(c);
            }
            (_, Some(c)) => self.inventory.replace(c),
            (_, None) => action.container().into_iter().for_each(|id| self.inventory.remove(id)),
        }
        match phase_fits {
            Err(reason) => self.failed(now, action, reason.to_owned(), out),
            // Pulling and creating are the way to a start: only that ends a row of failures.
            Ok(()) if matches!(action.kind(), Kind::Pull | Kind::Create) => {}
            Ok(()) => {
                self.backoff.remove(&action.subject());
            }
        }
    }

    /// A start of a container that had ended is a restart in place.
    fn count_restart(&mut self, task: TaskId, id: &ContainerId, out: &mut Vec<Output>) {
        let had_run = self.inventory.of(task).any(|c| c.id == *id && c.started > 0);
        let Some(record) = self.records.get_mut(&task).filter(|_| had_run) else { return };
        record.restarted();
        let count = record.restarts_in_place;
        out.push(Output::Event(Event::RestartedInPlace { task, count }));
    }

    fn image_is(&mut self, task: TaskId, image: ImageHere) {
        if let Some(record) = self.records.get_mut(&task) {
            record.image = image;
        }
    }

    fn no_image(&mut self, now: Time, action: &Action, out: &mut Vec<Output>) {
        let Action::Create(create) = action else { return };
        let Some(record) = self.records.get_mut(&create.task) else { return };
        let image = &record.assignment.spec.container.image;
        let shown = &image.reference;
        let local = image.resolved.as_ref().is_some_and(|r| r.starts_with("sha256:"));
        if image.pull == Pull::Never {
            let reason = format!("image {shown} is not on this node, and is never to be pulled");
            self.hopeless(now, action, reason, out);
        } else if local {
            let reason = format!(
                "image {shown} is not on this node, and no registry knows the one that was deployed; bring it with `clusterctl image load`"
            );
            self.hopeless(now, action, reason, out);
        } else if record.image == ImageHere::Pulled {
            record.image = ImageHere::Missing;
            let reason = format!("image {shown} was pulled, and is gone again");
            self.failed(now, action, reason, out);
        } else {
            record.image = ImageHere::Missing;
        }
    }

    /// An action failed and may succeed later: wait, longer each time; give up what is bounded.
    fn failed(&mut self, now: Time, action: &Action, reason: String, out: &mut Vec<Output>) {
        let backoff = self.backoff.entry(action.subject()).or_default();
        backoff.failures += 1;
        let settings = &self.settings;
        backoff.until =
            now + doubled(settings.retry_first, backoff.failures - 1, settings.retry_max);
        if backoff.failures >= settings.attempts && self.is_way_up(action) {
            self.hopeless(now, action, reason, out);
        } else {
            let action = action.to_string();
            out.push(Output::Event(Event::ActionFailed { action, reason, again: true }));
        }
    }

    /// An action failed for good: so did its task, when it was on its way up. Anything else is tried again
    /// in a while: a container to be stopped must not be left running because the engine said no once.
    fn hopeless(&mut self, now: Time, action: &Action, reason: String, out: &mut Vec<Output>) {
        let up = self.is_way_up(action);
        let kind = action.kind();
        if let (Subject::Task(task), true) = (action.subject(), kind == Kind::Start || up)
            && let Some(record) = self.records.get_mut(&task)
        {
            if up {
                record.fail(reason.clone());
            } else {
                record.stuck();
            }
        }
        let failures = self.backoff.get(&action.subject()).map_or(1, |b| b.failures + 1);
        let until = now + self.settings.retry_max;
        self.backoff.insert(action.subject(), Backoff { failures, until });
        let action = action.to_string();
        out.push(Output::Event(Event::ActionFailed { action, reason, again: !up }));
    }

    /// Whether an action is on the way to a first start. A restart in place is not.
    fn is_way_up(&self, action: &Action) -> bool {
        match action {
            Action::Pull { .. } | Action::Create(_) => true,
            Action::Start { task, container } => {
                !self.inventory.of(*task).any(|c| c.id == *container && c.started > 0)
            }
            _ => false,
        }
    }
}
