//! A cluster on a stage: what happened since the audience last looked.

use crate::cluster::{Cluster, Nastiness};
use crate::founding::{Shape, entries};
use model::{Event, TaskState};

/// A cluster on a stage.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    /// Index of the last event shown.
    shown: u64,
    /// Told lines shown.
    told: usize,
}

impl Stage {
    pub(super) fn new(shape: Shape) -> Self {
        let entries = entries(shape);
        let shown = entries.len() as u64;
        Self { cluster: Cluster::new(1, entries, Nastiness::NONE), shown, told: 0 }
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.cluster.invariants.broken.clone()
    }

    /// What happened since the last look, a line each, in order of time.
    pub(super) fn news(&mut self) -> Vec<String> {
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
