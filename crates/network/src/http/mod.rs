//! Requests over HTTP: one port, and one for TLS, that all services with rules share on every node.
//!
//! A client's way: `listen` accepts, `serve` speaks HTTP/1 or HTTP/2 with it, `answer` finds out whose each
//! request is ([`Router`], a value) and `forward` brings it to a replica, over a connection from the lane's
//! `pool` or a new one; `tunnel` carries what becomes a WebSocket. What may be said is judged in `target` and
//! `headers`, how slowly in `pace`. Messages are taken apart and put together anew, never passed on as they
//! came: what two servers could read in two ways does not reach the second.

mod answer;
mod body;
mod forward;
mod headers;
mod listen;
mod meter;
mod pace;
mod pool;
mod router;
mod serve;
mod settings;
mod table;
mod target;
mod tunnel;

pub(crate) use listen::{Entrances, welcome};
pub use meter::{HttpCounts, LATENCY_BOUNDS};
pub(crate) use pool::Pool;
pub use router::Router;
pub use settings::{HttpSettings, Patience, TakeCertificates};
pub(crate) use table::Http;
