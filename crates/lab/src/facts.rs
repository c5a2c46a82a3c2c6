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
    /// As in `web.2`.
    pub name: String,
    /// The service: `web`.
    pub service: String,
    /// The node's name.
    pub node: String,
    /// The task's state: `running`, ...
    pub state: String,
    /// Whether it runs, is healthy, and its node is not lost.
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
    let leader = text(&all, "leader").filter(|name| !name.is_empty());
    let count = |key: &str| all.get(key).and_then(Value::as_u64);
    let (voters, ready) = (count("voters"), count("voters_ready"));
    let quorum = voters.zip(ready).ok_or_else(|| odd(said, "voters and voters_ready"))?;
    Ok(StatusFact { leader, quorum: quorum.1 * 2 > quorum.0 })
}

fn node(row: &Value) -> Option<NodeFact> {
    Some(NodeFact {
        name: text(row, "name")?,
        readiness: text(row, "readiness")?,
        availability: text(row, "availability")?,
        leader: row.get("leader")?.as_bool()?,
    })
}

fn replica(row: &Value) -> Option<ReplicaFact> {
    let state = text(row, "state")?;
    Some(ReplicaFact {
        name: text(row, "name")?,
        service: text(row, "service")?,
        node: text(row, "node")?,
        serving: text(row, "condition")? == "running",
        state,
    })
}

/// A field's text, in small letters.
fn text(row: &Value, key: &str) -> Option<String> {
    row.get(key)?.as_str().map(str::to_lowercase)
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
        let row = r#"{"name":"web.2","service":"web","state":"Running","node":"host3","condition":"unhealthy"}"#;
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
