//! The one place where this program reads a clock.
#![expect(clippy::disallowed_methods, reason = "the clock module of a binary")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For measuring how long something takes.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Wall time as milliseconds since the epoch, for display and for `--since`.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
