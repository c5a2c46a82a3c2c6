//! Which requests over HTTP are whose: the rules of services, and what the edges route by.

use crate::{
    Backend, ContentId, GivenSecret, ProjectName, Readiness, Refusal, ServiceName, ServiceSpec,
    State, Task, TaskState,
    limits::{HTTP_PORT, HTTPS_PORT},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Requests of which host and path reach a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HttpMatch {
    /// Host name in lower case, or `*.` and the name under which hosts of any depth stand; any host when absent.
    pub host: Option<String>,
    /// Path of which whole leading segments agree; `/` for all.
    pub path: String,
}

impl fmt::Display for HttpMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host.as_deref().unwrap_or("*"), self.path)
    }
}

/// A rule of a service: these requests reach its copies at this port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HttpRule {
    /// Which requests.
    pub matches: HttpMatch,
    /// Port in the container.
    pub port: u16,
    /// The certificate that clients of its host are shown over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<HttpTls>,
}

/// A certificate of a service, from two secrets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HttpTls {
    /// The chain, the host's own first, PEM.
    pub certificate: GivenSecret,
    /// The private key of the host's own, PEM.
    pub key: GivenSecret,
    /// Requests that come without TLS are sent to the same place over TLS.
    pub redirect: bool,
}

/// The two secrets of a certificate, as an edge asks for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CertificateIds {
    /// The chain.
    pub certificate: ContentId,
    /// The key.
    pub key: ContentId,
}

/// A port of a service that answers requests over HTTP. The same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The project.
    pub project: ProjectName,
    /// The service.
    pub service: ServiceName,
    /// Port in the container, of the current generation.
    pub port: u16,
    /// Which requests.
    pub matches: Vec<HttpMatch>,
    /// Those of them that are to come over TLS, and are sent there when they do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secured: Vec<HttpMatch>,
    /// Certificates for their hosts: versions of secrets, never what they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateIds>,
    /// Replicas that may answer, or still do; each with its own `target`.
    pub backends: Vec<Backend>,
}

impl HttpTls {
    /// The two secrets by the versions that they show.
    pub fn ids(&self) -> CertificateIds {
        CertificateIds { certificate: self.certificate.id(), key: self.key.id() }
    }
}

impl ServiceSpec {
    /// The port at which a copy answers what another generation answers at `port` by `matches`: that of the
    /// same rule, else the same port where there is one.
    fn http_target(&self, matches: &[HttpMatch], port: u16) -> Option<u16> {
        let same = self.http.iter().find(|rule| matches.contains(&rule.matches));
        same.or_else(|| self.http.iter().find(|rule| rule.port == port)).map(|rule| rule.port)
    }
}

impl State {
    /// What is reached over HTTP, with the replicas behind each.
    pub(crate) fn sites(&self) -> Vec<Site> {
        let mut sites = Vec::new();
        for service in self.services.values() {
            if service.removed && self.tasks_of(service.id).next().is_none() {
                continue;
            }
            let mut ports: BTreeMap<u16, Vec<&HttpRule>> = BTreeMap::new();
            for rule in &service.spec().http {
                ports.entry(rule.port).or_default().push(rule);
            }
            sites.extend(ports.into_iter().map(|(port, rules)| {
                let matches: Vec<HttpMatch> = rules.iter().map(|r| r.matches.clone()).collect();
                let secured = rules.iter().filter(|r| r.tls.as_ref().is_some_and(|t| t.redirect));
                let ids = rules.iter().filter_map(|r| Some(r.tls.as_ref()?.ids()));
                Site {
                    secured: secured.map(|r| r.matches.clone()).collect(),
                    certificates: ids.collect::<BTreeSet<_>>().into_iter().collect(),
                    project: service.project.clone(),
                    service: service.name.clone(),
                    port,
                    backends: self
                        .tasks_of(service.id)
                        .filter_map(|task| {
                            let spec = service.spec_of(task.generation);
                            self.http_backend(task, spec.http_target(&matches, port)?)
                        })
                        .collect(),
                    matches,
                }
            }));
        }
        sites
    }

    fn http_backend(&self, task: &Task, target: u16) -> Option<Backend> {
        let node = self.nodes.get(&task.node)?;
        let holds_requests = matches!(task.state, TaskState::Running | TaskState::Stopping);
        let address = task.address.filter(|_| holds_requests)?;
        let serving = task.serving() && node.readiness == Readiness::Ready;
        let (task, node, target) = (task.id, node.id, Some(target));
        Some(Backend { task, node, address, target, told: false, serving })
    }

    /// The ports on which some node answers requests over HTTP for all services.
    fn shared_ports(&self) -> BTreeSet<u16> {
        let usual = [HTTP_PORT, HTTPS_PORT];
        let silent = self.nodes.is_empty()
            || self.nodes.values().any(|node| node.facts.shared_ports.is_empty());
        let said = self.nodes.values().flat_map(|node| node.facts.shared_ports.iter().copied());
        said.chain(usual.into_iter().filter(|_| silent)).collect()
    }

    /// Each host and path belongs to one service in the whole cluster, and the shared ports to nobody while
    /// there is one.
    pub(crate) fn refuse_http(
        &self,
        project: &ProjectName,
        services: &BTreeMap<ServiceName, Arc<ServiceSpec>>,
    ) -> Result<(), Refusal> {
        let others = self.services.values().filter(|s| !s.removed && s.project != *project);
        let others = others.map(|s| (s.full_name(), &**s.spec()));
        let own = services.iter().map(|(name, spec)| (format!("{project}/{name}"), &**spec));
        let mut taken: BTreeMap<&HttpMatch, String> = BTreeMap::new();
        let mut routed: Option<String> = None;
        let mut published: Option<(u16, String)> = None;
        let shared_ports = self.shared_ports();
        for (name, spec) in others.chain(own) {
            for rule in &spec.http {
                if let Some(taken_by) = taken.insert(&rule.matches, name.clone()) {
                    let rule = rule.matches.to_string();
                    return Err(Refusal::HttpTaken { rule, wanted_by: name, taken_by });
                }
                routed.get_or_insert_with(|| name.clone());
            }
            let shared = spec.ports.iter().find(|p| {
                p.protocol == crate::Protocol::Tcp && shared_ports.contains(&p.published)
            });
            if let Some(port) = shared {
                published.get_or_insert((port.published, name));
            }
        }
        match (published, routed) {
            (Some((port, published_by)), Some(routed)) => {
                Err(Refusal::HttpPort { port, published_by, routed })
            }
            _ => Ok(()),
        }
    }
}
