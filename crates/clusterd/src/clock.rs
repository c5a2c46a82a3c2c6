//! The only place of the daemon that reads clocks.
#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

use model::{Time, WallTime};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since this process first asked: the monotonic clock handed to `Manager` and `Agent`.
/// Starts at one hour, so that ages can be subtracted from it.
pub(crate) fn now() -> Time {
    static START: OnceLock<Instant> = OnceLock::new();
    Time(3_600_000) + START.get_or_init(Instant::now).elapsed()
}

/// Wall time.
pub(crate) fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Wall time, as certificates take it.
pub(crate) fn system() -> SystemTime {
    SystemTime::now()
}
