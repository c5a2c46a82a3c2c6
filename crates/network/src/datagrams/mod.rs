//! Published UDP ports. UDP has no connections, so a *flow* stands for one: what a client's socket sends to a port
//! goes to the same replica for as long as the two speak. How many flows there may be, and how long a silent one
//! lasts, is in `limits`.
//!
//! `socket` is the port itself, `flow` one flow, `upstream` the way to a replica.

mod flow;
mod socket;
mod upstream;

use crate::core::Core;
use crate::door::pause_after;
use crate::limits::{CHUNK, FLOW_QUEUE, FLOW_SWEEP};
use crate::picture::Bind;
use bytes::Bytes;
use flow::Flow;
use socket::Arrived;
pub(crate) use socket::Socket;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::mpsc::{self, error::TrySendError};
pub(crate) use upstream::{to, unpack};

/// The flows of a port: by the client's address, and by the address of this host that it speaks to.
type Flows = BTreeMap<(SocketAddr, Option<IpAddr>), mpsc::Sender<Bytes>>;

/// Hands what arrives at a port to its flows, for as long as it is polled. They end with it.
pub(crate) async fn receive(core: &Arc<Core>, bind: Bind, socket: Arc<Socket>) {
    let mut flows = Flows::new();
    let mut buffer = vec![0; CHUNK];
    let mut sweep = tokio::time::interval(FLOW_SWEEP);
    loop {
        let arrived = tokio::select! {
            arrived = socket.receive(&mut buffer) => arrived,
            _ = sweep.tick() => {
                flows.retain(|_, flow| !flow.is_closed());
                continue;
            }
        };
        match arrived {
            Ok(arrived) => {
                let whole = &buffer[..arrived.length];
                // An empty datagram is one as well.
                let empty = whole.is_empty().then_some(whole);
                for bytes in empty.into_iter().chain(whole.chunks(arrived.each.max(1))) {
                    let bytes = Bytes::copy_from_slice(bytes);
                    hand_over(core, bind, &socket, &mut flows, arrived, bytes);
                }
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Gives a datagram to its flow, a new one where there is none. One that there is no room for is dropped.
fn hand_over(
    core: &Arc<Core>,
    bind: Bind,
    socket: &Arc<Socket>,
    flows: &mut Flows,
    arrived: Arrived,
    bytes: Bytes,
) {
    let Arrived { client, at, .. } = arrived;
    let bytes = match flows.get(&(client, at)) {
        Some(flow) => match flow.try_send(bytes) {
            Ok(()) | Err(TrySendError::Full(_)) => return,
            Err(TrySendError::Closed(bytes)) => bytes,
        },
        None => bytes,
    };
    let Some(served) = core.served(bind) else { return };
    let Some(slot) = core.flow_slot(client.ip()) else { return };
    let (sender, arrivals) = mpsc::channel(FLOW_QUEUE);
    // There is room: it is new.
    let _ = sender.try_send(bytes);
    flows.insert((client, at), sender);
    let lane = core.next_lane();
    let (shared, socket) = (Arc::clone(core), Arc::clone(socket));
    let flow = Flow { core: shared, lane, served, socket, client, at, arrivals, _slot: slot };
    core.lanes[lane].handle.spawn(flow.carry());
}
