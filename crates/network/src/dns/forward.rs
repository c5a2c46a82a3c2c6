//! Names that are not ours: asked of the name servers of the host, or of those that the service names, and
//! remembered for as long as the answer allows, within limits.

use super::message::{onward, reply};
use crate::limits::{DNS_ANSWER, DNS_CACHE, DNS_KEPT};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::RecordType;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;

/// Asks others, and remembers.
#[derive(Debug, Default)]
pub(super) struct Forwarder {
    cache: Mutex<BTreeMap<Key, Kept>>,
}

/// What is asked, and of whom.
type Key = (String, RecordType, Vec<IpAddr>);

#[derive(Debug)]
struct Kept {
    answer: Message,
    from: Instant,
    until: Instant,
}

impl Forwarder {
    /// The answer to `asked`, which has one question, from `servers`; from the host's where there are none.
    pub(super) async fn answer(&self, asked: &Message, servers: &[IpAddr]) -> Message {
        let Some(query) = asked.queries.first() else { return reply(asked, ResponseCode::FormErr) };
        let key = (query.name.to_ascii().to_ascii_lowercase(), query.query_type, servers.to_vec());
        if let Some(known) = self.recall(&key) {
            return onto(asked, &known);
        }
        let own = if servers.is_empty() {
            host_servers(Path::new(RESOLV_CONF)).await
        } else {
            servers.to_vec()
        };
        for server in own {
            if let Ok(answer) = ask(SocketAddr::new(server, PORT), query).await {
                let failed = matches!(
                    answer.metadata.response_code,
                    ResponseCode::ServFail | ResponseCode::Refused | ResponseCode::NotImp
                );
                if !failed {
                    self.keep(key, &answer);
                    return onto(asked, &answer);
                }
            }
        }
        reply(asked, ResponseCode::ServFail)
    }

    fn recall(&self, key: &Key) -> Option<Message> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let kept = cache.get(key).filter(|kept| now < kept.until)?;
        let mut answer = kept.answer.clone();
        let age = (now - kept.from).as_secs() as u32;
        for record in answer.answers.iter_mut().chain(&mut answer.authorities) {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(answer)
    }

    fn keep(&self, key: Key, answer: &Message) {
        let records = answer.answers.iter().chain(&answer.authorities);
        let Some(least) = records.map(|r| r.ttl).min() else { return };
        let now = Instant::now();
        let until = now + Duration::from_secs(least.into()).min(DNS_KEPT);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= DNS_CACHE {
            cache.retain(|_, kept| now < kept.until);
        }
        if until > now && cache.len() < DNS_CACHE {
            cache.insert(key, Kept { answer: answer.clone(), from: now, until });
        }
    }
}

/// What was answered to us, as an answer to `asked`.
fn onto(asked: &Message, answer: &Message) -> Message {
    let mut own = reply(asked, answer.metadata.response_code);
    own.add_answers(answer.answers.iter().cloned());
    own.add_authorities(answer.authorities.iter().cloned());
    own
}

/// Asks one server, over TCP where the answer is too long for UDP.
async fn ask(server: SocketAddr, query: &Query) -> io::Result<Message> {
    let question = onward(query.clone());
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let answer = timeout(DNS_ANSWER, over_udp(server, &question, &bytes)).await??;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    timeout(DNS_ANSWER, over_tcp(server, &question, &bytes)).await?
}

async fn over_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket of its own, connected: nobody else's answer comes in, and its port is not known beforehand.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = belonging(question, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(bytes).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    belonging(question, &buffer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A message that answers `question`, if it does.
fn belonging(question: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    (answer.metadata.id == question.metadata.id && answer.queries == question.queries)
        .then_some(answer)
}

/// The host's name servers (resolv.conf(5)), read anew each time: networks change.
async fn host_servers(file: &Path) -> Vec<IpAddr> {
    let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
    name_servers(&text)
}

fn name_servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(server).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::name_servers;

    #[test]
    fn name_servers_are_read() {
        let text = "# made by hand\nsearch a.example\nnameserver 10.0.0.2\n nameserver  fe00::1 # x\nnameserver fe80::1%eth0\noptions edns0\nnameserver\n";
        let read: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.0.0.2", "fe00::1"]);
    }
}
