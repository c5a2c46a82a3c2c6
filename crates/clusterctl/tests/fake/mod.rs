//! A cluster that answers as a test tells it to, on a Unix socket; and the real program run against it.
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]
#![allow(dead_code, reason = "each test file uses its own part")]

use api::v1::admin_server::{Admin, AdminServer};
use api::v1::*;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// What the fake says, and what it was asked.
#[derive(Default)]
pub(crate) struct Script {
    /// Answers to writes, the next one first; when none is left, writes succeed.
    pub(crate) writes: Vec<Status>,
    /// Requests of writes, as they came.
    pub(crate) scales: Vec<ScaleRequest>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) networks: Vec<Network>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) policies_set: Vec<SetPolicyRequest>,
    pub(crate) runs: Vec<RunRequest>,
    pub(crate) ended_runs: Vec<EndRunRequest>,
    /// What `Replicas` remarks.
    pub(crate) remarks: Vec<String>,
    pub(crate) rollouts: Vec<SetRolloutRequest>,
    pub(crate) rollout_reply: SetRolloutReply,
    pub(crate) deploys: Vec<DeployRequest>,
    pub(crate) contents: Vec<GivenContent>,
    pub(crate) deploy_reply: DeployReply,
    pub(crate) write_reply: WriteReply,
    pub(crate) read: ReadInfo,
    pub(crate) nodes: Vec<NodeSummary>,
    pub(crate) projects: Vec<ProjectSummary>,
    /// One per read; the last one stays.
    pub(crate) services: Vec<Vec<ServiceSummary>>,
    pub(crate) replicas: Vec<Vec<ReplicaSummary>>,
    pub(crate) logs: Vec<LogsReply>,
    pub(crate) logs_asked: Vec<LogsQuery>,
    /// One event when empty.
    pub(crate) events: Vec<EventsReply>,
    pub(crate) events_asked: Vec<EventsRequest>,
    /// One per question; the last one stays.
    pub(crate) stats: Vec<StatsReply>,
    pub(crate) stats_asked: Vec<StatsRequest>,
    pub(crate) refuse_logs: Option<Status>,
    /// Streams of logs and events go on after what they have to say.
    pub(crate) goes_on: bool,
    pub(crate) exec: Vec<exec_reply::Part>,
    /// What there is once a command was run to its end, if that is something else.
    pub(crate) replicas_after_exec: Vec<Vec<ReplicaSummary>>,
    /// What the command in the container was given.
    pub(crate) exec_asked: Vec<exec_request::Part>,
    pub(crate) images: LoadImageReply,
    pub(crate) image_bytes: usize,
    /// Signs for `certify`.
    pub(crate) certify: Option<Certify>,
    /// Called on each scale, before its answer.
    pub(crate) on_scale: Option<Box<dyn FnMut() + Send>>,
}

type Certify = Box<dyn Fn(&CertifyRequest) -> CertifyReply + Send>;
type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Clone, Default)]
pub(crate) struct Fake(pub(crate) Arc<Mutex<Script>>);

impl Fake {
    /// With what most tests need: one project, a fresh read.
    pub(crate) fn new() -> Self {
        let fake = Self::default();
        fake.set(|s| {
            s.read = ReadInfo {
                index: 10,
                now: 5_000,
                served_by: "node1".into(),
                ..ReadInfo::default()
            };
            s.projects = vec![ProjectSummary {
                name: "shop".into(),
                generation: 7,
                ..ProjectSummary::default()
            }];
        });
        fake
    }

    /// Changes or looks at the script.
    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn answer<T>(&self, success: impl FnOnce(&mut Script) -> T) -> Result<Response<T>, Status> {
        self.set(|s| {
            if s.writes.is_empty() {
                Ok(Response::new(success(s)))
            } else {
                Err(s.writes.remove(0))
            }
        })
    }
}

fn step<T: Clone>(steps: &mut Vec<Vec<T>>) -> Vec<T> {
    if steps.len() > 1 { steps.remove(0) } else { steps.first().cloned().unwrap_or_default() }
}

