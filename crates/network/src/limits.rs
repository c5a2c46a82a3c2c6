//! Every number of the ingress in one place: how long it waits, how often it tries, how much it holds.

use std::time::Duration;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A replica that has not answered for this long is passed over for the next one.
pub const ANSWER: Duration = ms(250);
/// What each replica gets once all of them have been tried.
pub const ANSWER_AGAIN: Duration = ms(1_000);
/// How long a connection is held when no replica answers, before it is reset.
pub const HOLD: Duration = ms(3_000);
/// First wait between two rounds over all replicas; doubled per round.
pub const ROUND: Duration = ms(25);
/// First ejection of a replica that failed; doubled per failure in a row.
pub const EJECT_FIRST: Duration = ms(1_000);
/// Longest ejection.
pub const EJECT_MAX: Duration = ms(30_000);
/// Connections carried at once, from clients and from other edges together, unless told otherwise.
pub const CONNECTIONS: usize = 10_000;
/// One client's share of them is one in so many: a single address cannot take them all.
pub const CLIENT_SHARE: usize = 2;
/// Connections that the kernel queues per published port.
pub const BACKLOG: u32 = 1_024;
/// Bytes that one read takes at most.
pub const CHUNK: usize = 64 * 1024;
/// File descriptors kept for everything but carried connections: for published ports, most of all.
pub const OTHER_FILES: u64 = 4_096;

/// First wait before a port that could not be bound is tried again.
pub const BIND_AGAIN: Duration = ms(50);
/// Longest such wait: how long a port stays out after a foreign process has let go of it.
pub const BIND_AGAIN_MAX: Duration = ms(5_000);
/// Pause of an accept loop after an error such as "too many open files".
pub const ACCEPT_PAUSE: Duration = ms(50);

/// Idle connections kept ready per lane and per node that holds replicas.
pub const WARM: usize = 2;
/// Most of them when connections come in bursts.
pub const WARM_MAX: usize = 16;
/// Idle connections kept ready per lane over all nodes, as far as one per node allows.
pub const WARM_TOTAL: usize = 256;
/// How often one idle connection to each node is asked whether it still works.
pub const PING: Duration = ms(2_000);
/// How long dialling another edge may take, its welcome included. On a host that is short of processor time a
/// handshake is slow, and a slow link is not a broken one.
pub const DIAL: Duration = ms(2_000);
/// How long the answer to a ping may take.
pub const PING_ANSWER: Duration = ms(1_000);
/// First wait before a node that could not be reached is dialled again.
pub const REDIAL: Duration = ms(250);
/// Longest such wait.
pub const REDIAL_MAX: Duration = ms(2_000);
/// Connections dialled at once per lane and node; others that want one wait their turn.
pub const DIALS: usize = 16;
/// Connections carried to a node are reset when it could not be reached for this long; at once when the
/// cluster has given it up as well.
pub const GIVE_UP: Duration = ms(10_000);

/// Bytes of a PROXY header of version 2, with all that a balancer adds to the two addresses.
pub const PROXY_BYTES: usize = 2_048;
/// How long another edge may take for its TLS handshake and its greeting together; a client for its TLS handshake;
/// a balancer for its PROXY header.
pub const HANDSHAKE: Duration = ms(5_000);
/// Handshakes under way at once, and those of one address. More are refused at accept.
pub const HANDSHAKES: usize = 1_024;
/// See [`HANDSHAKES`].
pub const HANDSHAKES_PER_ADDRESS: usize = 192;
/// Between two remarks on strangers at the edge port, or on balancers that say no PROXY header: they must not fill
/// the log.
pub const STRANGERS_EVERY: Duration = ms(1_000);
/// An idle connection of another edge that neither asked nor pinged for this long is closed.
pub const IDLE: Duration = ms(120_000);
/// Idle connections that one other edge may hold.
pub const IDLE_PER_NODE: usize = 256;

/// Flows over UDP at once: what one client's socket and one replica say to each other.
pub const FLOWS: usize = 4_096;
/// Those of one client's address.
pub const FLOWS_PER_ADDRESS: usize = 1_024;
/// A flow over UDP ends when nothing was said for so long (RFC 4787 §4.3 asks for two minutes at least).
pub const FLOW_IDLE: Duration = ms(120_000);
/// The same of a flow whose client has said nothing since the replica's first answer: most are one question and
/// its answer, and a client whose address is forged never gets further.
pub const FLOW_BRIEF: Duration = ms(10_000);
/// Datagrams of one client that wait for their turn; more are dropped, as a full network does.
pub const FLOW_QUEUE: usize = 64;
/// How often flows that have ended are forgotten.
pub const FLOW_SWEEP: Duration = ms(5_000);

