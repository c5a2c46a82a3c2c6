//! How a run ends: everything must be whole again, and then nothing may move without a reason.

use super::faults::end;
use super::perform::join;
use super::stage::Stage;
use crate::cluster::Cluster;
use crate::invariants::{healed, hopeless};
use crate::trouble::wiped;
use model::{Role, Task, TaskId};
use std::time::Duration;

/// For this long nothing may be due by itself when calm is looked at: longer than what a node said of its
/// memory before its last copies ran is taken for old, because it says it anew when it comes back.
const CALM: Duration = Duration::from_secs(65);
/// How often it is looked whether all is whole, in milliseconds.
const LOOK: u64 = 5_000;

impl Stage {
    /// Ends all faults, brings back who was wiped, and waits until all is whole, at most for `limit` milliseconds; it fails when it is not.
    pub(super) fn wait_until_whole(&mut self, limit: u64) {
        end(&mut self.cluster);
        let until = self.cluster.now + limit;
        loop {
            self.cluster.run(LOOK);
            self.replace_wiped();
            if self.broken().is_some() {
                return;
            }
            let wrong = healed(&self.cluster);
            if wrong.is_empty() && quiet(&self.cluster) {
                return;
            }
            if self.cluster.now >= until {
                self.fail(format!("not healed: {}", wrong.join("; ")));
                return;
            }
        }
    }

    /// Whoever lost their disk comes back as another node, once the one it was is lost.
    fn replace_wiped(&mut self) {
        for (name, role) in wiped(&self.cluster) {
            let role = if role == Role::Manager { "manager" } else { "worker" };
            if let Ok(join) = join(&self.cluster, &[&name, role, "replace"]) {
                self.cluster.ask(join);
            }
        }
    }

    /// Remembers which tasks live.
    pub(super) fn calm(&mut self) {
        self.lived = live(&self.cluster);
    }

    /// Fails when other tasks live than were remembered.
    pub(super) fn still(&mut self) {
        let after = live(&self.cluster);
        if after == self.lived {
            return;
        }
        let only = |these: &[TaskId], those: &[TaskId]| -> Vec<String> {
            these.iter().filter(|t| !those.contains(t)).map(ToString::to_string).collect()
        };
        let (gone, new) = (only(&self.lived, &after), only(&after, &self.lived));
        self.fail(format!("a blip moved something: {gone:?} gone, {new:?} new"));
    }
}

/// Whether the planner wants nothing now, and expects to want nothing for a while: nor is anything under way
/// that it would follow up.
fn quiet(cluster: &Cluster) -> bool {
    let state = &cluster.log.state;
    let Some(reign) = cluster.log.reign() else { return false };
    let now = reign.cluster_now(cluster.now);
    let plan = planner::plan(state, now, &cluster.settings);
    let noisy = state.services.values().any(hopeless);
    let under_way = |t: &Task| t.holds() && !t.serving();
    let still = plan.changes.is_empty() && !state.tasks.values().any(under_way);
    noisy || still && plan.wake_at.is_none_or(|at| at > now + CALM)
}

/// What no blip may change: which tasks live. Forgetting one that ended moves nothing.
fn live(cluster: &Cluster) -> Vec<TaskId> {
    let state = &cluster.log.state;
    let lives = |t: &&Task| t.live() && !hopeless(state.service_of(t));
    state.tasks.values().filter(lives).map(|t| t.id).collect()
}
