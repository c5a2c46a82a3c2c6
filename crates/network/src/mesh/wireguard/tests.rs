//! Two and three ends that hand each other datagrams; no device, no socket.

use super::batch::Batch;
use super::key;
use super::tunnel::Message;
use super::tunnels::Tunnels;
use crate::limits::{WIRE_SILENCE, WIRE_TRY};
use crate::mesh::peers::Peer;
use boringtun::x25519::StaticSecret;
use model::{NodeId, Subnet, Time};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

fn secret(n: u8) -> StaticSecret {
    StaticSecret::from([n; 32])
}

fn place(n: u8) -> SocketAddr {
    ([172, 30, 0, 10 + n], 7073).into()
}

fn subnet(n: u8) -> Subnet {
    format!("10.128.{}.0/23", 2 * n).parse().unwrap()
}

/// Node `n`, with a tunnel to each of `others`.
fn end(n: u8, others: &[u8]) -> Tunnels {
    let tunnels = Tunnels::new(secret(n));
    tunnels.set(&others.iter().map(|other| (NodeId(u64::from(*other)), peer(*other))).collect());
    tunnels
}

fn peer(n: u8) -> Peer {
    Peer { key: key::public(&secret(n)), endpoint: place(n), subnets: vec![subnet(n)] }
}

/// An IPv4 packet from a container of one node to one of another.
fn packet(from: u8, to: u8, size: usize) -> Vec<u8> {
    let mut packet = vec![0; size];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(size as u16).to_be_bytes());
    packet[12..16].copy_from_slice(&subnet(from).nth(2).octets());
    packet[16..20].copy_from_slice(&subnet(to).nth(3).octets());
    packet
}

/// What an end sends for a packet of its containers.
fn seal(end: &Tunnels, packet: &[u8]) -> Vec<Message> {
    let mut batch = Batch::new();
    batch.clear(1);
    let (_, to) = Tunnels::seal(&end.table(), &[packet], &mut batch);
    batch.parts().map(|(bytes, _)| (to.unwrap(), bytes.to_vec())).collect()
}

/// Gives an end a datagram. The packet in it, and what is to be answered.
fn open(end: &Tunnels, from: SocketAddr, datagram: &[u8]) -> (Option<Vec<u8>>, Vec<Message>) {
    let (mut room, mut replies) = (vec![0; 2_000], Vec::new());
    let length = end.open(Time(1_000), from, datagram, &mut room, &mut replies);
    (length.map(|length| room[..length].to_vec()), replies)
}

/// Lets two ends talk, `one` at that place, until both are silent. The packets that came out at `other`.
fn talk(one: &Tunnels, at: SocketAddr, other: &Tunnels, first: Vec<Message>) -> Vec<Vec<u8>> {
    let (mut there, mut packets) = (first, Vec::new());
    while !there.is_empty() {
        let mut back = Vec::new();
        for (_, datagram) in there.drain(..) {
            let (packet, replies) = open(other, at, &datagram);
            packets.extend(packet);
            back.extend(replies);
        }
        for (_, datagram) in back {
            there.extend(open(one, place(2), &datagram).1);
        }
    }
    packets
}

/// Two ends that have negotiated, and the first packet between them.
fn pair() -> (Tunnels, Tunnels) {
    let (one, two) = (end(1, &[2, 3]), end(2, &[1, 3]));
    let sent = packet(1, 2, 100);
    let first = seal(&one, &sent);
    assert_eq!(first.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [place(2)]);
    assert_eq!(talk(&one, place(1), &two, first), [sent]);
    (one, two)
}

#[test]
fn packets_arrive_both_ways_and_cannot_be_read_on_the_way() {
    let (one, two) = pair();
    let sent = packet(2, 1, 1_000);
    let [(to, sealed)] = &seal(&two, &sent)[..] else { panic!("one datagram") };
    assert_eq!(*to, place(1));
    assert!(!sealed.windows(20).any(|part| part == &sent[..20]));
    assert_eq!(open(&one, place(2), sealed).0, Some(sent));
}

#[test]
fn a_datagram_counts_once_and_unchanged() {
    let (one, two) = pair();
    let [(_, sealed)] = &seal(&one, &packet(1, 2, 100))[..] else { panic!("one datagram") };
    let mut changed = sealed.clone();
    changed[40] ^= 1;
    assert_eq!(open(&two, place(1), &changed).0, None);
    assert!(open(&two, place(1), sealed).0.is_some());
    assert_eq!(open(&two, place(1), sealed).0, None, "again");
}

