//! Every key of the Compose Specification and what becomes of it here: one table, by section. A key is
//! honoured, harmless, without effect (a warning) or refused; a key that is not in the table is unknown.
//! Rule: dropping a key that changes isolation, data or start-up could hurt, so it is refused unless the
//! user ignores it by name; dropping any other is a warning.

use Verdict::{Harmless, Honoured, Refused, Warned};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Read, and acted on (or complained about, depending on its value).
    Honoured,
    /// Means nothing in a cluster; nothing is lost.
    Harmless,
    /// Has no effect, for the reason given.
    Warned(&'static str),
    /// Refused unless ignored by name, for the reason given.
    Refused(&'static str),
}

/// A place in the file where keys have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Top,
    Service,
    Healthcheck,
    Logging,
    EnvFile,
    DependsOn,
    Port,
    Mount,
    MountBind,
    MountVolume,
    MountTmpfs,
    Attachment,
    Deploy,
    Update,
    Resources,
    Limits,
    Reservations,
    Placement,
    Preference,
    Restart,
    Network,
    Volume,
    External,
    Cluster,
}

type Table = &'static [(&'static str, Verdict)];

const ENGINE: &str = "the cluster does not pass it to the engine yet";
const TUNING: &str =
    "the cluster does not pass this tuning to the engine yet; use `deploy.resources`";
const ONE_NETWORK: &str = "each project has one network per node for now";

/// The keys of a section.
pub(crate) fn table(section: Section) -> Table {
    match section {
        Section::Top => TOP,
        Section::Service => SERVICE,
        Section::Healthcheck => HEALTHCHECK,
        Section::Logging => &[("driver", Honoured), ("options", Honoured)],
        Section::EnvFile => &[("path", Honoured), ("required", Honoured), ("format", Honoured)],
        Section::DependsOn => {
            &[("condition", Honoured), ("required", Honoured), ("restart", Harmless)]
        }
        Section::Port => PORT,
        Section::Mount => MOUNT,
        Section::MountBind => MOUNT_BIND,
        Section::MountVolume => MOUNT_VOLUME,
        Section::MountTmpfs => &[("size", Honoured), ("mode", Warned(ENGINE))],
        Section::Attachment => ATTACHMENT,
        Section::Deploy => DEPLOY,
        Section::Update => UPDATE,
        Section::Resources => &[("limits", Honoured), ("reservations", Honoured)],
        Section::Limits => &[("cpus", Honoured), ("memory", Honoured), ("pids", Honoured)],
        Section::Reservations => RESERVATIONS,
        Section::Placement => PLACEMENT,
        Section::Preference => &[("spread", Honoured)],
        Section::Restart => RESTART,
        Section::Network => NETWORK,
        Section::Volume => VOLUME,
        Section::External => &[("name", Honoured)],
        Section::Cluster => &[("resolved", Honoured)],
    }
}

const TOP: Table = &[
    ("version", Warned("it is obsolete; every file is read by the current specification")),
    ("name", Honoured),
    ("services", Honoured),
    ("networks", Honoured),
    ("volumes", Honoured),
    ("include", Refused("other files are not read yet; give them with `-f`")),
    ("secrets", Harmless),
    ("configs", Harmless),
    ("models", Harmless),
];

