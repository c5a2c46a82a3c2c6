//! A published port: listened on as soon as nobody else holds it, until it is published no longer.
//! Closing a door leaves the connections that came through it alone.

use crate::carry::carry;
use crate::core::{Core, Slot};
use crate::datagrams::{self, Socket};
use crate::http::welcome;
use crate::limits::{ACCEPT_PAUSE, BIND_AGAIN, BIND_AGAIN_MAX};
use crate::picture::Bind;
use crate::proxied::{self, Ends};
use crate::remark::Remark;
use crate::socket::{Listener, reset_on_close};
use model::Protocol;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Whether a published port is listened on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortState {
    /// Not tried yet.
    #[default]
    Opening,
    /// Clients are answered.
    Listening,
    /// A foreign process holds the port.
    Busy,
    /// This host does not have the address that the port is published on.
    NoSuchAddress,
    /// Something else is in the way.
    Failed(String),
}

/// Where those go who come in.
#[derive(Clone)]
pub(crate) enum Behind {
    /// To a replica of the service that publishes the port.
    Service,
    /// Their requests each to the service they name; over TLS where there is an acceptor.
    Http(Option<TlsAcceptor>),
}

/// A published port.
#[derive(Debug)]
pub(crate) struct Door {
    state: Arc<Mutex<PortState>>,
    end: CancellationToken,
}

impl Door {
    /// Opens it, now or as soon as possible.
    pub(crate) fn open(core: &Arc<Core>, bind: Bind, behind: Behind) -> Self {
        let state = Arc::new(Mutex::default());
        let end = CancellationToken::new();
        let (task_core, task_state, task_end) = (Arc::clone(core), Arc::clone(&state), end.clone());
        core.main.spawn(async move {
            task_end.run_until_cancelled(keep_open(task_core, bind, behind, &task_state)).await
        });
        Self { state, end }
    }

    pub(crate) fn state(&self) -> PortState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// A port that is ours.
enum Bound {
    Streams(Listener),
    Datagrams(Socket),
}

impl Bound {
    fn to(bind: Bind) -> io::Result<Self> {
        match bind.protocol {
            Protocol::Tcp => Listener::bind(bind).map(Self::Streams),
            Protocol::Udp => Socket::bind(bind).map(Self::Datagrams),
        }
    }
}

async fn keep_open(core: Arc<Core>, bind: Bind, behind: Behind, state: &Mutex<PortState>) {
    let mut wait = BIND_AGAIN;
    let bound = loop {
        match Bound::to(bind) {
            Ok(bound) => break bound,
            Err(error) => set(&core, bind, state, refusal(&error)),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BIND_AGAIN_MAX);
    };
    set(&core, bind, state, PortState::Listening);
    match bound {
        Bound::Streams(listener) => accept(&core, bind, &behind, &listener).await,
        Bound::Datagrams(socket) => datagrams::receive(&core, bind, Arc::new(socket)).await,
    }
}

async fn accept(core: &Arc<Core>, bind: Bind, behind: &Behind, listener: &Listener) {
    loop {
        let client = match listener.accept().await {
            Ok(client) => client,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        // One that is gone already has no address.
        let Ok(from) = client.peer_addr() else { continue };
        let proxied = core.proxied(from.ip());
        // Of what a balancer brings, the client is not known yet.
        let slot = if proxied { core.slot() } else { core.client_slot(from.ip()) };
        let Some(slot) = slot else {
            reset_on_close(&client);
            continue;
        };
        let lane = core.next_lane();
        let (core, handle, behind) = (Arc::clone(core), &core.lanes[lane].handle, behind.clone());
        if proxied {
            handle.spawn(async move {
                if let Some(incoming) = introduced(&core, client, slot).await {
                    lead(core, lane, bind, behind, incoming).await;
                }
            });
        } else {
            handle.spawn(async move {
                let Ok(stream) = TcpStream::from_std(client) else { return };
                let Ok(destination) = stream.local_addr() else { return };
                let ends = Ends { source: from, destination };
                lead(core, lane, bind, behind, Incoming { stream, ends, slot }).await;
            });
        }
    }
}

/// A connection of a known client.
pub(crate) struct Incoming {
    pub(crate) stream: TcpStream,
    pub(crate) ends: Ends,
    pub(crate) slot: Slot,
}

/// Hears from a balancer whose connection it is.
async fn introduced(core: &Core, client: std::net::TcpStream, slot: Slot) -> Option<Incoming> {
    let mut stream = TcpStream::from_std(client).ok()?;
    let own = Ends { source: stream.peer_addr().ok()?, destination: stream.local_addr().ok()? };
    match proxied::hear(&mut stream).await {
        Ok(said) => {
            let ends = said.unwrap_or(own);
            let slot = core.slot_of(ends.source.ip(), slot);
            if slot.is_none() {
                reset_on_close(&stream);
            }
            Some(Incoming { stream, ends, slot: slot? })
        }
        // Whoever only looks whether the port is open says nothing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => {
            core.misspoken(own.source, error.to_string());
            reset_on_close(&stream);
            None
        }
    }
}

/// Brings a client to what is behind the door.
async fn lead(core: Arc<Core>, lane: usize, bind: Bind, behind: Behind, client: Incoming) {
    match behind {
        Behind::Service => match core.served(bind) {
            Some(served) => carry(core, lane, client, served).await,
            None => reset_on_close(&client.stream),
        },
        Behind::Http(tls) => welcome(core, lane, client, tls).await,
    }
}

/// A client that gave up in the queue is its own affair; anything else (no file descriptors, no memory)
/// will not be better at once.
pub(crate) async fn pause_after(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn refusal(error: &io::Error) -> PortState {
    match error.kind() {
        io::ErrorKind::AddrInUse => PortState::Busy,
        io::ErrorKind::AddrNotAvailable => PortState::NoSuchAddress,
        _ => PortState::Failed(error.to_string()),
    }
}

fn set(core: &Core, bind: Bind, state: &Mutex<PortState>, new: PortState) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if *state == new {
        return;
    }
    *state = new.clone();
    drop(state);
    let why = match new {
        PortState::Opening => return,
        PortState::Listening => return core.remark(&Remark::PortOpen { bind }),
        PortState::Busy => "another process holds it".into(),
        PortState::NoSuchAddress => "this host does not have the address".into(),
        PortState::Failed(why) => why,
    };
    core.remark(&Remark::PortRefused { bind, why });
}