fn replies<T: Send + 'static>(list: Vec<T>) -> Replies<T> {
    Box::pin(tokio_stream::iter(list.into_iter().map(Ok)))
}

fn flow<T: Send + 'static>(list: Vec<T>, goes_on: bool) -> Replies<T> {
    if goes_on { Box::pin(replies(list).chain(tokio_stream::pending())) } else { replies(list) }
}

#[tonic::async_trait]
impl Admin for Fake {
    async fn status(&self, _: Request<ReadRequest>) -> Result<Response<StatusReply>, Status> {
        Ok(Response::new(self.set(|s| StatusReply {
            read: Some(s.read.clone()),
            cluster: "c0ffee".into(),
            leader: "node1".into(),
            voters: 3,
            voters_ready: 3,
            nodes: s.nodes.clone(),
            ..StatusReply::default()
        })))
    }

    async fn nodes(&self, _: Request<ReadRequest>) -> Result<Response<NodesReply>, Status> {
        let reply =
            |s: &mut Script| NodesReply { read: Some(s.read.clone()), nodes: s.nodes.clone() };
        Ok(Response::new(self.set(reply)))
    }

    async fn services(&self, _: Request<ReadRequest>) -> Result<Response<ServicesReply>, Status> {
        Ok(Response::new(self.set(|s| ServicesReply {
            read: Some(s.read.clone()),
            services: step(&mut s.services),
            projects: s.projects.clone(),
        })))
    }

    async fn replicas(
        &self,
        _: Request<ReplicasRequest>,
    ) -> Result<Response<ReplicasReply>, Status> {
        Ok(Response::new(self.set(|s| ReplicasReply {
            remarks: s.remarks.clone(),
            read: Some(s.read.clone()),
            replicas: step(&mut s.replicas),
        })))
    }

    type EventsStream = Replies<EventsReply>;
    async fn events(
        &self,
        request: Request<EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let event = EventsReply {
            index: 3,
            wall_ms: 0,
            text: "node1 joined".into(),
            kind: "joined".into(),
            position: 1,
        };
        Ok(Response::new(self.set(|s| {
            s.events_asked.push(request.into_inner());
            let events = if s.events.is_empty() { vec![event] } else { s.events.clone() };
            flow(events, s.goes_on)
        })))
    }

    async fn inspect(&self, _: Request<InspectRequest>) -> Result<Response<InspectReply>, Status> {
        Ok(Response::new(InspectReply {
            json: r#"{"kind":"node"}"#.into(),
            ..InspectReply::default()
        }))
    }

    async fn deploy(
        &self,
        request: Request<DeployRequest>,
    ) -> Result<Response<DeployReply>, Status> {
        self.set(|s| s.deploys.push(request.into_inner()));
        self.answer(|s| s.deploy_reply.clone())
    }

    async fn scale(&self, request: Request<ScaleRequest>) -> Result<Response<WriteReply>, Status> {
        self.set(|s| {
            s.scales.push(request.into_inner());
            if let Some(call) = &mut s.on_scale {
                call();
            }
        });
        self.answer(|s| s.write_reply.clone())
    }

    async fn set_rollout(
        &self,
        request: Request<SetRolloutRequest>,
    ) -> Result<Response<SetRolloutReply>, Status> {
        self.set(|s| s.rollouts.push(request.into_inner()));
        self.answer(|s| s.rollout_reply.clone())
    }

    async fn down(&self, _: Request<DownRequest>) -> Result<Response<WriteReply>, Status> {
        self.answer(|s| s.write_reply.clone())
    }

    async fn policies(&self, _: Request<ReadRequest>) -> Result<Response<PoliciesReply>, Status> {
        self.answer(|s| PoliciesReply { read: None, policies: s.policies.clone() })
    }

    async fn networks(&self, _: Request<ReadRequest>) -> Result<Response<NetworksReply>, Status> {
        self.answer(|s| NetworksReply { read: None, networks: s.networks.clone() })
    }

