//! What a process uses, as the kernel counts it.

use std::fs;

/// Ticks in a second of what the kernel shows to programs, on every architecture that Docker runs on (time(7)).
const TICKS: f64 = 100.0;

/// What a process used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Seconds of processor time, of all its threads.
    pub cpu: f64,
    /// Resident memory, in megabytes (10^6 bytes).
    pub resident: f64,
}

/// Seconds that this thread has been on a processor: what work costs, whoever else is at work. Not a number
/// where the kernel does not count it.
pub fn own_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.map_or(f64::NAN, |nanoseconds| nanoseconds / 1e9)
}

/// What a process used so far; `None` when there is none of that number.
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let cpu = (ticks(11)? + ticks(12)?) / TICKS;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(Usage { cpu, resident: kibibytes * 1024.0 / 1e6 })
}
