//! A managing member's duties: it watches every node, judges them while it leads, plans while it leads,
//! and says what its driver should do about it.
//!
//! This crate sees a *log* (states that were applied, proposals that ended), never Raft; it reads no
//! clock, opens no socket and draws no random number. Everything that can happen to a manager is an
//! [`Input`], everything it wants done is an [`Output`].
//!
//! Start with [`Input`], then [`Manager::handle`], then `judge.rs` for the rules of liveness.

mod input;
mod judge;
mod leader;
mod links;
mod manager;
mod probes;
mod table;

pub use input::{Ended, Event, Input, Output, ProposalId};
pub use links::Link;
pub use manager::Manager;
