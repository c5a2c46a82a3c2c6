//! The lab itself: up, attach, status, down. Breaking it is in `faults.rs`.

use crate::{
    Finished, Host, ImageFile, LabError, Options, clock, daemon, engine, faults, packages, run,
    sweep,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// What the lab's folder says about the lab; processes and namespaces are found by their names.
#[derive(Serialize, Deserialize)]
struct Saved {
    options: Options,
    /// False while `up` is at work; such a lab may be swept away without asking.
    complete: bool,
}

/// A handle on a lab that is up. Several processes may hold one; dropping it leaves the lab up.
#[derive(Clone, Debug)]
pub struct Lab {
    options: Options,
    hosts: Vec<Host>,
}

/// How a host is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// Whether its first process lives.
    pub on: bool,
    /// Whether its cable is in.
    pub cable: bool,
    /// Addresses whose packets it drops.
    pub deaf_to: Vec<Ipv4Addr>,
    /// Whether its Docker Engine answers.
    pub engine: bool,
    /// The daemon's process number.
    pub daemon: Option<i32>,
    /// The edge's process number.
    pub edge: Option<i32>,
}

impl Lab {
    /// Makes the hosts, starts their engines and, when [`Options::binaries`] is set, their daemons.
    /// Remains of a crashed lab of the same name are removed first.
    ///
    /// # Errors
    /// [`LabError::NotRoot`], [`LabError::Missing`], [`LabError::AlreadyUp`], or what failed; then
    /// everything but the folder with the logs has been removed again.
    pub fn up(options: Options) -> Result<Self, LabError> {
        options.check()?;
        packages::require_root("making hosts")?;
        packages::require_all()?;
        if let Ok(lab) = Self::attach(&options.root) {
            return Err(LabError::AlreadyUp { hosts: lab.options.hosts, root: options.root });
        }
        sweep::everything(&options)?;
        let hosts = (1..=options.hosts).map(|n| Host::new(&options, n)).collect();
        let lab = Self { options, hosts };
        lab.save(false)?;
        lab.build().inspect_err(|_| {
            // The first error is the one to report.
            let _ = sweep::all_but_the_folder(&lab.options);
        })?;
        lab.save(true)?;
        Ok(lab)
    }

    /// Finds the lab whose folder is `root`.
    ///
    /// # Errors
    /// [`LabError::NotUp`] when there is none, or none of its hosts is on.
    pub fn attach(root: &Path) -> Result<Self, LabError> {
        let not_up = || LabError::NotUp { root: root.to_owned() };
        let text = fs::read_to_string(file(root)).map_err(|_| not_up())?;
        let saved: Saved = serde_json::from_str(&text).map_err(|_| not_up())?;
        let hosts = (1..=saved.options.hosts).map(|n| Host::new(&saved.options, n)).collect();
        let lab = Self { options: saved.options, hosts };
        let any_on = lab.hosts.iter().any(|host| host.first().is_some());
        if saved.complete && any_on { Ok(lab) } else { Err(not_up()) }
    }

