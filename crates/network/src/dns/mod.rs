//! The name server of containers: on the gateway of each bridge, over UDP and TCP, for the containers of that
//! bridge and nobody else. What names stand for is `names` (pure), what an answer looks like is `message` (pure),
//! names of the world outside are `forward`'s.

mod forward;
mod message;
mod names;
#[cfg(test)]
mod tests;

use crate::core::Core;
use crate::door::pause_after;
use crate::limits::{
    BIND_AGAIN, BIND_AGAIN_MAX, DNS_ANSWER, DNS_ASKED, DNS_ASKED_EACH, DNS_BYTES, DNS_IDLE,
    DNS_STREAMS, DNS_STREAMS_EACH,
};
use crate::picture::Current;
use crate::remark::Remark;
use crate::tally::Tally;
use forward::Forwarder;
use hickory_proto::op::Message;
use message::{Verdict, for_udp, judge};
pub use names::{Answer, Names};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PORT: u16 = 53;

/// Answers on every gateway of the picture in force.
pub(crate) async fn serve(core: Arc<Core>, mut pictures: watch::Receiver<Arc<Current>>) {
    let server = Arc::new(Server {
        pictures: pictures.clone(),
        forwarder: Forwarder::default(),
        asking: Arc::new(Tally::new(DNS_ASKED, DNS_ASKED_EACH)),
        streams: Arc::new(Tally::new(DNS_STREAMS, DNS_STREAMS_EACH)),
        turn: AtomicUsize::new(0),
    });
    let mut listening: BTreeMap<Ipv4Addr, CancelOnDrop> = BTreeMap::new();
    loop {
        let gateways = pictures.borrow_and_update().names.gateways();
        listening.retain(|gateway, _| gateways.contains(gateway));
        for gateway in gateways {
            listening.entry(gateway).or_insert_with(|| {
                let end = CancellationToken::new();
                let work = Arc::clone(&server).listen(Arc::clone(&core), gateway);
                let ended = end.clone();
                tokio::spawn(async move { ended.run_until_cancelled(work).await });
                CancelOnDrop(end)
            });
        }
        if pictures.changed().await.is_err() {
            return;
        }
    }
}

