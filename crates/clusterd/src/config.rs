//! The daemon's configuration: one TOML file. Unknown keys are errors, every value has a default.
//!
//! Holds no state and reads nothing but the file it is given.

use anyhow::Context;
use model::{Timers, limits};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the daemon keeps what must survive it.
    pub(crate) data_dir: PathBuf,
    /// Where secrets of containers lie: on a file system in memory, or none is written.
    pub(crate) secrets_dir: PathBuf,
    /// Unix socket for `clusterctl` on this host.
    pub(crate) socket: PathBuf,
    /// Group of that socket, by name or number, whose members may administer; the daemon's own when absent.
    pub(crate) socket_group: Option<String>,
    /// Unix socket of the Docker Engine.
    pub(crate) docker_socket: PathBuf,
    /// Control plane: gRPC over mutual TLS.
    pub(crate) listen: SocketAddr,
    /// Where the edges of the other nodes connect.
    pub(crate) edge_listen: SocketAddr,
    /// Prometheus metrics; loopback unless told otherwise.
    pub(crate) metrics: SocketAddr,
    /// How log lines look.
    pub(crate) log: LogFormat,
    /// Least level of log lines, as `tracing` filters spell it.
    pub(crate) log_level: String,
    /// What this node keeps for itself.
    pub(crate) keep: Keep,
    /// Published ports.
    pub(crate) ingress: Ingress,
    timers: TimersFile,
    /// The file it was read from.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What this node keeps for the system itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keep {
    /// Thousandths of a core.
    pub(crate) milli_cpus: u64,
    /// Mebibytes.
    pub(crate) memory_mib: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { milli_cpus: 0, memory_mib: limits::SYSTEM_MEMORY >> 20 }
    }
}

/// How published ports, and requests over HTTP, are served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingress {
    /// Hand connections to other nodes without TLS; for trusted networks only. The same on all nodes.
    pub(crate) plain: bool,
    /// Where requests over HTTP are answered for the services that have rules for them, while there are any.
    pub(crate) http: SocketAddr,
    /// The same over TLS, where there are certificates.
    pub(crate) https: SocketAddr,
    /// Certificates for the hosts of services.
    pub(crate) certificates: Vec<CertificateFiles>,
    /// Balancers in front of this node, as addresses or ranges. What connects to a published or shared port from
    /// there must begin with a PROXY header, which says who the client is.
    pub(crate) proxied_from: Vec<Balancers>,
}

/// Addresses of balancers.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Balancers(pub(crate) network::Source);

impl TryFrom<String> for Balancers {
    type Error = network::InvalidSource;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Where a certificate lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateFiles {
    /// The chain, leaf first, PEM.
    pub(crate) certificate: PathBuf,
    /// The leaf's private key, PEM.
    pub(crate) key: PathBuf,
}

impl Default for Ingress {
    fn default() -> Self {
        Self {
            plain: false,
            http: any(limits::HTTP_PORT),
            https: any(limits::HTTPS_PORT),
            certificates: Vec::new(),
            proxied_from: Vec::new(),
        }
    }
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/clusterd".into(),
            secrets_dir: "/run/clusterd/secrets".into(),
            socket: "/run/clusterd.sock".into(),
            socket_group: None,
            docker_socket: "/var/run/docker.sock".into(),
            listen: any(limits::CONTROL_PORT),
            edge_listen: any(limits::EDGE_PORT),
            metrics: SocketAddr::from(([127, 0, 0, 1], limits::METRICS_PORT)),
            log: LogFormat::Text,
            log_level: "info".into(),
            keep: Keep::default(),
            ingress: Ingress::default(),
            timers: TimersFile::default(),
            file: None,
        }
    }
}

impl Config {
    /// Reads a file; without one, the defaults hold.
    pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the configuration {}", path.display()))
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.timers().check()?;
        Ok(config)
    }

    /// The profile's timers with the overrides of the file.
    pub(crate) fn timers(&self) -> Timers {
        self.timers.resolve()
    }

    /// Memory kept for the system itself, in bytes.
    pub(crate) fn kept_memory(&self) -> u64 {
        self.keep.memory_mib << 20
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Profile {
    #[default]
    Lan,
    Wan,
}

macro_rules! timers {
    ($($name:ident),*) => {
        /// `[timers]`: a profile, and overrides in milliseconds.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct TimersFile {
            profile: Profile,
            $($name: Option<u64>,)*
        }

        impl TimersFile {
            fn resolve(&self) -> Timers {
                let mut timers = match self.profile {
                    Profile::Lan => Timers::LAN,
                    Profile::Wan => Timers::WAN,
                };
                $(if let Some(millis) = self.$name {
                    timers.$name = Duration::from_millis(millis);
                })*
                timers
            }
        }
    };
}

timers!(
    heartbeat,
    election_min,
    election_max,
    beat,
    redial,
    suspect,
    lost,
    stall,
    testimony,
    view_stale,
    isolated,
    steady,
    steady_max,
    away,
    engine_out,
    voter_lost
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.timers(), Timers::LAN);
        assert_eq!(config.listen.port(), limits::CONTROL_PORT);
        assert!(config.metrics.ip().is_loopback());
    }

    #[test]
    fn certificates_are_pairs_of_files() {
        let text = "[[ingress.certificates]]\ncertificate = \"/a.pem\"\nkey = \"/a.key\"";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.ingress.certificates[0].key, Path::new("/a.key"));
        assert_eq!(config.ingress.http, any(limits::HTTP_PORT));
        assert!(Config::parse("[[ingress.certificates]]\ncertificate = \"/a.pem\"").is_err());
    }

    #[test]
    fn balancers_are_addresses_and_ranges() {
        let text = "[ingress]\nproxied_from = [\"192.0.2.7\", \"2001:db8::/32\"]";
        assert_eq!(Config::parse(text).unwrap().ingress.proxied_from.len(), 2);
        let why = Config::parse("[ingress]\nproxied_from = [\"lb.example\"]").unwrap_err();
        assert!(why.to_string().contains("\"lb.example\" is neither an address"), "{why}");
    }

    #[test]
    fn unknown_keys_and_bad_timers_are_refused() {
        for text in [
            "listn = \"0.0.0.0:1\"",
            "[timers]\nlosst = 3",
            "[timers]\nsuspect = 10",
            "[keep]\nram = 1",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_example_loads() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster-config");
        let mut loaded = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                Config::load(Some(&path)).unwrap();
                loaded += 1;
            }
        }
        assert!(loaded >= 3, "{loaded} examples");
    }

    #[test]
    fn a_profile_can_be_overridden() {
        let config = Config::parse("[timers]\nprofile = \"wan\"\nlost = 20000").unwrap();
        assert_eq!(config.timers().lost, Duration::from_secs(20));
        assert_eq!(config.timers().suspect, Timers::WAN.suspect);
    }
}
