//! What the leader has been told: only what changed, one report under way, a full one after a session
//! began.

use crate::Settings;
use model::limits::STATUSES_PER_REPORT;
use model::{NodeId, Report, TaskId, TaskState, TaskStatus, Time, VolumeKey};
use std::collections::{BTreeMap, BTreeSet};

/// What the leader has been told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports {
    number: u64,
    /// Known to be committed.
    told: BTreeMap<TaskId, TaskStatus>,
    under_way: Option<UnderWay>,
    not_before: Time,
    memory_told: Time,
    deleted: BTreeSet<VolumeKey>,
}

#[derive(Clone, Debug)]
struct UnderWay {
    report: Report,
    lost_at: Time,
}

impl Reports {
    /// A session began: nothing is known to have arrived.
    pub(crate) fn restart(&mut self) {
        self.told.clear();
        self.under_way = None;
        self.not_before = Time::ZERO;
    }

    pub(crate) fn deleted(&mut self, volume: VolumeKey) {
        self.deleted.insert(volume);
    }

    pub(crate) fn is_deleted(&self, volume: &VolumeKey) -> bool {
        self.deleted.contains(volume)
    }

    /// Forgets what the newest view has forgotten.
    pub(crate) fn keep(&mut self, tasks: &BTreeSet<TaskId>, condemned: &[VolumeKey]) {
        self.told.retain(|id, _| tasks.contains(id));
        self.deleted.retain(|v| condemned.contains(v));
    }

    /// The answer to a report.
    pub(crate) fn answered(&mut self, now: Time, settings: &Settings, number: u64, accepted: bool) {
        if number != self.number {
            return;
        }
        let Some(UnderWay { report, .. }) = self.under_way.take() else { return };
        if accepted {
            self.told.extend(report.statuses.into_iter().map(|s| (s.task, s)));
        } else {
            self.not_before = now + settings.report_retry;
        }
    }

    /// The next report, if one is due. `statuses` are those of all tasks.
    pub(crate) fn next(
        &mut self,
        now: Time,
        settings: &Settings,
        node: NodeId,
        statuses: impl Iterator<Item = TaskStatus>,
    ) -> Option<(u64, Report)> {
        if self.under_way.as_ref().is_some_and(|u| now >= u.lost_at) {
            self.under_way = None;
        }
        if self.under_way.is_some() || now < self.not_before {
            return None;
        }
        let memory_due = now >= self.memory_told + settings.memory_every;
        let statuses: Vec<TaskStatus> =
            statuses.filter(|s| self.is_new(s, memory_due)).take(STATUSES_PER_REPORT).collect();
        let deleted_volumes: Vec<VolumeKey> = self.deleted.iter().cloned().collect();
        if statuses.is_empty() && deleted_volumes.is_empty() {
            return None;
        }
        if memory_due {
            self.memory_told = now;
        }
        self.number += 1;
        let report = Report { node, statuses, deleted_volumes };
        let lost_at = now + settings.report_timeout;
        self.under_way = Some(UnderWay { report: report.clone(), lost_at });
        Some((self.number, report))
    }

    /// Whether the leader does not know a status yet. Memory by itself is news now and then only.
    fn is_new(&self, status: &TaskStatus, memory_due: bool) -> bool {
        match self.told.get(&status.task) {
            None => status.state != TaskState::Assigned,
            Some(told) if memory_due => told != status,
            Some(told) => *told != TaskStatus { memory: told.memory, ..status.clone() },
        }
    }

    /// When there may be something to say without another input.
    pub(crate) fn wake_at(&self, settings: &Settings) -> [Time; 3] {
        let lost_at = self.under_way.as_ref().map_or(Time::ZERO, |u| u.lost_at);
        [self.not_before, lost_at, self.memory_told + settings.memory_every]
    }
}
