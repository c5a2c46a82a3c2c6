//! What is counted of the requests to one site.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency histogram, in milliseconds; what takes longer is counted in one bucket more.
pub const LATENCY_BOUNDS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// Live counters of one site.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    micros: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) resent: AtomicU64,
}

/// What came of the requests to one site since the edge started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpCounts {
    /// Responses by class: those of status 100 to 199, 200 to 299, and so on.
    pub classes: [u64; 5],
    /// Responses by the time to their head: up to each of [`LATENCY_BOUNDS`], and longer.
    pub latency: Vec<u64>,
    /// The sum of these times, in microseconds.
    pub latency_micros: u64,
    /// Responses that the edge gave itself, because no replica gave one.
    pub failed: u64,
    /// Times a request was sent again, to another replica or over another connection.
    pub resent: u64,
}

impl Meter {
    /// Counts a response.
    pub(crate) fn answered(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let millis = took.as_micros().div_ceil(1_000) as u64;
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < millis);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> HttpCounts {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        HttpCounts {
            classes: self.classes.each_ref().map(read),
            latency: self.buckets.iter().map(read).collect(),
            latency_micros: read(&self.micros),
            failed: read(&self.failed),
            resent: read(&self.resent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_fall_into_their_class_and_bucket() {
        let meter = Meter::default();
        let millis = Duration::from_millis;
        for (status, took) in [
            (200, millis(0)),
            (204, millis(1)),
            (301, millis(2)),
            (404, millis(3)),
            (503, millis(60_000)),
        ] {
            meter.answered(status, took);
        }
        let counts = meter.counts();
        assert_eq!(counts.classes, [0, 2, 1, 1, 1]);
        assert_eq!(counts.latency, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(counts.latency_micros, 60_006_000);
    }
}
