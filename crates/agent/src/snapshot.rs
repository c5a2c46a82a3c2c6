//! What an agent wants to find again after a restart. Writing it to a disk is the daemon's business.

use crate::Progress;
use model::{TaskId, View};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What an agent wants to find again after a restart: the last view, without the registry logins, and
/// what only this node knows of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last view.
    pub view: Arc<View>,
    /// Restarts in place so far, where there were any.
    pub restarts_in_place: Vec<(TaskId, u32)>,
    /// How far the commands around its tasks' containers are, where there are any. Absent on disks of
    /// releases that had none.
    #[serde(default)]
    pub hooks: Vec<(TaskId, Progress)>,
}

impl Snapshot {
    pub(crate) fn new(
        view: &View,
        restarts_in_place: Vec<(TaskId, u32)>,
        hooks: Vec<(TaskId, Progress)>,
    ) -> Self {
        let mut view = view.clone();
        for assignment in &mut view.tasks {
            assignment.logins.clear();
        }
        Self { view: Arc::new(view), restarts_in_place, hooks }
    }
}
