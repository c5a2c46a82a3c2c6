//! Commands about roll-outs: how one begins with a deploy, is moved on by the planner, and is held, resumed and
//! undone by people.

use super::Now;
use crate::features::ROLLOUTS;
use crate::limits::REASON_BYTES;
use crate::{
    Back, Earlier, Event, NoWayBack, Outcome, Phase, Refusal, Rollout, RolloutStep, RolloutWish,
    Service, ServiceId, ServiceSpec, SetRollout, Slot, State, TaskState,
};
use imbl::OrdMap;
use std::sync::Arc;

type Applied = Result<Outcome, Refusal>;

/// Why a person has paused or undone a roll-out.
const BY_HAND: &str = "by hand";

impl Rollout {
    /// Remembers that a new copy failed.
    pub(super) fn note_failure(&mut self, slot: Slot, state: &TaskState) {
        *self.failed.entry(slot).or_insert(0) += 1;
        self.last_failure = match state {
            TaskState::Exited { code } => format!("exited {code}"),
            TaskState::Failed { reason } => reason.clone(),
            _ => "unhealthy".to_owned(),
        };
    }

    /// Why it goes back stays known when it pauses on its way.
    fn add_reason(&mut self, reason: &str) {
        let before = if self.back.is_some() { format!("{}; ", self.reason) } else { String::new() };
        self.reason = format!("{before}{reason}");
        truncate(&mut self.reason);
    }

    /// Notes that its phase changes.
    fn moves(&mut self, now: Now) {
        self.moved = now.index;
        self.since = now.at;
    }

    fn forget_failures(&mut self) {
        self.failed = OrdMap::new();
        self.last_failure.clear();
    }
}

impl State {
    /// Gives a service its next generation. What to go back to is the last one that was rolled out: one that was
    /// still on its way has proven nothing.
    pub(super) fn begin_rollout(
        &mut self,
        now: Now,
        service: &mut Service,
        spec: &Arc<ServiceSpec>,
        release: u64,
    ) {
        let before = Earlier { generation: service.generation, release: service.release };
        let unproven = |r: &Rollout| r.back.is_none() && r.phase != Phase::Completed;
        let earlier = service.rollout.as_ref().filter(|r| unproven(r)).and_then(|r| r.earlier);
        let jobs = spec.mode.job() || service.spec().mode.job();
        // A member that knows no roll-outs must come to the same state.
        let replaces =
            self.level >= ROLLOUTS && self.tasks_of(service.id).next().is_some() && !jobs;
        service.generation = service.newest_generation.max(service.generation) + 1;
        service.newest_generation = service.generation;
        service.generation_at = now.at;
        service.generation_index = now.index;
        service.release = release;
        service.slots = OrdMap::new();
        service.specs.insert(service.generation, Arc::clone(spec));
        service.rollout = replaces
            .then(|| Rollout::new(now.index, now.at, Some(earlier.unwrap_or(before)), None));
        self.record_rollout(now, service);
    }

    /// A deploy asks for the current generation again: what was paused goes on, and what was gone back to is now
    /// what is wished.
    pub(super) fn confirm_rollout(&mut self, now: Now, service: &mut Service, release: u64) {
        service.release = release;
        let Some(rollout) = &mut service.rollout else { return };
        if rollout.phase != Phase::Paused && rollout.back.is_none() {
            return;
        }
        let paused = rollout.phase == Phase::Paused;
        rollout.back = None;
        rollout.moves(now);
        rollout.reason.clear();
        if paused {
            rollout.phase = Phase::Running;
            rollout.forget_failures();
            self.record_rollout(now, service);
        }
    }

    /// Moves a roll-out on by the planner's word; false when it has moved meanwhile.
    pub(super) fn step_rollout(
        &mut self,
        now: Now,
        id: ServiceId,
        moved: u64,
        step: &RolloutStep,
    ) -> bool {
        let Some(mut service) = self.services.get(&id).cloned() else { return false };
        let Some(rollout) =
            service.rollout.as_mut().filter(|r| r.moved == moved && r.phase == Phase::Running)
        else {
            return false;
        };
        match step {
            RolloutStep::Complete => rollout.phase = Phase::Completed,
            RolloutStep::Pause { reason } => {
                rollout.phase = Phase::Paused;
                rollout.add_reason(reason);
            }
            RolloutStep::Back { reason } => {
                if self.no_way_back(&self.services[&id]).is_some() {
                    return false;
                }
                go_back(now, &mut service, reason);
            }
        }
        if let Some(rollout) = &mut service.rollout {
            rollout.moves(now);
        }
        self.record_rollout(now, &service);
        self.services.insert(id, service);
        true
    }

