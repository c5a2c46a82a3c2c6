//! The daemon.

mod clock;
mod config;
mod folder;

fn main() {}
