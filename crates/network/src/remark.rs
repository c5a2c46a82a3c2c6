//! What an edge has to say, as values: this crate logs nothing, the binary that runs it does.

use crate::picture::Bind;
use model::{NodeId, TaskId};
use std::net::{Ipv4Addr, SocketAddr};

/// Something worth a line in the log of the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The picture on disk cannot be used; nothing is served until the daemon sends one.
    PictureUnreadable {
        /// Why.
        why: String,
    },
    /// The picture could not be written to disk; it is served all the same.
    PictureNotSaved {
        /// Why.
        why: String,
    },
    /// A published port cannot be listened on; it is tried again until it can.
    PortRefused {
        /// The port.
        bind: Bind,
        /// Why.
        why: String,
    },
    /// A published port is listened on.
    PortOpen {
        /// The port.
        bind: Bind,
    },
    /// The port for other edges cannot be listened on; it is tried again until it can. Meanwhile other nodes do
    /// not reach the replicas here.
    EdgePortRefused {
        /// The address.
        address: SocketAddr,
        /// Why.
        why: String,
    },
    /// The port for other edges, refused before, is listened on.
    EdgePortOpen {
        /// The address.
        address: SocketAddr,
    },
    /// A replica did not take a connection and gets none for a while.
    Ejected {
        /// The replica's task.
        task: TaskId,
        /// Why.
        why: String,
    },
    /// The edge of another node cannot be reached from here.
    LinkDown {
        /// The node.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// The edge of another node can be reached again.
    LinkUp {
        /// The node.
        node: NodeId,
    },
    /// The kernel's part of the mesh is not as it should be; it is tried again until it is.
    MeshTrouble {
        /// What is in the way.
        why: String,
    },
    /// It is as it should be again.
    MeshMended,
    /// Names cannot be answered for on a bridge yet; it is tried again until they can.
    NamesRefused {
        /// The bridge's own address.
        gateway: Ipv4Addr,
        /// Why.
        why: String,
    },
    /// A connection to the edge port was refused. Not said of each: see [`Status::strangers`](crate::Status).
    Stranger {
        /// Where it came from.
        from: SocketAddr,
        /// Why it was refused.
        why: String,
    },
    /// A connection from a balancer's address did not begin with a PROXY header, and was ended. Not said of each.
    Misspoken {
        /// Where it came from.
        from: SocketAddr,
        /// What is wrong.
        why: String,
    },
}
