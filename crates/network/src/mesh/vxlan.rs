//! Tunnels between hosts that share no segment, in the clear (VXLAN, RFC 7348): what the kernel's device for them
//! should know, and what to change of what it knows. Pure.
//!
//! A packet is routed to its host over the device. Which station that is, and where, is written into the tables
//! of neighbours and stations: each is known by an address made of its host's, so nothing is asked or learned.

use model::limits::MESH_PORT;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The device.
pub(super) const DEVICE: &str = "cl-vxlan";
/// Bytes of one packet over it: what IPv4 (20), UDP (8), VXLAN (8) and Ethernet (14) leave of 1,500.
const MTU: u16 = 1_450;
/// Number of the network on the wire; any will do, as there is one only.
const NETWORK: u16 = MESH_PORT;

/// The station of a host, locally administered (IEEE 802).
fn station(host: Ipv4Addr) -> String {
    let [a, b, c, d] = host.octets();
    format!("02:63:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// What `ip -batch` is to be told to make the device of the host at that address, given what `ip -d -o link show`
/// prints of the one that is there; empty when it is as it should be.
pub(super) fn device(shown: &str, host: Ipv4Addr) -> Vec<String> {
    let (local, mtu) = (format!(" local {host} "), format!(" mtu {MTU} "));
    let id = format!(" vxlan id {NETWORK} ");
    if [local, mtu, id, ",UP".into()].iter().all(|part| shown.contains(part.as_str())) {
        return Vec::new();
    }
    let old = (!shown.is_empty()).then(|| format!("link del {DEVICE}"));
    let new = [
        format!(
            "link add {DEVICE} address {} type vxlan id {NETWORK} dstport {MESH_PORT} local {host} nolearning",
            station(host)
        ),
        format!("link set {DEVICE} mtu {MTU} up"),
    ];
    old.into_iter().chain(new).collect()
}

/// What `ip -batch` is to be told so that these hosts, and no others, are neighbours, given what `ip neigh show`
/// prints.
pub(super) fn neighbours(shown: &str, hosts: &[Ipv4Addr]) -> Vec<String> {
    let are = shown.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let host: Ipv4Addr = words.first()?.parse().ok()?;
        Some((host, after(&words, "lladdr")?.to_owned()))
    });
    let add = |host: &Ipv4Addr, station: &str| {
        format!("neigh replace {host} lladdr {station} dev {DEVICE} nud permanent")
    };
    changes(&are.collect(), hosts, add, |host, _| format!("neigh del {host} dev {DEVICE}"))
}

/// What `bridge -batch` is to be told so that the stations of these hosts, and no others, are found, given what
/// `bridge fdb show` prints.
pub(super) fn stations(shown: &str, hosts: &[Ipv4Addr]) -> Vec<String> {
    let are = shown.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some((after(&words, "dst")?.parse().ok()?, (*words.first()?).to_owned()))
    });
    let tell = |word: &str, host: &Ipv4Addr, station: &str| {
        format!("fdb {word} {station} dev {DEVICE} dst {host} self permanent")
    };
    let add = |host: &Ipv4Addr, station: &str| tell("replace", host, station);
    changes(&are.collect(), hosts, add, |host, station| tell("del", host, station))
}

fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1])
}

fn changes(
    are: &BTreeMap<Ipv4Addr, String>,
    hosts: &[Ipv4Addr],
    add: impl Fn(&Ipv4Addr, &str) -> String,
    remove: impl Fn(&Ipv4Addr, &str) -> String,
) -> Vec<String> {
    let kept = |host: &Ipv4Addr, is: &str| hosts.contains(host) && is == station(*host);
    let gone = are.iter().filter(|(host, is)| !kept(host, is));
    let gone = gone.map(|(host, is)| remove(host, is));
    let new = hosts.iter().filter(|host| are.get(host) != Some(&station(**host)));
    gone.chain(new.map(|host| add(host, &station(*host)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 11);
    const OTHERS: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 30, 1, 12), Ipv4Addr::new(172, 30, 2, 13)];

    #[test]
    fn the_device_is_made_once() {
        let made = [
            "link add cl-vxlan address 02:63:ac:1e:00:0b type vxlan id 7073 dstport 7073 local 172.30.0.11 nolearning",
            "link set cl-vxlan mtu 1450 up",
        ];
        assert_eq!(device("", HERE), made);
        let shown = "8: cl-vxlan: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN \\    link/ether 02:63:ac:1e:00:0b \\    vxlan id 7073 local 172.30.0.11 srcport 0 0 dstport 7073 nolearning ttl auto";
        assert_eq!(device(shown, HERE), [""; 0]);
        let moved = device(shown, Ipv4Addr::new(172, 30, 0, 99));
        assert_eq!(moved[0], "link del cl-vxlan");
        assert!(moved[1].contains("local 172.30.0.99"));
        assert!(!device(&shown.replace(",UP,LOWER_UP", ""), HERE).is_empty());
    }

    #[test]
    fn who_is_where_is_written_down() {
        let shown = "172.30.1.12 lladdr 02:63:ac:1e:01:0c PERMANENT \n172.30.9.9 lladdr 02:63:ac:1e:09:09 PERMANENT\n";
        assert_eq!(
            neighbours(shown, &OTHERS),
            [
                "neigh del 172.30.9.9 dev cl-vxlan",
                "neigh replace 172.30.2.13 lladdr 02:63:ac:1e:02:0d dev cl-vxlan nud permanent",
            ]
        );
        let shown = "02:63:ac:1e:01:0c dst 172.30.1.12 self permanent\n02:63:ac:1e:09:09 dst 172.30.9.9 self permanent\n";
        assert_eq!(
            stations(shown, &OTHERS),
            [
                "fdb del 02:63:ac:1e:09:09 dev cl-vxlan dst 172.30.9.9 self permanent",
                "fdb replace 02:63:ac:1e:02:0d dev cl-vxlan dst 172.30.2.13 self permanent",
            ]
        );
        let shown = "02:63:ac:1e:01:0c dst 172.30.1.12 self permanent\n";
        assert_eq!(stations(shown, &OTHERS[..1]), [""; 0]);
    }
}
