//! What happened, as a fingerprint and as its last lines: two runs of a seed must have the same, and a run
//! that failed shows how it came to that.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// Lines kept for a failure.
const KEPT: usize = 400;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        // FNV-1a (Fowler, Noll, Vo), 64 bits.
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new() }
    }

    pub(crate) fn line(&mut self, now: u64, what: &dyn std::fmt::Display) {
        let mut line = if self.lines.len() < KEPT {
            String::new()
        } else {
            self.lines.pop_front().unwrap_or_default()
        };
        line.clear();
        write!(line, "{:>9.3}  {what}", now as f64 / 1000.0).expect("a string takes all");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        self.lines.iter().flat_map(|l| [l.as_str(), "\n"]).collect()
    }
}