#[test]
fn a_source_must_be_behind_its_sender() {
    let (one, two) = pair();
    for false_source in [3, 2, 9] {
        for (_, sealed) in seal(&one, &packet(false_source, 2, 100)) {
            assert_eq!(open(&two, place(1), &sealed).0, None, "from {false_source}");
        }
    }
    assert!(seal(&one, &packet(1, 9, 100)).is_empty(), "behind nobody");
}

#[test]
fn strangers_get_no_answer() {
    let (stranger, two) = (end(4, &[2]), end(2, &[1, 3]));
    for (_, call) in seal(&stranger, &packet(4, 2, 100)) {
        assert_eq!(open(&two, place(4), &call), (None, vec![]));
    }
    for noise in [&[][..], &[1; 148], &[4; 60], &[2; 92], &[3; 64]] {
        assert_eq!(open(&two, place(4), noise), (None, vec![]));
    }
}

#[test]
fn an_end_that_moved_is_followed() {
    let (one, two) = pair();
    let moved: SocketAddr = ([192, 0, 2, 7], 999).into();
    let [(_, sealed)] = &seal(&one, &packet(1, 2, 100))[..] else { panic!("one datagram") };
    // Who merely repeats or changes a datagram does not lead the tunnel astray.
    let mut changed = sealed.clone();
    changed[40] ^= 1;
    open(&two, ([192, 0, 2, 9], 1).into(), &changed);
    assert_eq!(seal(&two, &packet(2, 1, 100))[0].0, place(1));
    open(&two, moved, sealed);
    open(&two, ([192, 0, 2, 9], 1).into(), sealed);
    assert_eq!(seal(&two, &packet(2, 1, 100))[0].0, moved);
    // The same knowledge again is no news; a new address is.
    let peers = |at| BTreeMap::from([(NodeId(1), Peer { endpoint: at, ..peer(1) })]);
    two.set(&peers(place(1)));
    assert_eq!(seal(&two, &packet(2, 1, 100))[0].0, moved);
    two.set(&peers(place(5)));
    assert_eq!(seal(&two, &packet(2, 1, 100))[0].0, place(5));
}

#[test]
fn a_silent_end_is_called_where_it_was_and_where_it_should_be() {
    let (one, two) = pair();
    let moved: SocketAddr = ([192, 0, 2, 7], 999).into();
    let [(_, sealed)] = &seal(&one, &packet(1, 2, 100))[..] else { panic!("one datagram") };
    open(&two, moved, sealed);
    let called = |now: Time| {
        let calls = two.tick(now).into_iter().filter(|(_, message)| message.len() == 148);
        calls.map(|(to, _)| to).filter(|to| *to != place(3)).collect::<Vec<_>>()
    };
    assert_eq!(called(Time(1_000)), []);
    let late = Time(1_000) + WIRE_SILENCE;
    assert_eq!(called(late), [moved, place(1)]);
    assert_eq!(called(late + Duration::from_millis(1)), [], "at once again");
    assert_eq!(called(late + WIRE_TRY), [moved, place(1)]);
}

/// One end was started anew, and the other does not know.
#[test]
fn an_end_that_forgot_is_understood_again() {
    let (one, _) = pair();
    let two = end(2, &[1, 3]);
    let lost = seal(&one, &packet(1, 2, 100));
    assert_eq!(talk(&one, place(1), &two, lost), Vec::<Vec<u8>>::new());
    let calls = one.tick(Time(1_000) + WIRE_SILENCE).into_iter().filter(|(to, _)| *to == place(2));
    talk(&one, place(1), &two, calls.collect());
    let sent = packet(1, 2, 100);
    assert_eq!(talk(&one, place(1), &two, seal(&one, &sent)), [sent]);
}

#[test]
fn many_go_together_and_each_to_its_own() {
    let (one, two) = pair();
    let packets: Vec<Vec<u8>> = [500, 500, 200, 500].map(|size| packet(1, 2, size)).into();
    let other = packet(1, 3, 500);
    let mut all: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    all.insert(1, &other);
    let (mut batch, table, mut arrived) = (Batch::new(), one.table(), Vec::new());
    let mut rest = &all[..];
    while !rest.is_empty() {
        batch.clear(64);
        let (taken, to) = Tunnels::seal(&table, rest, &mut batch);
        rest = &rest[taken..];
        for (bytes, segment) in batch.parts().filter(|_| to == Some(place(2))) {
            let datagrams = bytes.chunks(segment);
            arrived.extend(datagrams.filter_map(|datagram| open(&two, place(1), datagram).0));
        }
    }
    assert_eq!(arrived, packets);
}
