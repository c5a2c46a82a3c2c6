//! The one place of this package that reads the clock or sleeps.
#![expect(clippy::disallowed_methods, reason = "benches measure real time")]

use std::time::{Duration, Instant};

/// The monotonic time now.
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for `time`.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Seconds since `start`.
pub fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// What `work` gives, and the seconds that it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = now();
    let value = work();
    (value, seconds(start))
}
