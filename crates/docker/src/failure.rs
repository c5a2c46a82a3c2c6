//! What can go wrong at the boundary to the engine, and what the agent is told of it.

use agent::ActionResult;
use bollard::errors::Error;
use std::time::Duration;

/// What went wrong in talking to the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It did not answer, or not in time: what became of the request is not known.
    #[error("the container engine does not answer: {0}")]
    Unanswered(String),
    /// It said no.
    #[error("{message}")]
    Refused {
        /// Status of the HTTP response; zero when the answer had begun well.
        status: u16,
        /// Its words.
        message: String,
    },
    /// Its answer makes no sense.
    #[error("the container engine's answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message: one_line(&message) }
            }
            Error::DockerStreamError { error } => {
                Self::Refused { status: 0, message: one_line(&error) }
            }
            Error::JsonDataError { message, .. } => Self::Unreadable(message),
            Error::JsonSerdeError { err } => Self::Unreadable(err.to_string()),
            other => Self::Unanswered(with_causes(&other)),
        }
    }
}

impl Failure {
    /// There is no such thing.
    pub(crate) fn not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Something of that name is there, or is being changed.
    pub(crate) fn conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// The words contain one of these, whatever their case.
    pub(crate) fn says(&self, any: &[&str]) -> bool {
        let text = self.to_string().to_lowercase();
        any.iter().any(|words| text.contains(words))
    }

    /// What the agent is told, where only time can help against an internal error of the engine.
    pub(crate) fn into_result(self) -> ActionResult {
        match self {
            Self::Unanswered(why) => ActionResult::Unanswered(why),
            Self::Refused { status: 0 | 409 | 500.., message } => ActionResult::Again(message),
            Self::Refused { message, .. } => ActionResult::Never(message),
            Self::Unreadable(_) => ActionResult::Again(self.to_string()),
        }
    }
}

/// Waits for an answer, at most `deadline`.
pub(crate) async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::Unanswered(format!("nothing within {} s", deadline.as_secs()))),
    }
}

/// The engine's words as one line without control characters: they end up in tables and terminals.
fn one_line(text: &str) -> String {
    let cleaned = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    cleaned.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = one_line(&error.to_string());
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let words = one_line(&deeper.to_string());
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = deeper.source();
    }
    text
}
