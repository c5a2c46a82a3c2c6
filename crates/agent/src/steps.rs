//! What follows from all that the agent knows: looked at as a whole after every input, so that nothing
//! that was missed once is missed for good.

use crate::agent::Engine;
use crate::before::{self, Before};
use crate::create::{create, image};
use crate::task::{Record, Sight, Start, Step};
use crate::{
    Action, Agent, Container, Create, CreateShare, Event, Kind, Output, Phase, Subject, volume_name,
};
use model::{ProjectName, TaskId, Time, VolumeKey};
use std::collections::BTreeSet;
use std::time::Duration;

/// Failed attempts to stop a container politely, after which it is killed.
const POLITE_STOPS: u32 = 2;

impl Agent {
    /// When to send [`crate::Input::Wake`], in case nothing else happens; `None` for never.
    pub fn wake_at(&self) -> Option<Time> {
        let mut times = vec![];
        times.extend(self.reports.wake_at(&self.settings));
        times.extend(self.backoff.values().map(|b| b.until));
        times.push(self.ask_engine_at);
        times.extend(self.inherits_until());
        if self.view.is_some() {
            times.push(self.isolated_at());
        }
        for record in self.records.values() {
            times.push(record.stop_at(&self.settings));
            times.extend(record.restart_at(&self.settings));
            times.extend(record.held_until());
        }
        // What lies behind has been acted upon already.
        times.into_iter().filter(|at| *at > self.now).min()
    }

    pub(crate) fn settle(&mut self, now: Time, out: &mut Vec<Output>) {
        self.observe_tasks(now);
        self.notice_isolation(now, out);
        if self.engine == Engine::Listed {
            self.act_on_tasks(now, out);
            self.act_on_hooks(now, out);
            if self.confirmed(now) {
                self.clear_orphans(now, out);
                self.delete_volumes(now, out);
                self.remove_networks(now, out);
            }
        } else if self.engine == Engine::Out && now >= self.ask_engine_at {
            self.ask_engine_at = now + self.settings.engine_retry;
            out.push(Output::Resync);
        }
        self.report(now, out);
    }

    fn observe_tasks(&mut self, now: Time) {
        // Whatever else is known: one that had a container is never given another.
        for (id, record) in &mut self.records {
            let kept = self.inventory.keeper(*id).map(|c| &c.id);
            if kept.is_some() && kept != record.container.as_ref() {
                record.container = kept.cloned();
            }
        }
        if self.engine != Engine::Listed {
            return;
        }
        let Sight { confirmed, isolated, inherits, .. } = self.sight(now);
        let sight = Sight { now, confirmed, isolated, inherits, settings: &self.settings };
        for (id, record) in &mut self.records {
            // While a step before its start runs, its own container has nothing to say.
            let in_step = self.inventory.steps_of(*id).any(Container::running);
            if !in_step && !self.under_way.contains_key(&Subject::Task(*id)) {
                record.observe(sight, self.inventory.keeper(*id));
                if let Some(reason) = self.inventory.steps_of(*id).find_map(before::failed) {
                    record.fail(reason);
                }
            }
        }
    }

    fn notice_isolation(&mut self, now: Time, out: &mut Vec<Output>) {
        let isolated = self.view.is_some() && self.sight(now).isolated;
        if isolated && !self.isolation_told {
            self.isolation_told = true;
            out.push(Output::Event(Event::Isolated));
        }
    }

    /// Whether an action on a subject may begin.
    pub(crate) fn idle(&self, now: Time, subject: &Subject) -> bool {
        let waits = self.backoff.get(subject).is_some_and(|b| now < b.until);
        !waits && !self.is_busy(subject)
    }

    /// Whether an action on a subject is under way.
    pub(crate) fn is_busy(&self, subject: &Subject) -> bool {
        self.under_way.contains_key(subject)
    }

    pub(crate) fn begin(&mut self, action: Action, out: &mut Vec<Output>) {
        self.under_way.insert(action.subject(), action.kind());
        out.push(Output::Do(action));
    }

    fn act_on_tasks(&mut self, now: Time, out: &mut Vec<Output>) {
        let ids: Vec<TaskId> = self.records.keys().copied().collect();
        for id in ids {
            if !self.idle(now, &Subject::Task(id)) {
                continue;
            }
            let Some(action) = self.next_action(now, &self.records[&id]) else { continue };
            if !self.room_for(action.kind()) {
                continue;
            }
            self.prepare(id, &action);
            self.begin(action, out);
        }
    }

    /// Notes what an action that is about to begin says of its task.
    fn prepare(&mut self, id: TaskId, action: &Action) {
        let ran = self.inventory.of(id).any(|c| Some(&c.id) == action.container() && c.started > 0);
        let Some(record) = self.records.get_mut(&id) else { return };
        match action.kind() {
            Kind::Pull => record.preparing(),
            Kind::Create if matches!(action, Action::Create(create) if create.step.is_some()) => {
                record.preparing();
            }
            // Not looked up when it ends: by then its own start has been seen.
            Kind::Start => record.start = if ran { Start::Again } else { Start::First },
            _ => {}
        }
    }

    fn room_for(&self, kind: Kind) -> bool {
        let busy = |of: &[Kind]| self.under_way.values().filter(|k| of.contains(k)).count();
        match kind {
            Kind::Pull => busy(&[Kind::Pull]) < self.settings.pulls,
            Kind::Create | Kind::Start => busy(&[Kind::Create, Kind::Start]) < self.settings.starts,
            _ => true,
        }
    }

