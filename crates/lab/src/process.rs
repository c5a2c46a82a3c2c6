//! Finds the processes of a host in `/proc`. Nothing is remembered: a lab that was left behind by a
//! crash is found just as well.

use rustix::process::{Pid, Signal, kill_process};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// A live process of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Its number as seen from outside the host.
    pub(crate) pid: i32,
    /// The file name of its program, from its first argument.
    pub(crate) program: String,
    /// The arguments after the program.
    pub(crate) args: Vec<String>,
    parent: i32,
    net: String,
    pids: String,
    /// Its numbers in the nested PID namespaces, outermost first.
    numbers: Vec<i32>,
}

/// Every process that can be read, zombies aside.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// The first process of the host whose network namespace is bound at `netns`: number 1 inside it.
pub(crate) fn first(netns: &Path) -> Option<i32> {
    let net = format!("net:[{}]", fs::metadata(netns).ok()?.ino());
    let is_first = |p: &Process| p.net == net && p.numbers.len() == 2 && p.numbers[1] == 1;
    all().into_iter().find(is_first).map(|p| p.pid)
}

/// The host's processes without its first: daemons, engine, shims and everything in its containers.
pub(crate) fn of_host(first: i32) -> Vec<Process> {
    let all = all();
    let Some(root) = all.iter().find(|p| p.pid == first) else { return Vec::new() };
    let mut inside: Vec<i32> = all.iter().filter(|p| p.pids == root.pids).map(|p| p.pid).collect();
    let mut seen = 0;
    while seen < inside.len() {
        let parent = inside[seen];
        let children = all.iter().filter(|p| p.parent == parent).map(|p| p.pid);
        let fresh: Vec<i32> = children.filter(|pid| !inside.contains(pid)).collect();
        inside.extend(fresh);
        seen += 1;
    }
    all.into_iter().filter(|p| p.pid != first && inside.contains(&p.pid)).collect()
}

/// Every process in the network namespace bound at `netns`, the first one included.
pub(crate) fn in_netns(netns: &Path) -> Vec<i32> {
    let Ok(meta) = fs::metadata(netns) else { return Vec::new() };
    let net = format!("net:[{}]", meta.ino());
    all().into_iter().filter(|p| p.net == net).map(|p| p.pid).collect()
}

/// Sends a signal; a process that is already gone needs none.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Sends a signal to each.
pub(crate) fn signal_all(pids: impl IntoIterator<Item = i32>, kind: Signal) {
    for pid in pids {
        signal(pid, kind);
    }
}

/// Whether the process still runs (a zombie does not).
pub(crate) fn alive(pid: i32) -> bool {
    read(pid).is_some()
}

fn read(pid: i32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    if field("State")?.starts_with(['Z', 'X']) {
        return None;
    }
    let link = |kind: &str| {
        let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
        Some(link.to_string_lossy().into_owned())
    };
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let program = words.next().unwrap_or_default();
    Some(Process {
        pid,
        program: program.rsplit('/').next().unwrap_or_default().to_owned(),
        args: words.filter(|word| !word.is_empty()).collect(),
        parent: field("PPid")?.parse().ok()?,
        net: link("net")?,
        pids: link("pid")?,
        numbers: field("NSpid")?.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
    })
}
