//! Several hosts on one Linux machine: a network namespace, a process tree and a real Docker Engine
//! each, on one bridge, with cables that can be pulled.
//!
//! This crate owns everything about *pretending to be several machines*: namespaces, engines, cuts,
//! test images, request load, and a harness for tests that need all this. It never links the product:
//! `clusterd` and `clusterctl` are child processes, spoken to as a user would ([`daemon`] holds that
//! contract). It decides nothing about clusters.
//!
//! Start with [`Lab`]; `lab.rs` brings hosts up and down, `faults.rs` breaks them.

mod binaries;
mod clock;
mod cluster;
pub mod daemon;
mod dockerfile;
mod engine;
mod error;
mod facts;
mod faults;
pub mod harness;
mod host;
mod http;
mod image;
mod lab;
mod load;
mod options;
mod packages;
mod process;
mod run;
mod sweep;

pub use binaries::{Binaries, Profile};
pub use clock::{now, pause, wait_until};
pub use dockerfile::{Dockerfile, DockerfileError};
pub use error::LabError;
pub use facts::{NodeFact, ReplicaFact, StatusFact};
pub use faults::Part;
pub use host::Host;
pub use http::{HttpError, Response, http_get};
pub use image::{ImageFile, ImageSource, test_image};
pub use lab::{HostStatus, Lab, LabGuard};
pub use load::{Load, LoadPlan, LoadReport, Sample};
pub use options::{MAX_HOSTS, Options};
pub use packages::{Missing, install, missing};
pub use run::Finished;
