//! UDP has no end that the kernel could see: a client that goes on from the same port would be sent to the replica that
//! it was given first, for as long as it goes on, also when that is gone. So such flows are deleted from the
//! kernel's table of connections, and the next packet is given a replica anew. Spoken to by netlink(7), in the
//! messages of `linux/netfilter/nfnetlink_conntrack.h`.

use model::{MeshView, NodeId};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// For each address that stands for replicas: those that flows to it may go on to.
pub(super) type Kept = BTreeMap<Ipv4Addr, BTreeSet<Ipv4Addr>>;

/// What the clients of this node may go on with: replicas that serve, and those that are leaving in good order.
pub(super) fn kept(mesh: &MeshView, node: NodeId) -> Kept {
    let mut kept = Kept::new();
    let here = mesh.networks.iter().filter(|n| n.subnets.contains_key(&node));
    for service in here.flat_map(|n| &n.services) {
        for address in service.virtuals() {
            let replicas = service.replicas.iter().map(|r| r.address);
            kept.entry(address)
                .or_default()
                .extend(replicas.chain(service.leaving.iter().copied()));
        }
    }
    kept
}

/// Whether somebody left between the two: only then is the table looked through.
pub(super) fn left(before: &Kept, now: &Kept) -> bool {
    before
        .iter()
        .any(|(address, replicas)| now.get(address).is_none_or(|kept| !replicas.is_subset(kept)))
}

/// How long the kernel may take for one answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Bytes that are read at once; the kernel fills no more than this in one go.
const CHUNK: usize = 64 * 1024;

/// Deletes the UDP flows to these addresses that go to others than those that are kept; says how many. Holds its
/// thread meanwhile.
pub(super) fn forget(kept: &Kept) -> io::Result<usize> {
    let socket = open()?;
    send(&socket, &message(GET, REQUEST | DUMP, &[]), SendFlags::empty())?;
    let mut stale = Vec::new();
    receive(&socket, |message| {
        let flow = Flow::read(message);
        stale.extend(flow.filter(|flow| flow.stale(kept)).map(|flow| flow.tuple.to_vec()));
    })?;
    for tuple in &stale {
        send(&socket, &message(DELETE, REQUEST | ACK, tuple), SendFlags::empty())?;
        match receive(&socket, |_| {}) {
            // It has just ended by itself.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(stale.len())
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let family = AddressFamily::NETLINK;
    let socket = socket_with(family, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER))?;
    Ok(socket)
}

const GET: u16 = 0x0101;
const DELETE: u16 = 0x0102;
const REQUEST: u16 = 0x001;
const ACK: u16 = 0x004;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of a netlink header, and of that of netfilter behind it.
const HEADER: usize = 16;
const FAMILY: usize = 4;

/// A message about connections over IPv4.
fn message(kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER + FAMILY + attributes.len()) as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_INET, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

const AF_INET: u8 = 2;

/// Hands on each message of an answer, until its end.
fn receive(socket: &OwnedFd, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let (length, _) = recv(socket, &mut buffer, RecvFlags::empty())?;
        for (kind, body) in messages(&buffer[..length]) {
            match kind {
                DONE => return Ok(()),
                ERROR => {
                    let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return match code {
                        0 => Ok(()),
                        code => Err(io::Error::from_raw_os_error(-code)),
                    };
                }
                _ => each(body),
            }
        }
    }
}

/// The messages in what was read: their kinds, and what follows the header.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes of a message or of one of them: their kinds, what they hold, and all of their bytes.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8], &[u8])> {
    /// The two highest bits say how the rest is to be understood.
    const KIND: u16 = 0x3fff;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & KIND;
        let (value, whole) = (rest.get(4..length)?, rest.get(..length)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value, whole))
    })
}

fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(is, ..)| *is == kind).map(|(_, value, _)| value)
}

/// A UDP flow whose destination was changed on its way.
#[derive(Debug, PartialEq, Eq)]
struct Flow<'a> {
    /// Where the client sends to.
    to: Ipv4Addr,
    /// Who answers.
    by: Ipv4Addr,
    /// By this the kernel knows it.
    tuple: &'a [u8],
}

