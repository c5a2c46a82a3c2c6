//! Rows of the table of keys: a service and what stands inside of it, `deploy` aside.

use super::Table;
use super::Verdict::{Emulated, Harmless, Honoured, Refused, Warned};

const ONE_INTERFACE: &str = "a container has one interface for all of its networks";
const WINDOWS: &str = "it means something on Windows only; nodes run Linux";
const NOT_BUILT: &str = "the builder on this machine is not told of it";
const NO_MODELS: &str = "the cluster runs containers only";
const MODELS_INSTEAD: &str = "run the model's server as a service of its own";
const BY_HAND: &str = "it watches files while you develop; a cluster runs what was built";

pub(super) const SERVICE: Table = &[
    ("annotations", Honoured),
    ("attach", Harmless("`clusterctl logs` shows whatever is asked for")),
    ("blkio_config", Honoured),
    ("build", Honoured),
    ("cap_add", Honoured),
    ("cap_drop", Honoured),
    ("cgroup", Honoured),
    ("cgroup_parent", Honoured),
    ("command", Honoured),
    ("configs", Honoured),
    (
        "container_name",
        Emulated(
            "a name on the service's networks; containers are named by project, service and slot",
        ),
    ),
    ("cpu_count", Harmless(WINDOWS)),
    ("cpu_percent", Harmless(WINDOWS)),
    ("cpu_period", Honoured),
    ("cpu_quota", Honoured),
    ("cpu_rt_period", Honoured),
    ("cpu_rt_runtime", Honoured),
    ("cpu_shares", Honoured),
    ("cpus", Honoured),
    ("cpuset", Honoured),
    ("credential_spec", Refused(WINDOWS, "remove it")),
    ("depends_on", Honoured),
    ("deploy", Honoured),
    ("develop", Harmless(BY_HAND)),
    ("device_cgroup_rules", Honoured),
    ("devices", Honoured),
    ("dns", Honoured),
    ("dns_opt", Honoured),
    ("dns_search", Honoured),
    ("domainname", Honoured),
    ("entrypoint", Honoured),
    ("env_file", Honoured),
    ("environment", Honoured),
    ("expose", Harmless("services of a project reach every port of each other")),
    ("extends", Honoured),
    (
        "external_links",
        Refused("the container would start without these names", "put both services into one file"),
    ),
    ("extra_hosts", Honoured),
    ("gpus", Honoured),
    ("group_add", Honoured),
    ("healthcheck", Honoured),
    ("hostname", Honoured),
    ("image", Honoured),
    ("init", Honoured),
    ("ipc", Honoured),
    ("isolation", Harmless(WINDOWS)),
    ("label_file", Honoured),
    ("labels", Honoured),
    (
        "links",
        Emulated("a service is found by its own name, and by its alias on all of its networks"),
    ),
    ("logging", Honoured),
    ("mac_address", Honoured),
    ("mem_limit", Honoured),
    ("mem_reservation", Honoured),
    ("mem_swappiness", Honoured),
    ("memswap_limit", Honoured),
    ("models", Refused(NO_MODELS, MODELS_INSTEAD)),
    ("network_mode", Honoured),
    ("networks", Honoured),
    ("oom_kill_disable", Honoured),
    ("oom_score_adj", Honoured),
    ("pid", Honoured),
    ("pids_limit", Honoured),
    ("platform", Emulated("the service runs on nodes of that platform, with their own images")),
    ("ports", Honoured),
    ("post_start", Honoured),
    ("pre_start", Honoured),
    ("pre_stop", Honoured),
    ("privileged", Honoured),
    ("profiles", Honoured),
    ("provider", Refused(NO_MODELS, "start what the provider would start yourself")),
    ("pull_policy", Honoured),
    ("pull_refresh_after", Warned("images are resolved once per deploy")),
    ("read_only", Honoured),
    ("restart", Honoured),
    ("runtime", Honoured),
    ("scale", Honoured),
    ("secrets", Honoured),
    ("security_opt", Honoured),
    ("shm_size", Honoured),
    ("stdin_open", Honoured),
    ("stop_grace_period", Honoured),
    ("stop_signal", Honoured),
    ("storage_opt", Honoured),
    ("sysctls", Honoured),
    ("tmpfs", Honoured),
    ("tty", Honoured),
    ("ulimits", Honoured),
    (
        "use_api_socket",
        Refused(
            "the engine's socket is as good as root on the host",
            "mount /var/run/docker.sock, with `--allow-host`",
        ),
    ),
    ("user", Honoured),
    ("userns_mode", Honoured),
    ("uts", Honoured),
    ("volumes", Honoured),
    ("volumes_from", Honoured),
    ("working_dir", Honoured),
];

