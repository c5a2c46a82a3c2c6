//! What lies outside the hosts (bridge, firewall rule, control groups, folder), and its complete removal.
//!
//! Removal trusts names and paths only, never a remembered process number, so it works after a crash of
//! the lab as well.

use crate::{Host, LabError, Options, clock, lab, process, run};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(20);

/// Makes the bridge and lets its frames pass where a firewall would drop them (an engine outside the lab
/// sets the forward policy to drop).
pub(crate) fn make_bridge(options: &Options) -> Result<(), LabError> {
    let bridge = bridge(options);
    run::sys("ip", &["link", "add", &bridge, "type", "bridge"])?;
    let address = format!("{}.1/24", options.subnet);
    run::sys("ip", &["addr", "add", &address, "dev", &bridge])?;
    run::sys("ip", &["link", "set", &bridge, "up"])?;
    let mut rule = vec!["-w", "-I"];
    rule.extend(accept(&bridge));
    run::sys("iptables", &rule).map(|_| ())
}

/// Removes every trace of the lab.
pub(crate) fn everything(options: &Options) -> Result<(), LabError> {
    all_but_the_folder(options)?;
    folder(&options.root)
}

/// Removes every trace except the folder, whose logs may say what went wrong.
pub(crate) fn all_but_the_folder(options: &Options) -> Result<(), LabError> {
    for number in numbers(options) {
        let host = Host::new(options, number);
        host.switch_off()?;
        cgroups(&host.namespace)?;
    }
    let bridge = bridge(options);
    let mut rule = vec!["-w", "-D"];
    rule.extend(accept(&bridge));
    while run::sys("iptables", &rule).is_ok() {}
    if Path::new("/sys/class/net").join(&bridge).exists() {
        run::sys("ip", &["link", "del", &bridge])?;
    }
    Ok(())
}

/// Removes the control groups that engines made for a host's containers; ends what still runs in them.
pub(crate) fn cgroups(name: &str) -> Result<(), LabError> {
    clock::wait_until("the removal of control groups", "/sys/fs/cgroup", LIMIT, EVERY, || {
        Ok(cgroup_roots(name).iter().all(|root| remove_cgroup(root)).then_some(()))
    })
}

fn cgroup_roots(name: &str) -> Vec<PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(base).into_iter().flatten().flatten().map(|e| e.path());
    let all = std::iter::once(base.to_owned()).chain(controllers);
    all.map(|folder| folder.join(name)).filter(|folder| folder.is_dir()).collect()
}

fn remove_cgroup(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let children = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    let emptied = children.map(|e| remove_cgroup(&e.path())).fold(true, |all, one| all & one);
    let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    process::signal_all(members.lines().filter_map(|pid| pid.parse().ok()), Signal::KILL);
    emptied && (fs::remove_dir(folder).is_ok() || !folder.exists())
}

/// Hosts that this lab has, or that a crashed lab of this name had.
fn numbers(options: &Options) -> Vec<u8> {
    let prefix = format!("{}-host", options.name);
    let names = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten();
    let found = names("/run/netns").chain(names("/sys/class/net"));
    let found = found.filter_map(|e| e.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok());
    let all: std::collections::BTreeSet<u8> = (1..=options.hosts).chain(found).collect();
    all.into_iter().collect()
}

fn folder(root: &Path) -> Result<(), LabError> {
    if !root.exists() {
        return Ok(());
    }
    let ours = lab::file(root).exists() || root.join("lab.json.new").exists();
    let empty = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none());
    if !ours && !empty {
        let text = format!("{} is no lab's folder and not empty: name another", root.display());
        return Err(LabError::Option(text));
    }
    for point in mounts_below(root) {
        run::sys("umount", &["-l", &point])?;
    }
    // The kernel gives up the hosts' mounts a moment after their last process.
    clock::wait_until("the removal of the lab's folder", "`lsof`", LIMIT, EVERY, || {
        Ok((fs::remove_dir_all(root).is_ok() || !root.exists()).then_some(()))
    })
}

fn mounts_below(root: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<String> =
        points.filter(|point| Path::new(point).starts_with(root)).map(str::to_owned).collect();
    // Inner mounts were made after outer ones.
    below.reverse();
    below
}

fn bridge(options: &Options) -> String {
    format!("{}0", options.name)
}

fn accept(bridge: &str) -> Vec<&str> {
    vec!["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
}
