//! What of a service goes to the engine as it is said: name spaces, names, kernel settings, limits. What a
//! container may do is read in `rights`, devices in `devices`.

use crate::complaint::{shown, unprintable};
use crate::keys::Section;
use crate::reader::{Fields, Reader, plain};
use crate::scalar::{bytes, integer, micros};
use crate::tree::{Node, Value};
use crate::{devices, rights};
use model::{Engine, Ulimit};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Limits per process that Linux knows (getrlimit(2)).
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads a service's settings. Names on the network and the network itself are put in by whoever reads those.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>) -> Engine {
    let mut engine = Engine::default();
    rights::read(r, fields, &mut engine);
    devices::read(r, fields, &mut engine);
    spaces(r, fields, &mut engine);
    names(r, fields, &mut engine);
    processor(r, fields, &mut engine);
    memory(r, fields, &mut engine);
    engine.ulimits = fields.get("ulimits").map(|n| ulimits(r, n)).unwrap_or_default();
    engine.sysctls = fields.get("sysctls").map(|n| r.labels(n, "sysctls")).unwrap_or_default();
    let annotations = fields.get("annotations").map(|n| r.labels(n, "annotations"));
    engine.annotations = annotations.unwrap_or_default();
    let storage = fields.get("storage_opt").map(|n| r.labels(n, "storage_opt"));
    engine.storage_opt = storage.unwrap_or_default();
    engine.runtime = r.value(fields, "runtime", word);
    engine.cgroup_parent = r.value(fields, "cgroup_parent", plain);
    engine.platform = r.value(fields, "platform", platform);
    engine
}

/// Name spaces that are shared with the host, or are not.
fn spaces(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    engine.ipc = space(r, fields, "ipc", &["none", "private", "shareable", "host"]);
    engine.pid = space(r, fields, "pid", &["host"]);
    engine.uts = space(r, fields, "uts", &["host"]);
    engine.userns_mode = space(r, fields, "userns_mode", &["host"]);
    engine.cgroup = space(r, fields, "cgroup", &["private", "host"]);
}

fn space(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str, modes: &[&str]) -> Option<String> {
    let at = fields.at(key)?;
    let mode = r.text(fields, key)?;
    if crate::sharing::shares(r, key, &mode, at) {
        return None;
    }
    if !modes.contains(&mode.as_str()) {
        let message = crate::words::choice(key, &mode, modes.iter().copied());
        r.log.error(at, message);
        return None;
    }
    if mode == "host" {
        r.hands_over(
            at,
            key,
            &format!("`{key}: host` lets the container into the host's own name space"),
        );
    }
    Some(mode)
}

fn names(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    engine.domainname = r.value(fields, "domainname", crate::container::hostname);
    engine.dns = r.list(fields, "dns", |text| match text.parse::<IpAddr>() {
        Ok(ip) => Ok(ip.to_string()),
        Err(_) => Err("the address of a name server".to_owned()),
    });
    engine.dns_search = r.list(fields, "dns_search", plain);
    engine.dns_opt = r.list(fields, "dns_opt", plain);
    engine.mac_address = r.value(fields, "mac_address", mac);
}

fn processor(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    engine.cpu_shares = r.value(fields, "cpu_shares", integer(0, 262_144)).filter(|n| *n > 0);
    engine.cpu_period = r.value(fields, "cpu_period", micros);
    engine.cpu_quota = r.value(fields, "cpu_quota", |text| match text {
        "-1" => Ok(-1),
        _ => micros(text).map(|n| n as i64),
    });
    engine.cpu_rt_period = r.value(fields, "cpu_rt_period", micros);
    engine.cpu_rt_runtime = r.value(fields, "cpu_rt_runtime", micros);
    engine.cpuset = r.value(fields, "cpuset", cpuset);
    let quota = engine.cpu_quota.is_some() || engine.cpu_period.is_some();
    if let Some(at) = fields.at("cpus").filter(|_| quota) {
        r.log.error(at, "`cpus` and `cpu_quota` or `cpu_period` say the same; keep one of them");
    }
    for key in ["cpu_count", "cpu_percent"] {
        r.value(fields, key, crate::scalar::decimal);
    }
}