/// How often the kernel's part of the mesh is compared with what it should be.
pub const MESH_CHECK: Duration = ms(3_000);
/// First wait before what could not be put right is tried again; doubled up to [`MESH_CHECK`].
pub const MESH_AGAIN: Duration = ms(200);
/// Bytes of one packet on an encrypted mesh: what leaves room on a segment of 1,500 for IPv6 (40), UDP (8) and
/// `WireGuard` (32).
pub const WIRE_MTU: u16 = 1_420;
/// How often nodes of an encrypted mesh tell each other that they are there, and where.
pub const WIRE_ALIVE: Duration = ms(2_000);
/// After this long without a word from a node its tunnel is negotiated anew, until it answers.
pub const WIRE_SILENCE: Duration = ms(5_000);
/// How often that is tried.
pub const WIRE_TRY: Duration = ms(1_000);
/// How often the timers of all tunnels are looked at.
pub const WIRE_TICK: Duration = ms(250);
/// Negotiations a second that are answered without asking where they come from.
pub const WIRE_HANDSHAKES: u64 = 200;

/// How long a program that changes it may take.
pub const MESH_COMMAND: Duration = ms(10_000);

/// How long a packet may take to another node and back, when the mesh is examined.
pub const EXAMINE_ECHO: Duration = ms(1_000);
/// Pairs of subnets of two nodes that are tried before the way between them counts as broken.
pub const EXAMINE_PAIRS: usize = 3;
/// How long a node may take to examine its part of the mesh.
pub const EXAMINE: Duration = ms(15_000);

/// Bytes of a question over UDP.
pub const DNS_BYTES: usize = 4_096;
/// Questions under way to other name servers, and those of one container; more are dropped.
pub const DNS_ASKED: usize = 512;
/// See [`DNS_ASKED`].
pub const DNS_ASKED_EACH: usize = 64;
/// How long another name server may take for an answer.
pub const DNS_ANSWER: Duration = ms(2_000);
/// Answers of other name servers that are kept.
pub const DNS_CACHE: usize = 4_096;
/// How long one is kept at most.
pub const DNS_KEPT: Duration = ms(60_000);
/// Connections over which names are asked for, and those of one container.
pub const DNS_STREAMS: usize = 256;
/// See [`DNS_STREAMS`].
pub const DNS_STREAMS_EACH: usize = 16;
/// How long such a connection may say nothing.
pub const DNS_IDLE: Duration = ms(10_000);
/// How long a client may take for the head of a request, from its first byte on (RFC 9112 §9.5).
pub const HTTP_HEAD: Duration = ms(10_000);
/// How long a client's connection may be idle between two requests. Longer than common balancers in front keep
/// theirs, so that it is they who close them.
pub const HTTP_IDLE: Duration = ms(75_000);
/// How long a client may pause within the body of a request.
pub const HTTP_BODY_PAUSE: Duration = ms(30_000);
/// How long a client may take none of the bytes of a response.
pub const HTTP_UNREAD: Duration = ms(60_000);
/// How long a replica may take for the head of a response.
pub const HTTP_ANSWER: Duration = ms(120_000);
/// Bytes of the head of a request or response.
pub const HTTP_HEAD_BYTES: usize = 64 * 1024;
/// Headers of one request or response.
pub const HTTP_HEADERS: usize = 100;
/// How long a client that was too slow, or idle, has for taking its leave.
pub const HTTP_FAREWELL: Duration = ms(1_000);
/// Requests at once over one HTTP/2 connection.
pub const HTTP_STREAMS: u32 = 128;
/// Bytes that a client may send ahead: per request, and per connection, over HTTP/2.
pub const HTTP_STREAM_WINDOW: u32 = 256 * 1024;
/// See [`HTTP_STREAM_WINDOW`].
pub const HTTP_WINDOW: u32 = 1024 * 1024;
/// How often an HTTP/2 client with open requests is asked for a sign of life.
pub const HTTP_PING: Duration = ms(20_000);
/// How long its answer may take.
pub const HTTP_PING_ANSWER: Duration = ms(20_000);
/// Most tries to hand one request to a replica.
pub const HTTP_ATTEMPTS: usize = 8;
/// How often a request that a replica may have seen is sent again.
pub const HTTP_RESENDS: usize = 2;
/// How long a connection to a replica waits for its next request. Less than common servers wait (5 s): they are
/// not to close one as a request is sent over it.
pub const REPLICA_IDLE: Duration = ms(4_000);
/// Idle connections per lane to one replica, and to all.
pub const REPLICA_IDLE_EACH: usize = 32;
/// See [`REPLICA_IDLE_EACH`].
pub const REPLICA_IDLE_ALL: usize = 128;

/// Bytes of one control message: room for the picture of a cluster at its limits.
pub const CONTROL_BYTES: usize = 32 * 1024 * 1024;
/// How often the daemon asks its edge for the status.
pub const STATUS_EVERY: Duration = ms(1_000);
/// Silence after which the daemon dials its edge again.
pub const STATUS_LATE: Duration = ms(5_000);
/// First wait before the daemon dials an edge that does not answer; doubled up to [`STATUS_EVERY`].
pub const EDGE_AGAIN: Duration = ms(50);
/// How often an edge looks whether its control socket is still its own.
pub const FOOTING: Duration = ms(500);
