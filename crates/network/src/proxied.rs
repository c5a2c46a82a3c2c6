//! The PROXY protocol: what a balancer in front says of a client's connection before the client's own bytes, and what
//! is said of one to a replica that asks for it. By "The PROXY protocol", versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, §2.1 and §2.2). Pure; see [`hear`] for the socket.

use crate::limits::{HANDSHAKE, PROXY_BYTES};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a version 2 header before its addresses.
const FIXED: usize = 16;
/// Bytes of the shortest header of version 1, `PROXY UNKNOWN\r\n`, and of the longest.
const SHORTEST: usize = 15;
const LONGEST: usize = 107;
const PREFIX: &[u8] = b"PROXY ";

/// The two ends of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client.
    pub(crate) source: SocketAddr,
    /// What it connected to.
    pub(crate) destination: SocketAddr,
}

/// What is known of a header from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on for so many bytes at least: no fewer may be read, and no more, as what follows is the client's.
    More(usize),
    /// It is whole, and says this; `None` when it speaks for nobody: then the connection's own ends count.
    Whole(Option<Ends>),
}

/// Bytes that are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(&'static str);

impl From<Malformed> for io::Error {
    fn from(Malformed(why): Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, why)
    }
}

/// Reads as much of a header as `bytes` hold.
pub(crate) fn read(bytes: &[u8]) -> Result<Step, Malformed> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(PREFIX) {
        if bytes.len() < SHORTEST { Ok(Step::More(SHORTEST - bytes.len())) } else { text(bytes) }
    } else if !begins(&SIGNATURE) {
        Err(Malformed("it does not begin with a PROXY header"))
    } else if bytes.len() < FIXED {
        Ok(Step::More(FIXED - bytes.len()))
    } else {
        binary(bytes)
    }
}

/// Version 1: a line.
fn text(bytes: &[u8]) -> Result<Step, Malformed> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        let more = if bytes.ends_with(b"\r") { 1 } else { 2 };
        return match bytes.len() + more {
            _ if bytes.contains(&b'\n') => Err(Malformed("a PROXY line with a line feed alone")),
            length if length > LONGEST => Err(Malformed("a PROXY line that is too long")),
            _ => Ok(Step::More(more)),
        };
    };
    if line.contains(&b'\r') || line.contains(&b'\n') {
        return Err(Malformed("a PROXY line with a line break in it"));
    }
    let line = std::str::from_utf8(line).map_err(|_| Malformed("a PROXY line that is no text"))?;
    let mut words = line.split(' ').skip(1);
    let four = match words.next() {
        // Whatever else it says is not looked at.
        Some("UNKNOWN") => return Ok(Step::Whole(None)),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(Malformed("a PROXY line of an unknown protocol")),
    };
    let words: Vec<&str> = words.collect();
    let &[source, destination, from, to] = words.as_slice() else {
        return Err(Malformed("a PROXY line that does not name two ends"));
    };
    let ends = || {
        let source = SocketAddr::new(address(source, four)?, port(from)?);
        Some(Ends { source, destination: SocketAddr::new(address(destination, four)?, port(to)?) })
    };
    let ends = ends().ok_or(Malformed("a PROXY line with ends that are none"))?;
    Ok(Step::Whole(Some(ends)))
}

fn address(text: &str, four: bool) -> Option<IpAddr> {
    if four {
        text.parse::<Ipv4Addr>().ok().map(Into::into)
    } else {
        text.parse::<Ipv6Addr>().ok().map(Into::into)
    }
}

/// A port without zeros before it.
fn port(text: &str) -> Option<u16> {
    let number = text.parse().ok()?;
    (u16::to_string(&number) == text).then_some(number)
}

