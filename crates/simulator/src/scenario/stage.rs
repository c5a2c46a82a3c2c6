//! A cluster on a stage: what happened since the audience last looked.

use crate::cluster::{Cluster, Nastiness};
use crate::founding::{Shape, entries};
use model::{Event, TaskId, TaskState};

/// A cluster on a stage.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    /// Index of the last event shown.
    shown: u64,
    /// Told lines shown.
    told: usize,
    /// Nobody looks at what happened.
    blind: bool,
    /// Tasks that lived when it was calm.
    pub(super) lived: Vec<TaskId>,
    /// What was not as it has to be when it was looked at.
    failed: Option<String>,
}

impl Stage {
    pub(super) fn new(shape: Shape, seed: u64, nastiness: Nastiness) -> Self {
        let entries = entries(shape);
        let shown = entries.len() as u64;
        let cluster = Cluster::new(seed, entries, nastiness);
        Self { cluster, shown, told: 0, blind: false, lived: Vec::new(), failed: None }
    }

    /// From now on nobody looks.
    pub(super) fn shut_eyes(&mut self) {
        self.blind = true;
    }

    pub(super) fn fail(&mut self, what: String) {
        self.failed.get_or_insert(what);
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.cluster.invariants.broken.clone().or_else(|| self.failed.clone())
    }

    /// What happened since the last look, a line each, in order of time.
    pub(super) fn news(&mut self) -> Vec<String> {
        if self.blind {
            return Vec::new();
        }
        let state = &self.cluster.log.state;
        let new = state.events.iter().filter(|e| e.index > self.shown);
        let events = new.filter(|e| worth_a_line(&e.event));
        let mut lines: Vec<(u64, String)> =
            events.map(|e| (e.wall.0 as u64, e.event.to_string())).collect();
        lines.extend(self.cluster.told[self.told..].iter().cloned());
        lines.sort_by_key(|(at, _)| *at);
        self.shown = state.index;
        self.told = self.cluster.told.len();
        lines
            .into_iter()
            .map(|(at, text)| format!("{:>6.1}s  {text}", at as f64 / 1000.0))
            .collect()
    }
}

/// A task's way up and down is left out but for its ends.
fn worth_a_line(event: &Event) -> bool {
    let on_the_way = |s: &TaskState| {
        matches!(s, TaskState::Preparing | TaskState::Starting | TaskState::Stopping)
    };
    !matches!(event, Event::Task { state, .. } if on_the_way(state))
        && !matches!(event, Event::Voters { .. })
}
