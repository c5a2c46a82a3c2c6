//! Commands about tasks: the planner's changes and the nodes' reports.

use super::Now;
use crate::limits::{REASON_BYTES, RESTARTS_IN_PLACE, STATUSES_PER_REPORT, TASKS_PER_NODE};
use crate::{
    Cause, Change, Event, NodeId, Outcome, Refusal, Report, ServiceId, Slot, SlotRecord, State,
    Task, TaskId, TaskState, TaskStatus, Volume, VolumeKey, Wanted,
};

type Applied = Result<Outcome, Refusal>;

impl State {
    pub(super) fn change(&mut self, now: Now, changes: &[Change]) -> Outcome {
        let (mut applied, mut position, mut dropped) = (0, 0, false);
        for change in changes {
            if self.change_one(now, change, &mut position) {
                applied += 1;
                dropped |= matches!(change, Change::Forget { .. } | Change::Drop { .. });
            }
        }
        if dropped {
            self.collect_contents();
        }
        Outcome::Planned { applied, dropped: changes.len() as u32 - applied }
    }

    /// Applies one change; false when what it rests on has moved.
    fn change_one(&mut self, now: Now, change: &Change, position: &mut u32) -> bool {
        match change {
            Change::Create { .. } => self.create(now, change, position),
            Change::Stop { task, cause } => self.stop(now, *task, cause),
            Change::Account { .. } => self.account(change),
            Change::Rollout { service, moved, step } => {
                self.step_rollout(now, *service, *moved, step)
            }
            Change::Forget { task } => {
                let ended = self.tasks.get(task).is_some_and(|t| t.state.ended());
                if ended {
                    self.forget(*task);
                }
                ended
            }
            Change::Home { volume, node } => self.home(now, volume, *node),
            Change::Drop { service } => {
                let empty = self.tasks_of(*service).next().is_none();
                let dropped =
                    empty && self.services.get(service).is_some_and(|s| s.removed || s.one_off);
                if dropped {
                    self.services.remove(service);
                    self.free_subnets();
                }
                dropped
            }
            Change::Voters { was, to } => {
                let same = was.iter().eq(self.voters.iter());
                let known = to.iter().all(|v| self.nodes.contains_key(v));
                if same && known && !to.is_empty() {
                    self.voters = to.iter().copied().collect();
                    self.record(now, Event::Voters { voters: to.iter().copied().collect() });
                    return true;
                }
                false
            }
        }
    }

    fn create(&mut self, now: Now, change: &Change, position: &mut u32) -> bool {
        let Change::Create { service, generation, slot, node, newest, cause } = change else {
            return false;
        };
        let current =
            self.services.get(service).is_some_and(|s| s.generation == *generation && !s.removed);
        let newest_is = self.newest_in(*service, *slot);
        let room = self.has_few_tasks(*node)
            || self.tasks_on(*node).filter(|t| t.holds()).count() < TASKS_PER_NODE;
        if !current || newest_is != *newest || !self.nodes.contains_key(node) || !room {
            return false;
        }
        let Ok(given) = self.give_address(*service, *node) else { return false };
        let task = Task {
            id: TaskId { index: now.index, position: *position },
            service: *service,
            slot: *slot,
            node: *node,
            generation: *generation,
            created: now.at,
            given,
            wanted: Wanted::Run,
            state: TaskState::Assigned,
            healthy: false,
            healthy_since: None,
            running_since: None,
            since: now.wall,
            ended_at: None,
            address: None,
            memory: 0,
            restarts_in_place: 0,
        };
        *position += 1;
        let id = task.id;
        self.insert_task(task);
        let (replica, node) = self.named(id);
        let cause = self.reason(cause);
        self.record(now, Event::Placed { task: id, replica, node, cause });
        true
    }

    fn stop(&mut self, now: Now, id: TaskId, cause: &Cause) -> bool {
        match self.tasks.get_mut(&id) {
            Some(task) if task.wanted == Wanted::Run => task.wanted = Wanted::Stop,
            _ => return false,
        }
        let (replica, node) = self.named(id);
        let cause = self.reason(cause);
        self.record(now, Event::Stopping { task: id, replica, node, cause });
        true
    }

    fn account(&mut self, change: &Change) -> bool {
        let Change::Account {
            service,
            slot,
            task,
            failures,
            restart,
            not_before,
            give_up,
            failed_here,
            against_rollout,
        } = change
        else {
            return false;
        };
        let Some((node, completed, state)) =
            self.tasks.get(task).map(|t| (t.node, t.completed(), t.state.clone()))
        else {
            return false;
        };
        let Some(service) = self.services.get_mut(service) else { return false };
        let record: &mut SlotRecord = service.slots.entry(*slot).or_default();
        if record.after.is_some_and(|after| after >= *task) {
            return false;
        }
        record.after = Some(*task);
        record.failures = *failures;
        record.restarts += u32::from(*restart);
        record.not_before = *not_before;
        record.given_up = *give_up;
        record.completed = completed;
        match failed_here {
            0 => record.failed_on.remove(&node),
            n => record.failed_on.insert(node, *n),
        };
        if let Some(rollout) = service.rollout.as_mut().filter(|_| *against_rollout) {
            rollout.note_failure(*slot, &state);
        }
        true
    }

    fn home(&mut self, now: Now, key: &VolumeKey, node: NodeId) -> bool {
        if self.volumes.contains_key(key) || !self.nodes.contains_key(&node) {
            return false;
        }
        let volume = Volume { key: key.clone(), home: node, established: false, condemned: false };
        self.volumes.insert(key.clone(), volume);
        let node = self.nodes[&node].name.clone();
        self.record(now, Event::VolumeHome { volume: key.clone(), node });
        true
    }

