//! The nouns of the cluster, the commands that change them, and the only function that applies one.
//!
//! Everything else in the workspace speaks in these types. This crate reads no clock, draws no random
//! number, touches no file and writes no log: [`State::apply`] is a pure function of a state and an
//! [`Entry`], so every manager that applies the same log holds the same state.
//!
//! Start with [`State`], then [`Command`], then the files under `apply/`, one per family of commands.

mod apply;
mod command;
mod content;
mod engine;
mod event;
mod features;
mod hooks;
mod http;
mod ids;
mod joined;
pub mod limits;
mod listed;
mod mesh;
mod mesh_key;
mod network;
mod networks;
mod node;
mod permit;
mod policy;
mod refusal;
mod rollout;
mod run;
mod service;
mod settings;
mod spec;
mod state;
mod task;
pub mod template;
mod time;
mod view;

pub use command::*;
pub use content::*;
pub use engine::*;
pub use event::*;
pub use hooks::*;
pub use http::*;
pub use ids::*;
pub use joined::*;
pub use listed::*;
pub use mesh::*;
pub use mesh_key::*;
pub use network::*;
pub use node::*;
pub use permit::*;
pub use policy::*;
pub use refusal::*;
pub use rollout::*;
pub use run::*;
pub use service::*;
pub use settings::*;
pub use spec::*;
pub use state::*;
pub use task::*;
pub use time::*;
pub use view::*;
