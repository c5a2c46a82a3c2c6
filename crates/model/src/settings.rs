//! Timers of liveness and consensus: defaults, profiles and bounds, in one place.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Every timer that an operator may override. Milliseconds in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// Raft: how often a leader that has nothing to say speaks to its followers.
    pub heartbeat: Duration,
    /// Raft: shortest random wait before a follower asks for votes, after the leader's lease.
    pub election_min: Duration,
    /// Raft: longest random wait, and the lease a follower grants its leader.
    pub election_max: Duration,
    /// How often a node beats to each manager.
    pub beat: Duration,
    /// Silence after which a beat connection is redialled.
    pub redial: Duration,
    /// Silence after which a node is *suspect*: out of ingress, nothing restarts.
    pub suspect: Duration,
    /// Silence after which a node is *lost*: its stateless replicas are replaced.
    pub lost: Duration,
    /// A pause of one's own clock longer than this is a stall: silence during it proves nothing.
    pub stall: Duration,
    /// Age up to which another manager's testimony counts.
    pub testimony: Duration,
    /// Without contact to a leader for this long, a manager's views are stale and agents look elsewhere.
    pub view_stale: Duration,
    /// Without a confirmed view for this long, an agent restarts crashed stateless tasks in place.
    pub isolated: Duration,
    /// How long a lost node must be heard steadily before it gets placements; doubled per flap.
    pub steady: Duration,
    /// Most that doubling can make of it.
    pub steady_max: Duration,
    /// How long a planned stop is tolerated.
    pub away: Duration,
    /// How long an engine may be out before its stateless replicas are replaced.
    pub engine_out: Duration,
    /// How long a voter may be lost before a ready learner takes its place.
    pub voter_lost: Duration,
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Timers {
    /// For hosts on one network: loss is noticed in seconds.
    pub const LAN: Self = Self {
        heartbeat: ms(100),
        election_min: ms(200),
        election_max: ms(400),
        beat: ms(500),
        redial: ms(1_000),
        suspect: ms(2_000),
        lost: ms(3_500),
        stall: ms(1_000),
        testimony: ms(1_000),
        view_stale: ms(1_000),
        isolated: ms(5_000),
        steady: ms(5_000),
        steady_max: ms(300_000),
        away: ms(60_000),
        engine_out: ms(30_000),
        voter_lost: ms(60_000),
    };

    /// For hosts with different providers: slow and lossy links are ordinary.
    pub const WAN: Self = Self {
        heartbeat: ms(250),
        election_min: ms(1_500),
        election_max: ms(3_000),
        redial: ms(3_000),
        suspect: ms(5_000),
        lost: ms(10_000),
        testimony: ms(2_000),
        view_stale: ms(5_000),
        isolated: ms(10_000),
        ..Self::LAN
    };

    /// Checks every bound; the error names the timer and what it must be.
    pub fn check(&self) -> Result<(), InvalidTimer> {
        let rules: [(&'static str, bool, &'static str); 10] = [
            ("heartbeat", (ms(10)..=ms(5_000)).contains(&self.heartbeat), "10 to 5000 ms"),
            ("election_min", self.election_min >= self.heartbeat * 2, "at least twice heartbeat"),
            ("election_max", self.election_max > self.election_min, "more than election_min"),
            ("beat", (ms(50)..=ms(10_000)).contains(&self.beat), "50 to 10000 ms"),
            ("redial", self.redial >= self.beat * 2, "at least twice beat"),
            ("suspect", self.suspect >= self.beat * 3, "at least three times beat"),
            ("lost", self.lost > self.suspect, "more than suspect"),
            ("testimony", self.testimony >= self.beat * 2, "at least twice beat"),
            ("steady", self.steady <= self.steady_max, "at most steady_max"),
            ("stall", self.stall > self.beat, "more than beat"),
        ];
        match rules.iter().find(|(_, ok, _)| !ok) {
            None => Ok(()),
            Some((timer, _, must_be)) => Err(InvalidTimer { timer, must_be }),
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::LAN
    }
}

/// A timer outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTimer {
    /// The timer's name in the configuration file.
    pub timer: &'static str,
    /// What it must be.
    pub must_be: &'static str,
}

impl std::fmt::Display for InvalidTimer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "timer `{}` must be {}", self.timer, self.must_be)
    }
}

impl std::error::Error for InvalidTimer {}