pub(super) const EXTENDS: Table = &[("service", Honoured), ("file", Honoured)];

pub(super) const BUILD: Table = &[
    ("context", Honoured),
    ("dockerfile", Honoured),
    ("dockerfile_inline", Honoured),
    ("args", Honoured),
    ("ssh", Harmless(NOT_BUILT)),
    ("cache_from", Honoured),
    ("cache_to", Harmless(NOT_BUILT)),
    ("additional_contexts", Harmless(NOT_BUILT)),
    ("entitlements", Harmless(NOT_BUILT)),
    ("extra_hosts", Harmless(NOT_BUILT)),
    ("isolation", Harmless(NOT_BUILT)),
    ("privileged", Harmless(NOT_BUILT)),
    ("provenance", Harmless(NOT_BUILT)),
    ("sbom", Harmless(NOT_BUILT)),
    ("labels", Honoured),
    ("no_cache", Honoured),
    ("pull", Honoured),
    ("network", Honoured),
    ("secrets", Harmless(NOT_BUILT)),
    ("shm_size", Harmless(NOT_BUILT)),
    ("tags", Harmless(NOT_BUILT)),
    ("target", Honoured),
    ("ulimits", Harmless(NOT_BUILT)),
    ("platforms", Harmless(NOT_BUILT)),
];

pub(super) const BUILD_ULIMIT: Table =
    &[("soft", Harmless(NOT_BUILT)), ("hard", Harmless(NOT_BUILT))];

pub(super) const BUILD_SECRET: Table = &[
    ("source", Harmless(NOT_BUILT)),
    ("target", Harmless(NOT_BUILT)),
    ("uid", Harmless(NOT_BUILT)),
    ("gid", Harmless(NOT_BUILT)),
    ("mode", Harmless(NOT_BUILT)),
];

pub(super) const DEVELOP: Table = &[("watch", Harmless(BY_HAND))];

pub(super) const WATCH: Table = &[
    ("path", Harmless(BY_HAND)),
    ("action", Harmless(BY_HAND)),
    ("target", Harmless(BY_HAND)),
    ("ignore", Harmless(BY_HAND)),
    ("include", Harmless(BY_HAND)),
    ("initial_sync", Harmless(BY_HAND)),
    ("exec", Harmless(BY_HAND)),
];

pub(super) const WATCH_EXEC: Table = &[
    ("command", Harmless(BY_HAND)),
    ("user", Harmless(BY_HAND)),
    ("privileged", Harmless(BY_HAND)),
    ("working_dir", Harmless(BY_HAND)),
    ("environment", Harmless(BY_HAND)),
];

pub(super) const HEALTHCHECK: Table = &[
    ("disable", Honoured),
    ("test", Honoured),
    ("interval", Honoured),
    ("timeout", Honoured),
    ("retries", Honoured),
    ("start_period", Honoured),
    ("start_interval", Honoured),
];

pub(super) const LOGGING: Table = &[("driver", Honoured), ("options", Honoured)];

pub(super) const ENV_FILE: Table =
    &[("path", Honoured), ("required", Honoured), ("format", Honoured)];

pub(super) const DEPENDS_ON: Table =
    &[("condition", Honoured), ("required", Honoured), ("restart", Honoured)];

pub(super) const PORT: Table = &[
    ("name", Harmless("it is for people to read")),
    ("mode", Honoured),
    ("host_ip", Honoured),
    ("target", Honoured),
    ("published", Honoured),
    ("protocol", Honoured),
    ("app_protocol", Harmless("connections are passed on as they are")),
];