    /// Removes processes, mounts, namespaces, links, control groups, firewall rules and the folder of a
    /// lab, whatever state it is in. Removing nothing is fine.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn remove(options: &Options) -> Result<(), LabError> {
        packages::require_root("removing hosts")?;
        let saved = fs::read_to_string(file(&options.root)).ok();
        let saved = saved.and_then(|text| serde_json::from_str::<Saved>(&text).ok());
        // The folder knows the names that were used; without it the caller's are as good as any.
        let names = saved.map_or_else(|| options.clone(), |saved| saved.options);
        sweep::everything(&Options { root: options.root.clone(), ..names })
    }

    /// Removes this lab.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn down(self) -> Result<(), LabError> {
        sweep::everything(&self.options)
    }

    /// Ties the lab to a scope: dropping the guard removes it.
    pub fn guard(self) -> LabGuard {
        LabGuard(self)
    }

    /// What this lab was built from.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// A host by its number, from 1.
    ///
    /// # Errors
    /// [`LabError::NoSuchHost`].
    pub fn host(&self, number: u8) -> Result<&Host, LabError> {
        let hosts = self.options.hosts;
        let found = self.hosts.iter().find(|host| host.number == number);
        found.ok_or(LabError::NoSuchHost { host: number, hosts })
    }

    /// All host numbers: 1, 2, ...
    pub fn numbers(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.options.hosts
    }

    /// Runs a program inside a host's namespaces.
    ///
    /// # Errors
    /// It could not be run; a refusal is in [`Finished::code`].
    pub fn exec(&self, host: u8, program: &str, args: &[&str]) -> Result<Finished, LabError> {
        run::finish(self.exec_command(host, program)?.args(args))
    }

    /// A command that will run inside a host's namespaces, to be completed and run by the caller.
    ///
    /// # Errors
    /// [`LabError::HostOff`] or [`LabError::NoSuchHost`].
    pub fn exec_command(&self, host: u8, program: &str) -> Result<Command, LabError> {
        self.host(host)?.command(program)
    }

    /// Runs the `docker` command line against a host's engine, from outside the hosts.
    ///
    /// # Errors
    /// It could not be run; a refusal is in [`Finished::code`].
    pub fn docker(&self, host: u8, args: &[&str]) -> Result<Finished, LabError> {
        run::finish(self.docker_command(host)?.args(args))
    }

    /// A `docker` command against a host's engine, to be completed and run by the caller.
    ///
    /// # Errors
    /// [`LabError::NoSuchHost`].
    pub fn docker_command(&self, host: u8) -> Result<Command, LabError> {
        let socket = format!("unix://{}", self.host(host)?.docker_socket().display());
        let mut command = Command::new("docker");
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").args(["-H", &socket]);
        Ok(command)
    }

    /// Brings an image to a host's engine.
    ///
    /// # Errors
    /// What the engine said.
    pub fn load_image(&self, host: u8, image: &ImageFile) -> Result<(), LabError> {
        let path = image.path.display().to_string();
        self.docker(host, &["load", "--quiet", "--input", &path])?.ok().map(|_| ())
    }

    /// Pulls a host's plug: all of its processes die at once, its disk stays.
    ///
    /// # Errors
    /// A process that does not die, or there is no such host.
    pub fn power_off(&self, host: u8) -> Result<(), LabError> {
        self.host(host)?.switch_off()
    }

    /// Starts a host that was powered off, its engine and, in a lab with daemons, its daemon.
    ///
    /// # Errors
    /// What did not start.
    pub fn power_on(&self, host: u8) -> Result<(), LabError> {
        let host = self.host(host)?;
        if host.first().is_none() {
            host.switch_off()?;
            sweep::cgroups(&host.namespace)?;
            host.switch_on()?;
        }
        self.start_engine(host.number)?;
        if self.options.binaries.is_some() { self.start_daemon(host.number) } else { Ok(()) }
    }

    /// How a host is doing.
    ///
    /// # Errors
    /// [`LabError::NoSuchHost`].
    pub fn host_status(&self, host: u8) -> Result<HostStatus, LabError> {
        let host = self.host(host)?;
        Ok(HostStatus {
            on: host.first().is_some(),
            cable: faults::cable(host),
            deaf_to: faults::deaf_to(host),
            engine: engine::answers(host),
            daemon: daemon::daemon_pid(host),
            edge: daemon::edge_pid(host),
        })
    }

    fn build(&self) -> Result<(), LabError> {
        sweep::make_bridge(&self.options)?;
        let each = |host: &Host| {
            host.switch_on()?;
            engine::start(host, self.options.live_restore)?;
            engine::wait_ready(host)?;
            if self.options.binaries.is_some() { self.start_daemon(host.number) } else { Ok(()) }
        };
        thread::scope(|scope| {
            let work: Vec<_> =
                self.hosts.iter().map(|host| scope.spawn(move || each(host))).collect();
            work.into_iter().try_for_each(|one| one.join().expect("starting a host does not panic"))
        })
    }

    fn save(&self, complete: bool) -> Result<(), LabError> {
        let root = &self.options.root;
        fs::create_dir_all(root).map_err(LabError::io("create", root))?;
        let saved = Saved { options: self.options.clone(), complete };
        let text = serde_json::to_string_pretty(&saved).expect("plain fields always serialise");
        let (path, fresh) = (file(root), root.join("lab.json.new"));
        fs::write(&fresh, text).map_err(LabError::io("write", &fresh))?;
        fs::rename(&fresh, &path).map_err(LabError::io("write", &path))
    }
}

/// The file that makes a folder a lab.
pub(crate) fn file(root: &Path) -> PathBuf {
    root.join("lab.json")
}

/// A lab that is removed when this goes out of scope, unless `KEEP_LAB` is set in the environment.
#[derive(Debug)]
pub struct LabGuard(Lab);

impl std::ops::Deref for LabGuard {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for LabGuard {
    fn drop(&mut self) {
        if std::env::var_os("KEEP_LAB").is_some() {
            return;
        }
        // The first removal can lose a race with a process that was just being started.
        if sweep::everything(&self.0.options).is_err() {
            clock::pause(std::time::Duration::from_millis(500));
            let _ = sweep::everything(&self.0.options);
        }
    }
}
