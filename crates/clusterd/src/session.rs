//! The agent's session: its stream to a manager, and its reports through it. A manager that has had no
//! contact with a leader is left when another has.

use crate::agenting::{Agenting, Outgoing};
use crate::caller;
use crate::clock;
use crate::node::Node;
use crate::tasks::Tasks;
use agent::Input;
use api::v1::{self, members_client::MembersClient};
use model::{NodeId, Time, View, limits};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tonic::Code;
use tonic::transport::Channel;
use tracing::{debug, info, warn};

/// A manager that says nothing for this long is left.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Between two managers, when one did not serve.
const PAUSE: Duration = Duration::from_millis(200);
/// Deadline of a report.
const REPORT: Duration = Duration::from_secs(4);

/// The session and the channel it uses at the moment.
pub(crate) struct Session {
    node: Arc<Node>,
    agenting: Arc<Agenting>,
    through: watch::Sender<Option<(NodeId, SocketAddr)>>,
}

impl Session {
    pub(crate) fn start(
        node: Arc<Node>,
        agenting: Arc<Agenting>,
        reports: mpsc::UnboundedReceiver<Outgoing>,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let session = Arc::new(Self { node, agenting, through: watch::Sender::new(None) });
        tasks.spawn(Arc::clone(&session).run());
        tasks.spawn(Arc::clone(&session).report(reports));
        session
    }

    /// A client of the manager the session goes through; `None` while there is none.
    pub(crate) fn client(&self) -> Option<MembersClient<Channel>> {
        let (id, address) = (*self.through.borrow())?;
        Some(client(self.node.dialer.to(id, address)))
    }

    async fn run(self: Arc<Self>) {
        let (mut turn, mut refused) = (0, false);
        loop {
            let managers = self.node.managers();
            if let Some(manager) = managers.get(turn % managers.len().max(1))
                && let Err(why) = self.attend(*manager).await
            {
                self.note(*manager, &why, &mut refused);
            }
            self.through.send_replace(None);
            turn += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Notes why a session ended. A node that was removed ends its membership; a refusal that does not say so
    /// for certain is told once, loudly: this node runs on what it had.
    fn note(&self, manager: (NodeId, SocketAddr), why: &anyhow::Error, refused: &mut bool) {
        let status = why.downcast_ref::<tonic::Status>();
        let denied = status.is_some_and(|s| s.code() == Code::PermissionDenied);
        let file = self.node.file();
        if status.is_some_and(|s| caller::says_removed(s, &file.cluster, file.node)) {
            self.node.set_removed();
        } else if denied && !*refused {
            warn!(manager = manager.0.0, %why, "this node is refused; if that stays so, `clusterctl leave --force` here, then join again");
        } else {
            debug!(manager = manager.0.0, %why, "session ended");
        }
        *refused = denied;
    }

    /// One stream, until it ends, falls silent or turns stale. Always an error.
    async fn attend(&self, (manager, address): (NodeId, SocketAddr)) -> anyhow::Result<()> {
        let stale = self.node.config.timers().view_stale;
        let mut client = client(self.node.dialer.to(manager, address));
        let request = v1::WatchRequest { at_least: self.agenting.view_index() };
        let mut replies = tokio::time::timeout(SILENCE, client.watch(request)).await??.into_inner();
        let mut begun = false;
        loop {
            let reply = tokio::time::timeout(SILENCE, replies.message()).await??;
            let Some(reply) = reply else { anyhow::bail!("the manager ended it") };
            let age = Duration::from_millis(reply.contact_age_ms);
            if age > stale {
                anyhow::bail!("the manager has had no contact with a leader for {age:?}");
            }
            if !begun {
                begun = true;
                info!(manager = manager.0, "session begun");
                self.agenting.input(Input::Session);
                self.through.send_replace(Some((manager, address)));
            }
            self.take(&reply, age)?;
        }
    }

    fn take(&self, reply: &v1::WatchReply, age: Duration) -> anyhow::Result<()> {
        if reply.view.is_empty() {
            self.agenting.input(Input::Confirmed { age });
            return Ok(());
        }
        let view: View = api::decode(&reply.view)?;
        self.node.learn(view.index, &view.nodes)?;
        self.agenting.view(Arc::new(view), age);
        Ok(())
    }

    /// Sends reports, one after the other; the agent sends a lost one again.
    async fn report(self: Arc<Self>, mut reports: mpsc::UnboundedReceiver<Outgoing>) {
        while let Some(outgoing) = reports.recv().await {
            let accepted = self.deliver(&outgoing).await;
            self.agenting.input(Input::Reported { number: outgoing.number, accepted });
        }
    }

    async fn deliver(&self, outgoing: &Outgoing) -> bool {
        let began: Time = clock::now();
        let message = v1::ReportRequest {
            statuses: outgoing.report.statuses.iter().map(Into::into).collect(),
            deleted_volumes: outgoing.report.deleted_volumes.iter().map(Into::into).collect(),
        };
        let Some(mut client) = self.client() else { return false };
        let sent = tokio::time::timeout(REPORT, client.report(message)).await;
        let accepted = matches!(sent, Ok(Ok(_)));
        debug!(accepted, took_ms = clock::now().since(began).as_millis() as u64, "report");
        accepted
    }
}

pub(crate) fn client(channel: Channel) -> MembersClient<Channel> {
    MembersClient::new(channel)
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES)
}
