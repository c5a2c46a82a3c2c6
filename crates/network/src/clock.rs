//! The one clock of this crate: monotonic, counted from the start of the edge.

use model::Time;
use tokio::time::Instant;

/// A monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now, one second in: [`Time::ZERO`] is always past.
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Since the start, as exactly as it can be told.
    pub(crate) fn exact(self) -> std::time::Duration {
        self.origin.elapsed()
    }

    /// Now.
    pub(crate) fn now(self) -> Time {
        Time(1_000) + self.origin.elapsed()
    }
}
