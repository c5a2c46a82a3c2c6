//! Writes for people: one proposal each, and its outcome as a reply or a refusal.

use crate::admin::read::Reading;
use crate::managing::Managing;
use crate::node::Node;
use crate::serve::admit;
use crate::serve::refusal;
use api::v1;
use identity::{CaDigest, Token};
use model::{
    Availability, Command, JoinToken, NodeId, Outcome, Remove, RemoveNode, Role, Scale, SetNode,
    State,
};
use std::collections::BTreeMap;
use tonic::Status;

/// Name under which join tokens are sealed.
pub(crate) const SEAL_TOKEN: &[u8] = b"join token";

/// Proposes a command for a person.
pub(crate) async fn propose(
    managing: &Managing,
    command: Command,
    request: Option<v1::RequestId>,
) -> Result<(u64, Outcome), Status> {
    let (index, outcome) = managing.propose(command, request.map(Into::into)).await?;
    match outcome {
        Outcome::Refused(why) => Err(refusal(&why)),
        outcome => Ok((index, outcome)),
    }
}

pub(crate) fn reply(index: u64, outcome: &Outcome) -> v1::WriteReply {
    let (generation, scaled) = match outcome {
        Outcome::Accepted { generation, scaled, .. } => (*generation, scaled.as_slice()),
        _ => (0, &[][..]),
    };
    v1::WriteReply { index, generation, scaled: self::scaled(scaled) }
}

pub(crate) fn scaled(list: &[(model::ServiceName, u32, u32)]) -> Vec<v1::Scaled> {
    list.iter()
        .map(|(s, from, to)| v1::Scaled { service: s.to_string(), from: *from, to: *to })
        .collect()
}

pub(crate) async fn scale(
    managing: &Managing,
    message: v1::ScaleRequest,
) -> Result<v1::WriteReply, Status> {
    let mut counts = BTreeMap::new();
    for (service, count) in &message.counts {
        counts.insert(api::parse("counts", service)?, *count);
    }
    let project = api::parse("project", &message.project)?;
    let seen = (message.seen > 0).then_some(message.seen);
    let command = Command::Scale(Scale { project, counts, seen });
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}

pub(crate) async fn down(
    managing: &Managing,
    message: v1::DownRequest,
) -> Result<v1::WriteReply, Status> {
    let project = api::parse("project", &message.project)?;
    let command = Command::Remove(Remove { project, volumes: message.volumes });
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}

pub(crate) async fn set_node(
    managing: &Managing,
    message: v1::SetNodeRequest,
) -> Result<v1::WriteReply, Status> {
    let node = find_node(&managing.log.state(), &message.node)?;
    let availability = match message.availability.as_str() {
        "" => None,
        "active" => Some(Availability::Active),
        "pause" => Some(Availability::Pause),
        "drain" => Some(Availability::Drain),
        other => {
            return Err(Status::invalid_argument(format!(
                "availability `{other}`: active, pause or drain"
            )));
        }
    };
    let role = if message.role.is_empty() { None } else { Some(parse_role(&message.role)?) };
    let set = message.labels.into_iter().map(|(k, v)| (k, Some(v)));
    let labels = set.chain(message.remove_labels.into_iter().map(|k| (k, None))).collect();
    let command = Command::SetNode(SetNode { node, availability, role, labels });
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}

pub(crate) async fn remove_node(
    managing: &Managing,
    message: v1::RemoveNodeRequest,
) -> Result<v1::WriteReply, Status> {
    let node = find_node(&managing.log.state(), &message.node)?;
    let command = Command::RemoveNode(RemoveNode { node, force: message.force });
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}

pub(crate) async fn set_voters(
    managing: &Managing,
    message: v1::SetVotersRequest,
) -> Result<v1::WriteReply, Status> {
    let (index, outcome) =
        propose(managing, Command::SetVoters { count: message.count }, message.request).await?;
    Ok(reply(index, &outcome))
}

/// Shows a join token, or makes a new one first: the old one is worth nothing from then on.
pub(crate) async fn token(
    node: &Node,
    managing: &Managing,
    message: v1::TokenRequest,
) -> Result<v1::TokenReply, Status> {
    let role = parse_role(&message.role)?;
    if message.rotate {
        let authority =
            CaDigest::of_pem(&node.tls_authority()).map_err(|e| Status::internal(e.to_string()))?;
        let token = join_token(&Token::generate(role, authority), &managing.sealer);
        propose(managing, Command::SetToken { role, token }, message.request).await?;
    }
    let reading = Reading::fresh(node, managing).await?;
    let cluster =
        reading.state.cluster.as_ref().ok_or_else(|| Status::unavailable("still catching up"))?;
    let kept = match role {
        Role::Manager => &cluster.manager_token,
        Role::Worker => &cluster.worker_token,
    };
    let text = managing.sealer.open(&kept.sealed, SEAL_TOKEN).map_err(|_| {
        Status::internal("the token cannot be opened with this manager's cluster key")
    })?;
    Ok(v1::TokenReply {
        token: String::from_utf8_lossy(&text).into_owned(),
        members: reading.state.managers().map(|n| n.control().to_string()).collect(),
    })
}

/// A token as the state keeps it.
pub(crate) fn join_token(token: &Token, sealer: &identity::Sealer) -> JoinToken {
    JoinToken {
        digest: token.secret_digest(),
        sealed: sealer.seal(token.to_string().as_bytes(), SEAL_TOKEN),
    }
}

/// A client certificate for a person.
pub(crate) fn certify(
    node: &Node,
    managing: &Managing,
    message: &v1::CertifyRequest,
) -> Result<v1::CertifyReply, Status> {
    let certificate = admit::authority(managing)?
        .sign_admin(&message.csr, &message.name, crate::clock::system())
        .map_err(|e| Status::invalid_argument(e.to_string()))?;
    let state = managing.log.state();
    Ok(v1::CertifyReply {
        certificate,
        authority: node.tls_authority(),
        cluster: state.cluster_id().to_string(),
        members: admit::managers(&state),
    })
}

fn parse_role(text: &str) -> Result<Role, Status> {
    match text {
        "manager" => Ok(Role::Manager),
        "worker" => Ok(Role::Worker),
        other => Err(Status::invalid_argument(format!("role `{other}`: manager or worker"))),
    }
}

/// A node by its name or number.
pub(crate) fn find_node(state: &State, text: &str) -> Result<NodeId, Status> {
    let named = |n: &&model::Node| n.name.as_str() == text || n.id.to_string() == text;
    state.nodes.values().find(named).map(|n| n.id).ok_or_else(|| {
        Status::not_found(format!(
            "there is no node {}; `clusterctl nodes` lists them",
            text.escape_debug()
        ))
    })
}
