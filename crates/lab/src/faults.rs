//! Everything that can be broken on purpose, and made whole again.

use crate::{Host, Lab, LabError, daemon, engine, process, run};
use rustix::process::Signal;
use serde_json::Value;
use std::{fs, net::Ipv4Addr, process::Command, time::Duration};

/// Name of the nftables table that holds a host's cut links; nobody else's rules are touched.
const TABLE: &str = "inet cluster_lab";

/// A part of a host that can be killed or paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The daemon: manager and agent.
    Daemon,
    /// The edge: the ingress.
    Edge,
    /// The Docker Engine; its containers live on.
    Engine,
    /// Every process of the host, containers included.
    All,
}

/// Network.
impl Lab {
    /// Pulls a host's network cable: nothing in, nothing out.
    ///
    /// # Errors
    /// `ip` failed, or there is no such host.
    pub fn cut(&self, host: u8) -> Result<(), LabError> {
        run::sys("ip", &["link", "set", &self.host(host)?.namespace, "down"]).map(|_| ())
    }

    /// Plugs a host's cable in again and forgets the links that were cut at it.
    ///
    /// # Errors
    /// `ip` failed, or there is no such host.
    pub fn heal(&self, host: u8) -> Result<(), LabError> {
        let host = self.host(host)?;
        run::sys("ip", &["link", "set", &host.namespace, "up"])?;
        // Deleting what is not there fails, which is as good.
        inside(host, &format!("delete table {TABLE}"))?;
        Ok(())
    }

    /// Heals every host.
    ///
    /// # Errors
    /// The first that could not be healed.
    pub fn heal_all(&self) -> Result<(), LabError> {
        self.numbers().try_for_each(|host| self.heal(host))
    }

    /// Drops everything between two hosts, both ways; each still reaches all others.
    ///
    /// # Errors
    /// `nft` failed, or there is no such host.
    pub fn cut_link(&self, one: u8, other: u8) -> Result<(), LabError> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Drops everything that one host sends to another; the way back stays open.
    ///
    /// # Errors
    /// `nft` failed, or there is no such host.
    pub fn cut_one_way(&self, from: u8, to: u8) -> Result<(), LabError> {
        let sender = self.host(from)?.address;
        let script = format!(
            "add table {TABLE}
             add set {TABLE} deaf {{ type ipv4_addr; }}
             add chain {TABLE} in {{ type filter hook prerouting priority -310; }}
             flush chain {TABLE} in
             add rule {TABLE} in ip saddr @deaf drop
             add element {TABLE} deaf {{ {sender} }}"
        );
        inside(self.host(to)?, &script)?.ok().map(|_| ())
    }
}

/// Processes.
impl Lab {
    /// Kills a part of a host with SIGKILL. [`Part::All`] is pulling the plug.
    ///
    /// # Errors
    /// [`LabError::HostOff`] when it does not run.
    pub fn kill(&self, host: u8, part: Part) -> Result<(), LabError> {
        if part == Part::All {
            return self.power_off(host);
        }
        self.end(host, part, Signal::KILL)
    }

    /// Ends the daemon with SIGTERM, as a service manager does, and waits for its end.
    ///
    /// # Errors
    /// [`LabError::HostOff`] when it does not run, [`LabError::Timeout`] after half a minute.
    pub fn terminate_daemon(&self, host: u8) -> Result<(), LabError> {
        self.end(host, Part::Daemon, Signal::TERM)
    }

    /// Starts the daemon, unless it runs.
    ///
    /// # Errors
    /// It could not be started; that it answers is for [`Lab::wait_daemon`].
    pub fn start_daemon(&self, host: u8) -> Result<(), LabError> {
        let binaries = self.binaries()?;
        let host = self.host(host)?;
        if daemon::daemon_pid(host).is_some() { Ok(()) } else { daemon::start(host, &binaries) }
    }

    /// Freezes a part of a host with SIGSTOP.
    ///
    /// # Errors
    /// [`LabError::HostOff`] when it does not run.
    pub fn pause(&self, host: u8, part: Part) -> Result<(), LabError> {
        self.signal(host, part, Signal::STOP)
    }

    /// Lets everything on a host go on that was paused.
    ///
    /// # Errors
    /// [`LabError::HostOff`] when nothing runs there.
    pub fn resume(&self, host: u8) -> Result<(), LabError> {
        self.signal(host, Part::All, Signal::CONT)
    }

    /// Stops the Docker Engine with SIGTERM (without `live_restore` its containers stop too).
    ///
    /// # Errors
    /// [`LabError::Timeout`] when it does not end.
    pub fn stop_engine(&self, host: u8) -> Result<(), LabError> {
        engine::stop(self.host(host)?, Signal::TERM)
    }

    /// Starts the Docker Engine, unless it runs, and waits until it answers.
    ///
    /// # Errors
    /// [`LabError::Timeout`] when it does not answer.
    pub fn start_engine(&self, host: u8) -> Result<(), LabError> {
        let host = self.host(host)?;
        if engine::pid(host).is_none() {
            engine::start(host, self.options().live_restore)?;
        }
        engine::wait_ready(host)
    }

    /// The process number of a part, as seen from outside; none when it does not run. For
    /// [`Part::All`] the host's first process.
    ///
    /// # Errors
    /// [`LabError::NoSuchHost`].
    pub fn pid(&self, host: u8, part: Part) -> Result<Option<i32>, LabError> {
        let host = self.host(host)?;
        Ok(match part {
            Part::Daemon => daemon::daemon_pid(host),
            Part::Edge => daemon::edge_pid(host),
            Part::Engine => engine::pid(host),
            Part::All => host.first(),
        })
    }

    fn signal(&self, host: u8, part: Part, signal: Signal) -> Result<(), LabError> {
        let first = self.pid(host, part)?.ok_or(LabError::HostOff { host })?;
        match part {
            Part::All => process::signal_all(process::of_host(first).iter().map(|p| p.pid), signal),
            _ => process::signal(first, signal),
        }
        Ok(())
    }

    fn end(&self, host: u8, part: Part, signal: Signal) -> Result<(), LabError> {
        let pid = self.pid(host, part)?.ok_or(LabError::HostOff { host })?;
        process::signal(pid, signal);
        let what = format!("the end of process {pid} on host{host}");
        let look = self.host(host)?.daemon_log().display().to_string();
        let (limit, every) = (Duration::from_secs(30), Duration::from_millis(5));
        crate::wait_until(&what, &look, limit, every, || Ok((!process::alive(pid)).then_some(())))
    }
}

fn inside(host: &Host, script: &str) -> Result<run::Finished, LabError> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", host.netns().display())).args(["nft", script]);
    run::finish(&mut command)
}

/// Whether a host's cable is in.
pub(crate) fn cable(host: &Host) -> bool {
    let flags = fs::read_to_string(format!("/sys/class/net/{}/flags", host.namespace));
    let flags = flags.unwrap_or_default();
    let bits = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    bits & 1 == 1
}

/// Whose packets a host drops.
pub(crate) fn deaf_to(host: &Host) -> Vec<Ipv4Addr> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", host.netns().display()));
    command.args(["nft", "-j", "list", "set", "inet", "cluster_lab", "deaf"]);
    let Ok(said) = run::finish(&mut command) else { return Vec::new() };
    let json: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
    let sets = json["nftables"].as_array().into_iter().flatten();
    let elements = sets.filter_map(|item| item["set"]["elem"].as_array()).flatten();
    elements.filter_map(|address| address.as_str()?.parse().ok()).collect()
}
