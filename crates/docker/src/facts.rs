//! What the engine and its host say of themselves.

use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use std::path::Path;

/// Memory left is told in steps of this.
const MEMORY_STEP: u64 = 64 << 20;
/// Less room than this, in bytes or in hundredths of the disk, is pressure.
const ROOM: u64 = 1 << 30;
const ROOM_PERCENT: u64 = 10;
/// With this much room, in bytes, there is no pressure however large the disk is.
const ROOM_ENOUGH: u64 = 10 << 30;

/// What the engine and its host say of themselves. The last known values while the engine does not
/// answer; empty ones before it ever did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// It answers.
    pub ready: bool,
    /// Processor time, in thousandths of a core.
    pub milli_cpus: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Operating system (`linux`).
    pub os: String,
    /// Architecture, as Go names it (`amd64`, `arm64`).
    pub arch: String,
    /// Version of the engine.
    pub version: String,
    /// Memory that the host really has left, in steps of 64 MiB.
    pub memory_free: u64,
    /// The disk under the engine has less than a tenth, or less than 1 GiB, left.
    pub disk_pressure: bool,
    /// Where the engine keeps its data.
    pub root: String,
}

impl Engine {
    /// What the engine and its host say of themselves now.
    pub async fn facts(&self) -> EngineFacts {
        let answered = self.ping().await.is_ok();
        let mut facts = self.lock_facts().await;
        // Asked again after each silence: it may have come back as another release.
        if answered && (!facts.ready || facts.version.is_empty()) {
            match self.ask_facts().await {
                Ok(fresh) => *facts = fresh,
                Err(_) => facts.ready = false,
            }
        }
        facts.ready &= answered;
        facts.memory_free = memory_left() / MEMORY_STEP * MEMORY_STEP;
        facts.disk_pressure = disk_pressure(Path::new(&facts.root));
        facts.clone()
    }

    async fn ask_facts(&self) -> Result<EngineFacts, Failure> {
        let client = self.client().await?;
        let info = within(SHORT, client.info()).await?;
        let version = within(SHORT, client.version()).await?;
        let positive = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(EngineFacts {
            ready: true,
            milli_cpus: positive(info.ncpu) * 1000,
            memory: positive(info.mem_total),
            os: version.os.unwrap_or_default(),
            arch: version.arch.unwrap_or_default(),
            version: version.version.unwrap_or_default(),
            root: info.docker_root_dir.unwrap_or_default(),
            ..EngineFacts::default()
        })
    }
}

/// `MemAvailable` of `/proc/meminfo` (proc(5)), in bytes; zero where there is none.
fn memory_left() -> u64 {
    std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)).unwrap_or(0)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A folder that cannot be looked at (the engine is not on this host's file system) has no pressure.
fn disk_pressure(root: &Path) -> bool {
    let Ok(disk) = rustix::fs::statvfs(root) else { return false };
    pressure(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
}

fn pressure(left: u64, size: u64) -> bool {
    left < ROOM || left < ROOM_ENOUGH && left / ROOM_PERCENT < size / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_left_is_read() {
        let text = "MemTotal:  100 kB\nMemAvailable:     2048 kB\n";
        assert_eq!(available(text), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB"), None);
    }

    #[test]
    fn fault_22_pressure_is_a_tenth_or_a_gigabyte() {
        assert!(!pressure(20 << 30, 100 << 30));
        assert!(pressure(9 << 30, 100 << 30));
        assert!(pressure(ROOM - 1, 4 << 30));
        assert!(!pressure(16 << 30, 1 << 40), "a large disk has room long before a tenth is left");
        assert!(pressure(9 << 30, 1 << 40));
    }
}
