//! From the agent's description of a container to the engine's. Pure translation.

use agent::{Create, CreateMount, CreateMountSource};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountTmpfsOptions, MountType, NetworkingConfig, PortBinding, PortMap, RestartPolicy,
    RestartPolicyNameEnum,
};
use model::{ContainerSpec, HealthCheck, Port, Protocol, Resources, SharedPart};
use std::time::Duration;

/// The request body that makes this container.
pub(crate) fn body(create: &Create) -> ContainerCreateBody {
    let spec: &ContainerSpec = &create.spec.container;
    let endpoint = EndpointSettings {
        aliases: Some(create.network.aliases.clone()),
        ..EndpointSettings::default()
    };
    let ports: Vec<String> = create.ports.iter().map(port_key).collect();
    // On another container's network it has that one's names, addresses and ports.
    let own_network = other(create, SharedPart::Network).is_none();
    ContainerCreateBody {
        image: Some(create.image.clone()),
        hostname: own_network.then(|| create.hostname.clone()),
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
        exposed_ports: own_network.then_some(ports),
        host_config: Some(host(create)),
        networking_config: own_network.then(|| NetworkingConfig {
            endpoints_config: Some([(create.network.name.clone(), endpoint)].into()),
        }),
        ..ContainerCreateBody::default()
    }
}

/// `container:ID` of the container whose part it uses instead of one of its own.
fn other(create: &Create, what: SharedPart) -> Option<String> {
    let share = create.shares.iter().find(|share| share.what == what)?;
    Some(format!("container:{}", share.container.0))
}

/// Containers whose mounts it has too.
fn volumes_from(create: &Create) -> Vec<String> {
    let from = create.shares.iter().filter_map(|share| match share.what {
        SharedPart::Volumes { read_only } => {
            Some(format!("{}:{}", share.container.0, if read_only { "ro" } else { "rw" }))
        }
        SharedPart::Network | SharedPart::Ipc | SharedPart::Pid => None,
    });
    from.collect()
}

fn host(create: &Create) -> HostConfig {
    let spec = &create.spec.container;
    let Resources { milli_cpus, memory, pids, reserved_memory, .. } = create.spec.resources;
    // A reservation above the limit would be refused; the limit alone then says it all.
    let reserved = (reserved_memory > 0 && memory.is_none_or(|limit| reserved_memory <= limit))
        .then_some(reserved_memory as i64);
    let network = other(create, SharedPart::Network);
    let own_network = network.is_none();
    HostConfig {
        network_mode: Some(network.unwrap_or_else(|| create.network.name.clone())),
        ipc_mode: other(create, SharedPart::Ipc),
        pid_mode: other(create, SharedPart::Pid),
        volumes_from: Some(volumes_from(create)),
        mounts: Some(create.mounts.iter().map(mount).collect()),
        port_bindings: own_network.then(|| bindings(&create.ports)),
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
        extra_hosts: own_network.then(|| spec.extra_hosts.clone()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use agent::{ContainerId, CreateShare};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn upon(what: SharedPart) -> ContainerCreateBody {
        let spec = model::ServiceSpec {
            container: ContainerSpec::default(),
            mode: model::Mode::Replicated { replicas: None },
            resources: Resources::default(),
            placement: model::Placement::default(),
            restart: model::RestartPolicy::default(),
            update: model::UpdatePolicy::default(),
            ports: Vec::new(),
            networks: Vec::new(),
            refers_to: Vec::new(),
            depends_on: Vec::new(),
            shares_with: Vec::new(),
        };
        let (labels, aliases) = (BTreeMap::new(), vec!["web".to_owned()]);
        let network = agent::Network { name: "cl_shop".into(), labels, aliases };
        body(&Create {
            task: model::TaskId { index: 1, position: 0 },
            name: "shop-web-1.1-0".into(),
            image: "web".into(),
            hostname: "web.1".into(),
            labels: BTreeMap::new(),
            shares: vec![CreateShare { what, container: ContainerId("abc".into()) }],
            network,
            mounts: Vec::new(),
            ports: Vec::new(),
            grace: Duration::from_secs(10),
            log_driver: "json-file".into(),
            log_options: BTreeMap::new(),
            spec: Arc::new(spec),
        })
    }

    #[test]
    fn on_the_network_of_another_it_has_none_of_its_own() {
        let made = upon(SharedPart::Network);
        let host = made.host_config.expect("there is one");
        assert_eq!(host.network_mode.as_deref(), Some("container:abc"));
        assert_eq!((made.hostname, made.networking_config, host.port_bindings), (None, None, None));
    }

    #[test]
    fn mounts_and_spaces_of_another_are_named_by_its_container() {
        let host = |what| upon(what).host_config.expect("there is one");
        let read_only = host(SharedPart::Volumes { read_only: true });
        assert_eq!(read_only.volumes_from, Some(vec!["abc:ro".to_owned()]));
        assert_eq!(read_only.network_mode.as_deref(), Some("cl_shop"));
        assert_eq!(host(SharedPart::Ipc).ipc_mode.as_deref(), Some("container:abc"));
        assert_eq!(host(SharedPart::Pid).pid_mode.as_deref(), Some("container:abc"));
    }
}
