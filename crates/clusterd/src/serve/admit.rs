//! Admitting a node: token, clock, certificate. The subject of a signing request is never believed.

use crate::clock;
use crate::managing::Managing;
use crate::node::Node;
use crate::serve::refusal;
use api::v1;
use identity::{Authority, Token};
use model::{Command, Join, NodeId, Outcome, Role, State, limits};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::Status;
use tracing::info;

/// Name under which the authority's key is sealed.
pub(crate) const SEAL_AUTHORITY: &[u8] = b"authority key";
/// Join attempts with a wrong token are answered after this long, so that guessing is slow.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(500);
/// Wrong tokens that are paused over at the same time. More are turned away at once, so that they cost
/// nothing; a valid token needs no place among them. The secret has 128 bits: no rate finds it.
pub(crate) const ATTEMPTS: usize = 16;
/// How long the joiner's own address may take to answer.
const DIAL_BACK: Duration = Duration::from_millis(1_500);
/// How long a joiner may be kept waiting for a quorum.
const JOIN_DEADLINE: Duration = Duration::from_secs(3);

/// Admits whoever shows a valid token.
pub(crate) async fn join(
    node: &Node,
    managing: &Managing,
    message: v1::JoinRequest,
) -> Result<v1::JoinReply, Status> {
    let role = check_token(managing, &message.token).await?;
    check_clock(message.wall_ms)?;
    let name = api::parse("name", &message.name)?;
    let join = Join {
        name,
        role,
        address: api::parse("address", &message.address)?,
        control_port: api::port("control_port", message.control_port)?,
        edge_port: api::port("edge_port", message.edge_port)?,
        key_digest: identity::key_digest(&message.csr)
            .map_err(|e| Status::invalid_argument(e.to_string()))?,
        facts: message
            .facts
            .ok_or_else(|| Status::invalid_argument("field `facts`: is missing"))?
            .into(),
        replace: message.replace,
    };
    check_address(SocketAddr::new(join.address, join.control_port)).await?;
    // Asked before anything is written: an entry that finds no quorum now may find one later, and would admit
    // a host that was told no.
    let confirmed = tokio::time::timeout(JOIN_DEADLINE, managing.log.read_index()).await;
    confirmed
        .map_err(|_| Status::unavailable("no leader answered; nothing was stored, try again"))?
        .map_err(|why| Status::unavailable(format!("{why}; nothing was stored, try again")))?;
    let proposed =
        tokio::time::timeout(JOIN_DEADLINE, managing.propose(Command::Join(join), None)).await;
    // The entry may still be applied; joining with the same key again then finds it.
    let (_, outcome) = proposed.map_err(|_| {
        Status::unavailable("no quorum confirmed it in time; it is safe to try again")
    })??;
    let id = match outcome {
        Outcome::Joined { node } => node,
        Outcome::Refused(why) => return Err(refusal(&why)),
        other => return Err(Status::internal(format!("unexpected outcome {other:?}"))),
    };
    let state = managing.log.state();
    // The entry may have been applied by the leader only; the role comes from the token either way.
    let role = state.nodes.get(&id).map_or(role, |n| n.role);
    let certificate = certify_node(managing, &message.csr, id, role)?;
    info!(node = id.0, role = %role, "admitted a node");
    let key = if role == Role::Manager {
        managing.cluster_key.encode().as_bytes().to_vec()
    } else {
        Vec::new()
    };
    Ok(v1::JoinReply {
        node: id.0,
        cluster: state.cluster_id().to_string(),
        certificate,
        authority: node.tls_authority(),
        cluster_key: key,
        managers: managers(&state),
    })
}

/// Control planes of all managers.
pub(crate) fn managers(state: &State) -> Vec<v1::Manager> {
    state
        .managers()
        .map(|n| v1::Manager { node: n.id.0, address: n.control().to_string() })
        .collect()
}

/// Signs a node's certificate with the authority's key, which is opened for this one signature.
pub(crate) fn certify_node(
    managing: &Managing,
    csr: &[u8],
    node: NodeId,
    role: Role,
) -> Result<String, Status> {
    authority(managing)?
        .sign_node(csr, node, role, clock::system())
        .map_err(|e| Status::invalid_argument(e.to_string()))
}

/// The authority with its key.
pub(crate) fn authority(managing: &Managing) -> Result<Authority, Status> {
    let state = managing.log.state();
    let cluster = state
        .cluster
        .as_ref()
        .ok_or_else(|| Status::unavailable("this manager is still catching up"))?;
    let key = managing.sealer.open(&cluster.sealed_key, SEAL_AUTHORITY).map_err(|_| {
        Status::internal("the authority's key cannot be opened with this manager's cluster key")
    })?;
    let key = std::str::from_utf8(&key)
        .map_err(|_| Status::internal("the authority's key is damaged"))?;
    Authority::load(&cluster.authority, key).map_err(|e| Status::internal(e.to_string()))
}

async fn check_token(managing: &Managing, text: &str) -> Result<Role, Status> {
    let state = managing.log.state();
    let cluster = state
        .cluster
        .as_ref()
        .ok_or_else(|| Status::unavailable("this manager is still catching up"))?;
    let valid = text.parse::<Token>().ok().filter(|token| {
        let kept = match token.role() {
            Role::Manager => &cluster.manager_token,
            Role::Worker => &cluster.worker_token,
        };
        token.matches(&kept.digest)
    });
    if let Some(token) = valid {
        return Ok(token.role());
    }
    let _paused = managing.joining.try_acquire().map_err(|_| {
        Status::resource_exhausted(
            "too many wrong join tokens at the moment; check yours, then try again",
        )
    })?;
    tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
    Err(Status::permission_denied(
        "the join token is not valid (any more); `clusterctl token manager` or `token worker` on a manager prints the current one",
    ))
}

/// A host that gave a wrong address would count as a member and could never be reached. Its port is not open
/// yet, so a refused connection is the answer that is hoped for.
async fn check_address(address: SocketAddr) -> Result<(), Status> {
    let answers = match tokio::time::timeout(DIAL_BACK, TcpStream::connect(address)).await {
        Ok(Ok(_)) => true,
        Ok(Err(why)) => why.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    };
    if answers {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "no host answers at {address}, the address it wants to be reached at; is --advertise right, and is the port open between the hosts?"
    )))
}

fn check_clock(wall_ms: i64) -> Result<(), Status> {
    let offset = Duration::from_millis(clock::wall().0.abs_diff(wall_ms));
    if offset <= limits::JOIN_CLOCK_OFFSET {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "the clocks of the two hosts differ by {} s; set them right (NTP) and join again",
        offset.as_secs()
    )))
}