impl<'a> Flow<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        const TUPLE_ORIG: u16 = 1;
        const TUPLE_REPLY: u16 = 2;
        const STATUS: u16 = 3;
        const DST_NAT: u32 = 1 << 5;
        const UDP: u8 = 17;
        let all = message.get(FAMILY..)?;
        let (_, original, tuple) = attributes(all).find(|(kind, ..)| *kind == TUPLE_ORIG)?;
        let status = u32::from_be_bytes(*attribute(all, STATUS)?.first_chunk()?);
        let protocol = attribute(attribute(original, 2)?, 1)?.first().copied();
        if protocol != Some(UDP) || status & DST_NAT == 0 {
            return None;
        }
        let address = |tuple: &[u8], which: u16| -> Option<Ipv4Addr> {
            let bytes: [u8; 4] = attribute(attribute(tuple, 1)?, which)?.try_into().ok()?;
            Some(bytes.into())
        };
        let (to, by) = (address(original, 2)?, address(attribute(all, TUPLE_REPLY)?, 1)?);
        Some(Self { to, by, tuple })
    }

    fn stale(&self, kept: &Kept) -> bool {
        kept.get(&self.to).is_some_and(|replicas| !replicas.contains(&self.by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: u16 = 0x8000;

    fn put(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn tuple(kind: u16, from: [u8; 4], to: [u8; 4], protocol: u8) -> Vec<u8> {
        let ip = [put(1, &from), put(2, &to)].concat();
        let port = [put(1, &[protocol]), put(2, &[0, 7]), put(3, &[0, 9])].concat();
        put(kind | NESTED, &[put(1 | NESTED, &ip), put(2 | NESTED, &port)].concat())
    }

    /// As the kernel shows a flow of a client to a virtual address.
    fn shown(protocol: u8, status: u32) -> Vec<u8> {
        let client = [10, 128, 0, 2];
        let original = tuple(1, client, [10, 176, 0, 1], protocol);
        let reply = tuple(2, [10, 128, 2, 5], client, protocol);
        message(0x0100, 0, &[original, reply, put(3, &status.to_be_bytes())].concat())
    }

    #[test]
    fn flows_are_read_and_judged() {
        let bytes = [shown(17, 0x2a), shown(6, 0x2a), shown(17, 0x0a)].concat();
        let flows: Vec<Option<Flow<'_>>> =
            messages(&bytes).map(|(_, body)| Flow::read(body)).collect();
        let expected = tuple(1, [10, 128, 0, 2], [10, 176, 0, 1], 17);
        let flow = flows[0].as_ref().expect("a UDP flow to a virtual address");
        assert_eq!((flow.to, flow.by), ([10, 176, 0, 1].into(), [10, 128, 2, 5].into()));
        assert_eq!(flow.tuple, expected);
        assert_eq!(
            flows[1..],
            [None, None],
            "TCP ends by itself, and what goes straight there too"
        );
        let kept = |replica: [u8; 4]| -> Kept {
            [([10, 176, 0, 1].into(), [replica.into()].into())].into()
        };
        assert!(flow.stale(&kept([10, 128, 2, 6])) && !flow.stale(&kept([10, 128, 2, 5])));
        assert!(!flow.stale(&Kept::new()), "not one of ours");
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let whole = shown(17, 0x2a);
        for end in 0..whole.len() {
            assert_eq!(messages(&whole[..end]).count(), 0, "{end} bytes");
            assert_eq!(Flow::read(&whole[HEADER..][..end.min(whole.len() - HEADER - 1)]), None);
        }
    }

    #[test]
    fn only_who_leaves_matters() {
        let kept = |replicas: &[[u8; 4]]| -> Kept {
            let replicas = replicas.iter().map(|a| Ipv4Addr::from(*a)).collect();
            [([10, 176, 0, 1].into(), replicas)].into()
        };
        let (one, two) = ([10, 128, 0, 2], [10, 128, 0, 3]);
        assert!(!left(&kept(&[one]), &kept(&[one, two])));
        assert!(left(&kept(&[one, two]), &kept(&[one])));
        assert!(left(&kept(&[one]), &Kept::new()), "the service went");
        assert!(!left(&Kept::new(), &kept(&[one])));
    }
}
