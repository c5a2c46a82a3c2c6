//! A probe of the disk, to stand beside every figure of a write: what one `fdatasync` costs right now.

use crate::{now, percentile, seconds};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Appends in one probe.
const APPENDS: usize = 300;

/// What an append of 512 bytes with an `fdatasync` costs, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Appends and syncs in `folder`, one after the other.
///
/// # Errors
/// The folder cannot be written.
pub fn probe(folder: &Path) -> io::Result<Probe> {
    let path = folder.join("probe");
    let mut file = File::create(&path)?;
    let mut took = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        let start = now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        took.push(seconds(start) * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(Probe { p50: percentile(&took, 0.5), p99: percentile(&took, 0.99) })
}