    fn next_action(&self, now: Time, record: &Record) -> Option<Action> {
        let task = record.assignment.task;
        let sight = self.sight(now);
        let keeper = self.inventory.keeper(task);
        if let Some(missing) =
            self.inventory.all_of(task).find(|c| self.inventory.is_missing(&c.id))
        {
            return Some(Action::Inspect { task, container: missing.id.clone() });
        }
        if let (true, Some(kept)) = (sight.confirmed, keeper)
            && let Some(surplus) = self.inventory.of(task).find(|c| c.id != kept.id)
        {
            return Some(self.away_with(surplus));
        }
        if let Some(step) = self.vain_step(record) {
            return Some(self.stop(step, step.grace));
        }
        match record.next(sight, keeper)? {
            Step::Pull => Some(Action::Pull {
                task,
                image: image(&record.assignment),
                login: record
                    .assignment
                    .login_for(&record.assignment.spec.container.image)
                    .cloned(),
            }),
            Step::Create => {
                let shares = self.built_upon(record)?;
                let container = create(&self.cluster, &record.assignment, &self.settings.folders);
                Some(Action::Create(Box::new(Create { shares, ..container })))
            }
            Step::Start => {
                let own = keeper?;
                let before = match own.phase {
                    Phase::Created => self.before_start(record, own),
                    _ => Before::Over,
                };
                match before {
                    Before::Over => Some(Action::Start { task, container: own.id.clone() }),
                    Before::Do(action) => Some(*action),
                    Before::Wait => None,
                }
            }
            Step::Stop => keeper.map(|c| {
                let grace = record.grace_left(now, &self.settings, c.grace);
                self.stop(c, grace)
            }),
        }
    }

    /// The containers that a task is built upon; `None` until all are there.
    pub(crate) fn built_upon(&self, record: &Record) -> Option<Vec<CreateShare>> {
        let shares = record.assignment.shares.iter().map(|used| {
            let container = self.inventory.keeper(used.of?)?;
            Some(CreateShare { what: used.what, container: container.id.clone() })
        });
        shares.collect()
    }

    fn stop(&self, container: &Container, grace: Duration) -> Action {
        let task = container.task;
        let container = container.id.clone();
        let failures = self.backoff.get(&Subject::Task(task)).map_or(0, |b| b.failures);
        if failures < POLITE_STOPS {
            Action::Stop { task, container, grace }
        } else {
            Action::Kill { task, container }
        }
    }

    fn away_with(&self, container: &Container) -> Action {
        if container.running() {
            self.stop(container, container.grace)
        } else {
            Action::Remove { task: container.task, container: container.id.clone() }
        }
    }

    /// Containers of tasks that this node does not have: stopped, then removed.
    fn clear_orphans(&mut self, now: Time, out: &mut Vec<Output>) {
        let orphans = self.inventory.all().filter(|c| !self.records.contains_key(&c.task));
        let orphans: Vec<Container> = orphans.cloned().collect();
        for orphan in orphans {
            if !self.idle(now, &Subject::Task(orphan.task)) {
                continue;
            }
            if orphan.running() {
                let (task, container) = (orphan.task, orphan.id.clone());
                out.push(Output::Event(Event::Orphan { task, container }));
            }
            let action = self.away_with(&orphan);
            self.begin(action, out);
        }
    }

    /// Projects that still have a task or a container here.
    fn projects_in_use(&self) -> BTreeSet<&ProjectName> {
        let of_tasks = self.records.values().map(|r| &r.assignment.project);
        of_tasks.chain(self.inventory.all().map(|c| &c.project)).collect()
    }

    /// Whether a task or a container here mounts a volume. The project may have been deployed again: tasks
    /// that do not mount it hold nothing up. What an orphan mounts is not known any more, so each of the
    /// project counts; it is cleared away soon.
    fn mounted(&self, key: &VolumeKey) -> bool {
        let by_task = |r: &Record| {
            r.assignment.project == key.project && r.assignment.volumes.contains_key(&key.volume)
        };
        let by_orphan =
            |c: &Container| c.project == key.project && !self.records.contains_key(&c.task);
        self.records.values().any(by_task) || self.inventory.all().any(by_orphan)
    }

    fn delete_volumes(&mut self, now: Time, out: &mut Vec<Output>) {
        let Some(view) = self.view.clone() else { return };
        for volume in &view.condemned {
            let subject = Subject::Volume(volume.clone());
            let waits = self.mounted(volume) || !self.idle(now, &subject);
            if !waits && !self.reports.is_deleted(volume) {
                let name = volume_name(&volume.project, &volume.volume);
                let (volume, cluster) = (volume.clone(), self.cluster.clone());
                self.begin(Action::RemoveVolume { volume, name, cluster }, out);
            }
        }
    }

    fn remove_networks(&mut self, now: Time, out: &mut Vec<Output>) {
        let in_use = self.projects_in_use();
        let unused = self.inventory.networks().filter(|p| !in_use.contains(p));
        let unused: Vec<ProjectName> = unused.cloned().collect();
        for project in unused {
            if self.idle(now, &Subject::Networks(project.clone())) {
                let cluster = self.cluster.clone();
                self.begin(Action::RemoveNetworks { project, cluster }, out);
            }
        }
    }

    fn report(&mut self, now: Time, out: &mut Vec<Output>) {
        // What the cluster has recorded as ended cannot change any more.
        let open = |r: &&Record| r.looked_at && !r.assignment.state.ended();
        let statuses = self.records.values().filter(open).map(|r| {
            let memory = r.container.as_ref().map_or(0, |c| self.inventory.memory(c));
            r.status(memory)
        });
        if let Some((number, report)) = self.reports.next(now, &self.settings, self.node, statuses)
        {
            out.push(Output::Report { number, report });
        }
    }
}
