//! Repeating calls: the only place where this program tries again. A write is repeated under one request
//! id, so it happens once; when nobody confirms it within a minute its outcome is not known, and that is
//! what is said.

use crate::clock;
use crate::connect::Cluster;
use crate::failure::{Failure, chain, lacks_quorum};
use crate::session::Session;
use api::v1::RequestId;
use api::v1::admin_client::AdminClient;
use std::error::Error as StdError;
use std::time::{Duration, Instant};
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};

/// After which a write's outcome is not known. The cluster remembers request ids for longer than that.
const WRITE: Duration = Duration::from_secs(60);
/// After which a read is given up.
const READ: Duration = Duration::from_secs(10);
/// For one attempt at a read. The cluster falls back to a local one within a second or two.
const READ_CALL: Duration = Duration::from_secs(8);
/// After which a stream that nobody serves is given up.
const FOLLOW: Duration = Duration::from_secs(60);
/// First wait between two attempts, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);

type Client = AdminClient<Channel>;

/// Asks until there is an answer, at most for ten seconds.
pub(crate) async fn read<T>(
    cluster: &Cluster,
    mut call: impl AsyncFnMut(Client) -> Result<Response<T>, Status>,
) -> Result<T, Failure> {
    let started = clock::now();
    let mut waits = Waits::default();
    let mut connected = false;
    loop {
        let failure = match cluster.admin().await {
            Ok(client) => {
                connected = true;
                match tokio::time::timeout(READ_CALL, call(client)).await {
                    Ok(Ok(reply)) => return Ok(reply.into_inner()),
                    Ok(Err(status)) if worth_repeating(&status) => Failure::from_status(&status),
                    Ok(Err(status)) => return Err(Failure::from_status(&status)),
                    Err(_) => Failure::unreachable("no answer in time"),
                }
            }
            Err(failure) => failure,
        };
        if !connected || started.elapsed() > READ {
            return Err(failure);
        }
        cluster.forget();
        tokio::time::sleep(waits.next()).await;
    }
}

/// A stream that is asked for again when its connection breaks, or the node at its other end goes away:
/// `call` asks for what `state` does not hold yet, `each` takes one item in. It ends with the stream when
/// `finite`, otherwise never; with an error when nobody serves it for a minute.
pub(crate) async fn follow<S, T>(
    session: &Session,
    state: &mut S,
    finite: bool,
    call: impl AsyncFn(Client, &mut S) -> Result<Response<Streaming<T>>, Status>,
    each: impl Fn(&mut S, &T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut begun, mut waits) = (false, Waits::default());
    let mut broken: Option<Instant> = None;
    loop {
        let failure = match session.cluster.admin().await {
            Ok(client) => match call(client, state).await {
                Ok(reply) => {
                    begun = true;
                    let mut stream = reply.into_inner();
                    loop {
                        match stream.message().await {
                            Ok(Some(item)) => {
                                (broken, waits) = (None, Waits::default());
                                each(state, &item)?;
                            }
                            Ok(None) if finite => return Ok(()),
                            Ok(None) => break Failure::unreachable("the node has ended it"),
                            Err(status) => break resumed(&status, begun)?,
                        }
                    }
                }
                Err(status) => resumed(&status, begun)?,
            },
            Err(failure) => failure,
        };
        let since = *broken.get_or_insert_with(clock::now);
        if !begun || since.elapsed() > FOLLOW {
            return Err(failure);
        }
        if waits.made == 0 {
            session.out.warn(&format!("{} (asking again)", failure.message));
        }
        session.cluster.forget();
        tokio::time::sleep(waits.next()).await;
    }
}

/// The failure after which a stream is asked for again, or the one that ends it. A node that has just come back
/// may not know yet what it is asked about.
fn resumed(status: &Status, begun: bool) -> Result<Failure, Failure> {
    let passing = matches!(status.code(), Code::NotFound | Code::FailedPrecondition);
    let failure = Failure::from_status(status);
    if worth_repeating(status) || begun && passing { Ok(failure) } else { Err(failure) }
}

