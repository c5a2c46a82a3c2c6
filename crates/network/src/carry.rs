//! One client's connection, from accept to the last byte.
//!
//! While no replica takes it, it is held, for [`HOLD`](crate::limits::HOLD) at most: a replica that is
//! just being replaced costs the client a moment, not an error. Then it is reset.

use crate::core::Core;
use crate::counters::{Open, count};
use crate::dial::{Miss, Reached, reach};
use crate::door::Incoming;
use crate::proxied::{self, Ends};
use crate::pump::pump;
use crate::remark::Remark;
use crate::route::{Served, Target, Ticket};
use crate::search::Search;
use crate::socket;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// Carries one client's connection to a replica of `served`, on the lane it runs on.
pub(crate) async fn carry(core: Arc<Core>, lane: usize, client: Incoming, served: Arc<Served>) {
    let Incoming { stream: mut client, ends, slot } = client;
    socket::tune(&client);
    let counters = &served.counters;
    count(&counters.total);
    let open = Open::new(&counters.open);
    let placed = place(&core, lane, &served, ends);
    let placed = tokio::time::timeout(core.config.hold, placed).await;
    let Ok((ticket, Reached { mut stream, link })) = placed else {
        count(&counters.unanswered);
        socket::reset_on_close(&client);
        return;
    };
    let carried = pump(&mut client, &mut stream, &counters.sent, &counters.received);
    let carried = match link {
        None => carried.await.is_ok(),
        Some(link) => matches!(link.run_until_cancelled(carried).await, Some(Ok(()))),
    };
    if !carried {
        socket::reset_on_close(&client);
        stream.reset();
    }
    drop((ticket, open, slot));
}

/// Finds a replica that takes a connection; goes on until the caller gives up.
async fn place(
    core: &Arc<Core>,
    lane: usize,
    served: &Arc<Served>,
    ends: Ends,
) -> (Ticket, Reached) {
    let (mut search, mut tried) = (Search::new(core), Vec::new());
    loop {
        let (ticket, target) = search.next(core, served, &mut tried).await;
        let reached = match reach(core, lane, &target, search.patience).await {
            Ok(reached) if target.told => introduce(reached, ends).await,
            reached => reached,
        };
        match reached {
            Ok(reached) => {
                ticket.answered();
                return (ticket, reached);
            }
            Err(miss) => {
                tried.push(target.task);
                missed(core, ticket, &target, &miss);
            }
        }
    }
}

/// Tells a replica that wants to know it who its client is, before anything else.
async fn introduce(mut reached: Reached, ends: Ends) -> Result<Reached, Miss> {
    let said = reached.stream.write_all(&proxied::written(ends)).await;
    said.map(|()| reached).map_err(|error| Miss::Replica(error.to_string()))
}

/// Notes against a replica that it did not take a connection.
pub(crate) fn missed(core: &Core, ticket: Ticket, target: &Target, miss: &Miss) {
    let why = match miss {
        Miss::Replica(why) | Miss::Node(why) => why.clone(),
        // Nothing is known against the replica: it may be picked again in the next round.
        Miss::Slow => return,
    };
    if ticket.missed(core.clock.now(), target, miss) {
        core.remark(&Remark::Ejected { task: target.task, why });
    }
}
