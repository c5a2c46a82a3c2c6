//! Ports of bridges. A bridge does not send a packet back through the port that it came in by, unless told to
//! (hairpin mode): a replica that reaches its own service by the virtual address may be given itself. Pure.

/// What `ip -batch` is to be told, given what `ip -d -o link show type bridge_slave` prints, so that each port of
/// these bridges sends back; empty when all do.
pub(super) fn reflecting(text: &str, bridges: &[String]) -> Vec<String> {
    let port = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1]);
        let ours = bridges.iter().any(|bridge| Some(bridge.as_str()) == after("master"));
        let silent = after("hairpin") == Some("off");
        let name = words.get(1)?.trim_end_matches(':').split('@').next()?;
        (ours && silent).then(|| format!("link set dev {name} type bridge_slave hairpin on"))
    };
    text.lines().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::reflecting;

    #[test]
    fn only_ports_of_our_bridges_that_do_not_yet() {
        let line = |name: &str, master: &str, mode: &str| {
            format!(
                "7: {name}@if6: <BROADCAST> mtu 1500 master {master} state UP \\    veth \\    bridge_slave state forwarding hairpin {mode} guard off\n"
            )
        };
        let text = line("v1", "cl-0", "off")
            + &line("v2", "cl-0", "on")
            + &line("v3", "docker0", "off")
            + &line("v4", "cl-10", "off");
        let changed = reflecting(&text, &["cl-0".into(), "cl-1".into()]);
        assert_eq!(changed, ["link set dev v1 type bridge_slave hairpin on"]);
    }
}
