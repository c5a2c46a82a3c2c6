//! Admitting a node: token, clock, certificate. The subject of a signing request is never believed.

use crate::clock;
use crate::managing::Managing;
use crate::node::Node;
use crate::serve::limiter::Limiter;
use crate::serve::refusal;
use api::v1;
use identity::{Authority, Token};
use model::{Command, Join, NodeId, Outcome, Readiness, Role, State, Time, limits};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::info;

/// Name under which the authority's key is sealed.
pub(crate) const SEAL_AUTHORITY: &[u8] = b"authority key";
/// Join attempts with a wrong token are answered after this long, so that guessing is slow.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(500);
/// Wrong tokens that are paused over at the same time. More are turned away at once, so that they cost
/// nothing; a valid token needs no place among them. The secret has 128 bits: no rate finds it.
const ATTEMPTS: usize = 16;
/// A source may show that many wrong tokens at once, and one per so many in the long run. Past that it is not
/// listened to, whatever it shows; other sources are.
const WRONG_TOKENS: u32 = 10;
const WRONG_TOKEN_EVERY: Duration = Duration::from_secs(3);
/// How long the joiner's own address may take to answer.
const DIAL_BACK: Duration = Duration::from_millis(1_500);
/// How long a joiner may be kept waiting for a quorum.
const JOIN_DEADLINE: Duration = Duration::from_secs(3);

/// Wrong join tokens: how many are dealt with at once, and how many each source has shown.
pub(crate) struct Guesses {
    paused: Semaphore,
    sources: Limiter<IpAddr>,
}

impl Default for Guesses {
    fn default() -> Self {
        let burst = WRONG_TOKEN_EVERY * WRONG_TOKENS;
        Self { paused: Semaphore::new(ATTEMPTS), sources: Limiter::new(WRONG_TOKEN_EVERY, burst) }
    }
}

impl Guesses {
    /// Refuses a source that has shown too many wrong tokens, before its next one is looked at.
    fn listen(&self, from: Option<IpAddr>, now: Time) -> Result<(), Status> {
        match from {
            Some(from) if self.sources.empty(from, now) => Err(too_many()),
            _ => Ok(()),
        }
    }

    /// Counts a wrong token, and makes it wait its turn.
    async fn wrong(&self, from: Option<IpAddr>, now: Time) -> Status {
        if from.is_some_and(|from| !self.sources.takes(from, now)) {
            return too_many();
        }
        let Ok(_paused) = self.paused.try_acquire() else { return too_many() };
        tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
        Status::permission_denied(
            "the join token is not valid (any more); `clusterctl token manager` or `token worker` on a manager prints the current one",
        )
    }
}

fn too_many() -> Status {
    Status::resource_exhausted(
        "too many wrong join tokens at the moment; check yours, then try again in half a minute",
    )
}

/// Admits whoever shows a valid token.
pub(crate) async fn join(
    node: &Node,
    managing: &Managing,
    message: v1::JoinRequest,
    from: Option<IpAddr>,
) -> Result<v1::JoinReply, Status> {
    managing.limits.guesses.listen(from, clock::now())?;
    let role = check_token(managing, &message.token, from).await?;
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
    refuse_anothers(&managing.log.state(), &join)?;
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

async fn check_token(
    managing: &Managing,
    text: &str,
    from: Option<IpAddr>,
) -> Result<Role, Status> {
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
    Err(managing.limits.guesses.wrong(from, clock::now()).await)
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

/// The address of a node that lives answers too, but it is not the joiner's. A host that comes back under its own
/// name is told about that name instead.
fn refuse_anothers(state: &State, join: &Join) -> Result<(), Status> {
    let address = SocketAddr::new(join.address, join.control_port);
    let holder = state.nodes.values().find(|n| {
        n.control() == address
            && n.readiness == Readiness::Ready
            && n.key_digest != join.key_digest
            && n.name != join.name
    });
    match holder {
        None => Ok(()),
        Some(node) => Err(Status::failed_precondition(format!(
            "{address} is the address of {}, which is alive; is --advertise right?",
            node.name
        ))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use tonic::Code;

    fn join(name: &str, last: u8, replace: bool) -> Join {
        Join {
            name: name.parse().unwrap(),
            role: Role::Worker,
            address: [10, 0, 0, last].into(),
            control_port: 7070,
            edge_port: 7071,
            key_digest: format!("key of {name}"),
            facts: model::Facts::default(),
            replace,
        }
    }

    #[test]
    fn the_address_of_a_node_that_lives_is_not_a_joiners() {
        let mut state = State::default();
        let token = model::JoinToken { digest: "d".into(), sealed: vec![1] };
        let found = Command::Found(model::Found {
            cluster: model::ClusterId("c".into()),
            authority: "pem".into(),
            sealed_key: vec![1],
            manager_token: token.clone(),
            worker_token: token,
            mesh: None,
            node: join("one", 1, false),
        });
        let entry = |command| model::Entry {
            at: Time(0),
            wall: model::WallTime(0),
            request: None,
            command,
        };
        state.apply(1, &entry(found));
        let refused = refuse_anothers(&state, &join("two", 1, false)).unwrap_err();
        assert!(refused.message().contains("10.0.0.1:7070 is the address of one"), "{refused}");
        assert!(refuse_anothers(&state, &join("two", 2, false)).is_ok());
        assert!(refuse_anothers(&state, &join("one", 1, false)).is_ok(), "a retry of the same key");
        let verdict = model::Verdict { node: NodeId(1), readiness: Readiness::Lost };
        state.apply(2, &entry(Command::Judge(vec![verdict])));
        assert!(refuse_anothers(&state, &join("two", 1, false)).is_ok(), "reinstalled, say");
    }

    #[tokio::test]
    async fn attack_08_a_source_that_guesses_is_not_listened_to_and_others_are() {
        let guesses = Guesses::default();
        let [guesser, other] = [1, 2].map(|n| Some(IpAddr::from([10, 0, 0, n])));
        let start = Time(1_000);
        assert!(guesses.listen(guesser, start).is_ok());
        let wrong = join_all((0..WRONG_TOKENS).map(|_| guesses.wrong(guesser, start))).await;
        assert!(wrong.iter().all(|status| status.code() == Code::PermissionDenied));
        let refused = guesses.listen(guesser, start).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(guesses.listen(other, start).is_ok());
        assert!(guesses.listen(guesser, start + WRONG_TOKEN_EVERY).is_ok(), "one more");
    }
}