const SERVICE: Table = &[
    ("annotations", Warned(ENGINE)),
    ("attach", Harmless),
    ("blkio_config", Warned(TUNING)),
    ("build", Honoured),
    ("cap_add", Refused("it changes what the container may do")),
    ("cap_drop", Refused("it changes what the container may do")),
    ("cgroup", Refused("it changes the container's isolation")),
    ("cgroup_parent", Refused("it changes the container's isolation")),
    ("command", Honoured),
    ("configs", Refused("the container would start without its configuration")),
    ("container_name", Warned("replicas are named by project, service and slot")),
    ("cpu_count", Warned(TUNING)),
    ("cpu_percent", Warned(TUNING)),
    ("cpu_period", Warned(TUNING)),
    ("cpu_quota", Warned(TUNING)),
    ("cpu_rt_period", Warned(TUNING)),
    ("cpu_rt_runtime", Warned(TUNING)),
    ("cpu_shares", Warned(TUNING)),
    ("cpus", Honoured),
    ("cpuset", Warned(TUNING)),
    ("credential_spec", Refused("the container would start without its credentials")),
    ("depends_on", Honoured),
    ("deploy", Honoured),
    ("develop", Harmless),
    ("device_cgroup_rules", Refused("it changes what the container may do")),
    ("devices", Refused("the container would start without its devices")),
    ("dns", Refused("the container would look names up elsewhere")),
    ("dns_opt", Refused("the container would look names up differently")),
    ("dns_search", Refused("the container would look names up differently")),
    ("domainname", Warned(ENGINE)),
    ("entrypoint", Honoured),
    ("env_file", Honoured),
    ("environment", Honoured),
    ("expose", Harmless),
    ("extends", Refused("the service would start without what it extends; use an anchor and `<<`")),
    ("external_links", Refused("the container would start without these names")),
    ("extra_hosts", Honoured),
    ("gpus", Refused("the container would start without its GPUs")),
    ("group_add", Refused("it changes which files the container may use")),
    ("healthcheck", Honoured),
    ("hostname", Honoured),
    ("image", Honoured),
    ("init", Honoured),
    ("ipc", Refused("it changes the container's isolation")),
    ("isolation", Refused("it changes the container's isolation")),
    (
        "label_file",
        Refused("the container would start without these labels; write them under `labels`"),
    ),
    ("labels", Honoured),
    ("links", Honoured),
    ("logging", Honoured),
    ("mac_address", Warned(ONE_NETWORK)),
    ("mem_limit", Honoured),
    ("mem_reservation", Honoured),
    ("mem_swappiness", Warned(TUNING)),
    ("memswap_limit", Warned(TUNING)),
    ("models", Refused("the container would start without its models")),
    ("network_mode", Refused("it changes the container's isolation")),
    ("networks", Honoured),
    ("oom_kill_disable", Warned(TUNING)),
    ("oom_score_adj", Warned(TUNING)),
    ("pid", Refused("it changes the container's isolation")),
    ("pids_limit", Honoured),
    (
        "platform",
        Warned(
            "nodes run images of their own platform; pin with a constraint on node.platform.arch",
        ),
    ),
    ("ports", Honoured),
    ("post_start", Refused("the service would start without it")),
    ("pre_start", Refused("the service would start without it")),
    ("pre_stop", Refused("the service would stop without it")),
    ("privileged", Refused("it changes the container's isolation")),
    ("profiles", Refused("the service would start whether its profile is wanted or not")),
    ("provider", Refused("the cluster starts containers only")),
    ("pull_policy", Honoured),
    ("pull_refresh_after", Warned("images are resolved once per deploy")),
    ("read_only", Refused("it changes the container's isolation")),
    ("restart", Honoured),
    ("runtime", Refused("it changes the container's isolation")),
    ("scale", Honoured),
    ("secrets", Refused("the container would start without its secrets")),
    ("security_opt", Refused("it changes the container's isolation")),
    ("shm_size", Honoured),
    ("stdin_open", Honoured),
    ("stop_grace_period", Honoured),
    ("stop_signal", Honoured),
    ("storage_opt", Warned(ENGINE)),
    ("sysctls", Refused("the container would start with other kernel settings")),
    ("tmpfs", Honoured),
    ("tty", Honoured),
    ("ulimits", Refused("the container would start with other limits")),
    ("use_api_socket", Refused("the engine's socket is as good as root on the host")),
    ("user", Honoured),
    ("userns_mode", Refused("it changes the container's isolation")),
    ("uts", Refused("it changes the container's isolation")),
    ("volumes", Honoured),
    (
        "volumes_from",
        Refused("the container would start without these volumes; name them under `volumes`"),
    ),
    ("working_dir", Honoured),
];

const HEALTHCHECK: Table = &[
    ("disable", Honoured),
    ("test", Honoured),
    ("interval", Honoured),
    ("timeout", Honoured),
    ("retries", Honoured),
    ("start_period", Honoured),
    ("start_interval", Warned("checks run at `interval` from the start")),
];

const PORT: Table = &[
    ("name", Harmless),
    ("mode", Honoured),
    ("host_ip", Honoured),
    ("target", Honoured),
    ("published", Honoured),
    ("protocol", Honoured),
    ("app_protocol", Harmless),
];

