//! The one error of this crate. Each variant names the thing and says what to do next.

use std::{io, path::PathBuf, time::Duration};

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The caller may not create namespaces.
    #[error("{what} needs root: run it again with sudo")]
    NotRoot {
        /// What was attempted.
        what: &'static str,
    },
    /// System programs are absent and were not to be (or could not be) installed.
    #[error(
        "missing on this machine: {programs}. On Debian: apt-get install {packages}; elsewhere install what provides these programs"
    )]
    Missing {
        /// The programs, comma-separated.
        programs: String,
        /// The Debian packages that hold them, space-separated.
        packages: String,
    },
    /// A program of the lab's own project is not where it is expected.
    #[error("{program} was not found at {path}: build it with `cargo build -p {program}`")]
    NoBinary {
        /// `clusterd` or `clusterctl`.
        program: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A command ran and said no.
    #[error("`{command}` failed ({status}): {message}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it wrote to its standard error.
        message: String,
    },
    /// A file or process operation failed.
    #[error("cannot {doing} {path}", path = .path.display())]
    Io {
        /// The verb, as in "read".
        doing: &'static str,
        /// The file, folder or program.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no lab where one was expected.
    #[error("no lab is up at {root}: start one with `cluster-lab up`", root = .root.display())]
    NotUp {
        /// The lab's folder.
        root: PathBuf,
    },
    /// There is a lab where none was expected.
    #[error("a lab of {hosts} hosts is up at {root}: remove it with `cluster-lab down` first", root = .root.display())]
    AlreadyUp {
        /// How many hosts it has.
        hosts: u8,
        /// The lab's folder.
        root: PathBuf,
    },
    /// The lab has no such host.
    #[error("the lab has no host {host}: its hosts are 1 to {hosts}")]
    NoSuchHost {
        /// The number asked for.
        host: u8,
        /// How many there are.
        hosts: u8,
    },
    /// The host's processes are gone.
    #[error(
        "host{host} is off: start it with `cluster-lab resume {host}`, or the lab anew with `cluster-lab down` and `up`"
    )]
    HostOff {
        /// The host's number.
        host: u8,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {limit:?}: look into {look}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// For how long.
        limit: Duration,
        /// Where the reason may be found.
        look: String,
    },
    /// An option that makes no sense.
    #[error("{0}")]
    Option(String),
    /// A program answered in a form that was not understood.
    #[error("`{command}` answered something unexpected: {problem}")]
    Answer {
        /// The command line.
        command: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// An image could not be described.
    #[error("{path}", path = .path.display())]
    Dockerfile {
        /// The Dockerfile.
        path: PathBuf,
        /// The line and the problem.
        #[source]
        source: crate::DockerfileError,
    },
}

impl LabError {
    /// Shorthand for an [`LabError::Io`] made in a `map_err`.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}
