//! `nodes`: listing them, and the wishes for them.

use crate::args::{Label, NodeAction};
use crate::command::inspect;
use crate::failure::Failure;
use crate::session::Session;
use crate::wait::Goal;
use crate::{json, retry, status, watch};
use api::v1::{RemoveNodeRequest, SetNodeRequest, SetVotersRequest, WriteReply};

pub(crate) async fn run(session: &Session, action: Option<NodeAction>) -> Result<(), Failure> {
    let wish = |node: &str| SetNodeRequest { node: node.to_owned(), ..SetNodeRequest::default() };
    match action.unwrap_or(NodeAction::Ls) {
        NodeAction::Ls => list(session).await,
        NodeAction::Inspect { node } => inspect::run(session, &node).await,
        NodeAction::Drain { node, detach } => drain(session, &node, detach).await,
        NodeAction::Pause { node } => {
            let wish = SetNodeRequest { availability: "pause".into(), ..wish(&node) };
            set(session, wish, "gets nothing new").await
        }
        NodeAction::Activate { node } => {
            let wish = SetNodeRequest { availability: "active".into(), ..wish(&node) };
            set(session, wish, "is used again").await
        }
        NodeAction::Promote { node } => {
            let wish = SetNodeRequest { role: "manager".into(), ..wish(&node) };
            set(session, wish, "becomes a manager").await
        }
        NodeAction::Demote { node } => {
            let wish = SetNodeRequest { role: "worker".into(), ..wish(&node) };
            set(session, wish, "becomes a worker").await
        }
        NodeAction::Label { node, labels } => {
            set(session, labelled(wish(&node), labels), "has new labels").await
        }
        NodeAction::Rm { node, force } => remove(session, &node, force).await,
        NodeAction::Voters { count } => voters(session, count).await,
    }
}

fn labelled(mut wish: SetNodeRequest, labels: Vec<Label>) -> SetNodeRequest {
    for label in labels {
        match label {
            Label::Set(key, value) => drop(wish.labels.insert(key, value)),
            Label::Remove(key) => wish.remove_labels.push(key),
        }
    }
    wish
}

async fn list(session: &Session) -> Result<(), Failure> {
    let reply = session.nodes().await?;
    session.out.banner(reply.read.as_ref());
    session.out.either(|| status::nodes(&reply.nodes), || json::list(&reply.nodes, json::node))
}

async fn write(session: &Session, wish: SetNodeRequest) -> Result<WriteReply, Failure> {
    let stamp = session.stamp().await?;
    retry::write(&session.cluster, stamp, async |mut client, id| {
        client.set_node(SetNodeRequest { request: Some(id), ..wish.clone() }).await
    })
    .await
}

async fn set(session: &Session, wish: SetNodeRequest, what: &str) -> Result<(), Failure> {
    let node = wish.node.clone();
    let reply = write(session, wish).await?;
    done(session, &reply, &format!("{node} {what}."))
}

fn done(session: &Session, reply: &WriteReply, line: &str) -> Result<(), Failure> {
    session.out.either(|| format!("{}\n", crate::text::safe(line)), || json::written(reply))
}

async fn drain(session: &Session, node: &str, detach: bool) -> Result<(), Failure> {
    let wish = SetNodeRequest {
        node: node.to_owned(),
        availability: "drain".into(),
        ..SetNodeRequest::default()
    };
    let reply = write(session, wish).await?;
    if detach {
        return done(session, &reply, &format!("{node} is being drained."));
    }
    // Replicas are listed by the node's name, whatever it was called here.
    let nodes = session.nodes().await?.nodes;
    let named = nodes.iter().find(|n| n.name == node || n.id.to_string() == node);
    let name = named.map_or_else(|| node.to_owned(), |n| n.name.clone());
    let goal = Goal::Drained { node: name.clone(), at_least: reply.index };
    watch::until(session, &format!("Draining {name}"), &goal).await?;
    done(session, &reply, &format!("{name} is drained."))
}

async fn remove(session: &Session, node: &str, force: bool) -> Result<(), Failure> {
    let stamp = session.stamp().await?;
    let reply = retry::write(&session.cluster, stamp, async |mut client, id| {
        let node = node.to_owned();
        client.remove_node(RemoveNodeRequest { request: Some(id), node, force }).await
    })
    .await?;
    done(session, &reply, &format!("{node} is removed from the cluster."))?;
    session.out.say(
        "If its host lives, it stops its containers as soon as a manager has told it; data of named volumes stays there.\n",
    );
    Ok(())
}

async fn voters(session: &Session, count: u32) -> Result<(), Failure> {
    let stamp = session.stamp().await?;
    let reply = retry::write(&session.cluster, stamp, async |mut client, id| {
        client.set_voters(SetVotersRequest { request: Some(id), count }).await
    })
    .await?;
    done(session, &reply, &format!("Up to {count} managers vote."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_one_wish() {
        let labels = vec![Label::Set("disk".into(), "ssd".into()), Label::Remove("old".into())];
        let wish = labelled(SetNodeRequest::default(), labels);
        assert_eq!(wish.labels.get("disk").map(String::as_str), Some("ssd"));
        assert_eq!(wish.remove_labels, ["old"]);
    }
}