pub(super) const MOUNT: Table = &[
    ("type", Honoured),
    ("source", Honoured),
    ("target", Honoured),
    ("read_only", Honoured),
    ("consistency", Harmless("it means something on a Mac only")),
    ("bind", Honoured),
    ("volume", Honoured),
    ("tmpfs", Honoured),
    ("image", Refused("images cannot be mounted yet", "copy the files into a volume")),
];

pub(super) const MOUNT_BIND: Table = &[
    ("propagation", Honoured),
    ("create_host_path", Harmless("a missing folder is an error that names it, and is never made")),
    ("recursive", Honoured),
    (
        "selinux",
        Refused(
            "the container might not be allowed to use the mount",
            "label the folder on the nodes with `chcon`",
        ),
    ),
];

pub(super) const MOUNT_VOLUME: Table = &[
    ("labels", Warned("label the volume itself, under the top-level `volumes`")),
    ("nocopy", Honoured),
    ("subpath", Honoured),
];

pub(super) const MOUNT_TMPFS: Table = &[("size", Honoured), ("mode", Honoured)];

pub(super) const MOUNT_IMAGE: Table =
    &[("subpath", Refused("images cannot be mounted yet", "copy the files into a volume"))];

pub(super) const ATTACHMENT: Table = &[
    ("aliases", Honoured),
    ("driver_opts", Warned(ONE_INTERFACE)),
    ("gw_priority", Harmless("there is one way out, unless all of the networks are internal")),
    ("interface_name", Warned(ONE_INTERFACE)),
    (
        "ipv4_address",
        Emulated("one more virtual address of the service; its containers' own are others"),
    ),
    ("ipv6_address", Warned("containers reach each other by IPv4")),
    ("link_local_ips", Warned("containers have addresses of the cluster's own pool")),
    ("mac_address", Warned(ONE_INTERFACE)),
    ("priority", Harmless(ONE_INTERFACE)),
];

pub(super) const REFERENCE: Table = &[
    ("source", Honoured),
    ("target", Honoured),
    ("uid", Honoured),
    ("gid", Honoured),
    ("mode", Honoured),
];

pub(super) const CREDENTIAL: Table = &[
    ("config", Refused(WINDOWS, "remove it")),
    ("file", Refused(WINDOWS, "remove it")),
    ("registry", Refused(WINDOWS, "remove it")),
];

pub(super) const DEVICE: Table =
    &[("source", Honoured), ("target", Honoured), ("permissions", Honoured)];

pub(super) const GPU: Table = &[
    ("capabilities", Honoured),
    ("count", Honoured),
    ("device_ids", Honoured),
    ("driver", Honoured),
    ("options", Honoured),
];

pub(super) const ULIMIT: Table = &[("soft", Honoured), ("hard", Honoured)];

pub(super) const BLKIO: Table = &[
    ("weight", Honoured),
    ("weight_device", Honoured),
    ("device_read_bps", Honoured),
    ("device_read_iops", Honoured),
    ("device_write_bps", Honoured),
    ("device_write_iops", Honoured),
];

pub(super) const BLKIO_WEIGHT: Table = &[("path", Honoured), ("weight", Honoured)];

pub(super) const BLKIO_RATE: Table = &[("path", Honoured), ("rate", Honoured)];

pub(super) const PROVIDER: Table = &[
    ("type", Refused(NO_MODELS, "start what the provider would start yourself")),
    ("options", Refused(NO_MODELS, "start what the provider would start yourself")),
];

pub(super) const SERVICE_MODEL: Table = &[
    ("endpoint_var", Refused(NO_MODELS, MODELS_INSTEAD)),
    ("model_var", Refused(NO_MODELS, MODELS_INSTEAD)),
];

pub(super) const PRE_START: Table = &[
    ("command", Honoured),
    ("image", Honoured),
    ("user", Honoured),
    ("privileged", Honoured),
    ("working_dir", Honoured),
    ("environment", Honoured),
    ("per_replica", Honoured),
];

pub(super) const HOOK: Table = &[
    ("command", Honoured),
    ("user", Honoured),
    ("privileged", Honoured),
    ("working_dir", Honoured),
    ("environment", Honoured),
];
