//! Devices of the host and of drivers, and the share of block devices. Every device of the host hands a part of
//! the host over; which of them a project may have is decided elsewhere.

use crate::complaint::shown;
use crate::keys::Section;
use crate::reader::{Fields, Reader, plain};
use crate::scalar::{bytes, integer};
use crate::tree::{Node, Place, Value};
use model::{Blkio, Device, DeviceRate, DeviceRequest, Engine};

pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    if let Some(node) = fields.get("devices") {
        for item in r.items(node, "devices", false) {
            let Some(device) = device(r, item) else { continue };
            // A qualified name (`vendor/class=name`) is of a device that the node's driver describes.
            if device.source.starts_with('/') {
                let message = format!("`{}` is a device of the host", shown(&device.source));
                r.hands_over_value(item.at, "devices", &device.source, &message);
            }
            engine.devices.push(device);
        }
    }
    if let Some(node) = fields.get("device_cgroup_rules") {
        for item in r.items(node, "device_cgroup_rules", true) {
            let Some(rule) = r.scalar(item, "device_cgroup_rules", rule) else { continue };
            let message = format!("the rule `{}` opens devices of the host", shown(&rule));
            r.hands_over_value(item.at, "device_cgroup_rules", &rule, &message);
            engine.device_cgroup_rules.push(rule);
        }
    }
    if let Some(node) = fields.get("gpus") {
        engine.device_requests = gpus(r, node);
    }
    if let Some(node) = fields.get("blkio_config") {
        engine.blkio = blkio(r, node);
    }
}

/// `/dev/a[:/dev/b[:rwm]]`, or a map.
fn device(r: &mut Reader<'_>, item: &Node) -> Option<Device> {
    let (source, target, permissions) = if let Value::Map(_) = item.value {
        let inner = r.fields(item, "devices", Section::Device);
        if inner.get("source").is_none() {
            r.log.error(item.at, "a device needs a `source`");
        }
        (r.text(&inner, "source")?, r.text(&inner, "target"), r.text(&inner, "permissions"))
    } else {
        let text = r.scalar(item, "devices", plain)?;
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        let source = parts.next().unwrap_or_default();
        match (parts.next(), parts.next()) {
            // The second part may be the permissions already.
            (Some(second), None) if permissions(&second) => (source, None, Some(second)),
            (target, rest) => (source, target, rest),
        }
    };
    let permitted = permissions.clone().unwrap_or_else(|| "rwm".to_owned());
    let named = source.contains('=') && !source.starts_with('/');
    let path = |p: &str| p.starts_with('/') && p.len() > 1;
    if !permissions.as_deref().is_none_or(self::permissions)
        || !(named || path(&source))
        || target.as_deref().is_some_and(|t| !(path(t) || named && t == source))
    {
        let help =
            "write `/dev/source`, `/dev/source:/dev/target` or `/dev/source:/dev/target:rwm`";
        r.log.refuse(item.at, format!("`devices`: `{}` is no device", shown(&source)), help);
        return None;
    }
    let target = target.unwrap_or_else(|| source.clone());
    Some(Device { source, target, permissions: permitted })
}

fn permissions(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|b| b"rwm".contains(&b))
}

/// `c 1:3 mr`, as the kernel's control groups take it.
fn rule(text: &str) -> Result<String, String> {
    let number = |s: &str| s == "*" || (!s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()));
    let good = match text.split(' ').collect::<Vec<_>>()[..] {
        [kind, device, access] => {
            matches!(kind, "a" | "b" | "c")
                && device.split_once(':').is_some_and(|(a, b)| number(a) && number(b))
                && permissions(access)
        }
        _ => false,
    };
    if good { Ok(text.to_owned()) } else { Err("a rule such as `c 1:3 mr`".to_owned()) }
}

/// `gpus: all`, or a list of requests.
fn gpus(r: &mut Reader<'_>, node: &Node) -> Vec<DeviceRequest> {
    if let Some(word) = node.scalar() {
        if word == "all" {
            return vec![DeviceRequest {
                count: -1,
                capabilities: vec!["gpu".to_owned()],
                ..DeviceRequest::default()
            }];
        }
        r.log.error(node.at, format!("`gpus`: expected `all` or a list, found `{}`", shown(word)));
        return Vec::new();
    }
    let items = r.items(node, "gpus", false);
    let mut requests: Vec<DeviceRequest> = items.iter().map(|i| request(r, i, "gpus")).collect();
    for request in &mut requests {
        if !request.capabilities.iter().any(|c| c == "gpu") {
            request.capabilities.push("gpu".to_owned());
        }
    }
    requests
}

/// Devices under `deploy.resources.reservations`.
pub(crate) fn reserved(r: &mut Reader<'_>, node: &Node, at: Place) -> Vec<DeviceRequest> {
    let items = r.items(node, "devices", false);
    let requests: Vec<DeviceRequest> = items.iter().map(|i| request(r, i, "devices")).collect();
    if requests.iter().any(|q| q.capabilities.is_empty()) {
        r.log.error(at, "a reserved device needs `capabilities`, such as `[gpu]`");
    }
    requests
}

fn request(r: &mut Reader<'_>, item: &Node, what: &str) -> DeviceRequest {
    let inner = r.fields(item, what, Section::Gpu);
    let device_ids = r.list(&inner, "device_ids", plain);
    let count = r.value(&inner, "count", |text| match text {
        "all" => Ok(-1),
        _ => integer(-1, 1_024)(text).map_err(|_| "`all` or a number".to_owned()),
    });
    if let Some(at) = inner.at("count").filter(|_| !device_ids.is_empty()) {
        r.log.error(at, "`count` and `device_ids` exclude each other");
    }
    DeviceRequest {
        driver: r.text(&inner, "driver").unwrap_or_default(),
        count: count.unwrap_or(if device_ids.is_empty() { -1 } else { 0 }),
        device_ids,
        capabilities: r.list(&inner, "capabilities", plain),
        options: inner.get("options").map(|n| r.labels(n, "options")).unwrap_or_default(),
    }
}

fn blkio(r: &mut Reader<'_>, node: &Node) -> Blkio {
    let inner = r.fields(node, "blkio_config", Section::Blkio);
    let mut weights = Vec::new();
    if let Some(list) = inner.get("weight_device") {
        for item in r.items(list, "weight_device", false) {
            let device = r.fields(item, "weight_device", Section::BlkioWeight);
            if let (Some(path), Some(rate)) = (r.text(&device, "path"), weight(r, &device)) {
                weights.push(DeviceRate { path, rate });
            }
        }
    }
    Blkio {
        weight: weight(r, &inner).and_then(|w| u16::try_from(w).ok()),
        weight_device: weights,
        read_bps: rates(r, &inner, "device_read_bps"),
        read_iops: rates(r, &inner, "device_read_iops"),
        write_bps: rates(r, &inner, "device_write_bps"),
        write_iops: rates(r, &inner, "device_write_iops"),
    }
}

fn weight(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<u64> {
    r.value(fields, "weight", integer(10, 1_000))
}

fn rates(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<DeviceRate> {
    let mut rates = Vec::new();
    let Some(list) = fields.get(key) else { return rates };
    for item in r.items(list, key, false) {
        let device = r.fields(item, key, Section::BlkioRate);
        if let (Some(path), Some(rate)) = (r.text(&device, "path"), r.value(&device, "rate", bytes))
        {
            rates.push(DeviceRate { path, rate });
        }
    }
    rates
}
