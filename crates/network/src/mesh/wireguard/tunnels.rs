//! All tunnels of this node: which one leads to an address, whose a datagram is, and that what comes out of a
//! tunnel bears an address that is behind it. Opens no socket.

use super::batch::Batch;
use super::key;
use super::tunnel::{Message, Tunnel};
use crate::limits::WIRE_HANDSHAKES;
use crate::mesh::peers::Peer;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use model::{MeshKey, NodeId, Subnet, Time};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The tunnels of a node.
pub(super) struct Tunnels {
    secret: StaticSecret,
    public: PublicKey,
    limiter: Arc<RateLimiter>,
    /// Numbers are of 24 bits (the rest of an index counts sessions).
    numbers: AtomicU32,
    table: RwLock<Arc<Table>>,
}

/// Bits of an index on the wire that count sessions of one tunnel.
const SESSION_BITS: u32 = 8;

#[derive(Default)]
pub(super) struct Table {
    nodes: BTreeMap<NodeId, Arc<Tunnel>>,
    keys: BTreeMap<MeshKey, Arc<Tunnel>>,
    numbers: BTreeMap<u32, Arc<Tunnel>>,
    /// By first address. No two overlap.
    subnets: BTreeMap<Ipv4Addr, (Subnet, Arc<Tunnel>)>,
}

impl Table {
    /// The tunnel that an address is behind.
    pub(super) fn behind(&self, address: Ipv4Addr) -> Option<&Arc<Tunnel>> {
        let (_, (subnet, tunnel)) = self.subnets.range(..=address).next_back()?;
        subnet.contains(address).then_some(tunnel)
    }

    /// The tunnel that a packet of the containers is to go through.
    pub(super) fn of_packet(&self, packet: &[u8]) -> Option<&Arc<Tunnel>> {
        match Tunn::dst_address(packet)? {
            IpAddr::V4(address) => self.behind(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl Tunnels {
    pub(super) fn new(secret: StaticSecret) -> Self {
        let public = PublicKey::from(&secret);
        let limiter = Arc::new(RateLimiter::new(&public, WIRE_HANDSHAKES));
        Self { secret, public, limiter, numbers: AtomicU32::new(1), table: RwLock::default() }
    }

    /// How others know this node.
    pub(super) fn key(&self) -> MeshKey {
        key::public(&self.secret)
    }

    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes these the nodes with a tunnel. One that had one under the same key keeps it.
    pub(super) fn set(&self, peers: &BTreeMap<NodeId, Peer>) {
        let old = self.table();
        let mut table = Table::default();
        for (node, peer) in peers {
            let kept = old.nodes.get(node).filter(|tunnel| tunnel.key == peer.key).cloned();
            let tunnel = kept.unwrap_or_else(|| Arc::new(self.dig(peer)));
            tunnel.place(peer.endpoint);
            for subnet in &peer.subnets {
                table.subnets.insert(subnet.nth(0), (*subnet, Arc::clone(&tunnel)));
            }
            table.keys.insert(tunnel.key, Arc::clone(&tunnel));
            table.numbers.insert(tunnel.number, Arc::clone(&tunnel));
            table.nodes.insert(*node, tunnel);
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    fn dig(&self, peer: &Peer) -> Tunnel {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) & (u32::MAX >> SESSION_BITS);
        Tunnel::new(&self.secret, peer, number, &self.limiter)
    }

    /// Opens a datagram that arrived. Returns the length of the packet that is in `room` then, if one is to go
    /// on to the containers; what is to be answered goes to `replies`.
    pub(super) fn open(
        &self,
        now: Time,
        from: SocketAddr,
        datagram: &[u8],
        room: &mut [u8],
        replies: &mut Vec<Message>,
    ) -> Option<usize> {
        let table = self.table();
        let tunnel = self.tunnel_of(&table, from, datagram, replies)?;
        let (length, source) = tunnel.open(now, from, datagram, room, replies)?;
        let owner = table.behind(source)?;
        Arc::ptr_eq(owner, tunnel).then_some(length)
    }

    /// Whose a datagram is by its own word.
    fn tunnel_of<'a>(
        &self,
        table: &'a Table,
        from: SocketAddr,
        datagram: &[u8],
        replies: &mut Vec<Message>,
    ) -> Option<&'a Arc<Tunnel>> {
        let index = match Tunn::parse_incoming_packet(datagram).ok()? {
            Packet::HandshakeInit(_) => return self.caller(table, from, datagram, replies),
            Packet::HandshakeResponse(message) => message.receiver_idx,
            Packet::PacketCookieReply(message) => message.receiver_idx,
            Packet::PacketData(message) => message.receiver_idx,
        };
        table.numbers.get(&(index >> SESSION_BITS))
    }

    /// Who wishes to negotiate. Finding out costs some computing: not done for who does not know our key, nor for
    /// many at once that do not prove where they are.
    fn caller<'a>(
        &self,
        table: &'a Table,
        from: SocketAddr,
        datagram: &[u8],
        replies: &mut Vec<Message>,
    ) -> Option<&'a Arc<Tunnel>> {
        let mut cookie = [0; super::tunnel::LONGEST_MESSAGE];
        match self.limiter.verify_packet(Some(from.ip()), datagram, &mut cookie) {
            Ok(Packet::HandshakeInit(call)) => {
                let caller = parse_handshake_anon(&self.secret, &self.public, &call).ok()?;
                table.keys.get(&MeshKey(caller.peer_static_public))
            }
            Err(TunnResult::WriteToNetwork(cookie)) => {
                replies.push((from, cookie.to_vec()));
                None
            }
            _ => None,
        }
    }

    /// What is due now, of all tunnels.
    pub(super) fn tick(&self, now: Time) -> Vec<Message> {
        self.limiter.reset_count();
        let mut due = Vec::new();
        self.table().nodes.values().for_each(|tunnel| tunnel.tick(now, &mut due));
        due
    }

    /// Seals the first of these packets, and those after it that go the same way, into `batch`. Returns how many
    /// were dealt with, and where to send the batch; a packet that leads nowhere is dropped.
    pub(super) fn seal<'a>(
        table: &Table,
        packets: &[&'a [u8]],
        batch: &mut Batch,
    ) -> (usize, Option<SocketAddr>) {
        let Some(tunnel) = packets.first().and_then(|first| table.of_packet(first)) else {
            return (1, None);
        };
        let same = |packet: &&&'a [u8]| {
            table.of_packet(packet).is_some_and(|other| Arc::ptr_eq(other, tunnel))
        };
        let (taken, to) = tunnel.seal(packets.iter().take_while(same).copied(), batch);
        (taken.max(1), Some(to))
    }
}
