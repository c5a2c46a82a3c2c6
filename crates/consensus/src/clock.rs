//! The one place of this crate that reads a clock. Wall time is for display, and stamped by leaders only.

#![expect(
    clippy::disallowed_methods,
    reason = "the clock of a doing crate, read in this one place"
)]

use model::WallTime;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock. It goes on while the process is stopped.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Wall time as this host believes it.
pub(crate) fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
