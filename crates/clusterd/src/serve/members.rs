//! `Members`: what managers do for nodes. Every call but `Join` takes the caller from its certificate.

use crate::caller::{self, Right};
use crate::managing::Managing;
use crate::serve::limiter::Limiter;
use crate::serve::{admit, contents, refusal, watch};
use api::v1::{self, members_server::Members};
use model::{
    Availability, Command, NodeId, Outcome, Refresh, RemoveNode, Report, SetNode, State, limits,
};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// The service; answers only while this node is a manager.
pub(crate) struct MembersService {
    pub(crate) node: Arc<crate::node::Node>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl MembersService {
    fn managing(&self) -> Result<Arc<Managing>, Status> {
        self.node.managing()
    }
}

#[tonic::async_trait]
impl Members for MembersService {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        let managing = self.managing()?;
        let from = caller::source(&request);
        admit::join(&self.node, &managing, request.into_inner(), from).await.map(Response::new)
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewReply>, Status> {
        let managing = self.managing()?;
        let id = self.node.roster.node(&caller::of(&request), Right::Node)?;
        let state = managing.log.state();
        let role = state
            .nodes
            .get(&id)
            .map(|n| n.role)
            .ok_or_else(|| Status::permission_denied("removed"))?;
        let certificate = admit::certify_node(&managing, &request.into_inner().csr, id, role)?;
        Ok(Response::new(v1::RenewReply { certificate }))
    }

    type BeatStream = Replies<v1::BeatReply>;

    async fn beat(
        &self,
        request: Request<Streaming<v1::BeatRequest>>,
    ) -> Result<Response<Self::BeatStream>, Status> {
        let managing = self.managing()?;
        let caller = caller::of(&request);
        let roster = self.node.roster.clone();
        let replies = request.into_inner().map(move |beat| {
            let beat = beat?;
            // Asked for each beat: a node that was removed meanwhile is not listened to any more.
            let from = roster.node(&caller, Right::Node)?;
            managing.heard(from, &beat);
            Ok(v1::BeatReply { sequence: beat.sequence, wall_ms: crate::clock::wall().0 })
        });
        Ok(Response::new(Box::pin(replies)))
    }

