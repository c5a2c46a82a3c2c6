//! Every node looks at its part of the mesh; what they find is put together.

use crate::admin::deploy::ready_nodes;
use crate::managing::Managing;
use crate::node::Node;
use api::v1::{self, containers_client::ContainersClient};
use futures::future::join_all;
use network::limits::EXAMINE;

/// Whether there is a mesh, and what all nodes that are not lost found of it. One that does not answer in time is a
/// finding too.
pub(crate) async fn ask(node: &Node, managing: &Managing) -> (bool, Vec<v1::Finding>) {
    if managing.log.state().mesh().is_none() {
        return (false, Vec::new());
    }
    let asked = ready_nodes(managing).into_iter().map(|(id, address, name)| async move {
        let mut client = ContainersClient::new(node.dialer.to(id, address));
        let answer = tokio::time::timeout(EXAMINE, client.examine(v1::ExamineRequest {})).await;
        let why = match answer {
            Ok(Ok(reply)) => return reply.into_inner().findings,
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => format!("no answer within {} s", EXAMINE.as_secs()),
        };
        vec![silent(name, &why)]
    });
    (true, join_all(asked).await.into_iter().flatten().collect())
}

fn silent(node: String, why: &str) -> v1::Finding {
    v1::Finding {
        node,
        aspect: "node".to_owned(),
        problem: format!("it could not be asked: {why}"),
        fix: "see that its daemon runs (`systemctl status clusterd`) and has this version"
            .to_owned(),
        ..v1::Finding::default()
    }
}
