//! Settings of a container that go to the engine as the file says them: what it may do, what it sees of its
//! host, its limits. Written by deploys only; nothing in the cluster decides by them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a container's engine is told beyond image, command, mounts and ports. Everything is optional: the
/// default is the engine's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Engine {
    /// Capabilities beyond the engine's usual ones, without `CAP_`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, without `CAP_`.
    pub cap_drop: Vec<String>,
    /// Everything that the host's root may do.
    pub privileged: bool,
    /// Options of the kernel's security modules, `name=value`.
    pub security_opt: Vec<String>,
    /// The root file system cannot be written to.
    pub read_only: bool,
    /// Groups beside the user's own.
    pub group_add: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Rules for devices, as the kernel's control group takes them.
    pub device_cgroup_rules: Vec<String>,
    /// Devices that a driver provides, such as GPUs.
    pub device_requests: Vec<DeviceRequest>,
    /// Kernel settings of the container's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Limits per process, by the kernel's name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Domain name inside.
    pub domainname: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Domains in which names are looked up.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,
    /// `none` or `host`; absent: the project's network.
    pub network_mode: Option<String>,
    /// Further names on the project's network.
    pub aliases: Vec<String>,
    /// Hardware address on the project's network.
    pub mac_address: Option<String>,
    /// Space of shared memory: `none`, `private`, `shareable` or `host`.
    pub ipc: Option<String>,
    /// Space of processes: `host`, or its own where absent.
    pub pid: Option<String>,
    /// Space of host names: `host`, or its own where absent.
    pub uts: Option<String>,
    /// Space of users: `host`, or as the engine is set up where absent.
    pub userns_mode: Option<String>,
    /// Space of control groups: `host` or `private`.
    pub cgroup: Option<String>,
    /// Control group under which the container's own is made.
    pub cgroup_parent: Option<String>,
    /// Platform of the image, `os/architecture`.
    pub platform: Option<String>,
    /// Runtime that starts it.
    pub runtime: Option<String>,
    /// Annotations for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// Options of the storage driver.
    pub storage_opt: BTreeMap<String, String>,
    /// Bytes of memory and swap together; -1 for no limit.
    pub memswap_limit: Option<i64>,
    /// How gladly the kernel swaps it out, 0 to 100.
    pub mem_swappiness: Option<u32>,
    /// Never killed for want of memory.
    pub oom_kill_disable: bool,
    /// How soon it is killed for want of memory, -1000 (never) to 1000.
    pub oom_score_adj: Option<i32>,
    /// Weight against other containers.
    pub cpu_shares: Option<u64>,
    /// Microseconds of a period.
    pub cpu_period: Option<u64>,
    /// Microseconds of processor time in a period; -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// Microseconds of a real-time period.
    pub cpu_rt_period: Option<u64>,
    /// Microseconds of real-time processor time in a period.
    pub cpu_rt_runtime: Option<u64>,
    /// Cores it may use: `0-2,4`.
    pub cpuset: Option<String>,
    /// Its share of block devices.
    pub blkio: Blkio,
}

/// A device of the host in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host, or the qualified name of a CDI device.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

/// Devices that a driver of the engine provides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The driver; the engine's choice when empty.
    pub driver: String,
    /// How many; -1 for all, 0 when ids are given.
    pub count: i64,
    /// Which.
    pub device_ids: Vec<String>,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// A limit of the kernel per process; -1 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What the process gets.
    pub soft: i64,
    /// How far it may raise that itself.
    pub hard: i64,
}

/// Share of block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blkio {
    /// Weight against other containers, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight per device.
    pub weight_device: Vec<DeviceRate>,
    /// Bytes per second read.
    pub read_bps: Vec<DeviceRate>,
    /// Operations per second read.
    pub read_iops: Vec<DeviceRate>,
    /// Bytes per second written.
    pub write_bps: Vec<DeviceRate>,
    /// Operations per second written.
    pub write_iops: Vec<DeviceRate>,
}

/// A number for one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Path of the device on the host.
    pub path: String,
    /// The number.
    pub rate: u64,
}

impl Engine {
    /// Whether everything is left to the engine.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
