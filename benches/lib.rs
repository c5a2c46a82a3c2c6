//! What the benches share: the clock, statistics, a probe of the disk, the table at the end, child processes
//! that end with their parent, and a large cluster in memory. Measures nothing of the product by itself.
//!
//! Each bench is a program of its own: `cargo bench -p benches --bench planner`. Start with `README.md`.

#[path = "shared/child.rs"]
mod child;
#[path = "shared/clock.rs"]
mod clock;
#[path = "shared/disk.rs"]
mod disk;
#[path = "shared/large.rs"]
pub mod large;
#[path = "shared/process.rs"]
mod process;
#[path = "shared/stats.rs"]
mod stats;
#[path = "shared/table.rs"]
mod table;

pub use child::{Child, again, installed, spawn, wait_port};
pub use clock::{now, pause, seconds, timed};
pub use disk::{Probe, probe};
pub use process::{Usage, own_seconds, usage};
pub use stats::{median, percentile};
pub use table::{Aim, Table, heading, say};