/// Version 2: fixed fields, addresses, and more that is not looked at.
fn binary(bytes: &[u8]) -> Result<Step, Malformed> {
    let (kind, family) = (bytes[12], bytes[13]);
    let length = FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if kind >> 4 != 2 {
        return Err(Malformed("a PROXY header of an unknown version"));
    }
    if length > PROXY_BYTES {
        return Err(Malformed("a PROXY header that is too long"));
    }
    if bytes.len() < length {
        return Ok(Step::More(length - bytes.len()));
    }
    match kind & 15 {
        // The balancer speaks for itself, to see whether we live.
        0 => return Ok(Step::Whole(None)),
        1 => {}
        _ => return Err(Malformed("a PROXY header of an unknown command")),
    }
    let rest = &bytes[FIXED..length];
    let ends = match family {
        0x11 => rest.first_chunk::<12>().map(|four| {
            let (addresses, ports) = four.split_at(8);
            between(octets::<4>(addresses, 0), octets::<4>(addresses, 4), ports)
        }),
        0x21 => rest.first_chunk::<36>().map(|six| {
            let (addresses, ports) = six.split_at(32);
            between(octets::<16>(addresses, 0), octets::<16>(addresses, 16), ports)
        }),
        // Other kinds of sockets are nobody's client here.
        _ => return Ok(Step::Whole(None)),
    };
    ends.map(|ends| Step::Whole(Some(ends)))
        .ok_or(Malformed("a PROXY header without its addresses"))
}

fn octets<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[from + i])
}

fn between(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, ports: &[u8]) -> Ends {
    let port = |from: usize| u16::from_be_bytes([ports[from], ports[from + 1]]);
    Ends {
        source: SocketAddr::new(source.into(), port(0)),
        destination: SocketAddr::new(destination.into(), port(2)),
    }
}

/// A header of version 2 that says so of a connection over TCP.
pub(crate) fn written(ends: Ends) -> Vec<u8> {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (source, destination) = (plain(ends.source), plain(ends.destination));
    let mut addresses = Vec::with_capacity(36);
    let family = if let (IpAddr::V4(s), IpAddr::V4(d)) = (source.ip(), destination.ip()) {
        addresses.extend(s.octets());
        addresses.extend(d.octets());
        0x11
    } else {
        for ip in [source.ip(), destination.ip()] {
            let six = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            addresses.extend(six.octets());
        }
        0x21
    };
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    let mut header = SIGNATURE.to_vec();
    header.extend([0x21, family]);
    header.extend((addresses.len() as u16).to_be_bytes());
    header.extend(addresses);
    header
}

