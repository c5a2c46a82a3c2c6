//! The container runtime: does what the agent decided, shows what there is, streams logs, commands and
//! images, all through the Docker API of Engine 20.10 and newer.
//!
//! Nothing here decides anything: an [`agent::Action`] names all there is to do, and every error is
//! turned into "again", "never" or "no answer" with a reason for people. Every call has a deadline, so an
//! engine that hangs never hangs the daemon. Containers, networks and volumes that do not bear the
//! cluster's label are never touched.
//!
//! Start with [`Engine`]; `execute.rs` is the doing, `observe.rs` and `changes.rs` the seeing.

mod attach;
mod body;
mod changes;
mod engine;
mod exec;
mod execute;
mod facts;
mod failure;
mod hooks;
mod images;
mod login;
mod logs;
mod observe;
mod settings;
mod supplies;
mod usage;

pub use attach::Attached;
pub use changes::Change;
pub use engine::Engine;
pub use exec::{Exec, ExecOutput, ExecRequest};
pub use facts::EngineFacts;
pub use failure::Failure;
pub use images::Resolved;
pub use logs::{LogLine, LogRequest, LogSource};
pub use usage::{Usage, host_usage};
