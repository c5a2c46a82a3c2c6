//! A host: what survives a loss of power, and the daemon, which does not.

use crate::engine::Engine;
use agent::Agent;
use manager::Manager;
use model::{NodeId, Role, Time};
use std::collections::BTreeMap;

/// What drifts are counted in: parts of a million.
const DRIFT: i64 = 1_000_000;

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    /// It has power.
    pub(crate) powered: bool,
    pub(crate) engine: Engine,
    pub(crate) daemon: Option<Daemon>,
    /// Counts its daemons: what was meant for an earlier one does not reach the next.
    pub(crate) life: u64,
    /// On its disk: what the agent wants to find again.
    pub(crate) snapshot: Option<agent::Snapshot>,
    /// The daemon stands still until then.
    pub(crate) frozen_until: u64,
    /// Whether it is still the node it was.
    pub(crate) standing: Standing,
    /// How wrong its wall clock is, in milliseconds.
    pub(crate) wall: i64,
}

/// Whether a host is still the node it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Member,
    /// Its disk was lost, and its number with it.
    Wiped,
    /// It was removed, and knows it.
    Gone,
}

/// A running daemon.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    /// Its own monotonic clock, minus the simulator's, when it started.
    pub(crate) clock: u64,
    /// When it started.
    pub(crate) since: u64,
    /// Milliseconds that its clock gains in a thousand seconds.
    pub(crate) drift: i64,
    pub(crate) agent: Agent,
    pub(crate) agent_wakes: u64,
    pub(crate) member: Option<Member>,
    pub(crate) session: Option<Session>,
    /// Sessions so far.
    pub(crate) sessions: u64,
    /// A word of the node about itself is on its way to the log until then.
    pub(crate) refreshing_until: u64,
    /// It is about to stop, as planned.
    pub(crate) leaving: bool,
}

/// The manager in a daemon.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) manager: Manager,
    pub(crate) wakes: u64,
    /// It has applied all that was committed when it first met a leader: it may serve views.
    pub(crate) serves: bool,
    /// Views are to be sent soon.
    pub(crate) pushing: bool,
}

/// An agent's stream from a manager.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) manager: NodeId,
    /// Which one of its daemon it is: what was sent on an earlier one does not arrive on this.
    pub(crate) number: u64,
    /// When what was sent last arrives: a stream keeps its order.
    pub(crate) arrives: u64,
    /// When what an agent does by had moved last, as of the last view; `None` before the first.
    pub(crate) sent: Option<u64>,
}

impl Host {
    pub(crate) fn new(id: NodeId, role: Role) -> Self {
        Self {
            id,
            role,
            powered: true,
            engine: Engine::new(id),
            daemon: None,
            life: 0,
            snapshot: None,
            frozen_until: 0,
            standing: Standing::Member,
            wall: 0,
        }
    }

    /// The daemon runs and does not stand still.
    pub(crate) fn lives(&self, now: u64) -> bool {
        self.daemon.is_some() && now >= self.frozen_until
    }

    /// The daemon of this life.
    pub(crate) fn daemon_of(&mut self, life: u64) -> Option<&mut Daemon> {
        if self.life == life { self.daemon.as_mut() } else { None }
    }

    pub(crate) fn member(&self) -> Option<&Member> {
        self.daemon.as_ref()?.member.as_ref()
    }

    pub(crate) fn member_mut(&mut self) -> Option<&mut Member> {
        self.daemon.as_mut()?.member.as_mut()
    }
}

impl Daemon {
    /// This daemon's own time.
    pub(crate) fn time(&self, now: u64) -> Time {
        let passed = now.saturating_sub(self.since) as i64;
        Time((now + self.clock).saturating_add_signed(passed * self.drift / DRIFT))
    }

    /// The simulator's time of a moment of this daemon's.
    pub(crate) fn global(&self, time: Time) -> u64 {
        let mut now = time.0.saturating_sub(self.clock);
        if self.drift != 0 {
            let passed = now.saturating_sub(self.since) as i64;
            now = self.since.saturating_add_signed(passed * DRIFT / (DRIFT + self.drift));
            while self.time(now) < time {
                now += 1;
            }
        }
        now
    }
}

/// All hosts.
pub(crate) type Hosts = BTreeMap<NodeId, Host>;
