//! The engine's settings in the canonical document.

use crate::writer::{Map, Out, flag, list, number, pairs, text, words};
use model::{Blkio, Device, DeviceRate, DeviceRequest, Engine, Ulimit};

/// Puts a service's settings into its map. Network and aliases are put by whoever writes networks; requests
/// for devices go under `deploy`.
pub(crate) fn put(out: &mut Map, engine: &Engine) {
    out.put("platform", engine.platform.as_deref().map(text));
    out.put("runtime", engine.runtime.as_deref().map(text));
    out.put("privileged", flag(engine.privileged));
    out.put("read_only", flag(engine.read_only));
    out.put("cap_add", some(&engine.cap_add));
    out.put("cap_drop", some(&engine.cap_drop));
    out.put("security_opt", some(&engine.security_opt));
    out.put("group_add", some(&engine.group_add));
    out.put("devices", list(&engine.devices, device));
    out.put("device_cgroup_rules", some(&engine.device_cgroup_rules));
    out.put("ipc", engine.ipc.as_deref().map(text));
    out.put("pid", engine.pid.as_deref().map(text));
    out.put("uts", engine.uts.as_deref().map(text));
    out.put("userns_mode", engine.userns_mode.as_deref().map(text));
    out.put("cgroup", engine.cgroup.as_deref().map(text));
    out.put("cgroup_parent", engine.cgroup_parent.as_deref().map(text));
    out.put("domainname", engine.domainname.as_deref().map(text));
    out.put("dns", some(&engine.dns));
    out.put("dns_search", some(&engine.dns_search));
    out.put("dns_opt", some(&engine.dns_opt));
    out.put("mac_address", engine.mac_address.as_deref().map(text));
    out.put("sysctls", pairs(&engine.sysctls));
    out.put("annotations", pairs(&engine.annotations));
    out.put("storage_opt", pairs(&engine.storage_opt));
    let ulimits = engine.ulimits.iter().map(|(name, limit)| (name.clone(), ulimit(*limit)));
    out.put("ulimits", Map(ulimits.collect()).done());
    usage(out, engine);
}

fn usage(out: &mut Map, engine: &Engine) {
    out.put("shm_size", engine.shm_size.map(number));
    out.put("memswap_limit", engine.memswap_limit.map(signed));
    out.put("mem_swappiness", engine.mem_swappiness.map(number));
    out.put("oom_kill_disable", flag(engine.oom_kill_disable));
    out.put("oom_score_adj", engine.oom_score_adj.map(signed));
    out.put("cpu_shares", engine.cpu_shares.map(number));
    out.put("cpu_period", engine.cpu_period.map(number));
    out.put("cpu_quota", engine.cpu_quota.map(signed));
    out.put("cpu_rt_period", engine.cpu_rt_period.map(number));
    out.put("cpu_rt_runtime", engine.cpu_rt_runtime.map(number));
    out.put("cpuset", engine.cpuset.as_deref().map(text));
    out.put("blkio_config", blkio(&engine.blkio));
}

/// Devices of drivers, for `deploy.resources.reservations`.
pub(crate) fn requests(requests: &[DeviceRequest]) -> Option<Out> {
    list(requests, |request| {
        let mut out = Map::default();
        out.put("driver", Some(&request.driver).filter(|d| !d.is_empty()).map(text));
        let count = match request.count {
            -1 => text("all"),
            n => signed(n),
        };
        out.put("count", request.device_ids.is_empty().then_some(count));
        out.put("device_ids", some(&request.device_ids));
        out.put("capabilities", some(&request.capabilities));
        out.put("options", pairs(&request.options));
        Out::Map(out.0)
    })
}

fn device(device: &Device) -> Out {
    let mut out = Map::default();
    out.put("source", text(&device.source));
    out.put("target", text(&device.target));
    out.put("permissions", text(&device.permissions));
    Out::Map(out.0)
}

fn ulimit(limit: Ulimit) -> Out {
    let mut out = Map::default();
    out.put("soft", signed(limit.soft));
    out.put("hard", signed(limit.hard));
    Out::Map(out.0)
}

fn blkio(blkio: &Blkio) -> Option<Out> {
    let mut out = Map::default();
    let rates = |key: &str, devices: &[DeviceRate]| {
        list(devices, |device| {
            let mut out = Map::default();
            out.put("path", text(&device.path));
            out.put(key, number(device.rate));
            Out::Map(out.0)
        })
    };
    out.put("weight", blkio.weight.map(number));
    out.put("weight_device", rates("weight", &blkio.weight_device));
    out.put("device_read_bps", rates("rate", &blkio.read_bps));
    out.put("device_read_iops", rates("rate", &blkio.read_iops));
    out.put("device_write_bps", rates("rate", &blkio.write_bps));
    out.put("device_write_iops", rates("rate", &blkio.write_iops));
    out.done()
}

/// A list of texts, unless nothing is in it.
fn some(items: &[String]) -> Option<Out> {
    (!items.is_empty()).then(|| words(items))
}

fn signed(n: impl Into<i64>) -> Out {
    Out::Bare(n.into().to_string())
}
