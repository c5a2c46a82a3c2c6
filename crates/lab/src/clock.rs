//! The one place of this crate that reads the clock or sleeps.
#![expect(
    clippy::disallowed_methods,
    reason = "the lab drives real processes in real time and is synchronous by design"
)]

use crate::LabError;
use std::time::{Duration, Instant};

/// The monotonic time now.
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for `time`.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Asks `probe` every `every` until it gives a value, at most for `limit`.
///
/// # Errors
/// [`LabError::Timeout`] with `what` and `look` (where to find the reason), or the probe's own error.
pub fn wait_until<T>(
    what: &str,
    look: &str,
    limit: Duration,
    every: Duration,
    mut probe: impl FnMut() -> Result<Option<T>, LabError>,
) -> Result<T, LabError> {
    let end = now() + limit;
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if now() >= end {
            let (what, look) = (what.to_owned(), look.to_owned());
            return Err(LabError::Timeout { what, limit, look });
        }
        pause(every);
    }
}
