//! Drives the product through its command line, as a user would.

use crate::{Binaries, Finished, Lab, LabError, LabGuard, Options, clock, daemon, facts, run};
use crate::{NodeFact, ReplicaFact, StatusFact};
use std::{
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const EVERY: Duration = Duration::from_millis(20);

impl Lab {
    /// Runs `clusterctl` against a host's daemon, from outside the hosts, at most five minutes.
    ///
    /// # Errors
    /// Only that it could not be run or did not end; a refusal is in [`Finished::code`].
    pub fn clusterctl(&self, host: u8, args: &[&str]) -> Result<Finished, LabError> {
        self.clusterctl_within(host, args, Duration::from_secs(300))
    }

    /// As [`Lab::clusterctl`], with a deadline of the caller's.
    ///
    /// # Errors
    /// [`LabError::Timeout`] when it did not end in time; then it was killed.
    pub fn clusterctl_within(
        &self,
        host: u8,
        args: &[&str],
        limit: Duration,
    ) -> Result<Finished, LabError> {
        run::finish_within(self.clusterctl_command(host)?.args(args), limit)
    }

    /// Starts a `clusterctl` that stays (`logs -f`, `events -f`), with its outputs piped.
    ///
    /// # Errors
    /// It could not be started.
    pub fn clusterctl_spawn(&self, host: u8, args: &[&str]) -> Result<Child, LabError> {
        let mut command = self.clusterctl_command(host)?;
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(LabError::io("start", command.get_program()))
    }

    /// A `clusterctl` command for a host, to be completed and run by the caller.
    ///
    /// # Errors
    /// [`LabError::NoSuchHost`] or [`LabError::NoBinary`].
    pub fn clusterctl_command(&self, host: u8) -> Result<Command, LabError> {
        daemon::clusterctl(self.host(host)?, &self.binaries()?)
    }

    /// Waits until a host's daemon accepts connections on its administration socket.
    ///
    /// # Errors
    /// [`LabError::Timeout`] after half a minute, naming the daemon's log.
    pub fn wait_daemon(&self, host: u8) -> Result<(), LabError> {
        let host = self.host(host)?;
        let what = format!("an answer of {}'s clusterd", host.name);
        let look = host.daemon_log().display().to_string();
        clock::wait_until(&what, &look, Duration::from_secs(30), EVERY, || {
            Ok(UnixStream::connect(host.admin_socket()).is_ok().then_some(()))
        })
    }

    /// A lab with a cluster on it, from nothing: builds or finds the programs, removes remains of a lab of
    /// the same name, starts hosts and daemons, and forms the cluster. For tests and benches.
    ///
    /// # Errors
    /// The first step that failed; the lab is then removed again.
    pub fn fresh_cluster(options: Options) -> Result<LabGuard, LabError> {
        let binaries = Some(Binaries::find_or_build()?.folder().to_owned());
        Self::remove(&options)?;
        let lab = Self::up(Options { binaries, ..options })?.guard();
        lab.form()?;
        Ok(lab)
    }

    /// Founds a cluster on host 1 and joins all others as managers, one after the other.
    ///
    /// # Errors
    /// What the first refusing command said.
    pub fn form(&self) -> Result<(), LabError> {
        let binaries = self.binaries()?;
        self.numbers().try_for_each(|host| self.wait_daemon(host))?;
        let founder = self.host(1)?;
        daemon::init(founder, &binaries)?;
        let token = daemon::manager_token(founder, &binaries)?;
        for number in self.numbers().skip(1) {
            daemon::join(self.host(number)?, &binaries, &token, founder)?;
        }
        Ok(())
    }

    /// The cluster's nodes, as one host's daemon sees them.
    ///
    /// # Errors
    /// `clusterctl` failed or its answer was not understood.
    pub fn nodes(&self, host: u8) -> Result<Vec<NodeFact>, LabError> {
        facts::nodes(&self.asked(host, &["--json", "nodes"])?)
    }

    /// The cluster's replicas, as one host's daemon sees them.
    ///
    /// # Errors
    /// `clusterctl` failed or its answer was not understood.
    pub fn replicas(&self, host: u8) -> Result<Vec<ReplicaFact>, LabError> {
        facts::replicas(&self.asked(host, &["--json", "ps"])?)
    }

    /// The cluster's leader and quorum, as one host's daemon sees them.
    ///
    /// # Errors
    /// `clusterctl` failed or its answer was not understood.
    pub fn cluster_status(&self, host: u8) -> Result<StatusFact, LabError> {
        facts::status(&self.asked(host, &["--json", "status"])?)
    }

    /// The number of the host whose manager leads, as one host's daemon sees it.
    ///
    /// # Errors
    /// As [`Lab::cluster_status`].
    pub fn leader(&self, host: u8) -> Result<Option<u8>, LabError> {
        let leader = self.cluster_status(host)?.leader;
        Ok(self.numbers().find(|n| leader.as_deref() == Some(&format!("host{n}"))))
    }

    /// Deploys a Compose file and waits until it runs.
    ///
    /// # Errors
    /// What `clusterctl` said.
    pub fn deploy(&self, host: u8, file: &Path) -> Result<Finished, LabError> {
        self.clusterctl(host, &["deploy", "-f", &file.display().to_string()])?.ok()
    }

    /// Scales a service (`web=4`) of a project and waits until it runs.
    ///
    /// # Errors
    /// What `clusterctl` said.
    pub fn scale(&self, host: u8, project: &str, wish: &str) -> Result<Finished, LabError> {
        self.clusterctl(host, &["scale", "-p", project, wish])?.ok()
    }

    /// Removes a project and waits until it is gone.
    ///
    /// # Errors
    /// What `clusterctl` said.
    pub fn undeploy(&self, host: u8, project: &str) -> Result<Finished, LabError> {
        self.clusterctl(host, &["down", "-p", project])?.ok()
    }

    fn asked(&self, host: u8, args: &[&str]) -> Result<Finished, LabError> {
        self.clusterctl_within(host, args, Duration::from_secs(10))?.ok()
    }

    pub(crate) fn binaries(&self) -> Result<Binaries, LabError> {
        let folder = self.options().binaries.clone();
        let folder = folder.ok_or_else(|| {
            LabError::Option("this lab was started without clusterd: engines only".to_owned())
        })?;
        Binaries::in_folder(&folder)
    }
}
