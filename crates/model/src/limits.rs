//! Every limit of the product that more than one crate needs to know, in one place. Each is enforced
//! at the boundary where the bytes or the wish come in.

use std::time::Duration;

/// Highest feature level this build understands; see `State::level`.
pub const LEVEL: u32 = 3;
/// The level from which on the networks of a project are kept apart.
pub const NETWORKS_LEVEL: u32 = 3;
/// Nodes in one cluster.
pub const NODES: usize = 2_000;
/// Projects in one cluster.
pub const PROJECTS: usize = 500;
/// Services in one project.
pub const SERVICES_PER_PROJECT: usize = 1_000;
/// Different sets of networks that services of one project may be on: each takes a subnet of each node.
pub const NETWORK_SETS: usize = 32;
/// Commands that people run once, at the same time, in one project.
pub const RUNS_PER_PROJECT: usize = 100;
/// Projects that were granted something of their hosts.
pub const POLICIES: usize = 1_000;
/// What one project was granted of its hosts.
pub const PERMITS: usize = 256;
/// Bytes of a value that is granted by itself.
pub const PERMIT_BYTES: usize = 255;
/// Replicas one service may ask for.
pub const REPLICAS: u32 = 100_000;
/// Tasks on one node that have not ended.
pub const TASKS_PER_NODE: usize = 500;
/// Statuses in one report.
pub const STATUSES_PER_REPORT: usize = 2_000;
/// Changes in one `Command::Plan`; the next pass of the planner continues.
pub const CHANGES_PER_PLAN: usize = 1_000;
/// Events kept in the state.
pub const EVENTS: usize = 2_000;
/// Ended tasks kept per slot, so that their logs can still be read.
pub const ENDED_TASKS_PER_SLOT: usize = 2;
/// How long an ended task is kept at most.
pub const ENDED_TASK_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long a request id and its outcome are remembered from its stamp on, in cluster time; also how far
/// ahead a stamp may lie.
pub const REQUEST_KEPT: Duration = Duration::from_secs(120);
/// Remembered requests at which new writes wait. None is forgotten early.
pub const REQUESTS: usize = 500_000;
/// Bytes of a name of a project, service, volume, network or node (RFC 1035 §2.3.4: a DNS label).
pub const NAME_BYTES: usize = 63;
/// Labels on one node or service.
pub const LABELS: usize = 256;
/// Bytes of a label's key and value, each.
pub const LABEL_BYTES: usize = 4_096;
/// Bytes of one Compose file, and of the canonical document of a project.
pub const COMPOSE_BYTES: usize = 1024 * 1024;
/// Bytes of one secret or config.
pub const CONTENT_BYTES: usize = 500 * 1024;
/// Bytes of all secrets and configs that come with one project.
pub const PROJECT_CONTENT_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of all secrets and configs of a cluster, each version counted once.
pub const CLUSTER_CONTENT_BYTES: usize = 32 * 1024 * 1024;
/// Secrets and configs that no project owns.
pub const EXTERNALS: usize = 1_000;
/// Bytes of the text of one reason, as an agent may report it.
pub const REASON_BYTES: usize = 512;
/// Bytes of the end of a hook's output that are kept for the reason of its failure.
pub const HOOK_OUTPUT_BYTES: usize = 1_024;
/// Bytes of that as the reason tells it, so that there is room for what comes before.
pub const HOOK_TOLD_BYTES: usize = 400;
/// Lines of it.
pub const HOOK_TOLD_LINES: usize = 5;
/// Hooks of one kind around one container.
pub const HOOKS: usize = 32;
/// Bytes of one log entry.
pub const ENTRY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one message on the wire.
pub const MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one chunk of a snapshot or an image on the wire.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Cores that one node may claim to have, in thousandths.
pub const NODE_MILLI_CPUS: u64 = 4_096_000;
/// Memory that one node may claim to have.
pub const NODE_MEMORY: u64 = 64 << 40;
/// Ports that one node may say foreign processes hold.
pub const BUSY_PORTS: usize = 1_000;
/// Ports on which one node may say that it answers HTTP for all services: one without TLS, one with.
pub const SHARED_PORTS: usize = 2;
/// Restarts in place that one task may be said to have had; more are not counted.
pub const RESTARTS_IN_PLACE: u32 = 1_000_000;
/// Most voters a cluster can be told to keep.
pub const VOTERS: u32 = 7;

/// TCP port of the control plane (gRPC over mutual TLS).
pub const CONTROL_PORT: u16 = 7070;
/// TCP port on which edges hand connections to each other (mutual TLS).
pub const EDGE_PORT: u16 = 7071;
/// TCP port of `/metrics`, on loopback unless told otherwise.
pub const METRICS_PORT: u16 = 7072;
/// UDP port on which hosts carry the packets of containers to each other.
pub const MESH_PORT: u16 = 7073;
/// TCP port on which every node answers requests over HTTP for the services that have rules for them.
pub const HTTP_PORT: u16 = 80;
/// The same over TLS.
pub const HTTPS_PORT: u16 = 443;
/// Host ports that no service may publish.
pub const RESERVED_PORTS: [u16; 5] = [22, CONTROL_PORT, EDGE_PORT, METRICS_PORT, MESH_PORT];

/// Memory charged for a replica whose service reserves none and has not been observed yet.
pub const UNOBSERVED_MEMORY: u64 = 64 << 20;
/// Memory that a node keeps for itself unless its configuration says otherwise.
pub const SYSTEM_MEMORY: u64 = 256 << 20;
/// Largest offset between two wall clocks at which a node may join.
pub const JOIN_CLOCK_OFFSET: Duration = Duration::from_secs(300);
/// Offset between two wall clocks past which a warning is due.
pub const WARN_CLOCK_OFFSET: Duration = Duration::from_secs(1);
