//! What containers and their host use: counters that only grow, so that whoever takes two of them knows the rates
//! in between, and how much of what there is at the moment.

use crate::engine::SHORT;
use crate::observe::in_use;
use crate::{Engine, Failure};
use agent::ContainerId;
use bollard::models::{
    ContainerBlkioStats, ContainerCpuStats, ContainerNetworkStats, ContainerStatsResponse,
};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;

/// Containers measured at once.
const AT_ONCE: usize = 16;
/// Nanoseconds of a tick of `/proc/stat` (`USER_HZ` is 100 on every architecture that Docker runs on).
const TICK_NS: u64 = 10_000_000;

/// What a container, or the host, has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it was measured: nanoseconds that each core of the host has run or rested by then. To be compared with
    /// others of the same host only.
    pub at_ns: u64,
    /// Processor time used so far, in nanoseconds, over all cores.
    pub cpu_ns: u64,
    /// Memory in use, in bytes, caches that the kernel may drop left out.
    pub memory: u64,
    /// Most memory that it may use, or that there is.
    pub memory_limit: u64,
    /// Bytes received from networks so far.
    pub received: u64,
    /// Bytes sent to networks so far.
    pub sent: u64,
    /// Bytes read from disks so far.
    pub read: u64,
    /// Bytes written to disks so far.
    pub written: u64,
    /// Processes and threads that there are.
    pub pids: u64,
}

impl Engine {
    /// What running containers have used. One that cannot be measured is left out.
    pub async fn usage<T>(&self, containers: Vec<(T, ContainerId)>) -> Vec<(T, Usage)> {
        let measures = containers
            .into_iter()
            .map(async |(of, id)| Some((of, self.usage_of(&id.0).await.ok()?)));
        let measured = futures::stream::iter(measures).buffer_unordered(AT_ONCE);
        measured.filter_map(std::future::ready).collect().await
    }

    async fn usage_of(&self, id: &str) -> Result<Usage, Failure> {
        let client = self.client().await?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(client.stats(id, Some(options)));
        let first = crate::failure::within(SHORT, async { stats.next().await.transpose() }).await?;
        Ok(first.map(|stats| usage(&stats)).unwrap_or_default())
    }
}

fn usage(stats: &ContainerStatsResponse) -> Usage {
    let (at_ns, cpu_ns) = stats.cpu_stats.as_ref().map(processor).unwrap_or_default();
    let memory = stats.memory_stats.as_ref();
    let networks = || stats.networks.iter().flat_map(|networks| networks.values());
    let sum = |of: fn(&ContainerNetworkStats) -> Option<u64>| networks().filter_map(of).sum();
    let disk = |op| stats.blkio_stats.as_ref().map_or(0, |disks| moved(disks, op));
    Usage {
        at_ns,
        cpu_ns,
        memory: memory.and_then(in_use).unwrap_or(0),
        memory_limit: memory.and_then(|m| m.limit).unwrap_or(0),
        received: sum(|n| n.rx_bytes),
        sent: sum(|n| n.tx_bytes),
        read: disk("read"),
        written: disk("write"),
        pids: stats.pids_stats.as_ref().and_then(|p| p.current).unwrap_or(0),
    }
}

/// The host's time for each core, and the container's over all.
fn processor(cpu: &ContainerCpuStats) -> (u64, u64) {
    let used = cpu.cpu_usage.as_ref();
    let listed = || used.and_then(|u| u.percpu_usage.as_ref()).map(|cores| cores.len() as u64);
    let cores = cpu.online_cpus.map(u64::from).filter(|cores| *cores > 0).or_else(listed);
    let host = cpu.system_cpu_usage.unwrap_or(0) / cores.unwrap_or(1).max(1);
    (host, used.and_then(|u| u.total_usage).unwrap_or(0))
}

/// Bytes read or written: engines spell the words with and without a capital.
fn moved(disks: &ContainerBlkioStats, op: &str) -> u64 {
    let entries = disks.io_service_bytes_recursive.iter().flatten();
    let of_kind = entries.filter(|e| e.op.as_ref().is_some_and(|o| o.eq_ignore_ascii_case(op)));
    of_kind.filter_map(|e| e.value).sum()
}

/// What this host has used, by `/proc/stat` and `/proc/meminfo` (proc(5)); `None` where these say nothing.
pub fn host_usage() -> Option<Usage> {
    let read = |name| std::fs::read_to_string(name).ok();
    host(&read("/proc/stat")?, &read("/proc/meminfo")?)
}

fn host(stat: &str, meminfo: &str) -> Option<Usage> {
    let cores = stat.lines().filter(|l| is_core(l)).count() as u64;
    let all = stat.lines().find_map(|l| l.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal; what guests use is in user already.
    let ticks: Vec<u64> = all.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    let total: u64 = ticks.iter().sum();
    let kib = |key| -> Option<u64> {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let (memory_limit, left) = (kib("MemTotal:")? * 1024, kib("MemAvailable:")? * 1024);
    Some(Usage {
        at_ns: total / cores.max(1) * TICK_NS,
        cpu_ns: (total - idle) * TICK_NS,
        memory: memory_limit.saturating_sub(left),
        memory_limit,
        ..Usage::default()
    })
}

/// Whether a line of `/proc/stat` is about one core.
fn is_core(line: &str) -> bool {
    line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an engine of a host with two cores and control groups of version 2 answers.
    const STATS: &str = r#"{
        "cpu_stats": {"cpu_usage": {"total_usage": 5000}, "system_cpu_usage": 80000, "online_cpus": 2},
        "memory_stats": {"usage": 3000, "limit": 9000, "stats": {"inactive_file": 1000}},
        "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}},
        "pids_stats": {"current": 3},
        "blkio_stats": {"io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "read", "value": 11},
            {"major": 8, "minor": 16, "op": "Read", "value": 2},
            {"major": 8, "minor": 0, "op": "write", "value": 17}]}
    }"#;

    #[test]
    fn counters_are_added_up() {
        let stats: ContainerStatsResponse = serde_json::from_str(STATS).unwrap();
        let expected = Usage {
            at_ns: 40_000,
            cpu_ns: 5_000,
            memory: 2_000,
            memory_limit: 9_000,
            received: 6,
            sent: 9,
            read: 13,
            written: 17,
            pids: 3,
        };
        assert_eq!(usage(&stats), expected);
        assert_eq!(usage(&ContainerStatsResponse::default()), Usage::default());
    }

    #[test]
    fn the_host_is_measured_with_its_idle_time_left_out() {
        let stat = "cpu  100 0 50 700 100 0 10 40 99 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n";
        let meminfo = "MemTotal:  2000 kB\nMemFree: 1 kB\nMemAvailable:    500 kB\n";
        let found = host(stat, meminfo).unwrap();
        assert_eq!((found.at_ns / TICK_NS, found.cpu_ns / TICK_NS), (500, 200));
        assert_eq!((found.memory, found.memory_limit), (1500 * 1024, 2000 * 1024));
        assert_eq!(host("", meminfo), None);
        assert!(host_usage().is_some_and(|usage| usage.memory > 0), "this one");
    }
}
