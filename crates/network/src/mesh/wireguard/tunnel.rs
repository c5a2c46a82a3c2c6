//! One tunnel to another node: its keys in use, and where its other end was last heard. A value, driven: it
//! is handed the time and packets, and opens no socket.

use super::batch::Batch;
use crate::core::lock;
use crate::limits::{WIRE_ALIVE, WIRE_SILENCE, WIRE_TRY};
use crate::mesh::peers::Peer;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use model::{MeshKey, Time};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

/// Bytes that the protocol adds to a packet, and those of its longest message without one.
pub(super) const OVERHEAD: usize = 32;
pub(super) const LONGEST_MESSAGE: usize = 148;
/// Bytes of a request to prove where one is: the only answer to somebody who has proved nothing yet.
const COOKIE: usize = 64;
/// First byte of one.
const COOKIE_KIND: u8 = 3;

/// A tunnel to another node.
pub(super) struct Tunnel {
    pub(super) key: MeshKey,
    /// Leads what arrives to it; no other tunnel of this process had it.
    pub(super) number: u32,
    ends: Mutex<Ends>,
}

struct Ends {
    tunn: Tunn,
    /// Where the other end was last heard; before that, where it should be.
    endpoint: SocketAddr,
    /// Where it should be by the cluster's knowledge.
    known: SocketAddr,
    heard: Option<Time>,
    tried: Option<Time>,
}

/// Something to send: where to, and what.
pub(super) type Message = (SocketAddr, Vec<u8>);

impl Tunnel {
    pub(super) fn new(
        secret: &StaticSecret,
        peer: &Peer,
        number: u32,
        limiter: &Arc<RateLimiter>,
    ) -> Self {
        let alive = WIRE_ALIVE.as_secs() as u16;
        let (secret, other) = (secret.clone(), PublicKey::from(peer.key.0));
        let tunn = Tunn::new(secret, other, None, Some(alive), number, Some(Arc::clone(limiter)));
        let (endpoint, known) = (peer.endpoint, peer.endpoint);
        let ends = Ends { tunn, endpoint, known, heard: None, tried: None };
        Self { key: peer.key, number, ends: Mutex::new(ends) }
    }

    /// The cluster says where the other end is. That counts when it is news: what was heard is newer otherwise.
    pub(super) fn place(&self, known: SocketAddr) {
        let mut ends = lock(&self.ends);
        if ends.known != known {
            (ends.known, ends.endpoint) = (known, known);
        }
    }

    /// Seals packets into `batch` until it is full; returns how many, and where to send it. A packet that is too
    /// early for a session waits in the tunnel.
    pub(super) fn seal<'a>(
        &self,
        packets: impl Iterator<Item = &'a [u8]>,
        batch: &mut Batch,
    ) -> (usize, SocketAddr) {
        let mut ends = lock(&self.ends);
        let mut taken = 0;
        for packet in packets {
            let Some(room) = batch.room(packet.len() + OVERHEAD) else { break };
            taken += 1;
            if let TunnResult::WriteToNetwork(sealed) = ends.tunn.encapsulate(packet, room) {
                let bytes = sealed.len();
                batch.push(bytes);
            }
        }
        (taken, ends.endpoint)
    }

    /// Opens a datagram. A packet that was in it is written to `room`; returns its length, and its source by its
    /// own word. What is to be answered goes to `replies`.
    pub(super) fn open(
        &self,
        now: Time,
        from: SocketAddr,
        datagram: &[u8],
        room: &mut [u8],
        replies: &mut Vec<Message>,
    ) -> Option<(usize, Ipv4Addr)> {
        let mut ends = lock(&self.ends);
        let found = match ends.tunn.decapsulate(Some(from.ip()), datagram, room) {
            TunnResult::Err(_) => return None,
            TunnResult::WriteToNetwork(reply) => {
                let reply = reply.to_vec();
                let proof = reply.len() == COOKIE;
                replies.push((from, reply));
                if proof {
                    return None;
                }
                None
            }
            TunnResult::WriteToTunnelV4(packet, source) => Some((packet.len(), source)),
            TunnResult::WriteToTunnelV6(..) | TunnResult::Done => None,
        };
        // Anybody on the way can make a request to prove where one is. All else only the other end can have
        // sealed, and it is no repetition.
        if datagram.first() != Some(&COOKIE_KIND) {
            (ends.endpoint, ends.heard) = (from, Some(now));
        }
        if found.is_none() {
            ends.release(replies);
        }
        found
    }

    /// What is due: signs of life, new keys, and attempts to reach one that is silent.
    pub(super) fn tick(&self, now: Time, due: &mut Vec<Message>) {
        let mut ends = lock(&self.ends);
        let mut room = [0; LONGEST_MESSAGE];
        if let TunnResult::WriteToNetwork(message) = ends.tunn.update_timers(&mut room) {
            due.push((ends.endpoint, message.to_vec()));
        }
        let silent = ends.heard.is_none_or(|heard| now.since(heard) >= WIRE_SILENCE);
        if !silent || ends.tried.is_some_and(|tried| now.since(tried) < WIRE_TRY) {
            return;
        }
        ends.tried = Some(now);
        let message = ends.tunn.format_handshake_initiation(&mut room, true);
        if let TunnResult::WriteToNetwork(message) = message {
            // Where it was last heard it may be no more, while the cluster knows better.
            for to in [Some(ends.endpoint), Some(ends.known).filter(|k| *k != ends.endpoint)] {
                due.extend(to.map(|to| (to, message.to_vec())));
            }
        }
    }
}

impl Ends {
    /// Seals what has waited for a session.
    fn release(&mut self, replies: &mut Vec<Message>) {
        let mut room = vec![0; usize::from(u16::MAX)];
        while let TunnResult::WriteToNetwork(sealed) = self.tunn.decapsulate(None, &[], &mut room) {
            replies.push((self.endpoint, sealed.to_vec()));
        }
    }
}
