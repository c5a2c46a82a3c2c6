//! The ingress: requests a second through it, against none and against `HAProxy` in TCP mode, and the
//! processor time that each costs. Everything on loopback, every program with its default threads: one small
//! backend, behind it `HAProxy`, one edge, two edges in the clear, and two edges with mutual TLS; and, where each
//! request is looked at, `HAProxy` in HTTP mode, nginx, and one edge.
//!
//! `proxies.rs` is what runs in the child processes.

#[path = "../../crates/network/tests/support/authority.rs"]
mod authority;
mod proxies;

use anyhow::Context;
use benches::{Aim, Child, Table, again, heading, installed, median, say, spawn, usage, wait_port};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode};

const BACKEND: u16 = 23_900;
/// One edge that answers requests over HTTP.
const REQUESTS: &str = "one edge, HTTP";
const ROUNDS: usize = 3;
const SECONDS: u32 = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["backend", port] => proxies::backend(port),
        ["edges", how, port, folder] => proxies::edges(how, port, Path::new(folder)),
        _ => bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A way to the backend.
struct Way {
    name: &'static str,
    port: u16,
    /// What stands in between; nothing does for the direct way.
    child: Option<Child>,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

fn bench() -> anyhow::Result<()> {
    heading("ingress: wrk -t1 -c32, replies of 12 bytes, keep-alive, one backend, loopback");
    if installed("wrk").is_none() {
        say("skipped: wrk is not installed (Debian: apt-get install wrk)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let port = BACKEND.to_string();
    let _backend = spawn(&mut again(&["backend", &port])?, &folder.path().join("backend.log"))?;
    anyhow::ensure!(wait_port(at(BACKEND)), "the backend does not listen");
    let mut ways = ways(folder.path())?;
    for round in 1..=ROUNDS {
        for way in &mut ways {
            way.measure().with_context(|| format!("round {round}, {}", way.name))?;
            let (rate, cost) = (way.rates[round - 1], way.costs[round - 1]);
            say(&format!("round {round}, {:<16} {rate:>8.0}/s, {cost:>5.1} us", way.name));
        }
    }
    report(&ways);
    Ok(())
}

fn ways(folder: &Path) -> anyhow::Result<Vec<Way>> {
    let mut ways = vec![Way::new("direct", BACKEND, None)];
    if let Some(program) = installed("haproxy") {
        for (name, mode, port) in
            [("HAProxy", "tcp", BACKEND + 1), ("HAProxy HTTP", "http", BACKEND + 5)]
        {
            let config = folder.join(format!("haproxy-{mode}.cfg"));
            std::fs::write(&config, proxies::haproxy(mode, port, BACKEND))?;
            let mut command = Command::new(&program);
            command.arg("-db").arg("-f").arg(&config);
            let child = spawn(&mut command, &folder.join(format!("haproxy-{mode}.log")))?;
            ways.push(Way::new(name, port, Some(child)));
        }
    } else {
        say("HAProxy is not installed (Debian: apt-get install haproxy): it is left out");
    }
    if let Some(program) = installed("nginx") {
        let (config, port) = (folder.join("nginx.conf"), BACKEND + 6);
        std::fs::write(&config, proxies::nginx(port, BACKEND, folder))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&config);
        let child = spawn(&mut command, &folder.join("nginx.log"))?;
        ways.push(Way::new("nginx", port, Some(child)));
    } else {
        say("nginx is not installed (Debian: apt-get install nginx-light): it is left out");
    }
    for (name, how, port) in [
        ("one edge", "one", BACKEND + 2),
        ("two edges, plain", "plain", BACKEND + 3),
        ("two edges, TLS", "tls", BACKEND + 4),
        (REQUESTS, "http", BACKEND + 7),
    ] {
        let edges = folder.join(how);
        std::fs::create_dir(&edges)?;
        let words = ["edges", how, &port.to_string(), &edges.display().to_string()];
        let child = spawn(&mut again(&words)?, &folder.join(format!("{how}.log")))?;
        ways.push(Way::new(name, port, Some(child)));
    }
    for way in &ways {
        anyhow::ensure!(wait_port(at(way.port)), "{} does not listen", way.name);
    }
    Ok(ways)
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Way {
    fn new(name: &'static str, port: u16, child: Option<Child>) -> Self {
        Self { name, port, child, rates: Vec::new(), costs: Vec::new() }
    }

    fn cpu(&self) -> f64 {
        self.child.as_ref().and_then(|c| usage(c.pid())).map_or(0.0, |u| u.cpu)
    }

    fn measure(&mut self) -> anyhow::Result<()> {
        let before = self.cpu();
        let (length, url) = (format!("-d{SECONDS}s"), format!("http://{}/", at(self.port)));
        let done = Command::new("wrk").args(["-t1", "-c32", &length, &url]).output()?;
        let text = String::from_utf8_lossy(&done.stdout);
        anyhow::ensure!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
        let (rate, count) = (after(&text, "Requests/sec:"), before_words(&text, "requests in"));
        let (rate, count) = rate.zip(count).with_context(|| format!("wrk said: {text}"))?;
        self.rates.push(rate);
        self.costs.push((self.cpu() - before) / count * 1e6);
        Ok(())
    }
}

fn after(text: &str, words: &str) -> Option<f64> {
    text.split_once(words)?.1.split_whitespace().next()?.parse().ok()
}

fn before_words(text: &str, words: &str) -> Option<f64> {
    text.split_once(words)?.0.split_whitespace().last()?.parse().ok()
}

fn report(ways: &[Way]) {
    let find = |name: &str| ways.iter().find(|way| way.name == name);
    let direct = median(&find("direct").expect("it is always measured").rates);
    let share = |way: &Way| median(&way.rates) / direct;
    let mut table = Table::default();
    table.row("direct", direct, "/s", None, &Aim::None);
    let others = ["direct", "HAProxy", "HAProxy HTTP"];
    for way in ways.iter().filter(|way| !others.contains(&way.name)) {
        let ours = ["one edge", REQUESTS].contains(&way.name);
        let aim = if ours { Aim::RatioAtLeast(1.0) } else { Aim::None };
        // Requests are held against what looks at requests, connections against what does not.
        let peer = if [REQUESTS, "nginx"].contains(&way.name) { "HAProxy HTTP" } else { "HAProxy" };
        let proxy = find(peer);
        let other = proxy.map(|proxy| (share(proxy), peer));
        table.row(&format!("{}, share of direct", way.name), share(way), "", other, &aim);
        let other = proxy.map(|proxy| (median(&proxy.costs), peer));
        let what = format!("{}, processor time of a request", way.name);
        table.row(&what, median(&way.costs), "us", other, &Aim::None);
    }
    table.show();
}
