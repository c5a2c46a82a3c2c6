//! From the agent's description of a container to the engine's. Pure translation.

use crate::settings;
use agent::{Create, CreateMount, CreateMountSource};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkingConfig,
    PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use model::{ContainerSpec, HealthCheck, MountOptions, Port, Protocol, Resources};
use std::time::Duration;

/// The request body that makes this container.
pub(crate) fn body(create: &Create) -> ContainerCreateBody {
    let spec: &ContainerSpec = &create.spec.container;
    let ports: Vec<String> = create.ports.iter().map(port_key).collect();
    ContainerCreateBody {
        image: Some(create.image.clone()),
        hostname: hostname(create),
        domainname: spec.engine.domainname.clone(),
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
        networking_config: networking(create),
        ..ContainerCreateBody::default()
    }
}

/// The project's network, unless the container is to be on none or on the host's.
fn networking(create: &Create) -> Option<NetworkingConfig> {
    let settings = &create.spec.container.engine;
    if settings.network_mode.is_some() {
        return None;
    }
    let endpoint = EndpointSettings {
        aliases: Some(create.network.aliases.clone()),
        mac_address: settings.mac_address.clone(),
        ..EndpointSettings::default()
    };
    Some(NetworkingConfig {
        endpoints_config: Some([(create.network.name.clone(), endpoint)].into()),
    })
}

/// The host name; with the host's own network or name space there is only the host's.
fn hostname(create: &Create) -> Option<String> {
    let settings = &create.spec.container.engine;
    let hosts = |mode: Option<&str>| mode == Some("host");
    let own = !hosts(settings.network_mode.as_deref()) && !hosts(settings.uts.as_deref());
    own.then(|| create.hostname.clone())
}

fn host(create: &Create) -> HostConfig {
    let spec = &create.spec.container;
    let Resources { milli_cpus, memory, pids, reserved_memory, .. } = create.spec.resources;
    // A reservation above the limit would be refused; the limit alone then says it all.
    let reserved = (reserved_memory > 0 && memory.is_none_or(|limit| reserved_memory <= limit))
        .then_some(reserved_memory as i64);
    let host = HostConfig {
        network_mode: Some(create.network.name.clone()),
        mounts: Some(create.mounts.iter().filter(|m| tmpfs(m).is_none()).map(mount).collect()),
        tmpfs: Some(create.mounts.iter().filter_map(tmpfs).collect()),
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
    };
    settings::put(&spec.engine, host)
}

fn mount(mount: &CreateMount) -> Mount {
    let common = Mount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Mount::default()
    };
    match &mount.source {
        CreateMountSource::Volume { name, .. } => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(name.clone()),
            volume_options: volume_options(&mount.options),
            ..common
        },
        CreateMountSource::Anonymous => Mount {
            typ: Some(MountType::VOLUME),
            volume_options: volume_options(&mount.options),
            ..common
        },
        // As a mount, unlike as a "bind", a missing path is an error and not silently made.
        CreateMountSource::Bind { path } => Mount {
            typ: Some(MountType::BIND),
            source: Some(path.clone()),
            bind_options: bind_options(&mount.options),
            ..common
        },
        CreateMountSource::Tmpfs { size } => Mount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: size.map(|s| s as i64),
                ..MountTmpfsOptions::default()
            }),
            ..common
        },
    }
}

fn volume_options(options: &MountOptions) -> Option<MountVolumeOptions> {
    (!options.is_default()).then(|| MountVolumeOptions {
        no_copy: Some(options.no_copy),
        subpath: options.subpath.clone(),
        ..MountVolumeOptions::default()
    })
}

fn bind_options(options: &MountOptions) -> Option<MountBindOptions> {
    (!options.is_default()).then(|| MountBindOptions {
        propagation: options.propagation.as_deref().and_then(|p| p.parse().ok()),
        non_recursive: Some(options.not_recursive),
        ..MountBindOptions::default()
    })
}

/// Path and options of memory that is mounted with options: older engines take them in this form only.
fn tmpfs(mount: &CreateMount) -> Option<(String, String)> {
    let CreateMountSource::Tmpfs { size } = &mount.source else { return None };
    if mount.options.tmpfs.is_empty() {
        return None;
    }
    let size = size.map(|s| format!("size={s}"));
    let read_only = mount.read_only.then(|| "ro".to_owned());
    let options = mount.options.tmpfs.iter().cloned().chain(size).chain(read_only);
    Some((mount.target.clone(), options.collect::<Vec<_>>().join(",")))
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
        start_interval: nanos(check.start_interval),
    }
}

/// Whole seconds, rounded up: a grace of 500 ms must not become none at all.
pub(crate) fn seconds(d: Duration) -> i64 {
    i64::try_from(d.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(source: CreateMountSource, options: MountOptions) -> CreateMount {
        CreateMount { source, target: "/t".into(), read_only: false, options }
    }

    #[test]
    fn options_of_mounts_reach_the_engine() {
        let bind = MountOptions {
            propagation: Some("rslave".into()),
            not_recursive: true,
            ..MountOptions::default()
        };
        let bind = mount(&made(CreateMountSource::Bind { path: "/srv".into() }, bind));
        let options = bind.bind_options.expect("they were given");
        assert_eq!(options.propagation.map(|p| p.to_string()).as_deref(), Some("rslave"));
        assert_eq!(options.non_recursive, Some(true));
        let volume =
            MountOptions { no_copy: true, subpath: Some("a".into()), ..MountOptions::default() };
        let volume = mount(&made(CreateMountSource::Anonymous, volume));
        let options = volume.volume_options.expect("they were given");
        assert_eq!((options.no_copy, options.subpath.as_deref()), (Some(true), Some("a")));
        let plain = mount(&made(CreateMountSource::Anonymous, MountOptions::default()));
        assert_eq!(plain.volume_options, None);
    }

    #[test]
    fn memory_with_options_is_given_in_the_form_that_every_engine_takes() {
        let memory = |options: &[&str]| {
            let tmpfs = options.iter().map(ToString::to_string).collect();
            let options = MountOptions { tmpfs, ..MountOptions::default() };
            made(CreateMountSource::Tmpfs { size: Some(64) }, options)
        };
        assert_eq!(tmpfs(&memory(&[])), None);
        let expected = Some(("/t".to_owned(), "mode=755,noexec,size=64".to_owned()));
        assert_eq!(tmpfs(&memory(&["mode=755", "noexec"])), expected);
    }
}
