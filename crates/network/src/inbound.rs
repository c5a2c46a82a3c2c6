//! Connections from other edges: who may speak, and what may be asked.
//!
//! Never an open relay: a caller names a task and a port, and is connected only when this node's own
//! picture has that task here, behind a published port with that target. No address is ever taken from
//! the other side.

use crate::core::{Core, Slot};
use crate::counters::{Open, count};
use crate::datagrams;
use crate::dial;
use crate::door::pause_after;
use crate::limits::{HANDSHAKE, HANDSHAKES, HANDSHAKES_PER_ADDRESS, IDLE, IDLE_PER_NODE};
use crate::peer::within;
use crate::picture::Current;
use crate::pump::pump;
use crate::security::Security;
use crate::socket::{self, Listener};
use crate::stream::Stream;
use crate::tally::Tally;
use crate::wire::{self, Answer, Connect, Greeting, Question};
use model::{NodeId, Protocol};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::{TlsAcceptor, TlsStream};

/// Who is being dealt with, so that nobody can take all there is.
#[derive(Debug)]
pub(crate) struct Guards {
    handshakes: Arc<Tally<IpAddr>>,
    idle: Arc<Tally<NodeId>>,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            handshakes: Arc::new(Tally::new(HANDSHAKES, HANDSHAKES_PER_ADDRESS)),
            idle: Arc::new(Tally::new(usize::MAX, IDLE_PER_NODE)),
        }
    }
}

/// Takes connections from other edges for as long as it is polled.
pub(crate) async fn accept(core: Arc<Core>, listener: Listener) {
    loop {
        let tcp = match listener.accept().await {
            Ok(tcp) => tcp,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Ok(from) = tcp.peer_addr() else { continue };
        let Some(turn) = core.guards.handshakes.enter(from.ip().to_canonical()) else { continue };
        let lane = core.next_lane();
        let shared = Arc::clone(&core);
        core.lanes[lane].handle.spawn(async move {
            let welcomed = within(HANDSHAKE, welcome(&shared, tcp)).await;
            drop(turn);
            match welcomed {
                Ok((stream, greeting)) => listen(&shared, stream, &greeting).await,
                Err(why) => shared.stranger(from, why.to_string()),
            }
        });
    }
}

/// Finds out who is there.
async fn welcome(core: &Core, tcp: std::net::TcpStream) -> io::Result<(Stream, Greeting)> {
    let tcp = TcpStream::from_std(tcp)?;
    socket::tune(&tcp);
    let mut holder = None;
    let mut stream = match &core.config.security {
        Security::Plain => Stream::Plain(tcp),
        Security::Tls(tls) => {
            let config = (tls.server)().ok_or_else(|| io::Error::other("no identity yet"))?;
            let stream = TlsAcceptor::from(config).accept(tcp).await?;
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            holder = Some((tls.holder)(chain).ok_or_else(|| refused("not a node's certificate"))?);
            Stream::Tls(Box::new(TlsStream::Server(stream)))
        }
    };
    let greeting = wire::greeted(&mut stream).await?;
    if holder.is_some_and(|(cluster, node)| cluster != greeting.cluster || node != greeting.node) {
        return Err(refused("it greets as another node than its certificate's"));
    }
    if !core.picture.borrow().admits(&greeting.cluster, greeting.node) {
        return Err(refused("not a node of this cluster"));
    }
    wire::answer(&mut stream, Answer::Here).await?;
    Ok((stream, greeting))
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Answers what a known node asks, until it has been connected to a replica and that has ended.
async fn listen(core: &Core, stream: Stream, greeting: &Greeting) {
    let Some(idle) = core.guards.idle.enter(greeting.node) else { return };
    let removed = core.admission(greeting.node);
    let connected = removed.run_until_cancelled(answer(core, stream, greeting)).await;
    drop(idle);
    let Some(Ok((mut caller, replica, slot))) = connected else { return };
    let counters = &core.for_others;
    count(&counters.total);
    let open = Open::new(&counters.open);
    match replica {
        Replica::Stream(replica) => {
            let mut replica = Stream::Plain(replica);
            let carried = pump(&mut caller, &mut replica, &counters.sent, &counters.received);
            if !matches!(removed.run_until_cancelled(carried).await, Some(Ok(()))) {
                caller.reset();
                replica.reset();
            }
        }
        Replica::Datagrams(replica) => {
            removed.run_until_cancelled(datagrams::unpack(caller, replica, counters)).await;
        }
    }
    drop((open, slot));
}

/// A replica as a caller is connected to it.
enum Replica {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

async fn answer(
    core: &Core,
    mut stream: Stream,
    greeting: &Greeting,
) -> io::Result<(Stream, Replica, Slot)> {
    loop {
        let question = within(IDLE, wire::asked(&mut stream)).await?;
        if !core.picture.borrow().admits(&greeting.cluster, greeting.node) {
            return Err(refused("no longer a node of this cluster"));
        }
        let answer = match question {
            Question::Ping => Answer::Here,
            Question::Connect(connect) => match replica(core, connect).await {
                Ok((replica, slot)) => {
                    wire::answer(&mut stream, Answer::Connected).await?;
                    return Ok((stream, replica, slot));
                }
                Err(answer) => {
                    count(&core.for_others.failures);
                    answer
                }
            },
        };
        wire::answer(&mut stream, answer).await?;
    }
}

/// Connects to the replica that is asked for.
async fn replica(core: &Core, connect: Connect) -> Result<(Replica, Slot), Answer> {
    let begun = core.clock.now();
    let find = |current: &Current| current.local(connect.task, connect.target, connect.protocol);
    let mut changes = core.picture.subscribe();
    let newer =
        changes.wait_for(|current| current.index() >= connect.index || find(current).is_some());
    let _ = tokio::time::timeout(connect.patience / 2, newer).await;
    let (found, index) = {
        let current = core.picture.borrow();
        (find(&current), current.index())
    };
    let (address, serving) = found.ok_or(Answer::Unknown)?;
    // A caller with a newer picture knows better.
    if !serving && index >= connect.index {
        return Err(Answer::Leaving);
    }
    let slot = core.slot().ok_or(Answer::Full)?;
    let left = connect.patience.saturating_sub(core.clock.now().since(begun));
    let replica = match connect.protocol {
        Protocol::Tcp => dial::local(address, left).await.map(Replica::Stream),
        Protocol::Udp => datagrams::to(address, None).await.map(Replica::Datagrams),
    };
    match replica {
        Ok(replica) => Ok((replica, slot)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Answer::Silent),
        Err(_) => Err(Answer::Refused),
    }
}
