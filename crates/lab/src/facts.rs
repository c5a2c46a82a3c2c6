//! Reads what `clusterctl --json` prints into the few facts that demos, tests and benches need.

use crate::{Finished, LabError};
use serde_json::Value;

/// A node as `clusterctl --json nodes` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFact {
    /// Its host name.
    pub name: String,
    /// `ready`, `suspect` or `lost`.
    pub readiness: String,
    /// `active`, `pause` or `drain`.
    pub availability: String,
    /// Whether its manager leads.
    pub leader: bool,
}

/// A replica as `clusterctl --json ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaFact {
    /// `web.2`, or `shop/web.2`.
    pub name: String,
    /// The service: `web`.
    pub service: String,
    /// The node's name; empty while it waits for one.
    pub node: String,
    /// The task's state: `running`, ...
    pub state: String,
    /// Whether the state is running and no health check says otherwise.
    pub serving: bool,
}

/// What `clusterctl --json status` says of the cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusFact {
    /// Name of the leading node, when there is one.
    pub leader: Option<String>,
    /// Whether a quorum of voters answers.
    pub quorum: bool,
}

/// Reads the answer of `nodes`.
pub(crate) fn nodes(said: &Finished) -> Result<Vec<NodeFact>, LabError> {
    rows(said, "nodes")?.iter().map(|row| node(row).ok_or_else(|| odd(said, "a node"))).collect()
}

/// Reads the answer of `ps`.
pub(crate) fn replicas(said: &Finished) -> Result<Vec<ReplicaFact>, LabError> {
    let rows = rows(said, "replicas")?;
    rows.iter().map(|row| replica(row).ok_or_else(|| odd(said, "a replica"))).collect()
}

/// Reads the answer of `status`.
pub(crate) fn status(said: &Finished) -> Result<StatusFact, LabError> {
    let all = json(said)?;
    let leader = all.get("leader").and_then(Value::as_str).filter(|name| !name.is_empty());
    let quorum = all.get("quorum").and_then(|quorum| match quorum {
        Value::Bool(held) => Some(*held),
        Value::Object(_) => quorum.get("held")?.as_bool(),
        _ => None,
    });
    Ok(StatusFact { leader: leader.map(str::to_owned), quorum: quorum.unwrap_or(leader.is_some()) })
}

fn node(row: &Value) -> Option<NodeFact> {
    Some(NodeFact {
        name: text(row, &["name", "hostname"])?,
        readiness: text(row, &["readiness", "status"])?,
        availability: text(row, &["availability"]).unwrap_or_default(),
        leader: row.get("leader").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn replica(row: &Value) -> Option<ReplicaFact> {
    let name = text(row, &["name", "replica"])?;
    let bare = name.rsplit('/').next().unwrap_or_default();
    let service = bare.split('.').next().unwrap_or_default().to_owned();
    let state = text(row, &["state", "status"])?;
    let healthy = row.get("healthy").and_then(Value::as_bool).unwrap_or(true);
    let node = text(row, &["node"]).unwrap_or_default();
    Some(ReplicaFact { service, node, serving: state == "running" && healthy, state, name })
}

/// The first of `keys` that holds a text, in small letters.
fn text(row: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| row.get(key)?.as_str()).map(str::to_lowercase)
}

fn rows(said: &Finished, key: &str) -> Result<Vec<Value>, LabError> {
    match json(said)? {
        Value::Array(rows) => Ok(rows),
        Value::Object(mut all) => match all.remove(key) {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Err(odd(said, key)),
        },
        _ => Err(odd(said, key)),
    }
}

fn json(said: &Finished) -> Result<Value, LabError> {
    serde_json::from_str(&said.stdout).map_err(|_| odd(said, "JSON"))
}

fn odd(said: &Finished, wanted: &str) -> LabError {
    let start: String = said.stdout.chars().take(200).collect();
    let problem = format!("{wanted} was expected in `{}`", start.trim());
    LabError::Answer { command: said.command.clone(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn said(stdout: &str) -> Finished {
        let (command, stdout) = ("clusterctl".to_owned(), stdout.to_owned());
        Finished { command, code: Some(0), stdout, stderr: String::new(), took: Duration::ZERO }
    }

    #[test]
    fn reads_rows_from_a_list_or_under_a_key() {
        let row = r#"{"name":"shop/web.2","state":"Running","node":"host3","healthy":false}"#;
        for text in [format!("[{row}]"), format!("{{\"replicas\":[{row}]}}")] {
            let found = replicas(&said(&text)).unwrap();
            assert_eq!((found[0].service.as_str(), found[0].serving), ("web", false));
        }
    }

    #[test]
    fn says_what_was_expected_when_an_answer_is_odd() {
        let error = nodes(&said("no quorum")).unwrap_err().to_string();
        assert!(error.contains("JSON was expected in `no quorum`"), "{error}");
        assert!(replicas(&said(r#"[{"state":"running"}]"#)).is_err());
    }
}
