//! The long-lived tasks of a member, so that they end with it.

use std::sync::{Arc, Mutex};
use tokio::task::AbortHandle;

/// A member's long-lived tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl Tasks {
    /// Starts a task that ends with the member.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let handle = tokio::spawn(task).abort_handle();
        self.0.lock().expect("no panic while held").push(handle.clone());
        handle
    }

    /// Ends them all.
    pub(crate) fn stop(&self) {
        for task in self.0.lock().expect("no panic while held").drain(..) {
            task.abort();
        }
    }
}
