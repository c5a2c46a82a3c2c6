//! What flows: events, logs, terminals, images. Logs and terminals need no quorum: they go by this
//! manager's own picture to the nodes that hold the containers.

use crate::admin::deploy::ready_nodes;
use crate::admin::read;
use crate::clock;
use crate::managing::Managing;
use crate::node::Node;
use api::v1::{self, containers_client::ContainersClient};
use futures::future::join_all;
use model::{NodeId, Recorded, State, Task, limits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// A stream of replies.
pub(crate) type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Containers whose logs are merged at most.
const MERGED: usize = 500;
/// Logs that share a connection: fewer than the calls that a node serves on one.
const LOGS_OF_ONE: usize = 100;
/// Chunks on their way to one node.
const WINDOW: usize = 4;

/// Events so far, and with `follow` those to come.
pub(crate) fn events(
    managing: Arc<Managing>,
    message: v1::EventsRequest,
) -> Replies<v1::EventsReply> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = tell_events(&managing, &message, &sender) => {}
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

async fn tell_events(
    managing: &Managing,
    message: &v1::EventsRequest,
    sender: &mpsc::Sender<Result<v1::EventsReply, Status>>,
) {
    if let Err(why) = read::confirm(managing).await
        && sender.send(Ok(stale(&why, managing.contact_age()))).await.is_err()
    {
        return;
    }
    let mut states = managing.log.watch();
    let mut seen: Option<(u64, usize)> = None;
    loop {
        let state = states.borrow_and_update().clone();
        let fresh = fresh_events(&state, seen, message.last as usize);
        seen = Some(position(&state));
        for event in
            fresh.iter().filter(|e| message.project.is_empty() || mentions(e, &message.project))
        {
            if sender.send(Ok(line(event))).await.is_err() {
                return;
            }
        }
        if !message.follow || states.changed().await.is_err() {
            return;
        }
    }
}

/// What comes before events that nobody has confirmed to be all there are.
fn stale(why: &str, age: Duration) -> v1::EventsReply {
    let age = if age == Duration::MAX {
        "this manager has had no contact with a leader since it started".to_owned()
    } else {
        format!("as this manager knew them {} s ago", age.as_secs())
    };
    v1::EventsReply {
        wall_ms: clock::wall().0,
        text: format!("these events may not be the newest: {age} ({why})"),
        kind: "stale".into(),
        ..v1::EventsReply::default()
    }
}

/// Index of the newest event, and how many that entry made.
fn position(state: &State) -> (u64, usize) {
    let newest = state.events.last().map_or(0, |e| e.index);
    (newest, state.events.iter().rev().take_while(|e| e.index == newest).count())
}

fn fresh_events(state: &State, seen: Option<(u64, usize)>, last: usize) -> Vec<Recorded> {
    let Some((index, count)) = seen else {
        let all = state.events.len();
        let skip = if last == 0 { 0 } else { all.saturating_sub(last) };
        return state.events.iter().skip(skip).cloned().collect();
    };
    let later = state.events.iter().filter(|e| e.index >= index);
    later.skip(count).cloned().collect()
}

fn mentions(event: &Recorded, project: &str) -> bool {
    event.event.to_string().split([' ', '/']).any(|word| word == project)
}

fn line(event: &Recorded) -> v1::EventsReply {
    let kind = format!("{:?}", event.event);
    let kind = kind.split([' ', '{']).next().unwrap_or_default().to_lowercase();
    v1::EventsReply {
        index: event.index,
        wall_ms: event.wall.0,
        text: event.event.to_string(),
        kind,
    }
}

/// Logs of the chosen replicas, merged as they come.
pub(crate) fn logs(
    node: &Arc<Node>,
    managing: &Managing,
    query: &v1::LogsQuery,
) -> Result<Replies<v1::LogsReply>, Status> {
    let state = managing.log.state();
    let tasks: Vec<Task> =
        state.tasks.values().filter(|t| chosen(&state, t, query)).cloned().collect();
    if tasks.is_empty() {
        return Err(Status::not_found("there is no such replica; `clusterctl ps -a` lists them"));
    }
    if tasks.len() > MERGED {
        return Err(Status::resource_exhausted(format!(
            "more than {MERGED} containers; name a service or replica"
        )));
    }
    let (sender, receiver) = mpsc::channel(256);
    let mut channels = Channels::default();
    for task in tasks {
        let Some(address) = state.nodes.get(&task.node).map(model::Node::control) else { continue };
        let replica = state.replica_name(&task);
        let request = v1::LogsRequest {
            task_index: task.id.index,
            task_position: task.id.position,
            follow: query.follow,
            since: query.since,
            tail: query.tail,
            timestamps: query.timestamps,
            replica: replica.split_once('/').map(|(_, r)| r.to_owned()).unwrap_or_default(),
        };
        let on = state.node_name(task.node);
        let channel = channels.to(node, task.node, address);
        let sender = sender.clone();
        tokio::spawn(async move {
            // Also a silent log must notice that nobody reads it any more.
            tokio::select! {
                () = sender.closed() => {}
                () = pass_on(channel, request, &on, &sender) => {}
            }
        });
    }
    Ok(Box::pin(ReceiverStream::new(receiver)))
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

/// The log of one container, line by line; why there is none, as a line.
async fn pass_on(
    channel: Channel,
    request: v1::LogsRequest,
    on: &str,
    sender: &mpsc::Sender<Result<v1::LogsReply, Status>>,
) {
    let replica = request.replica.clone();
    let failed = |why: &Status| v1::LogsReply {
        replica: replica.clone(),
        node: on.to_owned(),
        stderr: true,
        line: format!("(no logs from {on}: {})\n", why.message()).into_bytes(),
        at: String::new(),
    };
    let mut lines = match ContainersClient::new(channel).logs(request).await {
        Ok(lines) => lines.into_inner(),
        Err(why) => return drop(sender.send(Ok(failed(&why))).await),
    };
    while let Some(next) = lines.next().await {
        let reply = next.map_or_else(
            |why| failed(&why),
            |reply| v1::LogsReply { node: on.to_owned(), ..reply },
        );
        if sender.send(Ok(reply)).await.is_err() {
            return;
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

/// A command inside a replica: what the person types goes there, what it prints comes back.
pub(crate) async fn exec(
    node: &Arc<Node>,
    managing: &Managing,
    mut input: Streaming<v1::ExecRequest>,
) -> Result<Replies<v1::ExecReply>, Status> {
    let first = input.message().await?;
    let Some(v1::ExecRequest { part: Some(v1::exec_request::Part::Start(mut start)) }) = first
    else {
        return Err(Status::invalid_argument("the first message must start a command"));
    };
    let state = managing.log.state();
    let task = find_replica(&state, &start.project, &start.replica)?;
    (start.task_index, start.task_position) = (task.id.index, task.id.position);
    let address = state.nodes.get(&task.node).map(model::Node::control);
    let address = address.ok_or_else(|| Status::not_found("its node is gone"))?;
    let begin = v1::ExecRequest { part: Some(v1::exec_request::Part::Start(start)) };
    let forwarded = tokio_stream::once(begin).chain(input.filter_map(Result::ok));
    let mut client = ContainersClient::new(node.dialer.fresh(task.node, address));
    let output = client.exec(forwarded).await?.into_inner();
    Ok(Box::pin(output))
}

/// The running task of a replica (`web.2`), or of a service that has just one place to look (`web`).
fn find_replica(state: &State, project: &str, name: &str) -> Result<Task, Status> {
    let (project, name) = name.split_once('/').unwrap_or((project, name));
    let matches = |t: &&Task| {
        let service = state.service_of(t);
        let replica = state.replica_name(t);
        let short = replica.split_once('/').map_or("", |(_, r)| r);
        t.holds()
            && t.running_since.is_some()
            && (project.is_empty() || service.project.as_str() == project)
            && (short == name || service.name.as_str() == name)
    };
    // The newest task of a replica is the one that serves.
    state.tasks.values().rev().find(matches).cloned().ok_or_else(|| {
        Status::not_found(format!(
            "no running replica is named {}; `clusterctl ps` lists them",
            name.escape_debug()
        ))
    })
}

/// An image for all nodes: each chunk goes to every node that is not lost.
pub(crate) async fn load_image(
    node: &Arc<Node>,
    managing: &Managing,
    mut input: Streaming<v1::LoadImageRequest>,
) -> Result<v1::LoadImageReply, Status> {
    let mut senders = Vec::new();
    let mut loads = Vec::new();
    for (id, address, name) in ready_nodes(managing) {
        let (sender, receiver) = mpsc::channel::<v1::LoadImageRequest>(WINDOW);
        senders.push(sender);
        let mut client = ContainersClient::new(node.dialer.fresh(id, address))
            .max_encoding_message_size(limits::MESSAGE_BYTES);
        loads.push(tokio::spawn(async move {
            match client.load_image(ReceiverStream::new(receiver)).await {
                Ok(reply) => reply
                    .into_inner()
                    .nodes
                    .into_iter()
                    .map(|n| v1::LoadedImage { node: name.clone(), ..n })
                    .collect(),
                Err(why) => vec![v1::LoadedImage {
                    node: name,
                    loaded: String::new(),
                    error: why.message().into(),
                }],
            }
        }));
    }
    while let Some(chunk) = input.message().await? {
        // A node that failed has closed its end; the others go on.
        join_all(senders.iter().map(|s| s.send(chunk.clone()))).await;
    }
    drop(senders);
    let nodes = join_all(loads).await.into_iter().filter_map(Result::ok).flatten().collect();
    Ok(v1::LoadImageReply { nodes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Event, Time, WallTime};

    fn state(indexes: &[u64]) -> State {
        let mut state = State::default();
        for index in indexes {
            let event = Event::Removed { project: "shop".parse().unwrap() };
            state.events.push_back(Recorded {
                index: *index,
                at: Time(0),
                wall: WallTime(0),
                event,
            });
        }
        state
    }

    #[test]
    fn events_that_may_be_old_say_how_old() {
        let line = stale("no quorum (1/3)", Duration::from_secs(75));
        assert_eq!(line.kind, "stale");
        assert!(line.text.contains("75 s") && line.text.contains("no quorum (1/3)"));
        assert!(stale("", Duration::MAX).text.contains("since it started"));
    }

    #[test]
    fn each_event_is_told_once_also_when_one_entry_makes_several() {
        let first = state(&[1, 2, 2]);
        let seen = position(&first);
        assert_eq!(seen, (2, 2));
        assert_eq!(fresh_events(&first, None, 0).len(), 3);
        assert_eq!(fresh_events(&first, None, 2).len(), 2);
        let indexes: Vec<u64> =
            fresh_events(&state(&[1, 2, 2, 3, 4]), Some(seen), 0).iter().map(|e| e.index).collect();
        assert_eq!(indexes, [3, 4]);
        assert!(mentions(&first.events[0], "shop"));
        assert!(!mentions(&first.events[0], "sho"));
    }
}
