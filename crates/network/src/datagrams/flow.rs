//! What one client's socket and one replica say to each other. A replica is chosen for the first datagram and kept
//! until nothing was said for a while, or the replica is gone.

use crate::carry::missed;
use crate::core::{Core, Slot};
use crate::counters::{Open, count};
use crate::datagrams::socket::Socket;
use crate::datagrams::upstream::Upstream;
use crate::dial::Miss;
use crate::limits::{ANSWER_AGAIN, FLOW_BRIEF, FLOW_IDLE};
use crate::route::{Served, Target, Ticket};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// One flow.
pub(super) struct Flow {
    pub(super) core: Arc<Core>,
    pub(super) lane: usize,
    pub(super) served: Arc<Served>,
    pub(super) socket: Arc<Socket>,
    pub(super) client: SocketAddr,
    /// The address of this host that the client sends to.
    pub(super) at: Option<IpAddr>,
    /// What the client sends; ends when the port is published no longer.
    pub(super) arrivals: mpsc::Receiver<Bytes>,
    /// Its place among the flows.
    pub(super) _slot: Slot,
}

/// Why a flow with one replica is over.
enum Over {
    /// Nobody says anything any more.
    Idle,
    /// The replica takes nothing; what it did not answer, for another one.
    Gone(String, Option<Bytes>),
    /// The replica has ended; what the client said next, for another one.
    Left(Bytes),
}

impl Flow {
    /// Carries it to its end.
    pub(super) async fn carry(mut self) {
        let served = Arc::clone(&self.served);
        count(&served.counters.total);
        let _open = Open::new(&served.counters.open);
        let mut tried = Vec::new();
        let Some(mut first) = self.arrivals.recv().await else { return };
        loop {
            let (now, here) = (self.core.clock.now(), self.core.node());
            let Some((ticket, target)) = served.pick(now, here, &tried) else {
                // Nothing is held back for a replica to come: who uses UDP asks again.
                return count(&served.counters.unanswered);
            };
            let reached = Upstream::reach(&self.core, self.lane, &target, ANSWER_AGAIN).await;
            let over = match reached {
                Ok(mut upstream) => self.exchange(&mut upstream, &target, &ticket, first).await,
                Err(miss) => {
                    tried.push(target.task);
                    missed(&self.core, ticket, &target, &miss);
                    continue;
                }
            };
            first = match over {
                Over::Idle => return,
                Over::Left(next) => {
                    tried.clear();
                    next
                }
                Over::Gone(why, unanswered) => {
                    tried.push(target.task);
                    missed(&self.core, ticket, &target, &Miss::Replica(why));
                    let Some(again) = unanswered else { return };
                    again
                }
            };
        }
    }

    async fn exchange(
        &mut self,
        upstream: &mut Upstream,
        target: &Target,
        ticket: &Ticket,
        first: Bytes,
    ) -> Over {
        let served = Arc::clone(&self.served);
        let mut answered = false;
        // Until the client has seen an answer and spoken again it may not be who it says.
        let mut patience = FLOW_BRIEF;
        let mut unanswered = Some(first.clone());
        let mut next = Some(first);
        loop {
            if let Some(bytes) = next.take() {
                add(&served.counters.sent, &bytes);
                if let Err(error) = upstream.send(&bytes).await {
                    return Over::Gone(error.to_string(), Some(bytes));
                }
            }
            tokio::select! {
                answer = upstream.receive() => match answer {
                    Ok(answer) => {
                        unanswered = None;
                        if !answered {
                            answered = true;
                            ticket.answered();
                        }
                        add(&served.counters.received, &answer);
                        // A client that is gone is noticed by its silence.
                        let _ = self.socket.send(&answer, self.client, self.at).await;
                    }
                    Err(error) => return Over::Gone(error.to_string(), unanswered),
                },
                said = timeout(patience, self.arrivals.recv()) => {
                    let Ok(Some(said)) = said else { return Over::Idle };
                    if !served.holds(target.task) {
                        return Over::Left(said);
                    }
                    if answered {
                        patience = FLOW_IDLE;
                    } else {
                        unanswered = Some(said.clone());
                    }
                    next = Some(said);
                }
            }
        }
    }
}

fn add(counter: &AtomicU64, bytes: &Bytes) {
    counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
}
