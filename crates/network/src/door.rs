//! A published port: listened on as soon as nobody else holds it, until it is published no longer.
//! Closing a door leaves the connections that came through it alone.

use crate::carry::carry;
use crate::core::Core;
use crate::http::welcome;
use crate::limits::{ACCEPT_PAUSE, BIND_AGAIN, BIND_AGAIN_MAX};
use crate::picture::Bind;
use crate::remark::Remark;
use crate::socket::{Listener, reset_on_close};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
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

async fn keep_open(core: Arc<Core>, bind: Bind, behind: Behind, state: &Mutex<PortState>) {
    let mut wait = BIND_AGAIN;
    let listener = loop {
        match Listener::bind(bind) {
            Ok(listener) => break listener,
            Err(error) => set(&core, bind, state, refusal(&error)),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BIND_AGAIN_MAX);
    };
    set(&core, bind, state, PortState::Listening);
    accept(&core, bind, &behind, &listener).await;
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
        let Some(slot) = core.client_slot(from.ip()) else {
            reset_on_close(&client);
            continue;
        };
        let lane = core.next_lane();
        let (shared, handle) = (Arc::clone(core), &core.lanes[lane].handle);
        match behind {
            Behind::Service => match core.served(bind) {
                Some(served) => drop(handle.spawn(carry(shared, lane, client, served, slot))),
                None => reset_on_close(&client),
            },
            Behind::Http(tls) => {
                let (from, tls) = (from.ip(), tls.clone());
                handle.spawn(welcome(shared, lane, client, from, slot, tls));
            }
        }
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
