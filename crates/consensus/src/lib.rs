//! The replicated log: commands go in anywhere, come out in the same order everywhere, and are applied to
//! `model::State`. Owns openraft, its storage on disk and its transport over tonic; nobody else names
//! their types. Decides nothing about the cluster: what a command means is `model`'s business, who should
//! vote is the planner's, and TLS is the caller's (a [`Connector`] and a [`PeerCheck`] are arguments).
//!
//! Start with [`Log::open`], then `propose.rs` (the way of a command) and `leading.rs` (who leads).
//!
//! What holds about disks: every log file carries 128 random bits, and the members know each other by
//! them. A member whose disk was wiped is another disk: it is sent nothing, asked for no vote, and an empty
//! log founds nothing by itself, so it can neither vote under its old identity nor make a second cluster.

mod clock;
mod encoding;
mod error;
mod forward;
#[cfg(test)]
mod golden;
mod leading;
mod log;
mod machine;
mod open;
mod propose;
mod reconcile;
mod snapshots;
#[cfg(test)]
mod stops;
mod store;
mod transport;
mod types;

pub use error::{
    Fatal, FoundError, OpenError, ProposeError, ReadError, ReconcileError, TransferError,
};
pub use leading::Leadership;
pub use log::{Log, Metrics, ReadMark};
pub use open::Config;
pub use transport::peers::Connector;
pub use transport::service::{PeerCheck, RaftService, Service};

/// Identity of every founder: the first entry of a log holds its first member, the second the first
/// leader's blank, the third (index 2) the founding command.
pub const FOUNDER: model::NodeId = model::NodeId(2);
