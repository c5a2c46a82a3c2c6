//! What a test sees: the cluster through `clusterctl --json`, and the engines' containers behind its back.
//! Only reads.

use crate::cluster::{Cluster, Step, eventually, hold};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// `status`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) read: Read,
    pub(crate) leader: String,
    pub(crate) term: u64,
    pub(crate) voters: u32,
    pub(crate) voters_ready: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) services: Services,
    pub(crate) losses: Vec<Loss>,
    pub(crate) remarks: Vec<String>,
}

/// How a read came about.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Read {
    pub(crate) stale: bool,
    pub(crate) age_ms: u64,
    pub(crate) why_stale: String,
}

/// What losing a node would mean.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Loss {
    pub(crate) node: String,
    pub(crate) survivable: bool,
    pub(crate) why: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) readiness: String,
    pub(crate) availability: String,
    pub(crate) away: bool,
    pub(crate) engine_ready: bool,
    pub(crate) broken_links: Vec<String>,
}

impl Node {
    /// Whether nothing is odd about it.
    pub(crate) fn fine(&self) -> bool {
        let words = (self.readiness.as_str(), self.availability.as_str());
        words == ("ready", "active")
            && !self.away
            && self.engine_ready
            && self.broken_links.is_empty()
    }
}

/// Services of all projects.
pub(crate) type Services = Vec<Service>;

/// A service.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Service {
    pub(crate) project: String,
    pub(crate) name: String,
    pub(crate) wanted: u32,
    pub(crate) running: u32,
    pub(crate) healthy: u32,
    pub(crate) updated: u32,
    pub(crate) waiting: Vec<Value>,
    pub(crate) removed: bool,
}

impl Service {
    /// Whether all of its replicas run, healthy and of the newest generation, and no other.
    pub(crate) fn whole(&self) -> bool {
        let counts = [self.running, self.healthy, self.updated];
        counts.iter().all(|count| *count == self.wanted) && self.waiting.is_empty() && !self.removed
    }
}

/// A replica.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replica {
    pub(crate) project: String,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) condition: String,
    pub(crate) restarts: u32,
    pub(crate) reason: String,
}

/// A container of the cluster that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Container {
    pub(crate) host: u8,
    pub(crate) id: String,
    /// Tells a container that was restarted from one that was not.
    pub(crate) started: String,
    pub(crate) project: String,
    pub(crate) service: String,
    pub(crate) slot: String,
}

/// The rows of a list, whether it stands alone or under a key.
pub(crate) fn rows(text: &str, key: &str) -> Step<Vec<Value>> {
    let mut value: Value = serde_json::from_str(text).map_err(|e| format!("{e} in `{text}`"))?;
    let list = if value.is_array() { value } else { value[key].take() };
    let list = list.as_array().cloned();
    list.ok_or_else(|| format!("no list `{key}` in `{text}`").into())
}

impl Cluster {
    /// `status` through a host.
    pub(crate) fn status(&self, host: u8) -> Step<Status> {
        let said =
            self.clusterctl_within(host, &["--json", "status"], Duration::from_secs(20))?.ok()?;
        let status = serde_json::from_str(&said.stdout);
        status.map_err(|e| format!("{e} in `{}`", said.stdout).into())
    }

    /// `ps` of a project through a host.
    pub(crate) fn ps(&self, host: u8, project: &str) -> Step<Vec<Replica>> {
        let words = ["--json", "-p", project, "ps"];
        let said = self.clusterctl_within(host, &words, Duration::from_secs(20))?.ok()?;
        let rows = rows(&said.stdout, "replicas")?;
        let all: Vec<Replica> =
            rows.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
        hold(all.iter().all(|r| r.project == project), || format!("more than {project}: {all:?}"))?;
        Ok(all)
    }

    /// Waits until a service has that many replicas that serve, on any node but `without`, and gives them.
    pub(crate) fn serving(
        &self,
        host: u8,
        (project, service): (&str, &str),
        count: usize,
        without: Option<u8>,
    ) -> Step<Vec<Replica>> {
        let without = without.map(|host| format!("host{host}"));
        eventually(&format!("{count} replicas of {project}/{service} that serve"), || {
            let all = self.ps(host, project)?;
            let mut serve = all.clone();
            serve.retain(|r| {
                r.service == service
                    && r.condition == "running"
                    && Some(&r.node) != without.as_ref()
            });
            hold(serve.len() == count, || format!("{all:?}")).map(|()| serve)
        })
    }

    /// The reason why a replica of a project waits, once it is one that the caller accepts.
    pub(crate) fn reason(&self, project: &str, accept: impl Fn(&str) -> bool) -> Step<String> {
        eventually("a replica that waits with a good reason", || {
            let all = self.ps(1, project)?;
            let mut reasons = all.iter().map(|r| &r.reason);
            let found = reasons.find(|reason| accept(reason)).cloned();
            found.ok_or_else(|| format!("{all:?}").into())
        })
    }

    /// Every container of the cluster that runs on these hosts.
    pub(crate) fn running(&self, hosts: &[u8]) -> Step<BTreeSet<Container>> {
        let mut all = BTreeSet::new();
        for host in hosts {
            let words = ["ps", "--quiet", "--no-trunc", "--filter", "label=cluster.id"];
            let listed = self.docker(*host, &words)?.ok()?.stdout;
            let ids: Vec<&str> = listed.split_whitespace().collect();
            if !ids.is_empty() {
                all.extend(self.looked_at(*host, &ids)?);
            }
        }
        Ok(all)
    }

    fn looked_at(&self, host: u8, ids: &[&str]) -> Step<Vec<Container>> {
        let format = "{{.Id}}|{{.State.StartedAt}}|{{index .Config.Labels \"cluster.project\"}}|\
                      {{index .Config.Labels \"cluster.service\"}}|{{index .Config.Labels \"cluster.slot\"}}";
        let words: Vec<&str> =
            ["inspect", "--format", format].into_iter().chain(ids.iter().copied()).collect();
        let said = self.docker(host, &words)?.ok()?.stdout;
        let read = |line: &str| {
            let [id, started, project, service, slot] = *line.split('|').collect::<Vec<_>>() else {
                return Err(format!("odd line `{line}`").into());
            };
            let own = str::to_owned;
            let (id, started, project) = (own(id), own(started), own(project));
            Ok(Container { host, id, started, project, service: own(service), slot: own(slot) })
        };
        said.lines().map(read).collect()
    }

    /// The running containers of one service.
    pub(crate) fn of(&self, project: &str, service: &str) -> Step<Vec<Container>> {
        let all = self.running(&crate::cluster::MANAGERS)?;
        Ok(all.into_iter().filter(|c| c.project == project && c.service == service).collect())
    }

    /// The number of a host by its name.
    pub(crate) fn number(&self, name: &str) -> Step<u8> {
        let found = self.numbers().find(|n| format!("host{n}") == name);
        found.ok_or_else(|| format!("no host is named `{name}`").into())
    }

    /// The texts of the newest events, oldest first.
    pub(crate) fn events(&self, host: u8, last: u32) -> Step<Vec<String>> {
        let said = self.say(host, &["--json", "events", "-n", &last.to_string()])?;
        let text = |line: &str| {
            Ok(serde_json::from_str::<Value>(line)?["text"].as_str().unwrap_or("").to_owned())
        };
        if said.stdout.trim_start().starts_with('[') {
            let rows = rows(&said.stdout, "events")?;
            return Ok(rows.iter().map(|e| e["text"].as_str().unwrap_or("").to_owned()).collect());
        }
        said.stdout.lines().map(text).collect()
    }
}
