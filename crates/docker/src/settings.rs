//! The settings that go to the engine as the file says them. Pure translation; which of them a project may use
//! is decided before it is deployed.

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum,
    ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use model::{DeviceRate, Engine};
use std::collections::BTreeMap;

/// Puts a container's settings over what is there.
pub(crate) fn put(settings: &Engine, host: HostConfig) -> HostConfig {
    limits(settings, isolation(settings, host))
}

/// What it may do and what it sees.
fn isolation(settings: &Engine, host: HostConfig) -> HostConfig {
    HostConfig {
        cap_add: list(&settings.cap_add),
        cap_drop: list(&settings.cap_drop),
        privileged: settings.privileged.then_some(true),
        security_opt: list(&settings.security_opt),
        readonly_rootfs: settings.read_only.then_some(true),
        group_add: list(&settings.group_add),
        devices: mapped(&settings.devices, |d| DeviceMapping {
            path_on_host: Some(d.source.clone()),
            path_in_container: Some(d.target.clone()),
            cgroup_permissions: Some(d.permissions.clone()),
        }),
        device_cgroup_rules: list(&settings.device_cgroup_rules),
        device_requests: mapped(&settings.device_requests, request),
        sysctls: map(&settings.sysctls),
        dns: list(&settings.dns),
        dns_search: list(&settings.dns_search),
        dns_options: list(&settings.dns_opt),
        network_mode: settings.network_mode.clone().or(host.network_mode),
        ipc_mode: settings.ipc.clone().or(host.ipc_mode),
        pid_mode: settings.pid.clone().or(host.pid_mode),
        uts_mode: settings.uts.clone(),
        userns_mode: settings.userns_mode.clone(),
        cgroupns_mode: settings.cgroup.as_deref().map(|mode| match mode {
            "host" => HostConfigCgroupnsModeEnum::HOST,
            _ => HostConfigCgroupnsModeEnum::PRIVATE,
        }),
        cgroup_parent: settings.cgroup_parent.clone(),
        runtime: settings.runtime.clone(),
        annotations: map(&settings.annotations),
        storage_opt: map(&settings.storage_opt),
        ..host
    }
}

/// How much it may use.
fn limits(settings: &Engine, host: HostConfig) -> HostConfig {
    let blkio = &settings.blkio;
    HostConfig {
        shm_size: settings.shm_size.map(|b| b as i64),
        ulimits: (!settings.ulimits.is_empty()).then(|| {
            let limit = |(name, limit): (&String, &model::Ulimit)| ResourcesUlimits {
                name: Some(name.clone()),
                soft: Some(limit.soft),
                hard: Some(limit.hard),
            };
            settings.ulimits.iter().map(limit).collect()
        }),
        memory_swap: settings.memswap_limit,
        memory_swappiness: settings.mem_swappiness.map(i64::from),
        oom_kill_disable: settings.oom_kill_disable.then_some(true),
        oom_score_adj: settings.oom_score_adj.map(i64::from),
        cpu_shares: settings.cpu_shares.map(|n| n as i64),
        cpu_period: settings.cpu_period.map(|n| n as i64),
        cpu_quota: settings.cpu_quota,
        cpu_realtime_period: settings.cpu_rt_period.map(|n| n as i64),
        cpu_realtime_runtime: settings.cpu_rt_runtime.map(|n| n as i64),
        cpuset_cpus: settings.cpuset.clone(),
        blkio_weight: blkio.weight,
        blkio_weight_device: mapped(&blkio.weight_device, |d| ResourcesBlkioWeightDevice {
            path: Some(d.path.clone()),
            weight: usize::try_from(d.rate).ok(),
        }),
        blkio_device_read_bps: mapped(&blkio.read_bps, rate),
        blkio_device_read_iops: mapped(&blkio.read_iops, rate),
        blkio_device_write_bps: mapped(&blkio.write_bps, rate),
        blkio_device_write_iops: mapped(&blkio.write_iops, rate),
        ..host
    }
}

fn rate(device: &DeviceRate) -> ThrottleDevice {
    ThrottleDevice { path: Some(device.path.clone()), rate: i64::try_from(device.rate).ok() }
}

fn request(request: &model::DeviceRequest) -> DeviceRequest {
    DeviceRequest {
        driver: Some(request.driver.clone()),
        count: Some(request.count),
        device_ids: list(&request.device_ids),
        capabilities: Some(vec![request.capabilities.clone()]),
        options: map(&request.options),
    }
}

