//! Who was heard when: this manager's own ears, and what the other managers' beats say of theirs. Every
//! manager keeps one at all times, whoever leads, so that a new leader can judge at once.

use model::{NodeId, State, Time, Timers};
use std::collections::BTreeMap;
use std::time::Duration;

/// What this manager itself knows of a node.
#[derive(Clone, Copy, Debug)]
struct Watch {
    /// Since when it is a member, as far as this manager can tell.
    since: Time,
    /// When it was last heard.
    heard: Option<Time>,
}

/// The last word of another manager on all nodes.
#[derive(Clone, Debug)]
struct Testimony {
    received: Time,
    /// Silence of each node when the beat was sent, by node.
    silences: Vec<(NodeId, Duration)>,
}

/// Who was heard when. Times are of this manager's own monotonic clock.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Own start, or the end of the last own stall or isolation: silence is not counted from before it.
    awake: Time,
    /// A majority of the voters was heard lately. Whoever is cut off from them knows about itself only.
    in_touch: bool,
    last_seen_alive: Time,
    watches: BTreeMap<NodeId, Watch>,
    words: BTreeMap<NodeId, Testimony>,
}

impl Table {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            awake: now,
            in_touch: false,
            last_seen_alive: now,
            watches: BTreeMap::new(),
            words: BTreeMap::new(),
        }
    }

    /// Notes that this manager runs. Returns the pause when it had stood still for too long.
    pub(crate) fn alive(&mut self, now: Time, timers: &Timers) -> Option<Duration> {
        let paused = now.since(self.last_seen_alive);
        self.last_seen_alive = self.last_seen_alive.max(now);
        if paused <= timers.stall {
            return None;
        }
        self.awake = now;
        Some(paused)
    }

    /// Notes whether this manager hears a majority of the voters, itself included. When it does again,
    /// what it missed meanwhile proves nothing, as after a stall: the others may have missed it.
    pub(crate) fn stay_in_touch(&mut self, now: Time, own: NodeId, state: &State, timers: &Timers) {
        let lately = |v: &NodeId| {
            let heard = self.watches.get(v).and_then(|w| w.heard);
            *v == own || heard.is_some_and(|h| now.since(h) < timers.suspect)
        };
        let heard = state.voters.iter().filter(|v| lately(v)).count();
        let in_touch = heard > state.voters.len() / 2;
        if in_touch && !self.in_touch {
            self.awake = now;
        }
        self.in_touch = in_touch;
    }

    /// Whether this manager can tell a silent node from its own isolation.
    pub(crate) fn in_touch(&self) -> bool {
        self.in_touch
    }

    /// Watches exactly the nodes of this state, new ones from now on. One that took back its announced
    /// absence did so a moment ago: its silence counts anew, so that its first beat is not too late.
    pub(crate) fn follow(&mut self, now: Time, was: &State, is: &State) {
        if was.nodes.ptr_eq(&is.nodes) {
            return;
        }
        self.watches.retain(|node, _| is.nodes.contains_key(node));
        self.words.retain(|node, _| is.nodes.contains_key(node));
        for (id, node) in &is.nodes {
            let watch = self.watches.entry(*id).or_insert(Watch { since: now, heard: None });
            let was_away = was.nodes.get(id).is_some_and(|n| n.away_until.is_some());
            if was_away && node.away_until.is_none() {
                watch.since = now;
            }
        }
    }

    /// Takes in a beat. One from a stranger says nothing.
    pub(crate) fn hear(&mut self, now: Time, from: NodeId, mut silences: Vec<(NodeId, Duration)>) {
        let Some(watch) = self.watches.get_mut(&from) else { return };
        watch.heard = watch.heard.max(Some(now));
        if silences.is_empty() {
            return;
        }
        silences.sort_unstable_by_key(|(node, _)| *node);
        self.words.insert(from, Testimony { received: now, silences });
    }

    /// From when this manager counts a node's silence; `None` for a stranger.
    fn base(&self, node: NodeId) -> Option<Time> {
        let watch = self.watches.get(&node)?;
        Some(watch.since.max(self.awake).max(watch.heard.unwrap_or(Time::ZERO)))
    }

    /// How long this manager may say that a node has been silent.
    pub(crate) fn silence(&self, now: Time, node: NodeId) -> Duration {
        self.base(node).map_or(Duration::ZERO, |base| now.since(base))
    }

    /// Whether the node was really heard within `limit`, and since the last own stall: more than not
    /// having been silent for long.
    pub(crate) fn hears(&self, now: Time, node: NodeId, limit: Duration) -> bool {
        let heard = self.watches.get(&node).and_then(|w| w.heard);
        heard.is_some_and(|h| h >= self.awake && now.since(h) < limit)
    }

    /// How long `witness` has not heard `node`, as far as its last beat tells. `None` when that beat is
    /// too old to count or says nothing of the node.
    pub(crate) fn word(
        &self,
        now: Time,
        timers: &Timers,
        witness: NodeId,
        node: NodeId,
    ) -> Option<Duration> {
        let testimony = self.words.get(&witness)?;
        let age = now.since(testimony.received);
        if age >= timers.testimony {
            return None;
        }
        let at = testimony.silences.binary_search_by_key(&node, |(n, _)| *n).ok()?;
        Some(testimony.silences[at].1 + age)
    }

    /// What this manager's own beats are to say; nothing while it is cut off from the voters. A node that it only has not missed for long yet, after
    /// its own start or stall, is left out: that would be neither "heard" nor "silent".
    pub(crate) fn testimony(
        &self,
        now: Time,
        own: NodeId,
        timers: &Timers,
    ) -> Vec<(NodeId, Duration)> {
        let limit = timers.suspect;
        let said = |node: &NodeId| {
            let silence = self.silence(now, *node);
            let knows = silence >= limit || self.hears(now, *node, limit);
            (self.in_touch && *node != own && knows).then_some((*node, silence))
        };
        self.watches.keys().filter_map(said).collect()
    }

    /// The nodes watched, in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.watches.keys().copied()
    }

    /// The managers whose word counts now.
    pub(crate) fn witnesses(&self, now: Time, timers: &Timers) -> impl Iterator<Item = NodeId> {
        let fresh = move |t: &Testimony| now.since(t.received) < timers.testimony;
        self.words.iter().filter(move |(_, t)| fresh(t)).map(|(n, _)| *n)
    }
}
