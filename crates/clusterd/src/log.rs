//! Opens the replicated log with what this node has: its folder, its identity, its connections; and puts
//! its service behind the control port, where it answers while this node is a manager.

use crate::caller::{Caller, FarEnd, Right};
use crate::folder::NodeFile;
use crate::node::Node;
use anyhow::Context;
use consensus::{Config, Connector, Log, PeerCheck, RaftService};
use std::convert::Infallible;
use std::sync::Arc;
use std::task;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;

/// Opens the log of a manager.
pub(crate) async fn open(node: &Arc<Node>, file: &NodeFile) -> anyhow::Result<Log> {
    let config =
        Config::new(file.cluster.clone(), file.node, node.folder.raft(), node.config.timers());
    let dialer = node.dialer.clone();
    let connector: Connector = Arc::new(move |peer, address| dialer.fresh(peer, address));
    Log::open(config, connector).await.context("the log cannot be opened")
}

/// The log's service, for other managers only.
pub(crate) fn service(node: &Arc<Node>, log: &Log) -> RaftService {
    let roster = node.roster.clone();
    let check: PeerCheck = Arc::new(move |extensions| {
        let caller = extensions.get::<FarEnd>().map_or(&Caller::Nobody, |far| &far.caller);
        roster.node(caller, Right::Manager)
    });
    log.service(check)
}

/// The log's service as the control port offers it: there when this node is a manager, refusing otherwise.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) node: Arc<Node>,
}

impl NamedService for Door {
    const NAME: &'static str = RaftService::NAME;
}

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self.node.managing() {
            Ok(managing) => managing.raft.clone().call(request),
            Err(_) => {
                Box::pin(async { Ok(Status::unavailable("this node is no manager").into_http()) })
            }
        }
    }
}