fn memory(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    engine.shm_size = r.value(fields, "shm_size", bytes);
    engine.memswap_limit = r.value(fields, "memswap_limit", |text| match text {
        "-1" => Ok(-1),
        _ => bytes(text).map(|n| n as i64),
    });
    engine.mem_swappiness = r.value(fields, "mem_swappiness", crate::scalar::count(100));
    engine.oom_kill_disable = r.flag(fields, "oom_kill_disable").unwrap_or(false);
    engine.oom_score_adj = r.value(fields, "oom_score_adj", integer(-1_000, 1_000));
}

/// `nofile: 1024`, or `nofile: {soft: 1024, hard: 2048}`.
fn ulimits(r: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Ulimit> {
    let mut limits = BTreeMap::new();
    for entry in r.map(node, "ulimits") {
        if entry.key.starts_with("x-") {
            continue;
        }
        if !ULIMITS.contains(&entry.key.as_str()) {
            let hint = crate::words::hint(&entry.key, ULIMITS.into_iter());
            r.log.error(entry.at, format!("unknown limit `{}`{hint}", shown(&entry.key)));
            continue;
        }
        let number = integer(-1, i64::MAX);
        if let Value::Map(_) = entry.node.value {
            let inner = r.fields(&entry.node, &entry.key, Section::Ulimit);
            let (soft, hard) = (r.value(&inner, "soft", &number), r.value(&inner, "hard", &number));
            match (soft, hard) {
                (Some(soft), Some(hard)) => {
                    limits.insert(entry.key.clone(), Ulimit { soft, hard });
                }
                _ if inner.get("soft").is_some() && inner.get("hard").is_some() => {}
                _ => r.log.error(entry.at, "a limit of this form has both `soft` and `hard`"),
            }
        } else if let Some(both) = r.scalar(&entry.node, &entry.key, &number) {
            limits.insert(entry.key.clone(), Ulimit { soft: both, hard: both });
        }
    }
    limits
}

/// `0-3,5`.
fn cpuset(text: &str) -> Result<String, String> {
    let number = |s: &str| s.parse::<u16>().ok();
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first) <= number(last) && number(first).is_some(),
        None => number(part).is_some(),
    };
    if text.split(',').all(part) {
        Ok(text.to_owned())
    } else {
        Err("cores such as `0-3,5`".to_owned())
    }
}

fn mac(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let good = parts.len() == 6
        && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
    if good {
        Ok(parts.join(":").to_ascii_lowercase())
    } else {
        Err("a hardware address such as `02:42:ac:11:00:02`".to_owned())
    }
}

/// `linux/arm64`, `linux/arm/v7`, `linux`.
fn platform(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let good = (1..=3).contains(&parts.len())
        && parts[0] == "linux"
        && parts
            .iter()
            .all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    if good {
        Ok(text.to_owned())
    } else {
        Err("a platform such as `linux/arm64`; nodes run Linux".to_owned())
    }
}

/// A name that stands for something on the node.
fn word(text: &str) -> Result<String, String> {
    if text.is_empty()
        || text.len() > 255
        || text.contains(|c: char| c.is_whitespace() || unprintable(c))
    {
        return Err("a name without blanks".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_addresses_and_platforms() {
        for good in ["0", "0-3", "0-3,5,7-8"] {
            assert!(cpuset(good).is_ok(), "{good}");
        }
        for wrong in ["", "a", "3-0", "0-", "-1", "0,,1"] {
            assert!(cpuset(wrong).is_err(), "{wrong}");
        }
        assert_eq!(mac("02-42-AC-11-00-02"), Ok("02:42:ac:11:00:02".into()));
        assert!(mac("02:42").is_err() && mac("02:42:ac:11:00:zz").is_err());
        assert!(platform("linux/arm/v7").is_ok() && platform("windows/amd64").is_err());
    }
}
