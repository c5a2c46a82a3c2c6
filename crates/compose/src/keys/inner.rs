//! Rows of the table of keys: the top of a file, and everything that is not of a service itself.

use super::Table;
use super::Verdict::{Emulated, Harmless, Honoured, Refused, Warned};

const ADDRESSES: &str = "containers have addresses of the cluster's own pool";

pub(super) const TOP: Table = &[
    ("version", Warned("it is obsolete; every file is read by the current specification")),
    ("name", Honoured),
    ("include", Honoured),
    ("services", Honoured),
    ("networks", Honoured),
    ("volumes", Honoured),
    ("secrets", Honoured),
    ("configs", Honoured),
    ("models", Harmless(UNUSED)),
];

pub(super) const INCLUDE: Table =
    &[("path", Honoured), ("project_directory", Honoured), ("env_file", Honoured)];

pub(super) const DEPLOY: Table = &[
    ("mode", Honoured),
    ("replicas", Honoured),
    (
        "labels",
        Warned(
            "only `{{.Service.Labels.NAME}}` and the rules of `traefik.http` routers find them; the service's `labels` are its containers'",
        ),
    ),
    ("endpoint_mode", Honoured),
    ("placement", Honoured),
    ("resources", Honoured),
    ("restart_policy", Honoured),
    ("rollback_config", Honoured),
    ("update_config", Honoured),
];

pub(super) const UPDATE: Table = &[
    ("order", Honoured),
    ("monitor", Honoured),
    ("parallelism", Honoured),
    ("delay", Honoured),
    ("failure_action", Honoured),
    ("max_failure_ratio", Honoured),
];

pub(super) const ROLLBACK: Table = UPDATE;

pub(super) const RESOURCES: Table = &[("limits", Honoured), ("reservations", Honoured)];

pub(super) const LIMITS: Table = &[("cpus", Honoured), ("memory", Honoured), ("pids", Honoured)];

pub(super) const RESERVATIONS: Table = &[
    ("cpus", Honoured),
    ("memory", Honoured),
    (
        "generic_resources",
        Refused("the service could start where these are missing", LABEL_THE_NODE),
    ),
    ("devices", Honoured),
];

const LABEL_THE_NODE: &str = "label the nodes that have them, and write a placement constraint";
const NO_GENERIC: &str = "the cluster does not count such resources";

pub(super) const GENERIC: Table =
    &[("discrete_resource_spec", Refused(NO_GENERIC, LABEL_THE_NODE))];

pub(super) const DISCRETE: Table = &[
    ("kind", Refused(NO_GENERIC, LABEL_THE_NODE)),
    ("value", Refused(NO_GENERIC, LABEL_THE_NODE)),
];

pub(super) const PLACEMENT: Table =
    &[("constraints", Honoured), ("preferences", Honoured), ("max_replicas_per_node", Honoured)];

pub(super) const PREFERENCE: Table = &[("spread", Honoured)];

pub(super) const RESTART: Table = &[
    ("condition", Honoured),
    ("delay", Honoured),
    ("max_attempts", Honoured),
    ("window", Honoured),
];

pub(super) const NETWORK: Table = &[
    ("name", Honoured),
    ("driver", Warned("networks are the cluster's own, across hosts")),
    (
        "driver_opts",
        Emulated("`com.docker.network.driver.mtu` is heeded; others are of drivers not in use"),
    ),
    ("ipam", Emulated("`ipv4_address` is held to it; containers have addresses of the cluster's")),
    ("external", Honoured),
    ("internal", Honoured),
    ("attachable", Honoured),
    ("enable_ipv4", Warned(IPV4)),
    ("enable_ipv6", Warned(IPV4)),
    ("labels", Harmless("labels of networks are shown nowhere")),
];

const IPV4: &str = "containers reach each other by IPv4";

pub(super) const IPAM: Table = &[
    ("driver", Harmless(ADDRESSES)),
    ("config", Emulated("`ipv4_address` is held to it")),
    ("options", Harmless(ADDRESSES)),
];

pub(super) const IPAM_POOL: Table = &[
    ("subnet", Emulated("`ipv4_address` is held to it")),
    ("ip_range", Harmless(ADDRESSES)),
    ("gateway", Harmless(ADDRESSES)),
    ("aux_addresses", Harmless(ADDRESSES)),
];

pub(super) const VOLUME: Table = &[
    ("name", Honoured),
    ("driver", Honoured),
    ("driver_opts", Honoured),
    ("external", Honoured),
    ("labels", Honoured),
];

const UNUSED: &str = "nothing is made of it until a service uses it";

const NO_LABELS: &str = "labels of secrets and configs are shown nowhere";
const NO_DRIVER: &str = "the cluster keeps secrets itself";
const NO_TEMPLATE: &str = "placeholders in them would be handed on as they are";

pub(super) const SECRET: Table = &[
    ("name", Honoured),
    ("file", Honoured),
    ("environment", Honoured),
    ("external", Honoured),
    ("labels", Harmless(NO_LABELS)),
    (
        "driver",
        Refused(NO_DRIVER, "make it by `clusterctl secret create`, and say `external: true`"),
    ),
    ("driver_opts", Harmless(NO_DRIVER)),
    ("template_driver", Refused(NO_TEMPLATE, "write the values themselves")),
];

pub(super) const CONFIG: Table = &[
    ("name", Honoured),
    ("file", Honoured),
    ("environment", Honoured),
    ("content", Honoured),
    ("external", Honoured),
    ("labels", Harmless(NO_LABELS)),
    ("template_driver", Refused(NO_TEMPLATE, "write the values themselves")),
];

pub(super) const MODEL: Table = &[
    ("name", Harmless(UNUSED)),
    ("model", Harmless(UNUSED)),
    ("context_size", Harmless(UNUSED)),
    ("runtime_flags", Harmless(UNUSED)),
];

pub(super) const EXTERNAL: Table =
    &[("name", Emulated("the old way to write `external: true` beside a `name`"))];

pub(super) const CLUSTER: Table = &[
    ("resolved", Honoured),
    ("http", Honoured),
    ("prefer", Honoured),
    ("proxy_protocol", Honoured),
];

pub(super) const CLUSTER_HTTP: Table =
    &[("host", Honoured), ("path", Honoured), ("port", Honoured), ("tls", Honoured)];

pub(super) const CLUSTER_HTTP_TLS: Table =
    &[("certificate", Honoured), ("key", Honoured), ("redirect", Honoured)];

pub(super) const PRE_START_CLUSTER: Table = &[("on-unknown", Honoured), ("resolved", Honoured)];
