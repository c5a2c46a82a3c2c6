//! What a node should do now: its assignments and the containers it observes go in, actions and
//! reports come out.
//!
//! Nothing here does anything. [`Agent`] is a value that is handed the time and an [`Input`] and hands
//! back [`Output`]s; the daemon gives each [`Action`] to the container engine and brings the
//! [`ActionResult`] back, the simulator does the same with a modelled engine. This crate reads no clock,
//! touches no file, and knows neither Docker nor the network.
//!
//! Read [`Input`] first (all that can happen), then [`Output`] and [`Action`] (all that can follow), then
//! `agent.rs`. `task.rs` holds the life of one task, `create.rs` turns an assignment into a container.

mod action;
mod agent;
mod before;
mod container;
mod create;
mod hooks;
mod input;
mod inventory;
mod output;
mod reports;
mod results;
mod settings;
mod snapshot;
mod steps;
mod task;
mod template;
mod told;

pub use action::{
    Action, Create, CreateFile, CreateMount, CreateMountSource, CreateShare, Kind, Network,
    NetworkPlace, Subject,
};
pub use agent::Agent;
pub use container::{Container, ContainerId, Health, Phase};
pub use create::{create, label, volume_name};
pub use hooks::{HookStage, Progress};
pub use input::{ActionResult, Input, Observation};
pub use output::{Event, Output};
pub use settings::{Folders, Settings};
pub use snapshot::Snapshot;
