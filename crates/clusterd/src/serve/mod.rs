//! The RPC services: each method checks who calls, does one thing, and answers.

pub(crate) mod admit;
pub(crate) mod containers;
pub(crate) mod contents;
mod limiter;
pub(crate) mod local;
pub(crate) mod members;
mod terminal;
mod watch;

use model::{ContentRefusal, Refusal};
use tonic::Status;

/// A refusal of the state machine as a status; the text is for people.
pub(crate) fn refusal(why: &Refusal) -> Status {
    let text = why.to_string();
    match why {
        Refusal::Content(ContentRefusal::Missing(_))
        | Refusal::NoNode(_)
        | Refusal::NoProject(_)
        | Refusal::NoService { .. }
        | Refusal::NothingToReplace(_) => Status::not_found(text),
        Refusal::NameInUse(_)
        | Refusal::AlreadyFounded
        | Refusal::Content(ContentRefusal::Exists(_)) => Status::already_exists(text),
        Refusal::Moved { .. } => Status::aborted(text),
        Refusal::TooManyRequests | Refusal::Limit { .. } => Status::resource_exhausted(text),
        _ => Status::failed_precondition(text),
    }
}
