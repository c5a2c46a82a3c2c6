//! What of a host the containers of a project may be handed. Nothing, until somebody grants it.

use crate::{Permit, ProjectName, listed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A way in which a container is handed its host, called as the key of the Compose file that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Capabilities that reach beyond the container.
    CapAdd,
    /// The host's control groups.
    Cgroup,
    /// Rules that open devices of the host.
    DeviceCgroupRules,
    /// Devices of the host.
    Devices,
    /// Volumes that are folders of the host.
    DriverOpts,
    /// The host's shared memory.
    Ipc,
    /// The host's network.
    NetworkMode,
    /// The host's processes.
    Pid,
    /// Commands after a start with all that the host's root may do.
    PostStart,
    /// Commands before a start with all that the host's root may do.
    PreStart,
    /// Commands before a stop with all that the host's root may do.
    PreStop,
    /// All that the host's root may do.
    Privileged,
    /// Less of what keeps a container in.
    SecurityOpt,
    /// The host's users.
    UsernsMode,
    /// The host's name.
    Uts,
    /// Folders and sockets of the host that rule it.
    Volumes,
}

impl Power {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::CapAdd,
        Self::Cgroup,
        Self::DeviceCgroupRules,
        Self::Devices,
        Self::DriverOpts,
        Self::Ipc,
        Self::NetworkMode,
        Self::Pid,
        Self::PostStart,
        Self::PreStart,
        Self::PreStop,
        Self::Privileged,
        Self::SecurityOpt,
        Self::UsernsMode,
        Self::Uts,
        Self::Volumes,
    ];

    /// Whether single values of it can be granted, as each capability is of `cap_add`.
    pub fn has_values(self) -> bool {
        matches!(
            self,
            Self::CapAdd
                | Self::DeviceCgroupRules
                | Self::Devices
                | Self::SecurityOpt
                | Self::Volumes
        )
    }

    /// The key of the Compose file.
    pub fn key(self) -> &'static str {
        match self {
            Self::CapAdd => "cap_add",
            Self::Cgroup => "cgroup",
            Self::DeviceCgroupRules => "device_cgroup_rules",
            Self::Devices => "devices",
            Self::DriverOpts => "driver_opts",
            Self::Ipc => "ipc",
            Self::NetworkMode => "network_mode",
            Self::Pid => "pid",
            Self::PostStart => "post_start",
            Self::PreStart => "pre_start",
            Self::PreStop => "pre_stop",
            Self::Privileged => "privileged",
            Self::SecurityOpt => "security_opt",
            Self::UsernsMode => "userns_mode",
            Self::Uts => "uts",
            Self::Volumes => "volumes",
        }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl FromStr for Power {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|power| power.key() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::key).join(", ");
            format!("expected one of {all}")
        })
    }
}

/// The user says what a project may be handed of its hosts, from its next deploy on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPolicy {
    /// The project, deployed or not.
    pub project: ProjectName,
    /// From now on.
    pub grant: BTreeSet<Permit>,
    /// Not any more; the whole of a power takes each of its values along.
    pub revoke: BTreeSet<Permit>,
}

/// Words of the refusal.
pub(crate) fn lacks(
    f: &mut fmt::Formatter<'_>,
    project: &ProjectName,
    missing: &BTreeSet<Permit>,
) -> fmt::Result {
    let keys = listed(missing);
    write!(
        f,
        "{project} may not be handed its hosts by {keys}; if that is meant, grant it: `clusterctl policy grant -p {project} {keys}`"
    )
}

/// Words of the refusal to take away a part of what was granted as a whole.
pub(crate) fn whole(
    f: &mut fmt::Formatter<'_>,
    project: &ProjectName,
    power: Power,
) -> fmt::Result {
    write!(
        f,
        "{project} is granted all of {power}; take that back by `clusterctl policy revoke -p {project} {power}`, then grant each {power}=VALUE that it is to keep"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_key_and_kept_under_it() {
        for power in Power::ALL {
            assert_eq!(power.key().parse(), Ok(power));
            let kept = serde_json::to_string(&power).expect("it is a word");
            assert_eq!(kept, format!("\"{power}\""));
        }
        assert!("PRIVILEGED".parse::<Power>().is_err());
    }
}
