//! One packet there and back (ICMP echo, RFC 792), of a size that nobody on the way may cut into pieces: whether a
//! way works, and for packets of which size.

use crate::clock::Clock;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, recv, sendto,
    socket_with,
};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Bytes of an IPv4 header without options, and of an echo's own.
const HEADER: usize = 20;
const ECHO: usize = 8;
/// An echo that is of no size in particular.
pub(super) const SMALL: usize = 64;
/// Packets of others that are read while waiting: a raw socket gets all that is of its protocol.
const OTHERS: usize = 256;

/// Sends `size` bytes, headers included, and waits for them to come back: how long that took, or `None`. Holds
/// its thread meanwhile. Needs to be root.
pub(super) fn echo(
    from: Ipv4Addr,
    to: Ipv4Addr,
    size: usize,
    wait: Duration,
) -> io::Result<Option<Duration>> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(ipproto::ICMP),
    )?;
    bind(&socket, &SocketAddr::from((from, 0)))?;
    sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?;
    let clock = Clock::start();
    let asked = request(to, size);
    sendto(&socket, &asked, SendFlags::empty(), &SocketAddr::from((to, 0)))?;
    let mut buffer = vec![0; size + HEADER];
    for _ in 0..OTHERS {
        let Some(left) = wait.checked_sub(clock.exact()).filter(|left| !left.is_zero()) else {
            return Ok(None);
        };
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(left))?;
        match recv(&socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) if answers(&buffer[..length], to, &asked) => {
                return Ok(Some(clock.exact()));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(why) => return Err(why.into()),
        }
    }
    Ok(None)
}

/// An echo request. What it carries tells it from those of others.
fn request(to: Ipv4Addr, size: usize) -> Vec<u8> {
    let mut packet = vec![0; size.saturating_sub(HEADER).max(ECHO)];
    packet[0] = 8;
    packet[4..6].copy_from_slice(&(std::process::id() as u16).to_be_bytes());
    packet[6..8].copy_from_slice(&to.octets()[2..]);
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn answers(packet: &[u8], from: Ipv4Addr, asked: &[u8]) -> bool {
    let Some(header) = packet.first().map(|first| usize::from(first & 0x0f) * 4) else {
        return false;
    };
    let Some(body) = packet.get(header..) else { return false };
    packet.get(12..16) == Some(from.octets().as_slice())
        && body.first() == Some(&0)
        && body.get(4..) == asked.get(4..)
}

/// The ones' complement sum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let pairs = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum: u32 = pairs.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_other_packets() {
        let peer = Ipv4Addr::new(10, 128, 2, 1);
        let asked = request(peer, SMALL);
        assert_eq!((asked.len(), checksum(&asked)), (SMALL - HEADER, 0), "its sum is right");
        let mut answer = vec![0; HEADER];
        answer[0] = 0x45;
        answer[12..16].copy_from_slice(&peer.octets());
        answer.extend(&asked);
        assert!(!answers(&answer, peer, &asked), "that is the question itself");
        answer[HEADER] = 0;
        assert!(answers(&answer, peer, &asked));
        assert!(!answers(&answer, Ipv4Addr::new(10, 128, 4, 1), &asked), "from another one");
        assert!(!answers(&answer, peer, &request(peer, SMALL + 1)), "of another size");
        assert!(!answers(&[], peer, &asked) && !answers(&[0x4f], peer, &asked));
    }
}