    pub(super) fn set_rollout(&mut self, now: Now, set: &SetRollout) -> Applied {
        let mut project = self
            .projects
            .get(&set.project)
            .cloned()
            .ok_or_else(|| Refusal::NoProject(set.project.clone()))?;
        let all = set.services.is_empty();
        let names: Vec<_> =
            if all { project.services.keys().collect() } else { set.services.iter().collect() };
        let mut moved = Vec::new();
        for name in names {
            let service = self.service(&set.project, name).ok_or_else(|| Refusal::NoService {
                project: set.project.clone(),
                service: name.clone(),
            })?;
            let ended = all && service.rollout.as_ref().is_none_or(|r| r.phase == Phase::Completed);
            match self.wished(now, service, set.wish) {
                Ok(_) if ended => {}
                Ok(service) => moved.push((name.clone(), service)),
                Err(why) if !all => {
                    let what = service.full_name();
                    return Err(Refusal::NoRollout { what, wish: set.wish, why });
                }
                Err(_) => {}
            }
        }
        if moved.is_empty() {
            let (what, wish) = (set.project.to_string(), set.wish);
            return Err(Refusal::NoRollout { what, wish, why: Some(NoWayBack::Finished) });
        }
        let mut changed = Vec::new();
        for (name, service) in moved {
            self.record_rollout(now, &service);
            self.services.insert(service.id, service);
            changed.push(name);
        }
        project.generation += 1;
        let generation = project.generation;
        self.projects.insert(set.project.clone(), project);
        Ok(Outcome::Accepted { generation, scaled: Vec::new(), changed })
    }

    /// A service with what a person wishes of its roll-out; an error where there is nothing of the kind.
    fn wished(
        &self,
        now: Now,
        service: &Service,
        wish: RolloutWish,
    ) -> Result<Service, Option<NoWayBack>> {
        let mut service = service.clone();
        let rollout = service.rollout.as_mut().ok_or(Some(NoWayBack::Nothing))?;
        match (wish, rollout.phase) {
            (RolloutWish::Pause, Phase::Running) => {
                rollout.phase = Phase::Paused;
                rollout.add_reason(BY_HAND);
            }
            (RolloutWish::Resume, Phase::Paused) => {
                rollout.phase = Phase::Running;
                rollout.forget_failures();
                if rollout.back.is_none() {
                    rollout.reason.clear();
                }
            }
            (RolloutWish::Undo, _) if rollout.back.is_none() => {
                if let Some(why) = self.no_way_back(&service) {
                    return Err(Some(why));
                }
                go_back(now, &mut service, "undone by hand");
            }
            _ => return Err(None),
        }
        if let Some(rollout) = &mut service.rollout {
            rollout.moves(now);
        }
        Ok(service)
    }

    fn record_rollout(&mut self, now: Now, service: &Service) {
        let Some(rollout) = &service.rollout else { return };
        let ended_well = rollout.phase == Phase::Completed && rollout.back.is_none();
        let reason = if ended_well { String::new() } else { rollout.reason.clone() };
        self.record(
            now,
            Event::Rollout {
                service: service.full_name(),
                phase: rollout.phase,
                back: rollout.back.is_some(),
                release: service.release,
                reason,
            },
        );
    }
}

/// Cuts a reason to the length that a reason may have, between two characters.
fn truncate(reason: &mut String) {
    let end = (0..=REASON_BYTES.min(reason.len())).rev().find(|i| reason.is_char_boundary(*i));
    reason.truncate(end.unwrap_or(0));
}

/// Makes the generation before the current one again. Copies of it that still run stay.
fn go_back(now: Now, service: &mut Service, reason: &str) {
    let Some(earlier) = service.rollout.as_ref().and_then(|r| r.earlier) else { return };
    let spec = service.spec();
    let policy = if spec.rollback.is_default() { spec.update } else { spec.rollback };
    let back = Back { release: service.release, policy };
    service.generation = earlier.generation;
    service.release = earlier.release;
    service.generation_at = now.at;
    service.generation_index = now.index;
    service.slots = OrdMap::new();
    let mut rollout = Rollout::new(now.index, now.at, None, Some(back));
    reason.clone_into(&mut rollout.reason);
    truncate(&mut rollout.reason);
    service.rollout = Some(rollout);
}
