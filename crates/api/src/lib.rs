//! The gRPC surface: generated code, and total conversions between it and the model.
//!
//! What the messages mean is written in `proto/cluster/v1/*.proto`. A conversion from the wire checks
//! what it reads and says which field is wrong; one to the wire cannot fail. Views travel in the log's
//! own encoding (see [`encode`]): both ends are daemons of one cluster, and a second schema for specs
//! would only be one more thing to keep in step. No policy, no sockets.

mod convert;
mod encoding;

#[expect(missing_docs, reason = "generated; the protocol files hold the documentation")]
#[allow(clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("cluster.v1");
}

pub use convert::*;
pub use encoding::*;
