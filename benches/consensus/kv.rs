//! One write, as etcd's API defines it (`etcdserverpb.KV/Put` in etcd's `rpc.proto`): both sides answer the
//! same call, so that one client measures both.

use consensus::Log;
use model::{Command, RequestId, SetNode};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// Bytes of a value.
const VALUE: usize = 256;
/// How long a write may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What is to be written.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Put {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// That it is durable. etcd says more, which is skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Done {}

/// One client with a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    key: String,
    count: u64,
}

impl Client {
    /// A client of one member; connects with its first write.
    pub(crate) fn new(member: SocketAddr, key: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{member}"));
        let endpoint = endpoint.expect("an address makes a valid URI").tcp_nodelay(true);
        let channel = endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy();
        Self { channel, key: key.to_owned(), count: 0 }
    }

    /// Writes the next value; returns when it is durable.
    ///
    /// # Errors
    /// It was refused, or not answered in time: then nobody knows.
    pub(crate) async fn put(&mut self) -> Result<(), Status> {
        self.put_within(LIMIT).await
    }

    /// As [`Client::put`], with a limit of the caller's.
    ///
    /// # Errors
    /// It was refused, or not answered in time: then nobody knows.
    pub(crate) async fn put_within(&mut self, limit: Duration) -> Result<(), Status> {
        self.count += 1;
        let value = format!("{:0VALUE$}", self.count).into_bytes();
        let put = Put { key: self.key.clone().into_bytes(), value };
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        let call = async {
            grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
            let path = http::uri::PathAndQuery::from_static("/etcdserverpb.KV/Put");
            grpc.unary(Request::new(put), path, ProstCodec::<Put, Done>::default()).await
        };
        let late = |_| Status::deadline_exceeded("no answer in time");
        tokio::time::timeout(limit, call).await.map_err(late)?.map(drop)
    }
}

/// Our side of the call: a write is a label on a node, proposed with a request id, as the daemon does.
#[derive(Clone)]
pub(crate) struct Store {
    log: Log,
    next: Arc<AtomicU64>,
    high: u64,
}

impl Store {
    /// Answers with what this member's log says. `high` tells this process's request ids from all others.
    pub(crate) fn new(log: Log, high: u64) -> Self {
        Self { log, next: Arc::default(), high }
    }

    async fn put(self, put: Put) -> Result<Response<Done>, Status> {
        let text =
            |bytes| String::from_utf8(bytes).map_err(|e| Status::invalid_argument(e.to_string()));
        let command = Command::SetNode(SetNode {
            node: consensus::FOUNDER,
            availability: None,
            role: None,
            labels: [(text(put.key)?, Some(text(put.value)?))].into(),
        });
        let low = self.next.fetch_add(1, Ordering::Relaxed);
        let request = RequestId { stamp: self.log.state().now, high: self.high, low };
        match self.log.propose(command, Some(request)).await {
            Ok((_, model::Outcome::Refused(why))) => {
                Err(Status::failed_precondition(format!("{why:?}")))
            }
            Ok(_) => Ok(Response::new(Done {})),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }
}

impl NamedService for Store {
    const NAME: &'static str = "etcdserverpb.KV";
}

impl<B> Service<http::Request<B>> for Store
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let answer = Answer(self.clone());
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Done, Put>::default());
            Ok(grpc.unary(answer, request).await)
        })
    }
}

struct Answer(Store);

impl UnaryService<Put> for Answer {
    type Response = Done;
    type Future = BoxFuture<Response<Done>, Status>;

    fn call(&mut self, request: Request<Put>) -> Self::Future {
        Box::pin(self.0.clone().put(request.into_inner()))
    }
}