/// Asks the name server of a bridge, as a container of it would. An error when it does not answer.
pub(crate) async fn ask_gateway(gateway: Ipv4Addr, name: &str) -> io::Result<()> {
    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::{Name, RecordType};
    let mut asked = Message::new(0, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(name).map_err(io::Error::other)?;
    asked.add_query(Query::query(name, RecordType::A));
    let socket = UdpSocket::bind((gateway, 0)).await?;
    socket.connect((gateway, PORT)).await?;
    socket.send(&asked.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = vec![0; DNS_BYTES];
    let length = timeout(DNS_ANSWER, socket.recv(&mut buffer)).await??;
    Message::from_vec(&buffer[..length]).map(drop).map_err(io::Error::other)
}

struct CancelOnDrop(CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

struct Server {
    pictures: watch::Receiver<Arc<Current>>,
    forwarder: Forwarder,
    asking: Arc<Tally<Ipv4Addr>>,
    streams: Arc<Tally<Ipv4Addr>>,
    turn: AtomicUsize,
}

impl Server {
    /// Listens as soon as nobody else does. The bridge need not be there yet, and may go and come back.
    async fn listen(self: Arc<Self>, core: Arc<Core>, gateway: Ipv4Addr) {
        let mut wait = BIND_AGAIN;
        let mut told = false;
        let (udp, tcp) = loop {
            match bind(gateway) {
                Ok(bound) => break bound,
                Err(error) if !told => {
                    told = true;
                    core.remark(&Remark::NamesRefused { gateway, why: error.to_string() });
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BIND_AGAIN_MAX);
        };
        tokio::join!(
            Arc::clone(&self).answer_datagrams(gateway, Arc::new(udp)),
            self.answer_streams(gateway, tcp)
        );
    }

    async fn answer_datagrams(self: Arc<Self>, gateway: Ipv4Addr, socket: Arc<UdpSocket>) {
        let mut buffer = vec![0; DNS_BYTES];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok((length, SocketAddr::V4(from))) => (length, from),
                Ok(_) => continue,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let caller = *from.ip();
            match self.judge(gateway, caller, &buffer[..length]) {
                Verdict::Ignore => {}
                Verdict::Answer(answer, most) => send(&socket, from.into(), most, &answer).await,
                Verdict::Ask(asked) => {
                    // One more than may be asked at once is dropped; who asked asks again.
                    let Some(inside) = self.asking.enter(caller) else { continue };
                    let (server, socket) = (Arc::clone(&self), Arc::clone(&socket));
                    tokio::spawn(async move {
                        let answer = server.ask(caller, &asked).await;
                        send(&socket, from.into(), asked.max_payload(), &answer).await;
                        drop(inside);
                    });
                }
            }
        }
    }

    async fn answer_streams(self: Arc<Self>, gateway: Ipv4Addr, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, SocketAddr::V4(from))) => {
                    let caller = *from.ip();
                    let admitted = self.pictures.borrow().names.admits(gateway, caller);
                    let Some(inside) = self.streams.enter(caller).filter(|_| admitted) else {
                        continue;
                    };
                    let server = Arc::clone(&self);
                    tokio::spawn(async move {
                        // However it ends, it has ended.
                        let _ = server.attend(gateway, caller, stream).await;
                        drop(inside);
                    });
                }
                Ok(_) => {}
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Questions one after the other, each behind its length (RFC 7766).
    async fn attend(
        &self,
        gateway: Ipv4Addr,
        caller: Ipv4Addr,
        mut stream: TcpStream,
    ) -> io::Result<()> {
        loop {
            let asked = timeout(DNS_IDLE, async {
                let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
                stream.read_exact(&mut buffer).await?;
                io::Result::Ok(buffer)
            });
            let answer = match self.judge(gateway, caller, &asked.await??) {
                Verdict::Ignore => return Ok(()),
                Verdict::Answer(answer, _) => *answer,
                Verdict::Ask(asked) => self.ask(caller, &asked).await,
            };
            let bytes = answer.to_vec().map_err(io::Error::other)?;
            let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
            stream.write_all(&length.to_be_bytes()).await?;
            timeout(DNS_IDLE, stream.write_all(&bytes)).await??;
        }
    }

    fn judge(&self, gateway: Ipv4Addr, caller: Ipv4Addr, bytes: &[u8]) -> Verdict {
        let current = Arc::clone(&self.pictures.borrow());
        if !current.names.admits(gateway, caller) {
            return Verdict::Ignore;
        }
        judge(&current.names, caller, bytes, self.turn.fetch_add(1, Ordering::Relaxed))
    }

    async fn ask(&self, caller: Ipv4Addr, asked: &Message) -> Message {
        let servers: Vec<IpAddr> = {
            let current = self.pictures.borrow();
            let own = current.picture.as_ref().and_then(|p| p.resolvers.get(&caller));
            own.cloned().unwrap_or_default()
        };
        self.forwarder.answer(asked, &servers).await
    }
}

async fn send(socket: &UdpSocket, to: SocketAddr, most: u16, answer: &Message) {
    if let Some(bytes) = for_udp(most, answer) {
        // Who asked may be gone.
        let _ = socket.send_to(&bytes, to).await;
    }
}

fn bind(gateway: Ipv4Addr) -> io::Result<(UdpSocket, TcpListener)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
    let address = SocketAddr::from((gateway, PORT));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let udp = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    sockopt::set_ip_freebind(&udp, true)?;
    // A service may publish the port on the host's other addresses.
    sockopt::set_socket_reuseaddr(&udp, true)?;
    bind(&udp, &address)?;
    let tcp = TcpSocket::new_v4()?;
    tcp.set_reuseaddr(true)?;
    sockopt::set_ip_freebind(&tcp, true)?;
    tcp.bind(address)?;
    Ok((UdpSocket::from_std(udp.into())?, tcp.listen(DNS_STREAMS as u32)?))
}
