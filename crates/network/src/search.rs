//! The search for a replica that takes a connection: one after the other, the least busy first; when all were
//! tried, all again, with more patience and growing pauses.

use crate::core::Core;
use crate::limits::{ANSWER, ANSWER_AGAIN, ROUND};
use crate::picture::Current;
use crate::route::{Served, Target, Ticket};
use model::TaskId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Most that doubling makes of the pause between two rounds.
const LONGEST_ROUND: Duration = Duration::from_secs(1);

/// A search under way. Whoever searches gives up by himself.
pub(crate) struct Search {
    changes: watch::Receiver<Arc<Current>>,
    /// How long a replica may take to answer in this round.
    pub(crate) patience: Duration,
    wait: Duration,
}

impl Search {
    pub(crate) fn new(core: &Core) -> Self {
        Self { changes: core.picture.subscribe(), patience: ANSWER, wait: ROUND }
    }

    /// The next replica to try, none of those in `tried`, which is emptied when a round is over.
    pub(crate) async fn next(
        &mut self,
        core: &Core,
        served: &Arc<Served>,
        tried: &mut Vec<TaskId>,
    ) -> (Ticket, Target) {
        loop {
            if let Some(picked) = served.pick(core.clock.now(), core.node(), tried) {
                return picked;
            }
            if tried.is_empty() {
                // Nobody serves. The sender of changes lives as long as `core`, so this cannot spin.
                let _ = self.changes.changed().await;
                continue;
            }
            let _ = tokio::time::timeout(self.wait, self.changes.changed()).await;
            tried.clear();
            self.patience = ANSWER_AGAIN;
            self.wait = (self.wait * 2).min(LONGEST_ROUND);
        }
    }
}
