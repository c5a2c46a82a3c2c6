//! Proposals on their way to the leader: those that wait at the same time travel in one call. Knows no Raft;
//! who leads, and how long an answer is awaited, is the proposer's business (`propose.rs`).

use crate::encoding::Blob;
use crate::propose::ANSWER;
use crate::transport::peers::{Lane, Method, Peers};
use crate::transport::wire::Proposed;
use crate::types::Member;
use model::limits::ENTRY_BYTES;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Calls on their way at once; what comes meanwhile gathers for the next.
const CALLS: usize = 4;
/// How long proposals gather when so many are on their way. A call that hangs must not hold up the others.
const GATHER: Duration = Duration::from_millis(20);
/// Proposals in one call.
const PROPOSALS: usize = 256;

/// One proposal on its way.
struct Parcel {
    leader: (u64, Member),
    proposal: Blob,
    answer: oneshot::Sender<Proposed>,
}

/// Sends proposals to the leader.
pub(crate) struct Forwarder(mpsc::UnboundedSender<Parcel>);

impl Forwarder {
    /// Starts the task that sends. It ends with the forwarder.
    pub(crate) fn start(peers: Arc<Peers>) -> Self {
        let (sender, waiting) = mpsc::unbounded_channel();
        tokio::spawn(run(peers, waiting));
        Self(sender)
    }

    /// The leader's answer to a sealed proposal; `None` when the call brought none, so that nobody knows what
    /// came of it.
    pub(crate) async fn send(&self, leader: (u64, Member), proposal: Blob) -> Option<Proposed> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Parcel { leader, proposal, answer }).ok()?;
        answered.await.ok()
    }
}

async fn run(peers: Arc<Peers>, mut waiting: mpsc::UnboundedReceiver<Parcel>) {
    let room = Arc::new(Semaphore::new(CALLS));
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(parcel) => parcel,
            None => match waiting.recv().await {
                Some(parcel) => parcel,
                None => return,
            },
        };
        let permit = tokio::time::timeout(GATHER, Arc::clone(&room).acquire_owned()).await;
        let batch;
        (batch, next) = gather(first, &mut waiting);
        let peers = Arc::clone(&peers);
        tokio::spawn(async move {
            call(&peers, batch).await;
            drop(permit);
        });
    }
}

/// What waits for the same leader and fits into one call; and the first parcel that does not belong to it.
fn gather(
    first: Parcel,
    waiting: &mut mpsc::UnboundedReceiver<Parcel>,
) -> (Vec<Parcel>, Option<Parcel>) {
    let mut bytes = first.proposal.0.len();
    let mut batch = vec![first];
    while batch.len() < PROPOSALS
        && let Ok(parcel) = waiting.try_recv()
    {
        bytes += parcel.proposal.0.len();
        if bytes > ENTRY_BYTES || parcel.leader != batch[0].leader {
            return (batch, Some(parcel));
        }
        batch.push(parcel);
    }
    (batch, None)
}

/// One call. Dropping an answer tells its proposer that there is none.
async fn call(peers: &Peers, batch: Vec<Parcel>) {
    let (node, member) = batch[0].leader.clone();
    let (proposals, answers): (Vec<Blob>, Vec<_>) =
        batch.into_iter().map(|p| (p.proposal, p.answer)).unzip();
    let way = (Lane::Bulk, Method::Propose);
    let called = peers.call::<Vec<Proposed>>((node, &member), way, &proposals, ANSWER).await;
    for (answer, proposed) in answers.into_iter().zip(called.unwrap_or_default()) {
        // Whoever asked may have given up.
        let _ = answer.send(proposed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(leader: u64, bytes: usize) -> Parcel {
        let member = Member { address: ([127, 0, 0, 1], 1).into(), disk: String::new() };
        let proposal = Blob(vec![0; bytes].into());
        Parcel { leader: (leader, member), proposal, answer: oneshot::channel().0 }
    }

    fn gathered(parcels: impl IntoIterator<Item = Parcel>) -> (usize, bool) {
        let (sender, mut waiting) = mpsc::unbounded_channel();
        let mut parcels = parcels.into_iter();
        let first = parcels.next().expect("there is one");
        for parcel in parcels {
            assert!(sender.send(parcel).is_ok());
        }
        let (batch, next) = gather(first, &mut waiting);
        (batch.len(), next.is_some())
    }

    #[test]
    fn what_waits_for_one_leader_goes_together() {
        assert_eq!(gathered((0..3).map(|_| parcel(1, 10))), (3, false));
        assert_eq!(gathered([parcel(1, 10), parcel(1, 10), parcel(2, 10)]), (2, true));
    }

    #[test]
    fn a_call_is_bounded_in_number_and_size() {
        assert_eq!(gathered((0..PROPOSALS + 5).map(|_| parcel(1, 1))), (PROPOSALS, false));
        assert_eq!(gathered([parcel(1, ENTRY_BYTES), parcel(1, 1)]), (1, true));
    }
}
