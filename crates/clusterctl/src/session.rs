//! What every command has at hand: where to print, whom to ask, the global flags, and the reads that most of
//! them share.

use crate::args::Global;
use crate::connect::{self, Cluster, Said};
use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::out::Out;
use crate::{project, retry};
use api::v1::{
    NodesReply, ReadInfo, ReadRequest, ReplicasReply, ReplicasRequest, ServiceSummary,
    ServicesReply,
};
use tonic::Status;

/// One run of the program.
pub(crate) struct Session {
    pub(crate) out: Out,
    pub(crate) global: Global,
    pub(crate) cluster: Cluster,
}

impl Session {
    /// For commands about the cluster.
    pub(crate) fn new(out: Out, global: Global) -> Result<Self, Failure> {
        let cluster = Cluster::new(connect::way(said(&global)), contexts)?;
        Ok(Self { out, global, cluster })
    }

    /// For commands about this host.
    pub(crate) fn local(out: Out, global: Global) -> Result<Self, Failure> {
        let cluster = Cluster::new(connect::local_way(said(&global))?, contexts)?;
        Ok(Self { out, global, cluster })
    }

    pub(crate) fn read_request(&self, project: &str) -> ReadRequest {
        ReadRequest { stale: self.global.stale, project: project.to_owned() }
    }

    /// Services and projects; of one project, or of all when it is empty.
    pub(crate) async fn services(&self, project: &str) -> Result<ServicesReply, Failure> {
        let request = self.read_request(project);
        retry::read(&self.cluster, async |mut c| c.services(request.clone()).await).await
    }

    pub(crate) async fn replicas(
        &self,
        project: &str,
        services: &[String],
        all: bool,
    ) -> Result<ReplicasReply, Failure> {
        let read = Some(self.read_request(project));
        let request = ReplicasRequest { read, services: services.to_vec(), all };
        retry::read(&self.cluster, async |mut c| c.replicas(request.clone()).await).await
    }

    pub(crate) async fn nodes(&self) -> Result<NodesReply, Failure> {
        let request = self.read_request("");
        retry::read(&self.cluster, async |mut c| c.nodes(request.clone()).await).await
    }

    /// Services and projects as a leader with a quorum confirms them: what a write rests on. Without a
    /// quorum this fails as soon as that is known.
    pub(crate) async fn fresh(&self) -> Result<ServicesReply, Failure> {
        let request = ReadRequest::default();
        retry::read(&self.cluster, async |mut client| {
            let reply = client.services(request.clone()).await?;
            match reply.get_ref().read.as_ref().filter(|read| read.stale) {
                Some(read) => Err(Status::unavailable(read.why_stale.clone())),
                None => Ok(reply),
            }
        })
        .await
    }

    /// The stamp for a write that rests on nothing else.
    pub(crate) async fn stamp(&self) -> Result<u64, Failure> {
        Ok(stamp(self.fresh().await?.read.as_ref()))
    }

    /// The project that a write is about, as it is now.
    pub(crate) async fn project(&self) -> Result<Chosen, Failure> {
        self.choose(self.fresh().await?)
    }

    /// The name of the project that a look is about; needs no quorum.
    pub(crate) async fn project_name(&self) -> Result<String, Failure> {
        if let Some(name) = &self.global.project {
            return Ok(name.clone());
        }
        Ok(self.choose(self.services("").await?)?.name)
    }

    fn choose(&self, reply: ServicesReply) -> Result<Chosen, Failure> {
        let existing: Vec<String> = reply.projects.iter().map(|p| p.name.clone()).collect();
        let flag = self.global.project.as_deref();
        let folder = if flag.is_none() { project::of_folder()? } else { None };
        let name = project::choose(flag, folder.as_deref(), &existing)?;
        Ok(Chosen::of(name, reply))
    }

    /// As [`Session::project`], but empty (all of them) when nothing says which.
    pub(crate) fn project_or_all(&self) -> String {
        let flag = self.global.project.clone();
        // A file that cannot be read is no reason to refuse a look at what runs.
        flag.or_else(|| project::of_folder().ok().flatten()).unwrap_or_default()
    }
}

/// A project as a read showed it.
pub(crate) struct Chosen {
    pub(crate) name: String,
    /// Zero when it is not deployed.
    pub(crate) generation: u64,
    /// Cluster time of the read: the stamp for a write that follows.
    pub(crate) stamp: u64,
    pub(crate) services: Vec<ServiceSummary>,
}

impl Chosen {
    pub(crate) fn of(name: String, reply: ServicesReply) -> Self {
        let generation = reply.projects.iter().find(|p| p.name == name).map_or(0, |p| p.generation);
        let stamp = stamp(reply.read.as_ref());
        let services = reply.services.into_iter().filter(|s| s.project == name).collect();
        Self { name, generation, stamp, services }
    }
}

/// Cluster time of a read: the stamp for a write that follows.
fn stamp(read: Option<&ReadInfo>) -> u64 {
    read.map_or(0, |r| r.now)
}

/// The contexts of whoever runs this.
pub(crate) fn contexts() -> Result<Contexts, Failure> {
    Contexts::of_user(variable)
}

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn said(global: &Global) -> Said {
    Said {
        socket_flag: global.socket.clone(),
        context_flag: global.context.clone(),
        socket_variable: variable("CLUSTER_SOCKET"),
        context_variable: variable("CLUSTER_CONTEXT"),
        current: contexts().ok().and_then(|contexts| contexts.current()),
    }
}
