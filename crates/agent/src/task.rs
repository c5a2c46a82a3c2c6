//! The life of one task on its node: what its container says about it, and what is to be done next.
//!
//! [`Record::observe`] moves the state, always forward; [`Record::next`] names the next step, from the
//! state and the container alone. Neither remembers events: a step that was lost is named again.

use crate::{Container, ContainerId, Health, Phase, Progress, Settings};
use model::{
    Assignment, Image, PortMode, Pull, RestartCondition, RestartPolicy, TaskState, TaskStatus,
    Time, Wanted,
};
use std::time::Duration;

/// What this node knows of one of its tasks.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) assignment: Assignment,
    pub(crate) state: TaskState,
    pub(crate) image: ImageHere,
    /// The same of the step before its start that comes next.
    pub(crate) step_image: ImageHere,
    /// The container it has, or had.
    pub(crate) container: Option<ContainerId>,
    pub(crate) restarts_in_place: u32,
    /// Its container, or the lack of one, was looked at: before that there is nothing to tell.
    pub(crate) looked_at: bool,
    healthy: bool,
    address: Option<std::net::IpAddr>,
    /// Why it is stopped although it is wanted.
    doomed: Option<String>,
    /// When it was told to stop.
    stop_since: Option<Time>,
    /// When its process was first seen alive, in this run of it.
    running_since: Option<Time>,
    /// When its process was first seen to have ended.
    exited_at: Option<Time>,
    /// Restarts in place in a row, without a stable run between them.
    streak: u32,
    /// What a start of its container is, or would be.
    pub(crate) start: Start,
    /// How far the commands around its container are.
    pub(crate) hooks: Progress,
    /// Since when its running container is to stop.
    pub(crate) leaves_since: Option<Time>,
}

/// What a start of a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The first.
    First,
    /// A restart in place.
    Again,
    /// Impossible.
    Never,
}

/// Whether the image of a task is on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageHere {
    /// Not known: making the container will tell.
    Unknown,
    /// To be pulled.
    Missing,
    /// Pulled.
    Pulled,
}

/// What the agent as a whole can say while it looks at one task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Time,
    /// The view is confirmed.
    pub(crate) confirmed: bool,
    /// It has not been for so long that restarts in place are due.
    pub(crate) isolated: bool,
    /// The engine may still be busy with a request of an earlier daemon.
    pub(crate) inherits: bool,
    pub(crate) settings: &'a Settings,
}

/// The next step for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Pull,
    Create,
    Start,
    Stop,
}

impl Record {
    pub(crate) fn new(now: Time, assignment: Assignment) -> Self {
        let image = &assignment.spec.container.image;
        let image = match image.pull {
            Pull::Always if !local_only(image) => ImageHere::Missing,
            Pull::Always | Pull::Missing | Pull::Never => ImageHere::Unknown,
        };
        let mut record = Self {
            state: assignment.state.clone(),
            image,
            step_image: ImageHere::Unknown,
            container: None,
            restarts_in_place: 0,
            looked_at: false,
            healthy: false,
            address: None,
            doomed: None,
            stop_since: None,
            running_since: None,
            exited_at: None,
            streak: 0,
            start: Start::First,
            hooks: Progress::default(),
            leaves_since: None,
            assignment: assignment.clone(),
        };
        record.assign(now, assignment);
        record
    }

    /// Takes what the newest view says of it. True when it is now told to stop.
    pub(crate) fn assign(&mut self, now: Time, assignment: Assignment) -> bool {
        let told = assignment.wanted == Wanted::Stop && self.stop_since.is_none();
        if told {
            self.stop_since = Some(now);
        }
        self.advance(assignment.state.clone());
        self.assignment = assignment;
        told
    }

    fn wanted(&self) -> bool {
        self.assignment.wanted == Wanted::Run
    }

    /// Moves the state, forward only.
    fn advance(&mut self, state: TaskState) {
        if state.rank() > self.state.rank() {
            self.state = state;
        }
        if self.state.ended() {
            self.healthy = false;
            self.address = None;
        }
    }

    pub(crate) fn fail(&mut self, reason: impl Into<String>) {
        self.advance(TaskState::Failed { reason: reason.into() });
    }

    pub(crate) fn preparing(&mut self) {
        self.advance(TaskState::Preparing);
    }

    /// It is to stop although it is wanted.
    pub(crate) fn doom(&mut self, reason: String) {
        self.doomed.get_or_insert(reason);
    }

    /// Whether it is to run.
    pub(crate) fn runnable(&self) -> bool {
        self.wanted() && !self.state.ended() && self.doomed.is_none()
    }

    /// Its container cannot be started again: no more restarts in place.
    pub(crate) fn stuck(&mut self) {
        self.start = Start::Never;
    }

    /// A restart in place succeeded.
    pub(crate) fn restarted(&mut self) {
        self.restarts_in_place += 1;
        self.streak += 1;
    }

    /// Looks at its container. Only when all containers are known, and no action on it is under way.
    pub(crate) fn observe(&mut self, sight: Sight<'_>, container: Option<&Container>) {
        self.looked_at = true;
        let Some(container) = container else {
            self.without_container();
            return;
        };
        match container.phase {
            Phase::Created => self.not_started(sight),
            Phase::Running => self.runs(sight, container),
            Phase::Exited { code, out_of_memory } => self.exited(sight, code, out_of_memory),
            Phase::Dead => {
                self.stuck();
                self.exited(sight, 255, false);
            }
        }
    }

