//! The whole cluster on virtual time, from one seed: real managers and agents, a modelled log, network and
//! container engines, people and faults.
//!
//! A run is one thread and draws every chance from one generator, so the same seed gives the same trace.
//! Nothing here reads a clock or a file. Start with `cluster.rs` (what there is, and what can happen),
//! then `raft.rs` (the modelled log), then the files under `invariants/` (what must always be true).
//!
//! [`run`] is the seeded simulation; [`scenario::replay`] plays a script in plain text; [`reduce`] makes a
//! short one of what a seed broke.

mod cluster;
mod duties;
mod engine;
mod founding;
mod host;
mod hosts;
mod invariants;
mod log;
mod membership;
mod moved;
mod network;
mod people;
mod program;
mod queue;
mod raft;
mod random;
mod run;
pub mod scenario;
mod sessions;
mod shrink;
mod trace;
mod trouble;
mod workload;

pub use run::{Report, Size, run};
pub use shrink::{Reduced, reduce};
