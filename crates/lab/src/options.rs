//! What a lab may be asked for, and its defaults and limits.

use crate::LabError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Most hosts that one lab can have: as many as a cluster has voters.
pub const MAX_HOSTS: u8 = 7;

/// How a lab is to be built. Kept in the lab's folder, so that a later process finds the same lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// How many hosts, 1 to [`MAX_HOSTS`].
    pub hosts: u8,
    /// The folder that holds everything of the lab; removed by `down`.
    pub root: PathBuf,
    /// Prefix of namespaces, links and control groups: `clab`, or `clab` and up to four more letters.
    pub name: String,
    /// The first three numbers of the network, as in `172.30.0`.
    pub subnet: String,
    /// Whether engines keep containers when they are restarted (`dockerd --live-restore`).
    pub live_restore: bool,
    /// Folder with `clusterd` and `clusterctl`; without one only the engines run.
    pub binaries: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: 3,
            root: PathBuf::from("/var/lib/cluster-lab"),
            name: "clab".to_owned(),
            subnet: "172.30.0".to_owned(),
            live_restore: false,
            binaries: None,
        }
    }
}

impl Options {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`LabError::Option`] that names the option and its limits.
    pub fn check(&self) -> Result<(), LabError> {
        let refuse = |text: String| Err(LabError::Option(text));
        if self.hosts == 0 || self.hosts > MAX_HOSTS {
            return refuse(format!("{} hosts: a lab has 1 to {MAX_HOSTS}", self.hosts));
        }
        let plain = self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !plain || !self.name.starts_with("clab") || self.name.len() > 8 {
            return refuse(format!(
                "name `{}`: it is `clab` and up to four small letters or digits",
                self.name
            ));
        }
        if format!("{}.1", self.subnet).parse::<std::net::Ipv4Addr>().is_err() {
            return refuse(format!("subnet `{}`: write three numbers as 172.30.0", self.subnet));
        }
        if !self.root.is_absolute() || self.root.parent().is_none() {
            return refuse(format!("root `{}`: it is an absolute path", self.root.display()));
        }
        Ok(())
    }
}
