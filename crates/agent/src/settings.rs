//! The agent's timers and limits, in one place.

use model::Timers;
use std::time::Duration;

/// The agent's timers and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a confirmation of the view holds.
    pub fresh: Duration,
    /// Without a confirmed view for this long, crashed stateless tasks restart in place.
    pub isolated: Duration,
    /// First wait before a failed action is tried again; doubled per failure in a row.
    pub retry_first: Duration,
    /// Most that doubling can make of it.
    pub retry_max: Duration,
    /// Failures in a row after which preparing or starting a task is given up.
    pub attempts: u32,
    /// Pulls at once.
    pub pulls: usize,
    /// Containers being made or started at once.
    pub starts: usize,
    /// How long a replica behind a published port is left running after it was told to stop, so that
    /// every edge has heard of it before the process has.
    pub linger: Duration,
    /// How long one command after the start of a container may take.
    pub hook: Duration,
    /// What a container has left of its grace at least once the commands before its stop are over.
    pub last_grace: Duration,
    /// Memory in use, when nothing else changed, is reported at most this often.
    pub memory_every: Duration,
    /// A lost report is sent again after this.
    pub report_retry: Duration,
    /// A report without an answer counts as lost after this.
    pub report_timeout: Duration,
    /// How often an engine that does not answer is asked again.
    pub engine_retry: Duration,
    /// Most that doubling can make of the wait between restarts in place.
    pub restart_max: Duration,
    /// How long after the start of a daemon the engine may still be busy with a request of the one before.
    pub inherited: Duration,
    /// Where the files are that containers are handed.
    pub folders: Folders,
}

/// Where the files are that containers are handed: one folder per task in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// Of secrets: an absolute path, in memory.
    pub secrets: String,
    /// Of configs: an absolute path.
    pub configs: String,
}

impl From<&Timers> for Settings {
    fn from(timers: &Timers) -> Self {
        Self {
            fresh: timers.suspect,
            isolated: timers.isolated,
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            attempts: 5,
            pulls: 2,
            starts: 16,
            linger: timers.beat,
            hook: Duration::from_secs(3600),
            last_grace: Duration::from_secs(1),
            memory_every: Duration::from_secs(30),
            report_retry: Duration::from_millis(500),
            report_timeout: Duration::from_secs(5),
            engine_retry: Duration::from_secs(2),
            restart_max: Duration::from_secs(300),
            inherited: Duration::from_secs(10),
            folders: Folders::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::from(&Timers::LAN)
    }
}