    async fn doctor(&self, _: Request<ReadRequest>) -> Result<Response<DoctorReply>, Status> {
        self.answer(|s| DoctorReply { read: None, mesh: true, findings: s.findings.clone() })
    }

    async fn set_policy(
        &self,
        request: Request<SetPolicyRequest>,
    ) -> Result<Response<WriteReply>, Status> {
        self.set(|s| s.policies_set.push(request.into_inner()));
        self.answer(|s| s.write_reply.clone())
    }

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<WriteReply>, Status> {
        self.set(|s| s.runs.push(request.into_inner()));
        self.answer(|s| s.write_reply.clone())
    }

    async fn end_run(
        &self,
        request: Request<EndRunRequest>,
    ) -> Result<Response<WriteReply>, Status> {
        self.set(|s| s.ended_runs.push(request.into_inner()));
        self.answer(|s| s.write_reply.clone())
    }

    async fn set_node(&self, _: Request<SetNodeRequest>) -> Result<Response<WriteReply>, Status> {
        self.answer(|s| s.write_reply.clone())
    }

    async fn remove_node(
        &self,
        _: Request<RemoveNodeRequest>,
    ) -> Result<Response<WriteReply>, Status> {
        self.answer(|s| s.write_reply.clone())
    }

    async fn token(&self, _: Request<TokenRequest>) -> Result<Response<TokenReply>, Status> {
        let members = vec!["10.0.0.1:7070".into(), "10.0.0.2:7070".into()];
        self.answer(|_| TokenReply { token: "CLUSTER-1-m-abc".into(), members })
    }

    async fn set_voters(
        &self,
        _: Request<SetVotersRequest>,
    ) -> Result<Response<WriteReply>, Status> {
        self.answer(|s| s.write_reply.clone())
    }

    async fn contents(
        &self,
        _: Request<ContentsRequest>,
    ) -> Result<Response<ContentsReply>, Status> {
        let used_by = vec!["shop/web".into()];
        let content = ContentSummary { name: "tls".into(), created_ms: 1, used_by };
        self.answer(|s| ContentsReply { read: Some(s.read.clone()), contents: vec![content] })
    }

    async fn create_content(
        &self,
        request: Request<CreateContentRequest>,
    ) -> Result<Response<WriteReply>, Status> {
        self.set(|s| s.contents.extend(request.into_inner().content));
        self.answer(|s| s.write_reply.clone())
    }

    async fn remove_content(
        &self,
        _: Request<RemoveContentRequest>,
    ) -> Result<Response<WriteReply>, Status> {
        self.answer(|s| s.write_reply.clone())
    }

    async fn certify(
        &self,
        request: Request<CertifyRequest>,
    ) -> Result<Response<CertifyReply>, Status> {
        self.set(|s| match &s.certify {
            Some(sign) => Ok(Response::new(sign(request.get_ref()))),
            None => Err(Status::failed_precondition("no authority")),
        })
    }

    type LogsStream = Replies<LogsReply>;
    async fn logs(&self, query: Request<LogsQuery>) -> Result<Response<Self::LogsStream>, Status> {
        self.set(|s| {
            s.logs_asked.push(query.into_inner());
            match s.refuse_logs.clone() {
                Some(why) => Err(why),
                None => Ok(Response::new(flow(s.logs.clone(), s.goes_on))),
            }
        })
    }

    async fn stats(&self, request: Request<StatsRequest>) -> Result<Response<StatsReply>, Status> {
        self.set(|s| {
            s.stats_asked.push(request.into_inner());
            let reply = match s.stats.len() {
                0 => StatsReply::default(),
                1 => s.stats[0].clone(),
                _ => s.stats.remove(0),
            };
            Ok(Response::new(reply))
        })
    }

