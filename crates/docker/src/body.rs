//! From the agent's description of a container to the engine's. Pure translation.

use agent::{Create, CreateMount, CreateMountSource};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountTmpfsOptions, MountType, NetworkingConfig, PortBinding, PortMap, RestartPolicy,
    RestartPolicyNameEnum,
};
use model::{ContainerSpec, HealthCheck, Port, Protocol, Resources};
use std::time::Duration;

/// The request body that makes this container.
pub(crate) fn body(create: &Create) -> ContainerCreateBody {
    let spec: &ContainerSpec = &create.spec.container;
    let endpoint = EndpointSettings {
        aliases: Some(create.network.aliases.clone()),
        ..EndpointSettings::default()
    };
    let ports: Vec<String> = create.ports.iter().map(port_key).collect();
    ContainerCreateBody {
        image: Some(create.image.clone()),
        hostname: Some(create.hostname.clone()),
        labels: Some(create.labels.clone().into_iter().collect()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        env: Some(spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        healthcheck: spec.healthcheck.as_ref().map(health),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(seconds(create.grace)),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        exposed_ports: Some(ports),
        host_config: Some(host(create)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some([(create.network.name.clone(), endpoint)].into()),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host(create: &Create) -> HostConfig {
    let spec = &create.spec.container;
    let Resources { milli_cpus, memory, pids, reserved_memory, .. } = create.spec.resources;
    // A reservation above the limit would be refused; the limit alone then says it all.
    let reserved = (reserved_memory > 0 && memory.is_none_or(|limit| reserved_memory <= limit))
        .then_some(reserved_memory as i64);
    HostConfig {
        network_mode: Some(create.network.name.clone()),
        mounts: Some(create.mounts.iter().map(mount).collect()),
        port_bindings: Some(bindings(&create.ports)),
        // Restarts are the cluster's decision, never the engine's.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some(create.log_driver.clone()),
            config: Some(create.log_options.clone().into_iter().collect()),
        }),
        nano_cpus: milli_cpus.map(|m| (m * 1_000_000) as i64),
        memory: memory.map(|m| m as i64),
        memory_reservation: reserved,
        pids_limit: pids.map(i64::from),
        init: spec.init,
        extra_hosts: Some(spec.extra_hosts.clone()),
        ..HostConfig::default()
    }
}

fn mount(mount: &CreateMount) -> Mount {
    let (typ, source, tmpfs_options) = match &mount.source {
        CreateMountSource::Volume { name, .. } => (MountType::VOLUME, Some(name.clone()), None),
        CreateMountSource::Anonymous => (MountType::VOLUME, None, None),
        // As a mount, unlike as a "bind", a missing path is an error and not silently made.
        CreateMountSource::Bind { path } => (MountType::BIND, Some(path.clone()), None),
        CreateMountSource::Tmpfs { size } => {
            let size_bytes = size.map(|s| s as i64);
            (MountType::TMPFS, None, Some(MountTmpfsOptions { size_bytes, ..Default::default() }))
        }
    };
    Mount {
        target: Some(mount.target.clone()),
        source,
        typ: Some(typ),
        read_only: Some(mount.read_only),
        tmpfs_options,
        ..Mount::default()
    }
}

fn bindings(ports: &[Port]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in ports {
        let binding = PortBinding {
            host_ip: port.host_ip.map(|ip| ip.to_string()),
            host_port: Some(port.published.to_string()),
        };
        bindings.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

fn port_key(port: &Port) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{}/{protocol}", port.target)
}

fn health(check: &HealthCheck) -> HealthConfig {
    let nanos = |d: Option<Duration>| d.and_then(|d| i64::try_from(d.as_nanos()).ok());
    HealthConfig {
        test: Some(check.test.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_period),
        start_interval: None,
    }
}

/// Whole seconds, rounded up: a grace of 500 ms must not become none at all.
pub(crate) fn seconds(d: Duration) -> i64 {
    i64::try_from(d.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}