/// A write under one request id: `stamp` is the cluster time that a read told.
pub(crate) async fn write<T>(
    cluster: &Cluster,
    stamp: u64,
    mut call: impl AsyncFnMut(Client, RequestId) -> Result<Response<T>, Status>,
) -> Result<T, Failure> {
    let (high, low) = identity::random::request_bits();
    let id = RequestId { stamp, high, low };
    let started = clock::now();
    let mut waits = Waits::default();
    // What the latest attempt that may have been carried out ended with.
    let mut uncertain: Option<String> = None;
    loop {
        let left = WRITE.saturating_sub(started.elapsed());
        let status = match (cluster.admin().await, &uncertain) {
            (Ok(client), _) => match tokio::time::timeout(left, call(client, id)).await {
                Ok(Ok(reply)) => return Ok(reply.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => return Err(unknown("no answer in time")),
            },
            (Err(failure), None) => return Err(failure),
            (Err(failure), Some(_)) => Status::unavailable(failure.message),
        };
        if !worth_repeating(&status) {
            return Err(last_word(&status, uncertain.is_some()));
        }
        let said =
            if status.message().is_empty() { chain(&status) } else { status.message().to_owned() };
        let pause = waits.next();
        if started.elapsed() + pause > WRITE {
            return Err(unknown(&said));
        }
        uncertain = Some(said);
        cluster.forget();
        tokio::time::sleep(pause).await;
    }
}

/// An answer that ends the attempts. A lost quorum is not the whole truth when an attempt before it may have
/// been carried out; and even the first one may be, should the quorum have been lost this very moment.
fn last_word(status: &Status, uncertain: bool) -> Failure {
    let failure = Failure::from_status(status);
    match (status.code(), uncertain) {
        (Code::Unavailable, true) => unknown(&failure.message),
        (Code::Unavailable, false) => failure.next(
            "bring the lost managers back, then look whether the change was made before repeating it",
        ),
        _ => failure,
    }
}

fn unknown(why: &str) -> Failure {
    Failure::unreachable(format!("outcome unknown: {why}")).next(
        "the change may or may not have been made; look with `clusterctl status`, `ls` and `ps` before repeating it",
    )
}

/// Whether the same call may succeed in a moment: the leader changed, the connection broke.
pub(crate) fn worth_repeating(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => !lacks_quorum(status.message()),
        Code::DeadlineExceeded | Code::Cancelled => true,
        // A status that was made here, because the connection broke, has a source; one from the wire has none.
        _ => status.source().is_some(),
    }
}

/// Growing pauses with chance in them, so that many who wait do not come back at once.
#[derive(Default)]
struct Waits {
    made: u32,
}

impl Waits {
    fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.made.min(8)).min(LONGEST);
        self.made += 1;
        let chance = identity::random::request_bits().0 % 1_000;
        full / 2 + (full / 2).mul_f64(chance as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_repeated() {
        assert!(worth_repeating(&Status::unavailable("leader changed, retry")));
        assert!(worth_repeating(&Status::unavailable("")));
        assert!(worth_repeating(&Status::from_error(Box::new(std::io::Error::other("reset")))));
        assert!(!worth_repeating(&Status::unavailable("no quorum (1/3)")));
        assert!(!worth_repeating(&Status::failed_precondition("no")));
        assert!(!worth_repeating(&Status::unknown("from the wire")));
        assert!(!worth_repeating(&Status::aborted("somebody else changed shop")));
    }

    #[test]
    fn a_refusal_after_a_doubtful_attempt_is_the_truth_but_a_lost_quorum_is_not() {
        assert!(
            last_word(&Status::unavailable("no quorum (1/3)"), true)
                .message
                .starts_with("outcome unknown")
        );
        assert_eq!(
            last_word(&Status::unavailable("no quorum (1/3)"), false).message,
            "no quorum (1/3)"
        );
        assert_eq!(last_word(&Status::not_found("no project"), true).message, "no project");
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut waits = Waits::default();
        let pauses: Vec<Duration> = (0..12).map(|_| waits.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[11] <= LONGEST && pauses[11] >= LONGEST / 2);
        assert!(pauses.iter().all(|p| *p <= LONGEST));
    }
}