    type WatchStream = Replies<v1::WatchReply>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let managing = self.managing()?;
        let caller = caller::of(&request);
        let node = self.node.roster.node(&caller, Right::Node)?;
        let at_least = request.into_inner().at_least;
        let replies = watch::views(managing, self.node.roster.clone(), caller, node, at_least);
        Ok(Response::new(Box::pin(replies)))
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportReply>, Status> {
        let managing = self.managing()?;
        let node = self.node.roster.node(&caller::of(&request), Right::Node)?;
        within(&managing.limits.reports, node)?;
        let message = request.into_inner();
        if message.statuses.len() > limits::STATUSES_PER_REPORT {
            return Err(Status::resource_exhausted(format!(
                "a report holds at most {} statuses",
                limits::STATUSES_PER_REPORT
            )));
        }
        let report = Report {
            node,
            statuses: message
                .statuses
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            deleted_volumes: message
                .deleted_volumes
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
        };
        managing.propose(Command::Report(report), None).await?;
        Ok(Response::new(v1::ReportReply {}))
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::RefreshReply>, Status> {
        let managing = self.managing()?;
        let node = self.node.roster.node(&caller::of(&request), Right::Node)?;
        within(&managing.limits.refreshes, node)?;
        let message = request.into_inner();
        let facts =
            message.facts.ok_or_else(|| Status::invalid_argument("field `facts`: is missing"))?;
        let refresh = Refresh {
            node,
            facts: facts.into(),
            address: api::optional_address("address", &message.address)?,
            away: (message.away_ms > 0)
                .then(|| Duration::from_millis(message.away_ms.min(AWAY_MOST))),
        };
        // An older state than the cluster's could hold what has changed since: it is brought up first.
        let known = says_nothing_new(&managing.log.state(), &refresh)
            && managing.log.read_index().await.is_ok()
            && says_nothing_new(&managing.log.state(), &refresh);
        if !known {
            managing.propose(Command::Refresh(refresh), None).await?;
        }
        Ok(Response::new(v1::RefreshReply {}))
    }

    async fn depart(
        &self,
        request: Request<v1::DepartRequest>,
    ) -> Result<Response<v1::DepartReply>, Status> {
        let managing = self.managing()?;
        let node = self.node.roster.node(&caller::of(&request), Right::Node)?;
        let command = if request.get_ref().remove {
            Command::RemoveNode(RemoveNode { node, force: true })
        } else {
            Command::SetNode(SetNode {
                node,
                availability: Some(Availability::Drain),
                role: None,
                labels: BTreeMap::new(),
            })
        };
        if let (_, Outcome::Refused(why)) = managing.propose(command, None).await? {
            return Err(refusal(&why));
        }
        let tasks = managing.log.state().tasks_on(node).filter(|t| t.holds()).count() as u32;
        Ok(Response::new(v1::DepartReply { tasks }))
    }

    async fn content(
        &self,
        request: Request<v1::ContentRequest>,
    ) -> Result<Response<v1::ContentReply>, Status> {
        let managing = self.managing()?;
        let node = self.node.roster.node(&caller::of(&request), Right::Node)?;
        let content = contents::hand_out(&managing, node, request.get_ref()).await?;
        Ok(Response::new(v1::ContentReply { content }))
    }

    async fn key(
        &self,
        request: Request<v1::KeyRequest>,
    ) -> Result<Response<v1::KeyReply>, Status> {
        let managing = self.managing()?;
        self.node.roster.node(&caller::of(&request), Right::Manager)?;
        let cluster_key = managing.cluster_key.encode().as_bytes().to_vec();
        Ok(Response::new(v1::KeyReply { cluster_key }))
    }
}

/// Longest planned stop that may be announced: an hour.
const AWAY_MOST: u64 = 3_600_000;

/// Whether the state holds all of it: a refresh without an absence also takes an announced one back.
fn says_nothing_new(state: &State, refresh: &Refresh) -> bool {
    state.nodes.get(&refresh.node).is_some_and(|node| {
        node.facts == refresh.facts
            && refresh.away.is_none()
            && node.away_until.is_none()
            && refresh.address.is_none_or(|a| a == node.control())
    })
}

/// Between two reports, and between two refreshes, of one node in the long run.
const REPORT_EVERY: Duration = Duration::from_millis(50);
const REFRESH_EVERY: Duration = Duration::from_millis(200);
/// What may come at once after a pause: as much as a second brings.
const BURST: Duration = Duration::from_secs(1);

/// How much each may ask for: a node that has gone wild must not fill the log, and guessing tokens is slow.
pub(crate) struct Limits {
    reports: Limiter<NodeId>,
    refreshes: Limiter<NodeId>,
    pub(crate) guesses: admit::Guesses,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reports: Limiter::new(REPORT_EVERY, BURST),
            refreshes: Limiter::new(REFRESH_EVERY, BURST),
            guesses: admit::Guesses::default(),
        }
    }
}

fn within(limiter: &Limiter<NodeId>, node: NodeId) -> Result<(), Status> {
    if limiter.takes(node, crate::clock::now()) {
        return Ok(());
    }
    Err(Status::resource_exhausted("this node asks too often; it is to try again later"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Time;

    #[test]
    fn a_refresh_is_needed_for_new_facts_and_to_take_an_absence_back() {
        let mut state = State::default();
        let node = model::Node {
            id: NodeId(1),
            name: "one".parse().unwrap(),
            role: model::Role::Worker,
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            control_port: 1,
            edge_port: 2,
            key_digest: String::new(),
            joined: Time(0),
            availability: Availability::Active,
            labels: std::iter::empty::<(String, String)>().collect(),
            readiness: model::Readiness::Ready,
            readiness_since: Time(0),
            flaps: 0,
            facts: model::Facts::default(),
            facts_at: Time(0),
            engine_out_since: None,
            away_until: None,
        };
        let refresh =
            Refresh { node: NodeId(1), facts: node.facts.clone(), address: None, away: None };
        assert!(!says_nothing_new(&state, &refresh), "unknown");
        state.nodes.insert(NodeId(1), node.clone());
        assert!(says_nothing_new(&state, &refresh));
        let mut other = refresh.clone();
        other.facts.disk_pressure = true;
        assert!(!says_nothing_new(&state, &other));
        let away = Refresh { away: Some(Duration::from_secs(60)), ..refresh.clone() };
        assert!(!says_nothing_new(&state, &away));
        let absent = model::Node { away_until: Some(Time(9)), ..node };
        state.nodes.insert(NodeId(1), absent);
        assert!(!says_nothing_new(&state, &refresh));
    }
}