    fn forget(&mut self, id: TaskId) {
        let Some((service, slot)) = self.tasks.get(&id).map(|t| (t.service, t.slot)) else {
            return;
        };
        self.remove_task(id);
        self.drop_unused_specs(service);
        if self.slot_is_gone(service, slot) {
            self.services[&service].slots.remove(&slot);
        }
    }

    pub(super) fn drop_unused_specs(&mut self, id: ServiceId) {
        let Some(service) = self.services.get(&id).filter(|s| s.specs.len() > 1) else { return };
        let used: imbl::OrdSet<u64> = self.tasks_of(id).map(|t| t.generation).collect();
        let earlier = service.rollout.as_ref().and_then(|r| r.earlier).map(|e| e.generation);
        let in_use = |g: &u64| *g == service.generation || Some(*g) == earlier || used.contains(g);
        let kept = service.specs.iter().filter(|(g, _)| in_use(g));
        self.services[&id].specs = kept.map(|(g, spec)| (*g, spec.clone())).collect();
    }

    fn slot_is_gone(&self, service: ServiceId, slot: Slot) -> bool {
        let beyond = match (slot, self.services.get(&service)) {
            (_, None) => return false,
            (Slot::Number(n), Some(s)) => n > s.scale,
            (Slot::Node(n), Some(_)) => !self.nodes.contains_key(&n),
        };
        beyond && self.tasks_in(service, slot).next().is_none()
    }

    pub(super) fn report(&mut self, now: Now, report: &Report) -> Applied {
        if !self.nodes.contains_key(&report.node) {
            return Err(Refusal::NoNode(report.node));
        }
        for status in report.statuses.iter().take(STATUSES_PER_REPORT) {
            self.observe(now, report.node, status);
        }
        for key in &report.deleted_volumes {
            if self.volumes.get(key).is_some_and(|v| v.home == report.node && v.condemned) {
                self.volumes.remove(key);
            }
        }
        Ok(Outcome::Done)
    }

    /// A node speaks of its own tasks only, and a task's state only moves forward.
    fn observe(&mut self, now: Now, node: NodeId, status: &TaskStatus) {
        let Some(task) = self.tasks.get(&status.task).filter(|t| t.node == node) else { return };
        if task.state.ended() || status.state.rank() < task.state.rank() {
            return;
        }
        let mut task = task.clone();
        let moved = status.state.rank() > task.state.rank();
        if moved {
            task.state = clamped(&status.state);
        }
        let healthy = status.healthy && task.state == TaskState::Running;
        let health_moved = healthy != task.healthy && task.running_since.is_some() && !moved;
        task.healthy_since = if healthy { task.healthy_since.or(Some(now.at)) } else { None };
        task.healthy = healthy;
        task.address = status.address.or(task.address);
        task.memory = status.memory.min(self.nodes.get(&node).map_or(0, |n| n.facts.memory));
        let restarts = status.restarts_in_place.min(RESTARTS_IN_PLACE);
        task.restarts_in_place = task.restarts_in_place.max(restarts);
        if task.state == TaskState::Running && task.running_since.is_none() {
            (task.running_since, task.since) = (Some(now.at), now.wall);
        }
        if task.state.ended() {
            task.ended_at = Some(now.at);
            task.address = None;
        }
        let (id, state) = (task.id, task.state.clone());
        self.establish_volumes(&task);
        self.tasks.insert(id, task);
        let (replica, node) = self.named(id);
        if moved {
            self.record(now, Event::Task { task: id, replica, node, state });
        } else if health_moved {
            self.record(now, Event::Health { task: id, replica, node, healthy });
        }
    }

    fn establish_volumes(&mut self, task: &Task) {
        if !matches!(task.state, TaskState::Starting | TaskState::Running) {
            return;
        }
        let service = self.service_of(task);
        let spec = service.spec_of(task.generation).clone();
        let project = service.project.clone();
        for volume in spec.volumes() {
            let key = VolumeKey { project: project.clone(), volume: volume.clone() };
            if let Some(volume) = self.volumes.get(&key).filter(|v| !v.established) {
                let volume = Volume { established: true, ..volume.clone() };
                self.volumes.insert(key, volume);
            }
        }
    }

    /// Why a change was made, with nodes by their names.
    fn reason(&self, cause: &Cause) -> String {
        let about = |node: &NodeId, what: &str| format!("{} {what}", self.node_name(*node));
        match cause {
            Cause::NodeLost(n) => about(n, "was lost"),
            Cause::EngineOut(n) => format!("the engine of {} does not answer", self.node_name(*n)),
            Cause::Drained(n) => about(n, "is drained"),
            Cause::Constraint(n) => about(n, "does not satisfy the constraints"),
            other => other.to_string(),
        }
    }

    fn named(&self, id: TaskId) -> (String, crate::NodeName) {
        let task = &self.tasks[&id];
        let node = self.nodes.get(&task.node).expect("tasks go with their node").name.clone();
        (self.replica_name(task), node)
    }
}

fn clamped(state: &TaskState) -> TaskState {
    match state {
        TaskState::Failed { reason } => {
            let mut short = String::new();
            for c in reason.chars().filter(|c| !c.is_control()) {
                if short.len() + c.len_utf8() > REASON_BYTES {
                    break;
                }
                short.push(c);
            }
            TaskState::Failed { reason: short }
        }
        other => other.clone(),
    }
}