    type ExecStream = Replies<ExecReply>;
    async fn exec(
        &self,
        request: Request<Streaming<ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let mut input = request.into_inner();
        let interactive = loop {
            let Some(part) = input.message().await?.and_then(|m| m.part) else { break false };
            let ended = match &part {
                exec_request::Part::EndOfInput(_) => true,
                // What Ctrl-D is on a terminal that passes every key on.
                exec_request::Part::Input(bytes) => bytes.contains(&4),
                _ => false,
            };
            let alone = matches!(&part, exec_request::Part::Start(s) if !s.interactive);
            self.set(|s| s.exec_asked.push(part));
            if ended || alone {
                break ended;
            }
        };
        assert!(interactive || !self.set(|s| s.exec_asked.is_empty()));
        let parts = self.set(|s| {
            if !s.replicas_after_exec.is_empty() {
                s.replicas = std::mem::take(&mut s.replicas_after_exec);
            }
            s.exec.clone().into_iter()
        });
        Ok(Response::new(replies(parts.map(|p| ExecReply { part: Some(p) }).collect())))
    }

    async fn load_image(
        &self,
        request: Request<Streaming<LoadImageRequest>>,
    ) -> Result<Response<LoadImageReply>, Status> {
        let mut input = request.into_inner();
        let mut bytes = 0;
        while let Some(chunk) = input.next().await {
            bytes += chunk?.chunk.len();
        }
        self.set(|s| s.image_bytes = bytes);
        Ok(Response::new(self.set(|s| s.images.clone())))
    }

    async fn version(&self, _: Request<VersionRequest>) -> Result<Response<VersionReply>, Status> {
        let reply = VersionReply { version: "9.9.9".into(), level: 1, engine: "28".into() };
        Ok(Response::new(reply))
    }
}

/// A place of a test's own: home, project folder, socket. What serves there stops with it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) runtime: Option<tokio::runtime::Runtime>,
}

impl Place {
    /// Nobody serves here yet.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), runtime: None }
    }

    /// With a fake on the socket.
    pub(crate) fn with(fake: &Fake) -> Self {
        let mut place = Self::empty();
        place.serve(fake);
        place
    }

    /// Starts serving; whoever served before must have stopped.
    pub(crate) fn serve(&mut self, fake: &Fake) {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        drop(guard);
        let server = tonic::transport::Server::builder()
            .add_service(AdminServer::new(fake.clone()))
            .serve_with_incoming(UnixListenerStream::new(listener));
        runtime.spawn(server);
        self.runtime = Some(runtime);
    }

    /// Stops serving: every connection breaks.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The program, in this place, against its socket.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = self.anywhere(args);
        command.env("CLUSTER_SOCKET", self.socket());
        command
    }

    /// The program, in this place, told of no socket.
    pub(crate) fn anywhere(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clusterctl"));
        command
            .args(args.split_whitespace())
            .env_clear()
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &str) -> Ran {
        Ran::of(&self.command(args).output().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

pub(crate) fn service(name: &str, wanted: u32) -> ServiceSummary {
    ServiceSummary {
        project: "shop".into(),
        name: name.into(),
        mode: "replicated".into(),
        image: "nginx".into(),
        wanted,
        generation: 1,
        ..ServiceSummary::default()
    }
}

pub(crate) fn replica(name: &str, condition: &str, reason: &str) -> ReplicaSummary {
    ReplicaSummary {
        project: "shop".into(),
        service: name.split('.').next().unwrap().into(),
        name: name.into(),
        task: "7.0".into(),
        node: if condition == "waiting" { String::new() } else { "node2".into() },
        image: "nginx".into(),
        state: condition.into(),
        condition: condition.into(),
        healthy: condition == "running",
        wanted: true,
        current: true,
        reason: reason.into(),
        ..ReplicaSummary::default()
    }
}

pub(crate) fn node(name: &str) -> NodeSummary {
    NodeSummary {
        name: name.into(),
        role: "manager".into(),
        readiness: "ready".into(),
        availability: "active".into(),
        engine_ready: true,
        ..NodeSummary::default()
    }
}