    fn without_container(&mut self) {
        (self.healthy, self.address) = (false, None);
        let had_one = self.container.is_some() || self.state.rank() >= TaskState::Starting.rank();
        if had_one {
            self.fail("its container was removed");
        } else if !self.wanted() {
            self.advance(TaskState::Exited { code: 0 });
        }
    }

    /// What was made and is not wanted has ended, unless the daemon before this one may have asked for its start.
    fn not_started(&mut self, sight: Sight<'_>) {
        if !self.wanted() && !sight.inherits {
            self.advance(TaskState::Exited { code: 0 });
        }
    }

    fn runs(&mut self, sight: Sight<'_>, container: &Container) {
        self.running_since.get_or_insert(sight.now);
        self.exited_at = None;
        self.note_run(sight, container);
        if self.state.ended() {
            return;
        }
        if self.wanted() && self.state == TaskState::Stopping {
            // It was doomed before the daemon was restarted; why is not known any more.
            self.doom("it failed as it started, before the daemon was restarted".to_owned());
        }
        self.address = container.address;
        self.advance(TaskState::Starting);
        let well = matches!(container.health, Health::Unchecked | Health::Healthy);
        let passes = well && self.started_up();
        if passes {
            self.advance(TaskState::Running);
        }
        let never_passed = self.state == TaskState::Starting;
        if never_passed && container.health == Health::Unhealthy && sight.confirmed {
            self.doom("its health check did not pass".to_owned());
        }
        self.healthy = passes && self.state == TaskState::Running;
        if !self.wanted() || self.doomed.is_some() {
            self.advance(TaskState::Stopping);
            self.healthy = false;
        }
    }

    fn exited(&mut self, sight: Sight<'_>, code: i64, out_of_memory: bool) {
        let window = self.assignment.spec.restart.window;
        if self.running_since.take().is_some_and(|since| sight.now.since(since) >= window) {
            self.streak = 0;
        }
        self.exited_at.get_or_insert(sight.now);
        (self.healthy, self.address) = (false, None);
        // Unconfirmed, a crash may still be mended in place; a stop cannot.
        if !sight.confirmed && self.wanted() && self.doomed.is_none() {
            return;
        }
        let ended = match &self.doomed {
            Some(reason) => TaskState::Failed { reason: reason.clone() },
            None if out_of_memory && code != 0 && self.wanted() => TaskState::Failed {
                reason: format!("out of memory: the kernel killed it (exit code {code})"),
            },
            None => TaskState::Exited { code },
        };
        self.advance(ended);
    }

    /// What is to be done next, given its container.
    pub(crate) fn next(&self, sight: Sight<'_>, container: Option<&Container>) -> Option<Step> {
        let runnable = self.runnable();
        match container.map(|c| c.phase) {
            None if runnable && sight.confirmed => Some(match self.image {
                ImageHere::Missing => Step::Pull,
                ImageHere::Unknown | ImageHere::Pulled => Step::Create,
            }),
            Some(Phase::Created) if runnable && sight.confirmed => Some(Step::Start),
            Some(Phase::Running) if !runnable && sight.now >= self.stop_at(sight.settings) => {
                (!self.held_up(sight.now)).then_some(Step::Stop)
            }
            Some(Phase::Exited { code, .. }) if runnable && sight.isolated => {
                let due = self.restart_at(sight.settings).is_some_and(|at| sight.now >= at);
                (due && self.restarts_after(code)).then_some(Step::Start)
            }
            _ => None,
        }
    }

    /// When it may be stopped. One behind a published port lingers, so that every edge knows first.
    pub(crate) fn stop_at(&self, settings: &Settings) -> Time {
        let ports = &self.assignment.spec.ports;
        let behind_ingress = ports.iter().any(|p| p.mode == PortMode::Ingress);
        match self.stop_since {
            Some(since) if behind_ingress && self.doomed.is_none() && !self.state.ended() => {
                since + settings.linger
            }
            _ => Time::ZERO,
        }
    }

    /// When a restart in place is due, if its container has ended.
    pub(crate) fn restart_at(&self, settings: &Settings) -> Option<Time> {
        let RestartPolicy { delay, .. } = self.assignment.spec.restart;
        let wait = doubled(delay, self.streak, settings.restart_max);
        self.exited_at.map(|at| at + wait)
    }

    /// Whether its policy wants it back, here and now, after its process ended with `code`. Never one that
    /// keeps data or does a job: another copy may have been given its place.
    fn restarts_after(&self, code: i64) -> bool {
        let policy = &self.assignment.spec.restart;
        let wants = match policy.condition {
            RestartCondition::Never => false,
            RestartCondition::OnFailure => code != 0,
            RestartCondition::Any => true,
        };
        let left = policy.max_attempts.is_none_or(|max| self.restarts_in_place < max);
        let was_started = self.state.rank() >= TaskState::Starting.rank();
        wants
            && left
            && was_started
            && self.start != Start::Never
            && !self.assignment.spec.stateful()
            && !self.assignment.spec.mode.job()
    }

    pub(crate) fn status(&self, memory: u64) -> TaskStatus {
        TaskStatus {
            task: self.assignment.task,
            state: self.state.clone(),
            healthy: self.healthy,
            address: self.address,
            memory: if self.state.ended() { 0 } else { memory },
            restarts_in_place: self.restarts_in_place,
        }
    }
}

/// Whether an image was resolved to one that no registry is known to have: there is nothing to pull.
pub(crate) fn local_only(image: &Image) -> bool {
    image.resolved.as_ref().is_some_and(|r| r.starts_with("sha256:"))
}

/// `first`, doubled `times` times, at most `max`.
pub(crate) fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(max)
}
