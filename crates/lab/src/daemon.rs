//! The whole contract with `clusterd` and `clusterctl`: file names, configuration, arguments.
//!
//! Everything the lab knows of the product's surface is here and in `facts.rs`; when that surface moves,
//! these two files move.

use crate::{Binaries, Host, LabError, process, run};
use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

/// Port of the managers' gRPC surface.
pub const CONTROL_PORT: u16 = 7070;
/// Port on which edges hand connections to each other.
pub const EDGE_PORT: u16 = 7071;
/// Port of `/metrics`, on loopback inside the host.
pub const METRICS_PORT: u16 = 7072;

impl Host {
    /// The daemon's configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.join("clusterd.toml")
    }

    /// The daemon's folder of state.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The daemon's administration socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.dir.join("clusterd.sock")
    }

    /// The output of the daemon and of its edge.
    pub fn daemon_log(&self) -> PathBuf {
        self.dir.join("clusterd.log")
    }

    /// Where other members reach this host's manager: `172.30.0.11:7070`.
    pub fn control_address(&self) -> String {
        format!("{}:{CONTROL_PORT}", self.address)
    }
}

/// The text of a host's `clusterd.toml`.
pub fn config_text(host: &Host) -> String {
    let mut text = String::new();
    let path = |path: PathBuf| toml::Value::String(path.display().to_string());
    let _ = writeln!(text, "data_dir = {}", path(host.data_dir()));
    let _ = writeln!(text, "socket = {}", path(host.admin_socket()));
    let _ = writeln!(text, "docker_socket = {}", path(host.docker_socket()));
    let _ = writeln!(text, "listen = \"0.0.0.0:{CONTROL_PORT}\"");
    let _ = writeln!(text, "edge_listen = \"0.0.0.0:{EDGE_PORT}\"");
    let _ = writeln!(text, "metrics = \"127.0.0.1:{METRICS_PORT}\"");
    let _ = writeln!(text, "log = \"text\"\n\n[timers]\nprofile = \"lan\"");
    text
}

/// Writes the configuration unless there is one already (a test may have changed it).
pub(crate) fn write_config(host: &Host) -> Result<(), LabError> {
    if host.config().exists() {
        return Ok(());
    }
    fs::create_dir_all(host.data_dir()).map_err(LabError::io("create", host.data_dir()))?;
    fs::write(host.config(), config_text(host)).map_err(LabError::io("write", host.config()))
}

/// Starts the daemon, which starts its own edge. Returns before its socket answers.
pub(crate) fn start(host: &Host, binaries: &Binaries) -> Result<(), LabError> {
    write_config(host)?;
    let program = binaries.clusterd()?.display().to_string();
    let words = [program, "--config".to_owned(), host.config().display().to_string()];
    let passed = ["RUST_LOG", "RUST_BACKTRACE"];
    let env: Vec<_> =
        passed.iter().filter_map(|key| Some((*key, std::env::var(key).ok()?))).collect();
    host.spawn(&host.daemon_log(), &env, &words)
}

/// A `clusterctl` that will talk to the host's daemon.
pub(crate) fn clusterctl(host: &Host, binaries: &Binaries) -> Result<Command, LabError> {
    let mut command = Command::new(binaries.clusterctl()?);
    command.arg("--socket").arg(host.admin_socket());
    Ok(command)
}

/// The daemon's process, told from the edge's by its arguments.
pub(crate) fn daemon_pid(host: &Host) -> Option<i32> {
    pid(host, false)
}

/// The edge's process.
pub(crate) fn edge_pid(host: &Host) -> Option<i32> {
    pid(host, true)
}

fn pid(host: &Host, edge: bool) -> Option<i32> {
    let wanted = |p: &process::Process| {
        p.program == "clusterd" && p.args.first().is_some_and(|arg| arg == "edge") == edge
    };
    process::of_host(host.first()?).into_iter().find(wanted).map(|p| p.pid)
}

/// `clusterctl init` on the founding host.
pub(crate) fn init(host: &Host, binaries: &Binaries) -> Result<run::Finished, LabError> {
    let mut command = clusterctl(host, binaries)?;
    command.args(["init", "--advertise", &host.address.to_string()]);
    run::finish(&mut command)?.ok()
}

/// The token with which managers join.
pub(crate) fn manager_token(host: &Host, binaries: &Binaries) -> Result<String, LabError> {
    let mut command = clusterctl(host, binaries)?;
    let said = run::finish(command.args(["token", "manager"]))?.ok()?;
    let token = said.stdout.split_whitespace().last().map(str::to_owned);
    let problem = "no token on its standard output".to_owned();
    token.ok_or(LabError::Answer { command: said.command, problem })
}

/// `clusterctl join` on a further host.
pub(crate) fn join(
    host: &Host,
    binaries: &Binaries,
    token: &str,
    via: &Host,
) -> Result<run::Finished, LabError> {
    let mut command = clusterctl(host, binaries)?;
    command.args(["join", "--token", token, &via.control_address()]);
    command.args(["--advertise", &host.address.to_string()]);
    run::finish(&mut command)?.ok().map_err(|error| hide(error, token))
}

/// Keeps the token out of an error's command line.
fn hide(error: LabError, token: &str) -> LabError {
    match error {
        LabError::Command { command, status, message } => {
            LabError::Command { command: command.replace(token, "..."), status, message }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::config_text;
    use crate::{Host, Options};

    #[test]
    fn configuration_is_valid_toml_and_names_this_host_only() {
        let text = config_text(&Host::new(&Options::default(), 2));
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(value["socket"].as_str(), Some("/var/lib/cluster-lab/host2/clusterd.sock"));
        assert_eq!(value["timers"]["profile"].as_str(), Some("lan"));
        assert!(!text.contains("host1"));
    }
}
