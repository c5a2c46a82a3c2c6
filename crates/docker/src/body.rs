//! From the agent's description of a container to the engine's. Pure translation.

use crate::settings;
use agent::{Create, CreateFile, CreateMount, CreateMountSource};
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions,
    NetworkingConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use model::{ContainerSpec, HealthCheck, MountOptions, Port, Protocol, Resources, SharedPart};
use std::time::Duration;

/// The request body that makes this container.
pub(crate) fn body(create: &Create) -> ContainerCreateBody {
    let spec: &ContainerSpec = &create.spec.container;
    let ports: Vec<String> = create.ports.iter().map(port_key).collect();
    // On another container's network it has that one's names, addresses and ports.
    let own_network = other(create, SharedPart::Network).is_none();
    ContainerCreateBody {
        image: Some(create.image.clone()),
        hostname: hostname(create).filter(|_| own_network),
        domainname: spec.engine.domainname.clone(),
        labels: Some(create.labels.clone().into_iter().collect()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        env: Some(create.environment.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        healthcheck: spec.healthcheck.as_ref().map(health),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(seconds(create.grace)),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        // Who runs something once is the only one to write to it.
        stdin_once: Some(spec.stdin_open && create.spec.once.is_some()),
        exposed_ports: own_network.then_some(ports),
        host_config: Some(host(create)),
        networking_config: networking(create).filter(|_| own_network),
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
        ipam_config: create.network.place.as_ref().map(|place| EndpointIpamConfig {
            ipv4_address: Some(place.address.to_string()),
            ..EndpointIpamConfig::default()
        }),
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
    let host = HostConfig {
        network_mode: Some(network.unwrap_or_else(|| create.network.name.clone())),
        ipc_mode: other(create, SharedPart::Ipc),
        pid_mode: other(create, SharedPart::Pid),
        volumes_from: Some(volumes_from(create)),
        mounts: Some(mounts(create)),
        tmpfs: Some(create.mounts.iter().filter_map(tmpfs).collect()),
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
    };
    let host = settings::put(&spec.engine, host);
    match &create.network.place {
        // The mesh asks the name servers that the file names for what it does not know itself.
        Some(place) => HostConfig { dns: Some(vec![place.subnet.gateway().to_string()]), ..host },
        None => host,
    }
}

fn mounts(create: &Create) -> Vec<Mount> {
    let plain = create.mounts.iter().filter(|m| tmpfs(m).is_none()).map(mount);
    plain.chain(create.files.iter().map(file)).collect()
}

/// A file that the container is handed; as a mount, a missing one is an error.
fn file(file: &CreateFile) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(file.path.clone()),
        target: Some(file.target.clone()),
        read_only: Some(true),
        ..Mount::default()
    }
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
    use agent::{ContainerId, CreateShare};
    use std::collections::BTreeMap;
    use std::sync::Arc;

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

    fn upon(what: SharedPart) -> ContainerCreateBody {
        let spec = model::ServiceSpec {
            container: ContainerSpec::default(),
            mode: model::Mode::Replicated { replicas: None },
            resources: Resources::default(),
            placement: model::Placement::default(),
            restart: model::RestartPolicy::default(),
            update: model::UpdatePolicy::default(),
            rollback: model::UpdatePolicy::default(),
            ports: Vec::new(),
            networks: Vec::new(),
            refers_to: Vec::new(),
            depends_on: Vec::new(),
            shares_with: Vec::new(),
            once: None,
            networking: model::Networking::default(),
            round_robin: false,
            told: [].into(),
            http: Vec::new(),
        };
        let (labels, aliases) = (BTreeMap::new(), vec!["web".to_owned()]);
        let network = agent::Network { name: "cl_shop".into(), labels, aliases, place: None };
        body(&Create {
            task: model::TaskId { index: 1, position: 0 },
            step: None,
            name: "shop-web-1.1-0".into(),
            image: "web".into(),
            hostname: "web.1".into(),
            environment: [("CLUSTER_SLOT".to_owned(), "1".to_owned())].into(),
            labels: BTreeMap::new(),
            shares: vec![CreateShare { what, container: ContainerId("abc".into()) }],
            network,
            mounts: Vec::new(),
            files: vec![CreateFile {
                path: "/run/clusterd/secrets/1-0/0".into(),
                content: model::ContentId { kind: model::ContentKind::Secret, version: "v".into() },
                target: "/run/secrets/token".into(),
                uid: 0,
                gid: 0,
                mode: 0o444,
            }],
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
        assert_eq!(made.env, Some(vec!["CLUSTER_SLOT=1".to_owned()]));
        assert_eq!((made.hostname, made.networking_config, host.port_bindings), (None, None, None));
    }

    #[test]
    fn files_are_mounted_to_be_read_only() {
        let host = upon(SharedPart::Ipc).host_config.expect("there is one");
        let mounts = host.mounts.expect("there are some");
        let expected = Mount {
            typ: Some(MountType::BIND),
            source: Some("/run/clusterd/secrets/1-0/0".into()),
            target: Some("/run/secrets/token".into()),
            read_only: Some(true),
            ..Mount::default()
        };
        assert_eq!(mounts, [expected]);
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
