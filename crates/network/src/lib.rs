//! The packets of a node: the edge's ingress, by which a published port answers on every node, wherever the
//! replicas are, and requests over HTTP find the service that their host and path name; and the mesh, by which the
//! containers of a project reach each other across hosts, with the name server that tells them where.
//!
//! It carries connections and decides nothing about the cluster: where connections may go is in the
//! [`Picture`] that the daemon sends. It logs nothing ([`Remark`]), reads no certificates ([`Tls`]) and knows
//! no Docker. The edge is a process of its own that outlives the daemon: what it last served lies on its disk,
//! and it goes on with that until a daemon, perhaps a newer one, speaks to it again.
//!
//! Start with [`Picture`], then [`Edge`] (what the edge process runs) and [`Feed`] (the daemon's end of it);
//! which replica gets a connection is [`Balancer`], a value. A client's way: `door` accepts, `carry` holds it
//! while `dial` reaches a replica, here or through the `peer` edge that receives it in `inbound`, and `pump`
//! carries the bytes. For the mesh start with `mesh` (what the kernel is told, and when) and `dns`.
//! `proxied` is what balancers say of a client, and what replicas are told. What comes over UDP goes through `datagrams`. Requests over HTTP that services share a port for go through `http`.

mod balance;
mod carry;
mod clock;
pub mod control;
mod core;
mod counters;
mod datagrams;
mod dial;
mod disk;
mod dns;
mod door;
mod edge;
mod feed;
mod footing;
mod http;
mod inbound;
mod lane;
pub mod limits;
pub mod mesh;
mod peer;
mod picture;
mod proxied;
mod pump;
mod remark;
mod route;
mod search;
mod security;
mod socket;
mod sources;
mod status;
mod stream;
mod tally;
mod wire;

pub use balance::Balancer;
pub use counters::Counts;
pub use dns::{Answer, Names};
pub use door::PortState;
pub use edge::{Config, Edge, Error};
pub use feed::{EdgeState, Feed};
pub use http::{HttpCounts, HttpSettings, LATENCY_BOUNDS, Patience, Router, TakeCertificates};
pub use picture::{Bind, PeerEdge, Picture};
pub use remark::Remark;
pub use security::{CertificatePair, HolderOf, IdentityFiles, NameOf, Reload, Security, Tls};
pub use sources::{InvalidSource, Source};
pub use status::{HttpSite, Link, PublishedPort, SharedPort, Status};
