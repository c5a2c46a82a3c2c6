//! How often each of many may ask: a token bucket per key, kept as the moment at which it will be full again.

use model::Time;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Keys remembered at once: more than a cluster has nodes. Those whose buckets are full are forgotten first; when
/// that frees nothing, whoever is not remembered gets nothing.
const REMEMBERED: usize = 2 * model::limits::NODES;

/// Buckets that give one token per `every`, and as many at once as `burst` brings.
pub(crate) struct Limiter<K> {
    every: Duration,
    burst: Duration,
    full_at: Mutex<BTreeMap<K, Time>>,
}

impl<K: Ord + Copy> Limiter<K> {
    pub(crate) fn new(every: Duration, burst: Duration) -> Self {
        Self { every, burst, full_at: Mutex::default() }
    }

    /// Takes one token, if there is one.
    pub(crate) fn takes(&self, key: K, now: Time) -> bool {
        let mut full_at = self.full_at.lock().expect("no panic while held");
        if full_at.len() >= REMEMBERED {
            full_at.retain(|_, at| *at > now);
        }
        if full_at.len() >= REMEMBERED && !full_at.contains_key(&key) {
            return false;
        }
        let at = full_at.get(&key).copied().unwrap_or(now).max(now) + self.every;
        let enough = at <= now + self.burst;
        if enough {
            full_at.insert(key, at);
        }
        enough
    }

    /// Whether the bucket of `key` was emptied and has not filled again.
    pub(crate) fn empty(&self, key: K, now: Time) -> bool {
        let full_at = self.full_at.lock().expect("no panic while held");
        full_at.get(&key).is_some_and(|at| (*at).max(now) + self.every > now + self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(200);
    const SECOND: Duration = Duration::from_secs(1);
    const START: Time = Time(1_000);

    #[test]
    fn each_key_gets_its_burst_then_its_rate_and_others_theirs() {
        let limiter = Limiter::new(EVERY, SECOND);
        let burst = |key, now| (0..100).filter(|_| limiter.takes(key, now)).count();
        assert!(!limiter.empty(1, START));
        assert_eq!(burst(1, START), 5);
        assert!(limiter.empty(1, START) && !limiter.empty(2, START));
        assert_eq!(burst(2, START), 5, "each has its own");
        assert_eq!(burst(1, START + Duration::from_millis(399)), 1);
        assert_eq!(burst(1, START + Duration::from_millis(400)), 1);
        assert!(!limiter.empty(1, START + SECOND));
        assert_eq!(burst(1, START + Duration::from_secs(60)), 5, "no more is saved up");
    }

    #[test]
    fn attack_08_what_is_remembered_has_a_limit() {
        let limiter = Limiter::new(EVERY, SECOND);
        assert!((0..REMEMBERED).all(|key| limiter.takes(key, START)));
        assert!(!limiter.takes(REMEMBERED, START), "no room for one more");
        assert!(limiter.takes(7, START), "who is known goes on");
        assert!(!limiter.empty(REMEMBERED, START), "who is not known has emptied nothing");
        assert!(limiter.takes(REMEMBERED, START + SECOND), "those who paused are forgotten");
        assert_eq!(limiter.full_at.lock().unwrap().len(), 1);
    }
}
