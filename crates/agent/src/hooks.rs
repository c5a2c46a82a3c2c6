//! Commands inside of containers: those after the start, which make a task run, and those before the stop, which
//! hold it up for as long as its grace. Each is first got ready and its name kept on disk, then run; so after
//! a restart of the daemon one that runs is waited for, and one that ended is not run again.

use crate::create::DEFAULT_GRACE;
use crate::task::{Record, Sight};
use crate::told;
use crate::{Action, Agent, Container, Event, Output, Settings, Subject};
use model::{Hook, TaskId, TaskState, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which commands around the life of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HookStage {
    /// Those after its start.
    PostStart,
    /// Those before its stop.
    PreStop,
}

impl fmt::Display for HookStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PostStart => "post_start",
            Self::PreStop => "pre_stop",
        })
    }
}

/// How far the commands around one run of a container are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which run: when the container was started, in milliseconds of the engine's clock.
    pub started: u64,
    /// Commands after the start that ended well.
    pub post_start: usize,
    /// Commands before the stop that ended, well or not.
    pub pre_stop: usize,
    /// The command that was got ready and may run, by the engine's name for it.
    pub exec: Option<(HookStage, String)>,
}

impl Record {
    /// Looks at a running container: a new run of it starts over.
    pub(crate) fn note_run(&mut self, sight: Sight<'_>, container: &Container) {
        if self.hooks.started != container.started {
            // Of a run that nothing was kept about, the cluster may know that it got further.
            let runs = self.assignment.state.rank() >= TaskState::Running.rank();
            let done = self.hooks.started == 0 && runs;
            let all = self.assignment.spec.container.hooks.post_start.len();
            let post_start = if done { all } else { 0 };
            let started = container.started;
            self.hooks = Progress { started, post_start, ..Progress::default() };
            self.leaves_since = None;
        }
        if !self.runnable() && sight.now >= self.stop_at(sight.settings) {
            self.leaves_since.get_or_insert(sight.now);
        }
    }

    /// Whether all commands after the start ended well.
    pub(crate) fn started_up(&self) -> bool {
        self.hooks.post_start >= self.assignment.spec.container.hooks.post_start.len()
    }

    /// Until when commands before the stop may hold it up, once they are due.
    pub(crate) fn held_until(&self) -> Option<Time> {
        let container = &self.assignment.spec.container;
        let since = self.leaves_since.filter(|_| !container.hooks.pre_stop.is_empty())?;
        Some(since + container.stop_grace.unwrap_or(DEFAULT_GRACE))
    }

    /// Whether commands before the stop are still to end.
    pub(crate) fn held_up(&self, now: Time) -> bool {
        let left = self.hooks.pre_stop < self.assignment.spec.container.hooks.pre_stop.len();
        left && self.held_until().is_none_or(|until| now < until)
    }

    /// What the process has left of `grace` when it is told to stop.
    pub(crate) fn grace_left(&self, now: Time, settings: &Settings, grace: Duration) -> Duration {
        match self.held_until().and(self.leaves_since) {
            Some(since) => {
                grace.saturating_sub(now.since(since)).max(settings.last_grace.min(grace))
            }
            None => grace,
        }
    }

    /// The next command, if one is due.
    fn next_hook(&self, now: Time) -> Option<(HookStage, &Hook)> {
        let hooks = &self.assignment.spec.container.hooks;
        if self.runnable() {
            return hooks.post_start.get(self.hooks.post_start).map(|h| (HookStage::PostStart, h));
        }
        let due = self.leaves_since.is_some() && self.held_up(now);
        let hook = hooks.pre_stop.get(self.hooks.pre_stop).filter(|_| due)?;
        Some((HookStage::PreStop, hook))
    }

    /// A command ended, or never will: `failure` says in what way it did not end well. Returns what is
    /// worth a line.
    fn hook_over(&mut self, stage: HookStage, failure: Option<String>) -> Option<String> {
        self.hooks.exec = None;
        match (stage, failure) {
            (HookStage::PostStart, None) => self.hooks.post_start += 1,
            (HookStage::PostStart, Some(reason)) => {
                self.doom(reason);
            }
            (HookStage::PreStop, failure) => {
                self.hooks.pre_stop += 1;
                return failure;
            }
        }
        None
    }
}

impl Agent {
    pub(crate) fn act_on_hooks(&mut self, now: Time, out: &mut Vec<Output>) {
        let ids: Vec<TaskId> = self.records.keys().copied().collect();
        for id in ids {
            if self.idle(now, &Subject::Hook(id))
                && let Some(action) = self.next_hook(now, id)
            {
                self.begin(action, out);
            }
        }
    }

    fn next_hook(&self, now: Time, task: TaskId) -> Option<Action> {
        let record = &self.records[&task];
        let running = self.inventory.keeper(task).filter(|c| c.running())?;
        if running.started != record.hooks.started || self.is_busy(&Subject::Task(task)) {
            return None;
        }
        let (stage, hook) = record.next_hook(now)?;
        let container = running.id.clone();
        let ready = record.hooks.exec.as_ref().filter(|(of, _)| *of == stage);
        Some(match ready {
            Some((_, exec)) => {
                let limit = match stage {
                    HookStage::PostStart => self.settings.hook,
                    HookStage::PreStop => record.held_until()?.since(now),
                };
                Action::RunHook { task, container, stage, exec: exec.clone(), limit }
            }
            None => Action::PrepareHook { task, container, stage, hook: Arc::new(hook.clone()) },
        })
    }

    /// A command was got ready: it is kept in mind before it is run.
    pub(crate) fn hook_prepared(&mut self, action: &Action, exec: String, out: &mut Vec<Output>) {
        let (Subject::Hook(task), Some(stage)) = (action.subject(), action.stage()) else { return };
        if let Some(record) = self.records.get_mut(&task) {
            record.hooks.exec = Some((stage, exec));
            out.push(Output::Keep);
        }
    }

    /// A command ended, if `failure` is absent well. One of an earlier run of the container says nothing.
    pub(crate) fn hook_ended(
        &mut self,
        action: &Action,
        failure: Option<String>,
        out: &mut Vec<Output>,
    ) {
        let (Subject::Hook(task), Some(stage)) = (action.subject(), action.stage()) else { return };
        self.backoff.remove(&action.subject());
        let Some(record) = self.records.get_mut(&task) else { return };
        let asked = match action {
            Action::RunHook { exec, .. } => {
                record.hooks.exec.as_ref().is_some_and(|(_, known)| known == exec)
            }
            _ => true,
        };
        if !asked {
            return;
        }
        if let Some(reason) = record.hook_over(stage, failure) {
            out.push(Output::Event(Event::HookFailed { task, reason }));
        }
        out.push(Output::Keep);
    }
}

/// In what way a command did not end well, if so.
pub(crate) fn failure(stage: HookStage, code: Option<i64>, output: &str) -> Option<String> {
    let what = match code {
        Some(0) => return None,
        Some(code) => format!("{stage} ended with exit code {code}"),
        None => format!("how {stage} ended is not known, or it took too long"),
    };
    Some(told::with_output(what, output))
}
