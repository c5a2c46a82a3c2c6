//! One host: its names, its paths, and its namespaces. Knows nothing of engines or daemons.
//!
//! A host is a network namespace with one cable to the bridge, and a first process that holds a mount,
//! host-name and PID namespace. Killing that process is pulling the plug: the kernel ends everything else
//! on the host, its containers included, and forgets its mounts.

use crate::{LabError, Options, clock, process, run};
use rustix::process::Signal;
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// What a host's first process does: become a host of its own, then wait. Children that lose their parent
/// end up here, so child signals are ignored, which makes the kernel reap them.
const FIRST: &str = r#"
set -e
hostname "$1"
mount -t tmpfs -o mode=755 tmpfs /run
target=$(readlink -f /etc/resolv.conf || echo /etc/resolv.conf)
mkdir -p "$(dirname "$target")"
[ -e "$target" ] || : > "$target"
mount --bind "$2" "$target"
exec env --ignore-signal=CHLD sleep infinity
"#;

/// Starts a program in the background of a host, with its output appended to a file.
const BACKGROUND: &str = r#"log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null &"#;

/// The names and places of one host of a lab.
#[derive(Clone, Debug)]
pub struct Host {
    /// From 1.
    pub number: u8,
    /// Its host name: `host1`.
    pub name: String,
    /// Its address on the lab's network.
    pub address: Ipv4Addr,
    /// Its folder, visible from outside under the same path.
    pub dir: PathBuf,
    /// Name of its network namespace, of the outer end of its cable, and of its control group.
    pub namespace: String,
    gateway: Ipv4Addr,
    bridge: String,
}

impl Host {
    pub(crate) fn new(options: &Options, number: u8) -> Self {
        let octets = |last: u8| format!("{}.{last}", options.subnet).parse();
        let name = format!("host{number}");
        Self {
            number,
            address: octets(10 + number).expect("the options were checked"),
            gateway: octets(1).expect("the options were checked"),
            dir: options.root.join(&name),
            namespace: format!("{}-{name}", options.name),
            bridge: format!("{}0", options.name),
            name,
        }
    }

    /// The Docker Engine's socket.
    pub fn docker_socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// Where the engine keeps images and containers.
    pub fn engine_dir(&self) -> PathBuf {
        self.dir.join("engine")
    }

    /// The engine's output.
    pub fn engine_log(&self) -> PathBuf {
        self.dir.join("dockerd.log")
    }

    /// The file that stands for the network namespace.
    pub(crate) fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    /// The host's first process, when the host is on.
    pub(crate) fn first(&self) -> Option<i32> {
        process::first(&self.netns())
    }

    /// Plugs the host in: namespace, cable, address, first process.
    pub(crate) fn switch_on(&self) -> Result<(), LabError> {
        fs::create_dir_all(self.engine_dir()).map_err(LabError::io("create", self.engine_dir()))?;
        // A resolver that refuses makes look-ups of registries fail at once instead of timing out.
        let resolver = self.dir.join("resolv.conf");
        fs::write(&resolver, "nameserver 127.0.0.1\n").map_err(LabError::io("write", &resolver))?;
        self.plug_in()?;
        self.start_first(&resolver)
    }

    fn plug_in(&self) -> Result<(), LabError> {
        let ns = self.namespace.as_str();
        run::sys("ip", &["netns", "add", ns])?;
        let peer = ["link", "add", ns, "type", "veth", "peer", "name", "eth0", "netns", ns];
        run::sys("ip", &peer)?;
        run::sys("ip", &["link", "set", ns, "master", &self.bridge, "up"])?;
        let address = format!("{}/24", self.address);
        run::sys("ip", &["-n", ns, "link", "set", "lo", "up"])?;
        run::sys("ip", &["-n", ns, "addr", "add", &address, "dev", "eth0"])?;
        run::sys("ip", &["-n", ns, "link", "set", "eth0", "up"])?;
        let gateway = self.gateway.to_string();
        run::sys("ip", &["-n", ns, "route", "add", "default", "via", &gateway]).map(|_| ())
    }

    fn start_first(&self, resolver: &Path) -> Result<(), LabError> {
        // `ip netns exec` would remount /sys and hide the control groups from the engine.
        let log = self.dir.join("first.log");
        let output = fs::File::create(&log).map_err(LabError::io("write", &log))?;
        let errors = output.try_clone().map_err(LabError::io("write", &log))?;
        let mut command = Command::new("setsid");
        command.args(["--fork", "nsenter"]).arg(format!("--net={}", self.netns().display()));
        command.args(["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc"]);
        command.args(["sh", "-c", FIRST, "sh", &self.name]).arg(resolver);
        command.stdin(std::process::Stdio::null()).stdout(output).stderr(errors);
        let status = command.status().map_err(LabError::io("start", "setsid"))?;
        let what = format!("the start of {} ({status})", self.name);
        let (limit, every) = (Duration::from_secs(10), Duration::from_millis(5));
        clock::wait_until(&what, &log.display().to_string(), limit, every, || {
            let ready = |pid: &i32| read_program(*pid).is_some_and(|name| name == "sleep");
            Ok(self.first().filter(ready))
        })
        .map(|_| ())
    }

    /// Pulls the plug: every process of the host is gone when this returns. The folder stays.
    pub(crate) fn switch_off(&self) -> Result<(), LabError> {
        let first = self.first();
        let mut rest = first.map(process::of_host).unwrap_or_default();
        rest.retain(|p| process::alive(p.pid));
        process::signal_all(first, Signal::KILL);
        let what = format!("the end of {}'s processes", self.name);
        let (limit, every) = (Duration::from_secs(20), Duration::from_millis(10));
        clock::wait_until(&what, "`ps -ef`", limit, every, || {
            let left = process::in_netns(&self.netns());
            process::signal_all(left.iter().copied(), Signal::KILL);
            let gone = left.is_empty() && !rest.iter().any(|p| process::alive(p.pid));
            Ok(gone.then_some(()))
        })?;
        run::try_sys("ip", &["link", "del", &self.namespace]);
        run::try_sys("ip", &["netns", "del", &self.namespace]);
        Ok(())
    }

    /// A command that will run inside the host. Its environment holds a path and a home, nothing else.
    ///
    /// # Errors
    /// [`LabError::HostOff`] when nothing runs there.
    pub(crate) fn command(&self, program: &str) -> Result<Command, LabError> {
        let first = self.first().ok_or(LabError::HostOff { host: self.number })?;
        let mut command = Command::new("nsenter");
        command.args(["-t", &first.to_string(), "-m", "-u", "-p", "-n", "--", program]);
        command.env_clear().env("HOME", "/root");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        Ok(command)
    }

    /// Starts a program that stays, with its output appended to `log`.
    pub(crate) fn spawn(
        &self,
        log: &Path,
        env: &[(&str, String)],
        words: &[String],
    ) -> Result<(), LabError> {
        let mut command = self.command("sh")?;
        command.args(["-c", BACKGROUND, "sh"]).arg(log).args(words);
        command.envs(env.iter().map(|(key, value)| (*key, value.as_str())));
        run::finish(&mut command)?.ok().map(|_| ())
    }
}

fn read_program(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim().to_owned())
}
