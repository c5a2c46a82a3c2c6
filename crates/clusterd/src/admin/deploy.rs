//! Deploying: the canonical document becomes a spec, each image is resolved once, then it is proposed.

use crate::admin::contents;
use crate::admin::write::{propose, scaled};
use crate::managing::{Managing, SEAL_LOGIN};
use crate::node::Node;
use crate::serve::refusal;
use api::v1::{self, containers_client::ContainersClient};
use futures::future::join_all;
use model::{
    Command, Deploy, Image, NodeId, Outcome, Permit, ProjectSpec, Pull, Readiness, Refusal,
    ServiceSpec, limits,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// Deadline for asking one node about one image.
const ASK: Duration = Duration::from_secs(20);

/// Deploys a project.
pub(crate) async fn deploy(
    node: &Node,
    managing: &Managing,
    message: v1::DeployRequest,
) -> Result<v1::DeployReply, Status> {
    if message.document.len() > limits::COMPOSE_BYTES {
        return Err(Status::resource_exhausted("the Compose document is larger than 1 MiB"));
    }
    let (mut spec, powers) = compose::parse_with_powers(&message.document)
        .map_err(|complaints| Status::invalid_argument(complaints.to_string()))?;
    // `apply` has the last word; this one comes before images are looked for, and of a dry run too.
    let granted = managing.log.state().granted(&spec.name);
    let missing: BTreeSet<Permit> =
        powers.iter().filter(|p| !p.is_among(&granted)).cloned().collect();
    if !missing.is_empty() && !message.allow_host {
        return Err(refusal(&Refusal::NotGranted { project: spec.name, missing }));
    }
    let mut remarks = resolve(node, managing, &mut spec, &message.logins).await?;
    spec.source = compose::canonical(&spec);
    let mut spec = networks(managing, spec, &mut remarks)?;
    let contents = contents::settle(managing, &mut spec, message.contents)?;
    if message.dry_run {
        return Ok(v1::DeployReply { remarks, ..v1::DeployReply::default() });
    }
    let seal = |(host, login): (String, Vec<u8>)| (host, managing.sealer.seal(&login, SEAL_LOGIN));
    let logins = message.logins.into_iter().map(seal).collect();
    let (seen, grant) = (Some(message.seen), message.allow_host);
    let command = Command::Deploy(Deploy { spec, seen, logins, contents, powers, grant });
    let (index, outcome) = propose(managing, command, message.request).await?;
    let Outcome::Accepted { generation, scaled: counts, changed } = outcome else {
        return Err(Status::internal(format!("unexpected outcome {outcome:?}")));
    };
    let changed = changed.iter().map(ToString::to_string).collect();
    Ok(v1::DeployReply { index, generation, remarks, scaled: scaled(&counts), changed })
}

/// The project as all members understand it, with a remark where its networks are not kept apart.
fn networks(
    managing: &Managing,
    spec: ProjectSpec,
    remarks: &mut Vec<String>,
) -> Result<ProjectSpec, Status> {
    let state = managing.log.state();
    let sets: BTreeSet<Vec<&str>> = spec.services.values().map(|s| s.network_names()).collect();
    if sets.len() > 1 && state.mesh().is_none() {
        remarks.push(
            "this cluster has no mesh: all services of the project share one network on each node"
                .to_owned(),
        );
    }
    spec.at_level(state.level).map_err(|network| {
        Status::failed_precondition(format!(
            "network {network} is internal or external, which not all nodes understand yet; upgrade them first (`clusterctl nodes` shows their versions)"
        ))
    })
}

/// Resolves each image once, so that all replicas run the same bits. An image that is on no node and
/// cannot be pulled is refused before anything starts.
async fn resolve(
    node: &Node,
    managing: &Managing,
    spec: &mut ProjectSpec,
    logins: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<String>, Status> {
    let images: BTreeSet<(String, bool)> = spec
        .services
        .values()
        .flat_map(|s| images(s))
        .filter(|image| image.resolved.is_none())
        .map(|image| (image.reference.clone(), image.pull != Pull::Never))
        .collect();
    let mut found = BTreeMap::new();
    let mut remarks = Vec::new();
    let asked = images.iter().map(|(reference, pull)| {
        let login = logins.get(model::registry(reference)).cloned().unwrap_or_default();
        async move { ask_nodes(node, managing, reference, *pull, &login).await }
    });
    for ((reference, _), answers) in images.iter().zip(join_all(asked).await) {
        let resolved = settle(reference, &answers, &mut remarks)?;
        found.insert(reference.clone(), resolved);
    }
    for service in spec.services.values_mut() {
        let mut changed: ServiceSpec = (**service).clone();
        let steps = changed.container.hooks.pre_start.iter_mut().filter_map(|s| s.image.as_mut());
        for image in steps.chain([&mut changed.container.image]) {
            let resolved = found.get(&image.reference).filter(|_| image.resolved.is_none());
            if let Some(resolved) = resolved {
                image.resolved.clone_from(resolved);
            }
        }
        *service = Arc::new(changed);
    }
    Ok(remarks)
}

/// The images of a service: its container's, and those of what is run before it.
fn images(service: &ServiceSpec) -> impl Iterator<Item = &Image> {
    let steps = service.container.hooks.pre_start.iter().filter_map(|step| step.image.as_ref());
    steps.chain([&service.container.image])
}

/// What one node said of an image.
struct Answer {
    node: String,
    reply: v1::ImageReply,
}

async fn ask_nodes(
    node: &Node,
    managing: &Managing,
    reference: &str,
    pull: bool,
    login: &[u8],
) -> Vec<Answer> {
    let state = managing.log.state();
    let ready: Vec<_> = state
        .nodes
        .values()
        .filter(|n| n.readiness == Readiness::Ready && n.facts.engine_ready)
        .collect();
    let ids: Vec<NodeId> = ready.iter().map(|n| n.id).collect();
    let asker = asker(&ids, node.id()).filter(|_| pull);
    let asked = ready.into_iter().map(|n| {
        let asks = asker == Some(n.id);
        let request = v1::ImageRequest {
            reference: reference.to_owned(),
            ask_registry: asks,
            login: if asks { login.to_vec() } else { Vec::new() },
        };
        let (id, address, name) = (n.id, n.control(), n.name.to_string());
        async move {
            let mut client = ContainersClient::new(node.dialer.to(id, address));
            let reply =
                tokio::time::timeout(ASK, client.image(request)).await.ok()?.ok()?.into_inner();
            Some(Answer { node: name, reply })
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The one node that asks the registry: this one if its engine is fit, else the first that is.
fn asker(ready: &[NodeId], me: NodeId) -> Option<NodeId> {
    if ready.contains(&me) { Some(me) } else { ready.first().copied() }
}

/// One image for all: by the registry's digest where one answers, else by the id that the nodes have.
fn settle(
    reference: &str,
    answers: &[Answer],
    remarks: &mut Vec<String>,
) -> Result<Option<String>, Status> {
    if let Some(digest) = answers.iter().map(|a| &a.reply.digest).find(|d| !d.is_empty()) {
        return Ok(Some(digest.clone()));
    }
    let have: Vec<&Answer> = answers.iter().filter(|a| !a.reply.id.is_empty()).collect();
    let ids: BTreeSet<&str> = have.iter().map(|a| a.reply.id.as_str()).collect();
    let Some(id) = ids.first() else {
        let registry =
            answers.iter().map(|a| a.reply.registry_error.as_str()).find(|e| !e.is_empty());
        let why = registry.map(|e| format!(" ({e})")).unwrap_or_default();
        return Err(Status::failed_precondition(format!(
            "image {reference} is on no node and no registry gave it{why}; bring it with `clusterctl image load FILE`"
        )));
    };
    if ids.len() > 1 {
        return Err(Status::failed_precondition(format!(
            "image {reference} differs between nodes and no registry tells which is meant; load one with `clusterctl image load FILE`"
        )));
    }
    let lack: Vec<&str> =
        answers.iter().filter(|a| a.reply.id.is_empty()).map(|a| a.node.as_str()).collect();
    if lack.is_empty() {
        remarks.push(format!(
            "image {reference} is known to no registry; the nodes run their own copy of it"
        ));
    } else {
        remarks.push(format!(
            "image {reference} is known to no registry and missing on {}: replicas cannot run there until `clusterctl image load FILE`",
            lack.join(", ")
        ));
    }
    Ok(Some((*id).to_owned()))
}

/// Nodes that could be asked, for callers that fan out.
pub(crate) fn ready_nodes(managing: &Managing) -> Vec<(NodeId, std::net::SocketAddr, String)> {
    let state = managing.log.state();
    let ready = state.nodes.values().filter(|n| n.readiness != Readiness::Lost);
    ready.map(|n| (n.id, n.control(), n.name.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(node: &str, digest: &str, id: &str) -> Answer {
        let reply =
            v1::ImageReply { digest: digest.into(), id: id.into(), ..v1::ImageReply::default() };
        Answer { node: node.into(), reply }
    }

    #[test]
    fn the_registry_is_asked_by_one_fit_node() {
        let ready = [NodeId(2), NodeId(3)];
        assert_eq!(asker(&ready, NodeId(3)), Some(NodeId(3)));
        assert_eq!(asker(&ready, NodeId(1)), Some(NodeId(2)), "its own engine is out");
        assert_eq!(asker(&[], NodeId(1)), None);
    }

    #[test]
    fn an_image_settles_on_the_digest_else_on_the_one_id() {
        let mut remarks = Vec::new();
        let mut settled = |answers: &[Answer]| settle("web", answers, &mut remarks);
        let known = [answer("a", "", "sha256:1"), answer("b", "web@sha256:9", "sha256:2")];
        assert_eq!(settled(&known).unwrap().as_deref(), Some("web@sha256:9"));
        let copies = [answer("a", "", "sha256:1"), answer("b", "", "")];
        assert_eq!(settled(&copies).unwrap().as_deref(), Some("sha256:1"));
        let differ = [answer("a", "", "sha256:1"), answer("b", "", "sha256:2")];
        assert!(settled(&differ).unwrap_err().message().contains("differs"));
        let mut refused = answer("a", "", "");
        refused.reply.registry_error = "denied".into();
        assert!(settled(&[refused]).unwrap_err().message().contains("(denied)"));
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].contains("missing on b"));
    }
}
