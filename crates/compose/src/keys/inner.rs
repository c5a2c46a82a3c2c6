//! Rows of the table of keys: the top of a file, and everything that is not of a service itself.

use super::Table;
use super::Verdict::{Emulated, Harmless, Honoured, Refused, Warned};

const ONE_NETWORK: &str = "each project has one network per node for now";
const ADDRESSES: &str = "addresses are given out by the node";

pub(super) const TOP: Table = &[
    ("version", Warned("it is obsolete; every file is read by the current specification")),
    ("name", Honoured),
    ("include", Honoured),
    ("services", Honoured),
    ("networks", Honoured),
    ("volumes", Honoured),
    ("secrets", Harmless(UNUSED)),
    ("configs", Harmless(UNUSED)),
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
    ("endpoint_mode", Warned("services are reached through published ports for now")),
    ("placement", Honoured),
    ("resources", Honoured),
    ("restart_policy", Honoured),
    ("rollback_config", Warned(ROLLED_BACK)),
    ("update_config", Honoured),
];

const ROLLED_BACK: &str = "an update that fails stops and is not rolled back yet";

pub(super) const UPDATE: Table = &[
    ("order", Honoured),
    ("monitor", Honoured),
    ("parallelism", Warned("one replica is replaced at a time for now")),
    ("delay", Warned("the next replica follows once the last one is healthy")),
    ("failure_action", Warned("an update that fails stops and waits")),
    ("max_failure_ratio", Warned("an update stops at the first failure")),
];

pub(super) const ROLLBACK: Table = &[
    ("order", Harmless(ROLLED_BACK)),
    ("monitor", Harmless(ROLLED_BACK)),
    ("parallelism", Harmless(ROLLED_BACK)),
    ("delay", Harmless(ROLLED_BACK)),
    ("failure_action", Harmless(ROLLED_BACK)),
    ("max_failure_ratio", Harmless(ROLLED_BACK)),
];

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
    ("name", Warned(ONE_NETWORK)),
    ("driver", Warned(ONE_NETWORK)),
    ("driver_opts", Warned(ONE_NETWORK)),
    ("ipam", Warned(ADDRESSES)),
    ("external", Warned(ONE_NETWORK)),
    (
        "internal",
        Refused(
            "containers on it could reach the outside",
            "keep them from the outside with the host's firewall",
        ),
    ),
    ("attachable", Harmless("only the cluster's own containers are on its networks")),
    ("enable_ipv4", Warned(ONE_NETWORK)),
    ("enable_ipv6", Warned(ONE_NETWORK)),
    ("labels", Warned(ONE_NETWORK)),
];

pub(super) const IPAM: Table = &[
    ("driver", Harmless(ADDRESSES)),
    ("config", Harmless(ADDRESSES)),
    ("options", Harmless(ADDRESSES)),
];

pub(super) const IPAM_POOL: Table = &[
    ("subnet", Harmless(ADDRESSES)),
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

pub(super) const SECRET: Table = &[
    ("name", Harmless(UNUSED)),
    ("file", Harmless(UNUSED)),
    ("environment", Harmless(UNUSED)),
    ("external", Harmless(UNUSED)),
    ("labels", Harmless(UNUSED)),
    ("driver", Harmless(UNUSED)),
    ("driver_opts", Harmless(UNUSED)),
    ("template_driver", Harmless(UNUSED)),
];

pub(super) const CONFIG: Table = &[
    ("name", Harmless(UNUSED)),
    ("file", Harmless(UNUSED)),
    ("environment", Harmless(UNUSED)),
    ("content", Harmless(UNUSED)),
    ("external", Harmless(UNUSED)),
    ("labels", Harmless(UNUSED)),
    ("template_driver", Harmless(UNUSED)),
];

pub(super) const MODEL: Table = &[
    ("name", Harmless(UNUSED)),
    ("model", Harmless(UNUSED)),
    ("context_size", Harmless(UNUSED)),
    ("runtime_flags", Harmless(UNUSED)),
];

pub(super) const EXTERNAL: Table =
    &[("name", Emulated("the old way to write `external: true` beside a `name`"))];

pub(super) const CLUSTER: Table = &[("resolved", Honoured), ("http", Honoured)];

pub(super) const CLUSTER_HTTP: Table =
    &[("host", Honoured), ("path", Honoured), ("port", Honoured)];
