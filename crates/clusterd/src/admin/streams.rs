//! What flows: events, terminals, images; logs are beside it. Terminals need no quorum: they go by this
//! manager's own picture to the node that holds the container.

use crate::admin::deploy::ready_nodes;
use crate::admin::read;
use crate::clock;
use crate::managing::Managing;
use crate::node::Node;
use api::v1::{self, containers_client::ContainersClient};
use futures::future::join_all;
use model::{Recorded, State, Task, TaskState, limits};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

/// A stream of replies.
pub(crate) type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

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
    let mut seen: Option<Place> = None;
    loop {
        let state = states.borrow_and_update().clone();
        let fresh = fresh_events(&state, seen, message.last as usize);
        // Without any yet, all that come are fresh.
        seen = fresh.last().map(|(place, _)| *place).or(seen).or(Some((0, 0)));
        let told =
            |event: &Recorded| message.project.is_empty() || mentions(event, &message.project);
        for (place, event) in fresh.iter().filter(|(_, event)| told(event)) {
            if sender.send(Ok(line(*place, event))).await.is_err() {
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

/// Where an event stands: the index of its entry, and which of that entry's events it is, from 1 on.
type Place = (u64, u32);

/// Events after `seen`; when nothing was seen yet the last so many, or all of them for 0.
fn fresh_events(state: &State, seen: Option<Place>, last: usize) -> Vec<(Place, Recorded)> {
    let mut at = (0, 0);
    let placed = state.events.iter().map(|event| {
        at = if event.index == at.0 { (at.0, at.1 + 1) } else { (event.index, 1) };
        (at, event)
    });
    let skip =
        if seen.is_some() || last == 0 { 0 } else { state.events.len().saturating_sub(last) };
    placed
        .skip(skip)
        .filter(|(place, _)| seen.is_none_or(|seen| *place > seen))
        .map(|(place, event)| (place, event.clone()))
        .collect()
}

fn mentions(event: &Recorded, project: &str) -> bool {
    event.event.to_string().split([' ', '/']).any(|word| word == project)
}

fn line((index, position): Place, event: &Recorded) -> v1::EventsReply {
    let kind = format!("{:?}", event.event);
    let kind = kind.split([' ', '{']).next().unwrap_or_default().to_lowercase();
    v1::EventsReply { index, position, wall_ms: event.wall.0, text: event.event.to_string(), kind }
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
        // Also one that is not healthy yet: that is when a person wants to look inside.
        matches!(t.state, TaskState::Starting | TaskState::Running | TaskState::Stopping)
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
        let places = |state: &State, seen, last| -> Vec<Place> {
            fresh_events(state, seen, last).into_iter().map(|(place, _)| place).collect()
        };
        assert_eq!(places(&first, None, 0), [(1, 1), (2, 1), (2, 2)]);
        assert_eq!(places(&first, None, 1), [(2, 2)]);
        assert_eq!(places(&first, Some((0, 0)), 1).len(), 3, "the limit is for the beginning");
        assert_eq!(places(&state(&[1, 2, 2, 3, 4]), Some((2, 1)), 0), [(2, 2), (3, 1), (4, 1)]);
        assert_eq!(line((2, 1), &first.events[1]).position, 1);
        assert!(mentions(&first.events[0], "shop"));
        assert!(!mentions(&first.events[0], "sho"));
    }
}