const MOUNT: Table = &[
    ("type", Honoured),
    ("source", Honoured),
    ("target", Honoured),
    ("read_only", Honoured),
    ("consistency", Harmless),
    ("bind", Honoured),
    ("volume", Honoured),
    ("tmpfs", Honoured),
    ("image", Refused("images cannot be mounted yet")),
];

const MOUNT_BIND: Table = &[
    (
        "propagation",
        Refused("it changes what the container and the host see of each other's mounts"),
    ),
    ("create_host_path", Honoured),
    ("recursive", Warned(ENGINE)),
    ("selinux", Refused("the container might not be allowed to use the mount")),
];

const MOUNT_VOLUME: Table = &[
    ("labels", Warned("label the volume itself, under the top-level `volumes`")),
    ("nocopy", Refused("the engine would fill a new volume from the image")),
    ("subpath", Refused("the container would see the whole volume")),
];

const ATTACHMENT: Table = &[
    ("aliases", Warned("a service is found by its own name only")),
    ("driver_opts", Warned(ONE_NETWORK)),
    ("gw_priority", Warned(ONE_NETWORK)),
    ("interface_name", Warned(ONE_NETWORK)),
    ("ipv4_address", Warned("addresses are given out by the node")),
    ("ipv6_address", Warned("addresses are given out by the node")),
    ("link_local_ips", Warned("addresses are given out by the node")),
    ("mac_address", Warned(ONE_NETWORK)),
    ("priority", Warned(ONE_NETWORK)),
];

const DEPLOY: Table = &[
    ("mode", Honoured),
    ("replicas", Honoured),
    (
        "labels",
        Warned(
            "services have no labels of their own; use the service's `labels` for its containers",
        ),
    ),
    ("endpoint_mode", Warned("services are reached through published ports for now")),
    ("placement", Honoured),
    ("resources", Honoured),
    ("restart_policy", Honoured),
    ("rollback_config", Warned("an update that fails stops and is not rolled back yet")),
    ("update_config", Honoured),
];

const UPDATE: Table = &[
    ("order", Honoured),
    ("monitor", Honoured),
    ("parallelism", Warned("one replica is replaced at a time for now")),
    ("delay", Warned("the next replica follows once the last one is healthy")),
    ("failure_action", Warned("an update that fails stops and waits")),
    ("max_failure_ratio", Warned("an update stops at the first failure")),
];

const RESERVATIONS: Table = &[
    ("cpus", Honoured),
    ("memory", Honoured),
    ("generic_resources", Refused("the service could start where these are missing")),
    ("devices", Refused("the container would start without its devices")),
];

const PLACEMENT: Table =
    &[("constraints", Honoured), ("preferences", Honoured), ("max_replicas_per_node", Honoured)];

const RESTART: Table = &[
    ("condition", Honoured),
    ("delay", Honoured),
    ("max_attempts", Honoured),
    ("window", Honoured),
];

const NETWORK: Table = &[
    ("name", Warned(ONE_NETWORK)),
    ("driver", Warned(ONE_NETWORK)),
    ("driver_opts", Warned(ONE_NETWORK)),
    ("ipam", Warned("addresses are given out by the node")),
    ("external", Warned(ONE_NETWORK)),
    ("internal", Refused("containers on it could reach the outside")),
    ("attachable", Harmless),
    ("enable_ipv4", Warned(ONE_NETWORK)),
    ("enable_ipv6", Warned(ONE_NETWORK)),
    ("labels", Warned(ONE_NETWORK)),
];

const VOLUME: Table = &[
    ("name", Honoured),
    ("driver", Honoured),
    ("driver_opts", Honoured),
    ("external", Honoured),
    ("labels", Honoured),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_verdict_with_a_reason() {
        for table in
            [TOP, SERVICE, HEALTHCHECK, PORT, MOUNT, ATTACHMENT, DEPLOY, UPDATE, NETWORK, VOLUME]
        {
            let names: std::collections::BTreeSet<_> = table.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), table.len());
            for (name, verdict) in table {
                if let Warned(why) | Refused(why) = verdict {
                    assert!(why.len() > 10 && !why.ends_with('.'), "{name}: {why}");
                }
            }
        }
    }
}