/// What is empty is left to the engine.
fn list(items: &[String]) -> Option<Vec<String>> {
    mapped(items, String::clone)
}

fn mapped<T, U>(items: &[T], to: impl Fn(&T) -> U) -> Option<Vec<U>> {
    (!items.is_empty()).then(|| items.iter().map(to).collect())
}

#[expect(clippy::disallowed_types, reason = "the client's own types have unordered maps")]
fn map(pairs: &BTreeMap<String, String>) -> Option<std::collections::HashMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Blkio, Device, Ulimit};

    fn words(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    fn rates(rate: u64) -> Vec<DeviceRate> {
        vec![DeviceRate { path: "/dev/sda".into(), rate }]
    }

    fn rights() -> Engine {
        let pairs: BTreeMap<String, String> = [("a".to_owned(), "b".to_owned())].into();
        Engine {
            cap_add: words("NET_ADMIN"),
            cap_drop: words("ALL"),
            privileged: true,
            security_opt: words("no-new-privileges"),
            read_only: true,
            group_add: words("docker"),
            devices: vec![Device {
                source: "/dev/a".into(),
                target: "/dev/b".into(),
                permissions: "r".into(),
            }],
            device_cgroup_rules: words("c 1:3 mr"),
            device_requests: vec![model::DeviceRequest { count: -1, ..Default::default() }],
            sysctls: pairs.clone(),
            dns: words("9.9.9.9"),
            dns_search: words("example.com"),
            dns_opt: words("use-vc"),
            network_mode: Some("none".into()),
            ipc: Some("shareable".into()),
            pid: Some("host".into()),
            uts: Some("host".into()),
            userns_mode: Some("host".into()),
            cgroup: Some("private".into()),
            cgroup_parent: Some("group".into()),
            runtime: Some("runc".into()),
            annotations: pairs.clone(),
            storage_opt: pairs,
            ..Engine::default()
        }
    }

    fn all() -> Engine {
        Engine {
            ulimits: [("nofile".to_owned(), Ulimit { soft: 1, hard: 2 })].into(),
            shm_size: Some(1),
            memswap_limit: Some(-1),
            mem_swappiness: Some(10),
            oom_kill_disable: true,
            oom_score_adj: Some(-500),
            cpu_shares: Some(2),
            cpu_period: Some(3),
            cpu_quota: Some(-1),
            cpu_rt_period: Some(4),
            cpu_rt_runtime: Some(5),
            cpuset: Some("0-1".into()),
            blkio: Blkio {
                weight: Some(300),
                weight_device: rates(400),
                read_bps: rates(1),
                read_iops: rates(2),
                write_bps: rates(3),
                write_iops: rates(4),
            },
            ..rights()
        }
    }

    #[test]
    fn every_setting_reaches_the_engine() {
        let sent = serde_json::to_value(put(&all(), HostConfig::default())).expect("plain data");
        let sent = sent.as_object().expect("a map");
        let names = "CapAdd CapDrop Privileged SecurityOpt ReadonlyRootfs GroupAdd Devices DeviceCgroupRules \
                     DeviceRequests Sysctls Dns DnsSearch DnsOptions NetworkMode IpcMode PidMode UTSMode UsernsMode \
                     CgroupnsMode CgroupParent Runtime Annotations StorageOpt Ulimits ShmSize MemorySwap \
                     MemorySwappiness OomKillDisable OomScoreAdj CpuShares CpuPeriod CpuQuota CpuRealtimePeriod \
                     CpuRealtimeRuntime CpusetCpus BlkioWeight BlkioWeightDevice BlkioDeviceReadBps \
                     BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps";
        for name in names.split_whitespace() {
            assert!(sent.contains_key(name), "{name} is not sent: {sent:#?}");
        }
        assert_eq!(sent.len(), names.split_whitespace().count(), "{sent:#?}");
        assert_eq!(sent["MemorySwap"], -1);
        assert_eq!(sent["BlkioDeviceWriteIOps"][0]["Rate"], 4);
    }

    #[test]
    fn what_is_not_said_is_left_to_the_engine() {
        let host = HostConfig { network_mode: Some("cl_shop".into()), ..HostConfig::default() };
        assert_eq!(put(&Engine::default(), host.clone()), host);
    }
}
