//! A side of the comparison: how it is told what to do, through the command line that its users have.

use lab::{Lab, Part};

/// A cluster on the lab's hosts.
pub(crate) struct Side<'a> {
    /// `ours` or `Swarm`.
    pub(crate) name: &'static str,
    /// Its hosts.
    pub(crate) lab: &'a Lab,
    /// What dies when its leader is killed.
    pub(crate) part: Part,
    /// Asks, through a host, for so many replicas; returns as soon as that is accepted.
    pub(crate) scale: fn(&Lab, u8, usize) -> anyhow::Result<()>,
    /// The leader's host, as another host sees it.
    pub(crate) leader: fn(&Lab, u8) -> anyhow::Result<u8>,
    /// Whether all three hosts manage and are ready, as one of them sees it.
    pub(crate) well: fn(&Lab, u8) -> anyhow::Result<bool>,
    /// Tries a small write through a host, once; whether it was accepted.
    pub(crate) write: fn(&Lab, u8, usize) -> bool,
    /// Starts again what was killed.
    pub(crate) restart: fn(&Lab, u8) -> anyhow::Result<()>,
    /// Whether requests can be sent to its published port.
    pub(crate) answers: bool,
    /// How often each thing is done.
    pub(crate) trials: Trials,
}

/// How often each thing is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trials {
    /// Hosts cut off, of each kind.
    pub(crate) cuts: usize,
    /// Leaders killed.
    pub(crate) kills: usize,
    /// Scalings.
    pub(crate) scales: usize,
}

/// A count from the environment, or the default.
pub(crate) fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
