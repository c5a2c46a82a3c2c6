//! Logs of replicas, merged as they come. They need no quorum: they go by this manager's own picture to the nodes
//! that hold the containers. Who follows them also gets those of replicas that start later, and a node that goes
//! away for a moment is asked again.

use crate::admin::streams::Replies;
use crate::managing::Managing;
use crate::node::Node;
use api::v1::{self, containers_client::ContainersClient};
use jiff::Timestamp;
use model::{NodeId, State, Task, TaskId, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Containers whose logs are merged at most.
const MERGED: usize = 500;
/// Logs that share a connection: fewer than the calls that a node serves on one.
const LOGS_OF_ONE: usize = 100;
/// Pause before a log whose connection broke is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

type Sender = mpsc::Sender<Result<v1::LogsReply, Status>>;

/// Logs of the chosen replicas.
pub(crate) fn logs(
    node: &Arc<Node>,
    managing: &Arc<Managing>,
    query: v1::LogsQuery,
) -> Result<Replies<v1::LogsReply>, Status> {
    let state = managing.log.state();
    match state.tasks.values().filter(|t| chosen(&state, t, &query)).count() {
        0 => {
            return Err(Status::not_found(
                "there is no such replica; `clusterctl ps -a` lists them",
            ));
        }
        n if n > MERGED => {
            return Err(Status::resource_exhausted(format!(
                "more than {MERGED} containers; name a service or replica"
            )));
        }
        _ => {}
    }
    let (sender, receiver) = mpsc::channel(256);
    let (node, managing) = (Arc::clone(node), Arc::clone(managing));
    tokio::spawn(async move {
        let mut merge = Merge {
            node,
            managing,
            query,
            sender: sender.clone(),
            begun: BTreeSet::new(),
            channels: Channels::default(),
            open: JoinSet::new(),
        };
        // Also silent logs must notice that nobody reads them any more.
        tokio::select! {
            () = sender.closed() => {}
            () = merge.run() => {}
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Logs that are being merged. Dropping it ends them.
struct Merge {
    node: Arc<Node>,
    managing: Arc<Managing>,
    query: v1::LogsQuery,
    sender: Sender,
    begun: BTreeSet<TaskId>,
    channels: Channels,
    open: JoinSet<()>,
}

impl Merge {
    /// Until all have ended; when they are followed, until no replica is left that could say more.
    async fn run(&mut self) {
        let mut states = self.managing.log.watch();
        let mut first = true;
        loop {
            let state = states.borrow_and_update().clone();
            let more = self.begin(&state, first);
            first = false;
            if self.open.is_empty() && !(self.query.follow && more) {
                return;
            }
            tokio::select! {
                Some(_) = self.open.join_next() => {}
                changed = states.changed(), if self.query.follow => if changed.is_err() { return },
            }
        }
    }

    /// Begins with those that were not begun with. Returns whether others are to come.
    fn begin(&mut self, state: &State, first: bool) -> bool {
        let mut more = false;
        for task in state.tasks.values().filter(|t| chosen(state, t, &self.query)) {
            more |= goes_on(state, task);
            // What is not there yet is waited for by who follows; who does not is told.
            let due = if self.query.follow { started(task) } else { first };
            if !due || self.open.len() >= MERGED || self.begun.contains(&task.id) {
                continue;
            }
            let Some(on) = state.nodes.get(&task.node) else { continue };
            self.begun.insert(task.id);
            let replica = state.replica_name(task);
            let request = v1::LogsRequest {
                task_index: task.id.index,
                task_position: task.id.position,
                follow: self.query.follow,
                since: self.query.since,
                // One that starts while it is followed is shown from its first line on.
                tail: if first { self.query.tail } else { -1 },
                timestamps: self.query.timestamps,
                replica: replica.split_once('/').map(|(_, r)| r.to_owned()).unwrap_or_default(),
            };
            let channel = self.channels.to(&self.node, task.node, on.control());
            let source = Source { task: task.id, on: on.name.to_string(), channel, request };
            let (managing, sender) = (Arc::clone(&self.managing), self.sender.clone());
            self.open.spawn(async move { source.pass_on(&managing, &sender).await });
        }
        more
    }
}

/// Whether its container was started, so that there is a log.
fn started(task: &Task) -> bool {
    match task.state {
        TaskState::Assigned | TaskState::Preparing => false,
        TaskState::Failed { .. } => task.running_since.is_some(),
        _ => true,
    }
}

/// Whether more is to be expected of its slot: it goes on, or a successor comes.
fn goes_on(state: &State, task: &Task) -> bool {
    let service = state.service_of(task);
    let given_up = service.slots.get(&task.slot).is_some_and(|slot| slot.given_up);
    task.holds() || !service.removed && service.scale > 0 && !given_up
}

/// Channels for logs only: a reader who is slow must not hold up the cluster's own calls.
#[derive(Default)]
struct Channels(BTreeMap<NodeId, (usize, Channel)>);

impl Channels {
    fn to(&mut self, node: &Node, to: NodeId, address: SocketAddr) -> Channel {
        let fresh = || (0, node.dialer.fresh(to, address));
        let kept = self.0.entry(to).or_insert_with(fresh);
        if kept.0 == LOGS_OF_ONE {
            *kept = fresh();
        }
        kept.0 += 1;
        kept.1.clone()
    }
}

/// One container whose log is passed on.
struct Source {
    task: TaskId,
    /// The name of its node.
    on: String,
    channel: Channel,
    request: v1::LogsRequest,
}

impl Source {
    /// The log, line by line; why there is none, as a line. While it is followed and its task lives, a connection
    /// that breaks is made anew, and the log goes on after the last line that came.
    async fn pass_on(mut self, managing: &Managing, sender: &Sender) {
        let mut newest: Option<Timestamp> = None;
        let mut silent = false;
        while let Err(why) = self.read(&mut newest, &mut silent, sender).await {
            let told = silent || sender.send(Ok(self.failed(&why))).await.is_ok();
            silent = true;
            let lives = || managing.log.state().tasks.get(&self.task).is_some_and(Task::holds);
            if !told || !self.request.follow || !lives() {
                return;
            }
            if let Some(newest) = newest {
                (self.request.since, self.request.tail) = (newest.as_second().max(1), -1);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Passes on what is younger than `newest`, until the log ends or cannot be read.
    async fn read(
        &self,
        newest: &mut Option<Timestamp>,
        silent: &mut bool,
        sender: &Sender,
    ) -> Result<(), Status> {
        let before = *newest;
        let mut client = ContainersClient::new(self.channel.clone());
        let mut lines = client.logs(self.request.clone()).await?.into_inner();
        while let Some(reply) = lines.message().await? {
            *silent = false;
            if let Ok(at) = reply.at.parse::<Timestamp>() {
                if before.is_some_and(|before| at <= before) {
                    continue;
                }
                *newest = Some(at);
            }
            let reply = v1::LogsReply { node: self.on.clone(), ..reply };
            if sender.send(Ok(reply)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn failed(&self, why: &Status) -> v1::LogsReply {
        let on = &self.on;
        // A status that was made here, because the connection broke, has a source; one from the node has none.
        let broke = why.source().is_some() || why.code() == Code::Unavailable;
        let why = if broke { "it does not answer" } else { why.message() };
        let then = if self.request.follow { "; asking again" } else { "" };
        v1::LogsReply {
            replica: self.request.replica.clone(),
            node: on.clone(),
            stderr: true,
            line: format!("(no logs from {on}: {why}{then})\n").into_bytes(),
            at: String::new(),
        }
    }
}

fn chosen(state: &State, task: &Task, query: &v1::LogsQuery) -> bool {
    let service = state.service_of(task);
    let replica = state.replica_name(task);
    let short = replica.split_once('/').map_or("", |(_, r)| r);
    let named = |n: &String| n == service.name.as_str() || n == short || *n == replica;
    (query.project.is_empty() || query.project == service.project.as_str())
        && (query.names.is_empty() || query.names.iter().any(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ServiceId, Slot, Time, WallTime, Wanted};

    fn task(state: TaskState) -> Task {
        Task {
            id: TaskId { index: 7, position: 0 },
            service: ServiceId(1),
            slot: Slot::Number(1),
            node: NodeId(2),
            generation: 1,
            created: Time(0),
            given: None,
            wanted: Wanted::Run,
            state,
            healthy: false,
            healthy_since: None,
            running_since: None,
            since: WallTime(0),
            ended_at: None,
            address: None,
            memory: 0,
            restarts_in_place: 0,
        }
    }

    #[test]
    fn only_what_was_started_has_a_log() {
        assert!(!started(&task(TaskState::Preparing)));
        assert!(started(&task(TaskState::Starting)), "why it does not become healthy is in there");
        assert!(started(&task(TaskState::Exited { code: 1 })));
        let failed = task(TaskState::Failed { reason: "no such image".into() });
        assert!(!started(&failed));
        assert!(started(&Task { running_since: Some(Time(1)), ..failed }));
    }
}
