//! `Admin`: what people ask of the cluster. Each method checks that an administrator calls, and hands on.

mod contents;
mod deploy;
mod doctor;
mod inspect;
mod logs;
mod networks;
mod policy;
mod read;
mod rollout;
mod run;
mod stats;
mod streams;
mod summary;
pub(crate) mod write;

use crate::caller;
use crate::host::Host;
use crate::managing::Managing;
use crate::node::Node;
use api::v1::{self, admin_server::Admin};
use read::{Reading, with_subject};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The service.
pub(crate) struct AdminService {
    pub(crate) host: Arc<Host>,
}

impl AdminService {
    /// Lets administrators in, on managers.
    fn enter<T>(&self, request: &Request<T>) -> Result<(Arc<Node>, Arc<Managing>), Status> {
        let node = Arc::clone(&self.host.member()?.node);
        node.roster.admin(&caller::of(request))?;
        let managing = node.managing()?;
        Ok((node, managing))
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::StatusReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let reading = Reading::take(&node, &managing, request.get_ref().stale).await;
        Ok(Response::new(read::status(&managing, reading)))
    }

    async fn nodes(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::NodesReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let reading = Reading::take(&node, &managing, request.get_ref().stale).await;
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method alone is tied to one lifetime"
        )]
        let nodes = with_subject(&managing, &reading, |subject| subject.nodes());
        Ok(Response::new(v1::NodesReply { read: Some(reading.info), nodes }))
    }

    async fn services(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::ServicesReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let reading = Reading::take(&node, &managing, request.get_ref().stale).await;
        let project = &request.get_ref().project;
        let (services, projects) =
            with_subject(&managing, &reading, |s| (s.services(project), s.projects()));
        Ok(Response::new(v1::ServicesReply { read: Some(reading.info), services, projects }))
    }

    async fn replicas(
        &self,
        request: Request<v1::ReplicasRequest>,
    ) -> Result<Response<v1::ReplicasReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let message = request.into_inner();
        let read = message.read.unwrap_or_default();
        let reading = Reading::take(&node, &managing, read.stale).await;
        let replicas = with_subject(&managing, &reading, |s| {
            s.replicas(&read.project, &message.services, message.all)
        });
        let remarks = rollout::remarks(&reading.state, &read.project, &message.services);
        Ok(Response::new(v1::ReplicasReply { read: Some(reading.info), replicas, remarks }))
    }

    type EventsStream = streams::Replies<v1::EventsReply>;

    async fn events(
        &self,
        request: Request<v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, managing) = self.enter(&request)?;
        Ok(Response::new(streams::events(managing, request.into_inner())))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectRequest>,
    ) -> Result<Response<v1::InspectReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let message = request.into_inner();
        let read = message.read.unwrap_or_default();
        let reading = Reading::take(&node, &managing, read.stale).await;
        let found =
            inspect::inspect(&reading.state, &read.project, &message.name).ok_or_else(|| {
                Status::not_found(format!(
                    "there is no node, project, service or replica named {}",
                    message.name.escape_debug()
                ))
            })?;
        Ok(Response::new(v1::InspectReply { read: Some(reading.info), json: found.to_string() }))
    }

    async fn deploy(
        &self,
        request: Request<v1::DeployRequest>,
    ) -> Result<Response<v1::DeployReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        deploy::deploy(&node, &managing, request.into_inner()).await.map(Response::new)
    }

    async fn scale(
        &self,
        request: Request<v1::ScaleRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        write::scale(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn down(
        &self,
        request: Request<v1::DownRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        write::down(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn policies(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::PoliciesReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let reading = Reading::take(&node, &managing, request.get_ref().stale).await;
        let policies = policy::of(&reading.state, &request.get_ref().project);
        Ok(Response::new(v1::PoliciesReply { read: Some(reading.info), policies }))
    }

    async fn networks(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::NetworksReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let reading = Reading::take(&node, &managing, request.get_ref().stale).await;
        let networks = networks::of(&reading.state, &request.get_ref().project);
        Ok(Response::new(v1::NetworksReply { read: Some(reading.info), networks }))
    }

    async fn doctor(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<v1::DoctorReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let reading = Reading::take(&node, &managing, request.get_ref().stale).await;
        let (mesh, findings) = doctor::ask(&node, &managing).await;
        Ok(Response::new(v1::DoctorReply { read: Some(reading.info), mesh, findings }))
    }

    async fn set_policy(
        &self,
        request: Request<v1::SetPolicyRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        policy::set(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn run(
        &self,
        request: Request<v1::RunRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        run::run(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn end_run(
        &self,
        request: Request<v1::EndRunRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        run::end(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn set_rollout(
        &self,
        request: Request<v1::SetRolloutRequest>,
    ) -> Result<Response<v1::SetRolloutReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        rollout::set(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn set_node(
        &self,
        request: Request<v1::SetNodeRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        write::set_node(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn remove_node(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        write::remove_node(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn token(
        &self,
        request: Request<v1::TokenRequest>,
    ) -> Result<Response<v1::TokenReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        write::token(&node, &managing, request.into_inner()).await.map(Response::new)
    }

    async fn set_voters(
        &self,
        request: Request<v1::SetVotersRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        write::set_voters(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn contents(
        &self,
        request: Request<v1::ContentsRequest>,
    ) -> Result<Response<v1::ContentsReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        let message = request.into_inner();
        let stale = message.read.is_some_and(|read| read.stale);
        let reading = Reading::take(&node, &managing, stale).await;
        let contents = contents::list(&reading.state, &message.kind)?;
        Ok(Response::new(v1::ContentsReply { read: Some(reading.info), contents }))
    }

    async fn create_content(
        &self,
        request: Request<v1::CreateContentRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        contents::create(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn remove_content(
        &self,
        request: Request<v1::RemoveContentRequest>,
    ) -> Result<Response<v1::WriteReply>, Status> {
        let (_, managing) = self.enter(&request)?;
        contents::remove(&managing, request.into_inner()).await.map(Response::new)
    }

    async fn certify(
        &self,
        request: Request<v1::CertifyRequest>,
    ) -> Result<Response<v1::CertifyReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        write::certify(&node, &managing, request.get_ref()).map(Response::new)
    }

    type LogsStream = streams::Replies<v1::LogsReply>;

    async fn logs(
        &self,
        request: Request<v1::LogsQuery>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let (node, managing) = self.enter(&request)?;
        logs::logs(&node, &managing, request.into_inner()).map(Response::new)
    }

    async fn stats(
        &self,
        request: Request<v1::StatsRequest>,
    ) -> Result<Response<v1::StatsReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        stats::stats(&node, &managing, request.get_ref()).await.map(Response::new)
    }

    type ExecStream = streams::Replies<v1::ExecReply>;

    async fn exec(
        &self,
        request: Request<Streaming<v1::ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let (node, managing) = self.enter(&request)?;
        streams::exec(&node, &managing, request.into_inner()).await.map(Response::new)
    }

    async fn load_image(
        &self,
        request: Request<Streaming<v1::LoadImageRequest>>,
    ) -> Result<Response<v1::LoadImageReply>, Status> {
        let (node, managing) = self.enter(&request)?;
        streams::load_image(&node, &managing, request.into_inner()).await.map(Response::new)
    }

    async fn version(
        &self,
        request: Request<v1::VersionRequest>,
    ) -> Result<Response<v1::VersionReply>, Status> {
        let node = Arc::clone(&self.host.member()?.node);
        node.roster.admin(&caller::of(&request))?;
        Ok(Response::new(v1::VersionReply {
            version: env!("CARGO_PKG_VERSION").into(),
            level: model::limits::LEVEL,
            engine: node.engine.facts().await.version,
        }))
    }
}
