//! Why a command failed: what to say, what to do next, and with which code to exit.
//!
//! Start with [`Failure`]; [`Failure::from_status`] is the map from the cluster's answers.

use crate::text;
use std::error::Error as StdError;
use std::io;
use tonic::{Code, Status};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The cluster, or a file, says no; or what was waited for did not come.
    Refused,
    /// The words make no sense.
    Usage,
    /// Nobody answered, or the outcome is not known.
    Unreachable,
    /// The code of a command that ran in a container.
    Passed(u8),
    /// Whoever read our output stopped reading: nothing is wrong.
    Quiet,
}

impl Exit {
    /// The code of the process.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Passed(code) => code,
            Self::Quiet => 0,
        }
    }
}

/// An error for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What is wrong; fit to be printed. Empty when there is nothing to say.
    pub(crate) message: String,
    /// What to do next; fit to be printed.
    pub(crate) next: Option<String>,
}

impl Failure {
    fn new(exit: Exit, message: &str) -> Self {
        Self { exit, message: text::safe_lines(message), next: None }
    }

    /// Somebody said no.
    pub(crate) fn refused(message: impl AsRef<str>) -> Self {
        Self::new(Exit::Refused, message.as_ref())
    }

    /// The words make no sense.
    pub(crate) fn usage(message: impl AsRef<str>) -> Self {
        Self::new(Exit::Usage, message.as_ref())
    }

    /// Nobody answered.
    pub(crate) fn unreachable(message: impl AsRef<str>) -> Self {
        Self::new(Exit::Unreachable, message.as_ref())
    }

    /// A command in a container ended with that code.
    pub(crate) fn passed(code: i64) -> Self {
        // A process that was killed has a code above 255 on no system; the shell's word for odd ones is 255.
        Self::new(Exit::Passed(u8::try_from(code).unwrap_or(255)), "")
    }

    /// The same with what to do next.
    pub(crate) fn next(mut self, next: impl AsRef<str>) -> Self {
        self.next = Some(text::safe_lines(next.as_ref()));
        self
    }

    /// A file that could not be read or written.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::refused(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// What the cluster answered, in the product's exit codes.
    pub(crate) fn from_status(status: &Status) -> Self {
        let said = status.message();
        let message = if said.is_empty() { status.code().description() } else { said };
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                Self::unreachable(message).next_for_unavailable(said)
            }
            _ if status.source().is_some() => Self::unreachable(format!(
                "the connection to clusterd broke ({})",
                root_cause(status)
            ))
            .next("try again; `clusterctl status` shows which nodes answer"),
            Code::Unauthenticated | Code::PermissionDenied => Self::refused(message).next(
                "use the socket of a node as root, or a context made with `clusterctl context new`",
            ),
            Code::Unimplemented => Self::refused("this cluster does not know that command")
                .next("compare `clusterctl version`; upgrade the older side"),
            Code::Internal | Code::Unknown | Code::DataLoss => Self::refused(message)
                .next("the log of clusterd on that node says more: `journalctl -u clusterd`"),
            _ => Self::refused(message),
        }
    }

    fn next_for_unavailable(self, said: &str) -> Self {
        if lacks_quorum(said) {
            return self.next(
                "bring the lost managers back; what runs keeps running meanwhile (`clusterctl status --stale`)",
            );
        }
        self.next("try again; `clusterctl status --stale` shows what this node knows")
    }
}

impl From<io::Error> for Failure {
    /// For writing to the terminal or a pipe.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Quiet, "");
        }
        Self::refused(format!("cannot write the output: {error}"))
    }
}

/// Whether the cluster said that it cannot decide anything now: repeating would not help. `no quorum (2/3)`
/// means that enough voters are there and have no leader yet, which passes.
pub(crate) fn lacks_quorum(message: &str) -> bool {
    let Some(rest) = message.strip_prefix("no quorum") else { return false };
    let counts = rest.trim_start_matches([' ', '(']).split([')', '/']);
    match *counts.map(|n| n.trim().parse::<u64>().ok()).take(2).collect::<Vec<_>>() {
        [Some(ready), Some(voters)] => ready * 2 <= voters,
        _ => true,
    }
}

/// What an error began with: the layers above it only say that they failed for it.
fn root_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// An error with its sources in one line, without repeating what was said already.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut current = Some(error);
    while let Some(error) = current {
        let text = error.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        current = error.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_exit_codes() {
        let code = |status: Status| Failure::from_status(&status).exit.code();
        assert_eq!(code(Status::failed_precondition("a")), 1);
        assert_eq!(code(Status::invalid_argument("a")), 1);
        assert_eq!(code(Status::already_exists("a")), 1);
        assert_eq!(code(Status::not_found("a")), 1);
        assert_eq!(code(Status::permission_denied("a")), 1);
        assert_eq!(code(Status::aborted("a")), 1);
        assert_eq!(code(Status::resource_exhausted("a")), 1);
        assert_eq!(code(Status::unavailable("leader changed, retry")), 3);
        assert_eq!(code(Status::unavailable("no quorum (1/3)")), 3);
        assert_eq!(code(Status::deadline_exceeded("a")), 3);
        assert_eq!(code(Status::from_error(Box::new(io::Error::other("reset")))), 3);
    }

    #[test]
    fn a_majority_without_a_leader_is_no_lost_quorum() {
        assert!(lacks_quorum("no quorum (1/3)"));
        assert!(lacks_quorum("no quorum (2/4)"));
        assert!(lacks_quorum("no quorum: nothing was stored; try again"));
        assert!(!lacks_quorum("no quorum (2/3)"));
        assert!(!lacks_quorum("leader changed, retry"));
    }

    #[test]
    fn attack_15_what_a_server_says_cannot_move_the_cursor() {
        let failure = Failure::from_status(&Status::not_found("no \x1b[2Jproject\nsecond line"));
        assert_eq!(failure.message, "no \\u{1b}[2Jproject\nsecond line");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit.code(), failure.message.as_str()), (0, ""));
    }

    #[test]
    fn codes_of_containers_pass_through() {
        assert_eq!(Failure::passed(7).exit.code(), 7);
        assert_eq!(Failure::passed(-1).exit.code(), 255);
    }
}
