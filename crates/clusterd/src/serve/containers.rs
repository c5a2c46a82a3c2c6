//! `Containers`: this node's engine, for managers on behalf of a person.

use crate::caller;
use crate::host::Host;
use crate::node::Node;
use crate::serve::terminal;
use agent::ContainerId;
use api::v1::{self, containers_server::Containers, exec_request};
use bytes::Bytes;
use docker::{ExecRequest, LogRequest, LogSource, Resolved};
use model::{Login, Pull, TaskId};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// The service.
pub(crate) struct ContainersService {
    pub(crate) host: Arc<Host>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl ContainersService {
    fn enter<T>(&self, request: &Request<T>) -> Result<Arc<Node>, Status> {
        let node = Arc::clone(&self.host.member()?.node);
        node.roster.operator(&caller::of(request))?;
        Ok(node)
    }

    fn container(&self, task: TaskId) -> Result<ContainerId, Status> {
        let member = self.host.member()?;
        member.agenting.container_of(task).ok_or_else(|| {
            Status::not_found(format!(
                "task {task} has no container on {}",
                member.node.file().name
            ))
        })
    }
}

/// A failure of the engine, for the person who asked.
pub(crate) fn failed(failure: &docker::Failure) -> Status {
    Status::failed_precondition(failure.to_string())
}

#[tonic::async_trait]
impl Containers for ContainersService {
    type LogsStream = Replies<v1::LogsReply>;

    async fn logs(
        &self,
        request: Request<v1::LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let node = self.enter(&request)?;
        let message = request.into_inner();
        let task = TaskId { index: message.task_index, position: message.task_position };
        let container = self.container(task)?;
        let wanted = LogRequest {
            follow: message.follow,
            since: (message.since > 0).then(|| message.since.saturating_mul(1_000_000_000)),
            tail: u32::try_from(message.tail).ok(),
        };
        let lines = node.engine.logs(&container, wanted).await.map_err(|f| failed(&f))?;
        let replica = message.replica;
        let replies = lines.map(move |line| {
            let line = line.map_err(|f| failed(&f))?;
            Ok(v1::LogsReply {
                replica: replica.clone(),
                node: String::new(),
                stderr: line.source == LogSource::Stderr,
                at: moment(line.at),
                line: line.line.to_vec(),
            })
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn examine(
        &self,
        request: Request<v1::ExamineRequest>,
    ) -> Result<Response<v1::ExamineReply>, Status> {
        self.enter(&request)?;
        let member = self.host.member()?;
        let view = member.agenting.views().borrow().clone();
        let view = view.ok_or_else(|| Status::unavailable("the node has no view yet"))?;
        let findings = crate::examine::examine(&view, &member.edge).await;
        Ok(Response::new(v1::ExamineReply { findings }))
    }

    type ExecStream = Replies<v1::ExecReply>;

    async fn exec(
        &self,
        request: Request<Streaming<v1::ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let node = self.enter(&request)?;
        let mut input = request.into_inner();
        let Some(exec_request::Part::Start(start)) = input.message().await?.and_then(|m| m.part)
        else {
            return Err(Status::invalid_argument("the first message must start a command"));
        };
        let container =
            self.container(TaskId { index: start.task_index, position: start.task_position })?;
        let engine = node.engine.clone();
        if start.attach {
            let attached =
                engine.attach(&container, start.interactive).await.map_err(|f| failed(&f))?;
            return Ok(Response::new(terminal::main_process(engine, container, attached, input)));
        }
        let running = engine.exec(&container, exec_of(start)).await.map_err(|f| failed(&f))?;
        Ok(Response::new(terminal::command(engine, running, input)))
    }

    async fn image(
        &self,
        request: Request<v1::ImageRequest>,
    ) -> Result<Response<v1::ImageReply>, Status> {
        let node = self.enter(&request)?;
        let message = request.into_inner();
        let pull = if message.ask_registry { Pull::Missing } else { Pull::Never };
        let login = (!message.login.is_empty()).then_some(Login(message.login));
        let resolved = node
            .engine
            .resolve(&message.reference, pull, login.as_ref())
            .await
            .map_err(|f| failed(&f))?;
        let mut reply = v1::ImageReply::default();
        match resolved {
            Resolved::Digest(digest) => {
                reply.digest = digest;
                reply.id = node
                    .engine
                    .image_id(&message.reference)
                    .await
                    .ok()
                    .flatten()
                    .unwrap_or_default();
            }
            Resolved::LocalOnly(id) => reply.id = id,
            Resolved::Nowhere { reason } => reply.registry_error = reason,
        }
        Ok(Response::new(reply))
    }

    async fn load_image(
        &self,
        request: Request<Streaming<v1::LoadImageRequest>>,
    ) -> Result<Response<v1::LoadImageReply>, Status> {
        let node = self.enter(&request)?;
        let chunks = request.into_inner().map_while(Result::ok).map(|m| Bytes::from(m.chunk));
        let loaded = node.engine.load(chunks).await.map_err(|f| failed(&f))?;
        let name = node.file().name.to_string();
        let image = v1::LoadedImage { node: name, loaded: loaded.join(", "), error: String::new() };
        Ok(Response::new(v1::LoadImageReply { nodes: vec![image] }))
    }

    async fn usage(
        &self,
        request: Request<v1::UsageRequest>,
    ) -> Result<Response<v1::UsageReply>, Status> {
        let node = self.enter(&request)?;
        let tasks = request.into_inner().tasks.into_iter().take(model::limits::TASKS_PER_NODE);
        let containers: Vec<(v1::TaskRef, ContainerId)> = tasks
            .filter_map(|task| {
                let id = TaskId { index: task.index, position: task.position };
                Some((task, self.container(id).ok()?))
            })
            .collect();
        let measured = node.engine.usage(containers).await.into_iter();
        let tasks = measured
            .map(|(task, used)| v1::TaskUsage { task: Some(task), usage: Some(usage_of(used)) });
        let host = docker::host_usage().map(usage_of);
        Ok(Response::new(v1::UsageReply { tasks: tasks.collect(), host }))
    }
}

fn usage_of(used: docker::Usage) -> v1::Usage {
    v1::Usage {
        at_ns: used.at_ns,
        cpu_ns: used.cpu_ns,
        memory: used.memory,
        memory_limit: used.memory_limit,
        received: used.received,
        sent: used.sent,
        read: used.read,
        written: used.written,
        pids: used.pids,
    }
}

/// RFC 3339 with all digits, so that columns of them are even; empty for a line without a time.
fn moment(at: i64) -> String {
    let moment = jiff::Timestamp::from_nanosecond(at.into()).ok().filter(|_| at != 0);
    moment.map(|moment| format!("{moment:.9}")).unwrap_or_default()
}

fn exec_of(start: v1::ExecStart) -> ExecRequest {
    let pairs = start.environment.iter().filter_map(|pair| pair.split_once('='));
    ExecRequest {
        command: start.command,
        tty: start.tty,
        stdin: start.interactive,
        user: (!start.user.is_empty()).then_some(start.user),
        working_dir: (!start.workdir.is_empty()).then_some(start.workdir),
        environment: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>(),
        privileged: false,
    }
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn times_travel_as_the_protocol_says() {
        assert_eq!(moment(1_500_000_000), "1970-01-01T00:00:01.500000000Z");
        assert_eq!(moment(0), "", "a line without a time");
    }
}
