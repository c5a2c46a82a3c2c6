//! An encrypted carrier at work: a TUN device, a UDP socket, and a thread for each direction.

use super::batch::Batch;
use super::socket::{Socket, source};
use super::tunnel::LONGEST_MESSAGE;
use super::tunnels::Tunnels;
use crate::clock::Clock;
use crate::limits::{WIRE_MTU, WIRE_TICK};
use crate::mesh::peers::Peer;
use boringtun::x25519::StaticSecret;
use model::{MeshKey, NodeId};
use quinn_udp::RecvMeta;
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};
use tun_rs::{AsyncDevice, DeviceBuilder, GROTable, IDEAL_BATCH_SIZE, VIRTIO_NET_HDR_LEN};

/// Bytes of what the kernel hands over in one call: one large packet that it leaves to us to cut.
const LARGE: usize = 65_535 + VIRTIO_NET_HDR_LEN;
/// Buffers for what arrives; each holds many datagrams of one sender.
const ARRIVALS: usize = 8;
/// Between two tries to receive, when the kernel says that it cannot be done.
const PAUSE: Duration = Duration::from_millis(10);

/// A running carrier. Dropping it ends it, and takes its device away.
pub(in crate::mesh) struct Wire {
    tunnels: Arc<Tunnels>,
    end: CancellationToken,
    _guard: DropGuard,
}

impl Wire {
    /// Makes the device and takes the port.
    pub(in crate::mesh) fn start(
        device: &str,
        port: u16,
        secret: StaticSecret,
    ) -> io::Result<Self> {
        let tunnels = Arc::new(Tunnels::new(secret));
        let (outward, inward) = (runtime()?, runtime()?);
        let device = {
            let _on = outward.enter();
            Arc::new(open_device(device)?)
        };
        let socket = {
            let _on = inward.enter();
            Arc::new(Socket::bind(port)?)
        };
        let end = CancellationToken::new();
        inward.spawn(tick(Arc::clone(&tunnels), Arc::clone(&socket)));
        let sealing = seal(Arc::clone(&device), Arc::clone(&socket), Arc::clone(&tunnels));
        spawn("mesh-out", outward, end.clone(), sealing)?;
        spawn("mesh-in", inward, end.clone(), open(device, socket, Arc::clone(&tunnels)))?;
        Ok(Self { tunnels, _guard: end.clone().drop_guard(), end })
    }

    /// Whether it still carries: somebody may have taken its device away.
    pub(in crate::mesh) fn works(&self) -> bool {
        !self.end.is_cancelled()
    }

    /// How others know this end.
    pub(in crate::mesh) fn key(&self) -> MeshKey {
        self.tunnels.key()
    }

    /// Makes these the other ends.
    pub(in crate::mesh) fn set(&self, peers: &BTreeMap<NodeId, Peer>) {
        self.tunnels.set(peers);
    }
}

fn open_device(name: &str) -> io::Result<AsyncDevice> {
    DeviceBuilder::new().name(name).mtu(WIRE_MTU).offload(true).enable(true).build_async()
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A thread for one direction. When one ends, both do.
fn spawn(
    name: &str,
    runtime: Runtime,
    end: CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let run = move || {
        runtime.block_on(end.run_until_cancelled(work));
        end.cancel();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

async fn tick(tunnels: Arc<Tunnels>, socket: Arc<Socket>) {
    let clock = Clock::start();
    loop {
        for (to, message) in tunnels.tick(clock.now()) {
            socket.send_now(to, &message);
        }
        tokio::time::sleep(WIRE_TICK).await;
    }
}

/// From the containers to other nodes, until the device is gone.
async fn seal(device: Arc<AsyncDevice>, socket: Arc<Socket>, tunnels: Arc<Tunnels>) {
    let mut large = vec![0; LARGE];
    let mut cut = vec![vec![0; usize::from(WIRE_MTU)]; IDEAL_BATCH_SIZE];
    let mut sizes = vec![0; IDEAL_BATCH_SIZE];
    let mut batch = Batch::new();
    loop {
        let count = match device.recv_multiple(&mut large, &mut cut, &mut sizes, 0).await {
            Ok(count) => count,
            Err(error) if error.raw_os_error().is_some() => return,
            // One packet that cannot be understood.
            Err(_) => continue,
        };
        let packets = cut.iter().zip(&sizes).take(count).map(|(bytes, size)| &bytes[..*size]);
        let packets: Vec<&[u8]> = packets.collect();
        let table = tunnels.table();
        let mut rest = packets.as_slice();
        while !rest.is_empty() {
            batch.clear(socket.most());
            let (taken, to) = Tunnels::seal(&table, rest, &mut batch);
            rest = &rest[taken..];
            if let Some(to) = to {
                socket.send(to, &batch).await;
            }
        }
    }
}

/// From other nodes to the containers, until the device is gone.
async fn open(device: Arc<AsyncDevice>, socket: Arc<Socket>, tunnels: Arc<Tunnels>) {
    let clock = Clock::start();
    let mut arrivals = vec![vec![0; LARGE]; ARRIVALS];
    let mut meta = [RecvMeta::default(); ARRIVALS];
    let mut rooms: Vec<Vec<u8>> = Vec::new();
    let mut gro = GROTable::new();
    let mut replies = Vec::new();
    loop {
        let mut buffers: Vec<IoSliceMut<'_>> =
            arrivals.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let Ok(count) = socket.receive(&mut buffers, &mut meta).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let now = clock.now();
        for (buffer, meta) in arrivals.iter().zip(&meta).take(count) {
            let (from, mut used) = (source(meta), 0);
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                let packet = room(&mut rooms, used, datagram.len());
                if let Some(length) = tunnels.open(now, from, datagram, packet, &mut replies) {
                    rooms[used].truncate(VIRTIO_NET_HDR_LEN + length);
                    used += 1;
                }
            }
            for (to, reply) in replies.drain(..) {
                socket.send_now(to, &reply);
            }
            if !deliver(&device, &mut gro, &mut rooms[..used]).await {
                return;
            }
        }
    }
}

/// Where to open a datagram of that length: behind what the kernel wants before each packet. Packets that belong
/// together are put together in the first one's buffer.
fn room(rooms: &mut Vec<Vec<u8>>, number: usize, bytes: usize) -> &mut [u8] {
    if rooms.len() == number {
        rooms.push(Vec::with_capacity(LARGE));
    }
    rooms[number].resize(VIRTIO_NET_HDR_LEN + bytes.max(LONGEST_MESSAGE), 0);
    &mut rooms[number][VIRTIO_NET_HDR_LEN..]
}

/// Hands packets to the kernel. Whether there still is a device to hand them to.
async fn deliver(device: &AsyncDevice, gro: &mut GROTable, packets: &mut [Vec<u8>]) -> bool {
    let gone =
        |error: io::Error| error.raw_os_error() == Some(rustix::io::Errno::BADFD.raw_os_error());
    let sent = device.send_multiple(gro, packets, VIRTIO_NET_HDR_LEN).await;
    !sent.is_err_and(gone)
}
