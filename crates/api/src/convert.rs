//! Conversions between messages and the model.

use crate::v1;
use model::{Facts, MeshKey, RequestId, TaskId, TaskState, TaskStatus, Time, VolumeKey};
use std::net::{IpAddr, SocketAddr};

/// A message that says something it cannot mean.
#[derive(Debug, thiserror::Error)]
#[error("field `{field}`: {problem}")]
pub struct InvalidMessage {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl From<InvalidMessage> for tonic::Status {
    fn from(e: InvalidMessage) -> Self {
        Self::invalid_argument(e.to_string())
    }
}

/// Parses a field of text into a value of the model.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, InvalidMessage> {
    text.parse().map_err(|e: T::Err| InvalidMessage { field, problem: e.to_string() })
}

/// Parses a TCP or UDP port.
pub fn port(field: &'static str, number: u32) -> Result<u16, InvalidMessage> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(InvalidMessage { field, problem: format!("{number} is not a port") }),
    }
}

/// Parses an address that may be left out.
pub fn optional_address(
    field: &'static str,
    text: &str,
) -> Result<Option<SocketAddr>, InvalidMessage> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}

impl From<v1::RequestId> for RequestId {
    fn from(id: v1::RequestId) -> Self {
        Self { stamp: Time(id.stamp), high: id.high, low: id.low }
    }
}

impl From<&Facts> for v1::Facts {
    fn from(f: &Facts) -> Self {
        Self {
            milli_cpus: f.milli_cpus,
            memory: f.memory,
            kept_milli_cpus: f.kept_milli_cpus,
            kept_memory: f.kept_memory,
            os: f.os.clone(),
            arch: f.arch.clone(),
            engine: f.engine.clone(),
            version: f.version.clone(),
            level: f.level,
            memory_free: f.memory_free,
            disk_pressure: f.disk_pressure,
            engine_ready: f.engine_ready,
            busy_ports: f.busy_ports.iter().map(|p| u32::from(*p)).collect(),
            view_index: f.view_index,
            mesh_key: f.mesh_key.map(|k| k.0.to_vec()).unwrap_or_default(),
            shared_ports: f.shared_ports.iter().map(|p| u32::from(*p)).collect(),
        }
    }
}

impl From<v1::Facts> for Facts {
    /// Ports that are none, and a key that is none, are left out; the state clamps the rest.
    fn from(f: v1::Facts) -> Self {
        let ports =
            |ports: Vec<u32>| ports.into_iter().filter_map(|p| u16::try_from(p).ok()).collect();
        Self {
            milli_cpus: f.milli_cpus,
            memory: f.memory,
            kept_milli_cpus: f.kept_milli_cpus,
            kept_memory: f.kept_memory,
            os: f.os,
            arch: f.arch,
            engine: f.engine,
            version: f.version,
            level: f.level,
            memory_free: f.memory_free,
            disk_pressure: f.disk_pressure,
            engine_ready: f.engine_ready,
            busy_ports: ports(f.busy_ports),
            view_index: f.view_index,
            mesh_key: f.mesh_key.try_into().ok().map(MeshKey),
            shared_ports: ports(f.shared_ports),
        }
    }
}

impl From<&TaskStatus> for v1::Status {
    fn from(s: &TaskStatus) -> Self {
        use v1::status::State;
        let (state, exit_code, reason) = match &s.state {
            TaskState::Assigned => (State::Assigned, 0, ""),
            TaskState::Preparing => (State::Preparing, 0, ""),
            TaskState::Starting => (State::Starting, 0, ""),
            TaskState::Running => (State::Running, 0, ""),
            TaskState::Stopping => (State::Stopping, 0, ""),
            TaskState::Exited { code } => (State::Exited, *code, ""),
            TaskState::Failed { reason } => (State::Failed, 0, reason.as_str()),
        };
        Self {
            task_index: s.task.index,
            task_position: s.task.position,
            state: state.into(),
            exit_code,
            reason: reason.to_owned(),
            healthy: s.healthy,
            address: s.address.map(|a| a.to_string()).unwrap_or_default(),
            memory: s.memory,
            restarts_in_place: s.restarts_in_place,
        }
    }
}

impl TryFrom<v1::Status> for TaskStatus {
    type Error = InvalidMessage;

    fn try_from(s: v1::Status) -> Result<Self, InvalidMessage> {
        use v1::status::State;
        let state = match s.state() {
            State::Unspecified => {
                return Err(InvalidMessage { field: "state", problem: "is missing".into() });
            }
            State::Assigned => TaskState::Assigned,
            State::Preparing => TaskState::Preparing,
            State::Starting => TaskState::Starting,
            State::Running => TaskState::Running,
            State::Stopping => TaskState::Stopping,
            State::Exited => TaskState::Exited { code: s.exit_code },
            State::Failed => TaskState::Failed { reason: s.reason },
        };
        let address: Option<IpAddr> =
            if s.address.is_empty() { None } else { Some(parse("address", &s.address)?) };
        Ok(Self {
            task: TaskId { index: s.task_index, position: s.task_position },
            state,
            healthy: s.healthy,
            address,
            memory: s.memory,
            restarts_in_place: s.restarts_in_place,
        })
    }
}

impl From<&VolumeKey> for v1::VolumeKey {
    fn from(k: &VolumeKey) -> Self {
        Self { project: k.project.to_string(), volume: k.volume.to_string() }
    }
}

impl TryFrom<v1::VolumeKey> for VolumeKey {
    type Error = InvalidMessage;

    fn try_from(k: v1::VolumeKey) -> Result<Self, InvalidMessage> {
        Ok(Self { project: parse("project", &k.project)?, volume: parse("volume", &k.volume)? })
    }
}
