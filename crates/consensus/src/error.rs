//! What can go wrong, one type per boundary. Every text says what to do next.

use crate::encoding::{FORMAT, Unreadable};
use model::NodeId;
use std::io;
use std::path::PathBuf;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An acknowledged record is damaged. Going on would forget it, so this member must not vote again.
    #[error(
        "the log in {} is damaged: {what}. This member must not take part with it. Come back under a new identity with `clusterctl join --replace NAME`: the folder is put aside, containers keep running and are adopted",
        dir.display()
    )]
    Damaged {
        /// Folder of the log.
        dir: PathBuf,
        /// What is damaged.
        what: String,
    },
    /// The newest snapshots are damaged, the log needs one, and no other member gave one in time.
    #[error(
        "the snapshot in {} is damaged, and no other manager could give a good one; start this node again once another manager is up",
        dir.display()
    )]
    NoSnapshot {
        /// Folder of the log.
        dir: PathBuf,
    },
    /// The log was written by a newer build.
    #[error("the log in {} has format {found}, and this build reads up to {FORMAT}; upgrade clusterd", dir.display())]
    Newer {
        /// Folder of the log.
        dir: PathBuf,
        /// Its format.
        found: u8,
    },
    /// The log belongs to somebody else.
    #[error("the log in {} belongs to {found}, not to {wanted}", dir.display())]
    Foreign {
        /// Folder of the log.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// Another process has it open.
    #[error("the log in {} is in use by another process", dir.display())]
    InUse {
        /// Folder of the log.
        dir: PathBuf,
    },
    /// A setting is out of its bounds.
    #[error("{0}")]
    Setting(String),
    /// Raft could not start on what is stored.
    #[error("the log in {} cannot be continued: {why}", dir.display())]
    Start {
        /// Folder of the log.
        dir: PathBuf,
        /// Why.
        why: String,
    },
}

impl OpenError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    /// A stored record that cannot be read.
    pub(crate) fn unreadable(dir: impl Into<PathBuf>, what: &str, why: &Unreadable) -> Self {
        match why {
            Unreadable::Newer(found) => Self::Newer { dir: dir.into(), found: *found },
            _ => Self::Damaged { dir: dir.into(), what: format!("{what}: {why}") },
        }
    }
}

/// Why a cluster could not be founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// The log is in use already.
    #[error("this host belongs to a cluster already; `clusterctl leave` first")]
    NotEmpty,
    /// Only the member with the identity of founders can found.
    #[error("only node {} can found a cluster", crate::FOUNDER)]
    NotFounder,
    /// The first command was refused, or got another place in the log than founders must have.
    #[error("the founding went wrong ({0}); remove the data folder and try again")]
    Wrong(String),
    /// The log cannot be written.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Why a command was not answered with an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No majority of the voters can be reached. The command may still be carried out if it was taken
    /// before the majority was lost: retry with the same request id.
    #[error("no quorum ({ready}/{voters})")]
    NoQuorum {
        /// Voters that answer this member, itself included.
        ready: usize,
        /// All voters.
        voters: usize,
    },
    /// A majority is there, or may be, but none of it came to lead in time. Nothing was taken.
    #[error("no leader was elected in time, retry")]
    NoLeader,
    /// The leader changed while the command was on its way: it may or may not be carried out. Retry with
    /// the same request id.
    #[error("leader changed, retry")]
    LeaderChanged,
    /// The leader took it and went silent: it may or may not be carried out. Retry with the same id.
    #[error("no answer in time, retry")]
    Unanswered,
    /// Only the leader may propose this, and this member does not lead.
    #[error("this manager does not lead")]
    NotLeader,
    /// The command is larger than one entry may be.
    #[error("the command takes {bytes} bytes, and at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The leader does not understand the command; it runs an older build.
    #[error("the leader does not understand this command: {0}")]
    Unknown(String),
    /// This member's log has stopped.
    #[error("this manager's log has stopped")]
    Stopped,
}

/// Why a linearizable read was not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No majority of the voters can be reached.
    #[error("no quorum ({ready}/{voters})")]
    NoQuorum {
        /// Voters that answer this member, itself included.
        ready: usize,
        /// All voters.
        voters: usize,
    },
    /// A majority is there, or may be, but none of it came to lead in time.
    #[error("no leader was elected in time, retry")]
    NoLeader,
    /// This member's log has stopped.
    #[error("this manager's log has stopped")]
    Stopped,
}

/// Why the members of the log are not yet as wished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// Only the leader reconciles.
    #[error("this manager does not lead")]
    NotLeader,
    /// A wish that names no voter cannot be carried out.
    #[error("the wish names no voter that is in the log")]
    NoVoters,
    /// Somebody is not there yet; to be tried again.
    #[error("waiting for node {node}: {why}")]
    Waiting {
        /// For whom.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// A change was refused or not finished in time; to be tried again.
    #[error("the members could not be changed: {0}")]
    Failed(String),
}

/// Why leadership was not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This member does not lead.
    #[error("this manager does not lead")]
    NotLeader,
    /// No other voter is there and up to date.
    #[error("no other voter is ready to lead")]
    NoCandidate,
    /// The other did not take over in time.
    #[error("node {0} did not take over in time")]
    TimedOut(NodeId),
    /// This member's log has stopped.
    #[error("this manager's log has stopped")]
    Stopped,
}

/// Why a log stopped by itself. The process should end: a stopped member is safer than a diverged one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// The disk failed, or an entry could not be applied.
    #[error("the log stopped: {0}")]
    Storage(String),
    /// A part of it panicked.
    #[error("the log stopped: one of its tasks panicked")]
    Panicked,
    /// The others know this member by another disk.
    #[error(
        "the log of this member was lost: the other managers know another disk of it. Come back under a new identity with `clusterctl join --replace NAME`; containers keep running and are adopted"
    )]
    DiskReplaced,
}
