//! The encrypted carrier: the protocol of `WireGuard` between the nodes' edges, by the library `boringtun`.
//!
//! Packets of containers that are for other hosts are routed to a TUN device, whose other end this is. Start
//! with `wire` (the device, the socket, the threads), then `tunnels` (whose is what; pure but for the library's
//! clock and keys of the moment), then `tunnel` (one other node).

mod batch;
mod key;
mod socket;
#[cfg(test)]
mod tests;
mod tunnel;
mod tunnels;
mod wire;

pub use key::{KeyError, NewKey, new_key, read_key};
pub(super) use key::{public, read};
pub(super) use wire::Wire;
