//! The transport between the members of the log, over tonic. `peers` holds the connections, `network` is
//! what openraft calls, `service` is what answers, `wire` is what the bodies hold.

pub(crate) mod fetch;
pub(crate) mod network;
pub(crate) mod peers;
pub(crate) mod service;
pub(crate) mod wire;

/// Generated from `proto/cluster/v1/raft.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub(crate) mod pb {
    tonic::include_proto!("cluster.v1");
}