/// Takes the header off a connection, and nothing of what follows it.
pub(crate) async fn hear<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Ends>> {
    let read = async {
        let mut bytes = Vec::with_capacity(FIXED + 36);
        loop {
            match read(&bytes)? {
                Step::Whole(ends) => return Ok(ends),
                Step::More(more) => {
                    let begun = bytes.len();
                    bytes.resize(begun + more, 0);
                    stream.read_exact(&mut bytes[begun..]).await?;
                }
            }
        }
    };
    tokio::time::timeout(HANDSHAKE, read).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(source: &str, destination: &str) -> Option<Ends> {
        let end = |text: &str| text.parse().expect("an address with its port");
        Some(Ends { source: end(source), destination: end(destination) })
    }

    /// Reads as `hear` does: never more than was asked for. What is left is the client's.
    fn taken(bytes: &[u8]) -> Result<(Option<Ends>, usize), Malformed> {
        let mut held = 0;
        loop {
            match read(&bytes[..held])? {
                Step::Whole(ends) => return Ok((ends, held)),
                Step::More(more) if held + more <= bytes.len() => held += more,
                Step::More(_) => return Err(Malformed("cut off")),
            }
        }
    }

    #[test]
    fn lines_of_version_1() {
        for (line, says) in [
            (
                "PROXY TCP4 255.255.255.255 1.2.3.4 65535 80",
                ends("255.255.255.255:65535", "1.2.3.4:80"),
            ),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2", ends("1.2.3.4:1", "5.6.7.8:2")),
            ("PROXY TCP6 2001:db8::1 ::1 40000 443", ends("[2001:db8::1]:40000", "[::1]:443")),
            (
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
                ends(
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                ),
            ),
            ("PROXY UNKNOWN", None),
            (
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
                None,
            ),
        ] {
            let whole = format!("{line}\r\nGET / HTTP/1.1\r\n\r\n");
            assert_eq!(taken(whole.as_bytes()), Ok((says, line.len() + 2)), "{line}");
        }
        for line in [
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r2\r\n",
            "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\n\r\n",
        ] {
            let long = format!("{line}{}", "x".repeat(200));
            assert!(taken(long.as_bytes()).is_err(), "{line:?}");
        }
        let endless = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST - 15));
        assert_eq!(endless.len(), LONGEST + 1);
        assert!(taken(endless.as_bytes()).is_err());
    }

    fn header(kind: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[kind, family], &length, addresses].concat()
    }

    #[test]
    fn headers_of_version_2() {
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0x9c, 0x40, 0, 80];
        let mut six = [0; 36];
        (six[15], six[31], six[33], six[35]) = (1, 2, 7, 8);
        let more = [&four[..], &[4, 0, 1, 9]].concat();
        for (bytes, says) in [
            (header(0x21, 0x11, &four), ends("1.2.3.4:40000", "5.6.7.8:80")),
            (header(0x21, 0x11, &more), ends("1.2.3.4:40000", "5.6.7.8:80")),
            (header(0x21, 0x21, &six), ends("[::1]:7", "[::2]:8")),
            (header(0x20, 0x11, &four), None),
            (header(0x20, 0, &[]), None),
            (header(0x21, 0, &[]), None),
            (header(0x21, 0x12, &four), None),
            (header(0x21, 0x31, &[0; 216]), None),
        ] {
            let whole = [&bytes[..], b"hello"].concat();
            assert_eq!(taken(&whole), Ok((says, bytes.len())), "{bytes:x?}");
            for cut in 0..bytes.len() {
                assert_eq!(taken(&bytes[..cut]), Err(Malformed("cut off")), "{cut} of {bytes:x?}");
            }
        }
        for bytes in [
            header(0x11, 0x11, &four),
            header(0x31, 0x11, &four),
            header(0x22, 0x11, &four),
            header(0x21, 0x11, &four[..11]),
            header(0x21, 0x21, &four),
            header(0x21, 0x11, &[0; PROXY_BYTES]),
        ] {
            let whole = [&bytes[..], &[0; 64]].concat();
            assert!(taken(&whole).is_err(), "{bytes:x?}");
        }
    }

    proptest! {
        /// Whatever comes, reading ends, asks for no more than a header may have, and takes nothing behind it.
        #[test]
        fn anything_is_read_to_an_end(
            begin in 0..4_usize,
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let begins = [&b""[..], PREFIX, b"PROXY TCP4 1.2.3.4 5.6.7.8 1", &SIGNATURE];
            let bytes = [begins[begin], &rest].concat();
            if let Ok((_, length)) = taken(&bytes) {
                prop_assert!(length <= PROXY_BYTES);
                prop_assert_eq!(taken(&bytes[..length]).map(|(_, n)| n), Ok(length));
            }
        }

        /// What is written is read.
        #[test]
        fn what_is_written_is_read(s: [u8; 4], d: [u8; 16], six: bool, from: u16, to: u16) {
            let destination = if six { IpAddr::from(d) } else { IpAddr::from([d[0], d[1], d[2], d[3]]) };
            prop_assume!(destination.to_canonical() == destination);
            let said = Ends { source: (s, from).into(), destination: (destination, to).into() };
            let (ends, length) = taken(&written(said)).expect("a header");
            let ends = ends.expect("two ends");
            let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
            prop_assert_eq!((plain(ends.source), plain(ends.destination)), (said.source, said.destination));
            prop_assert_eq!(length, written(said).len());
        }
    }
}
