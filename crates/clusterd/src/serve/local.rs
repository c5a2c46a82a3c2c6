//! `Local`: founding, joining and leaving, asked for on the host itself.

use crate::admin::write::join_token;
use crate::caller;
use crate::facts;
use crate::folder::{self, NodeFile};
use crate::host::Host;
use crate::member::Member;
use crate::serve::admit::SEAL_AUTHORITY;
use crate::{clock, control};
use anyhow::{Context, bail};
use api::v1::{self, local_server::Local, members_client::MembersClient};
use identity::{Authority, ClusterKey, KeyRequest, Sealer, Token, joiner_config, server_name};
use model::{Facts, Found, Join, NodeId, NodeName, Role, limits};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Response, Status};
use tracing::info;

/// Deadline of one attempt at joining.
const JOIN: Duration = Duration::from_secs(10);

/// The service.
pub(crate) struct LocalService {
    pub(crate) host: Arc<Host>,
}

#[tonic::async_trait]
impl Local for LocalService {
    async fn init(
        &self,
        request: Request<v1::InitRequest>,
    ) -> Result<Response<v1::InitReply>, Status> {
        caller::local(&request)?;
        let host = Arc::clone(&self.host);
        to_the_end(async move {
            let _changing = host.changing.lock().await;
            refuse_member(&host)?;
            let done = init(&host, request.get_ref()).await;
            done.map(Response::new).map_err(|e| failed(&e))
        })
        .await
    }

    async fn join_cluster(
        &self,
        request: Request<v1::JoinClusterRequest>,
    ) -> Result<Response<v1::JoinClusterReply>, Status> {
        caller::local(&request)?;
        let host = Arc::clone(&self.host);
        to_the_end(async move {
            let _changing = host.changing.lock().await;
            refuse_member(&host)?;
            join(&host, request.get_ref()).await.map(Response::new)
        })
        .await
    }

    async fn leave(
        &self,
        request: Request<v1::LeaveRequest>,
    ) -> Result<Response<v1::LeaveReply>, Status> {
        caller::local(&request)?;
        let host = Arc::clone(&self.host);
        to_the_end(async move {
            let _changing = host.changing.lock().await;
            crate::leave::leave(&host, request.get_ref().force).await?;
            Ok(Response::new(v1::LeaveReply {}))
        })
        .await
    }
}

/// Carries an operation through although its caller may go away in the middle of it.
async fn to_the_end<T: Send + 'static>(
    operation: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    tokio::spawn(operation)
        .await
        .unwrap_or_else(|_| Err(Status::internal("the operation was cut short")))
}

fn refuse_member(host: &Host) -> Result<(), Status> {
    match host.member() {
        Err(_) => Ok(()),
        Ok(member) => Err(Status::already_exists(format!(
            "this host is node {} of a cluster already; `clusterctl leave` first",
            member.node.file().name
        ))),
    }
}

fn failed(error: &anyhow::Error) -> Status {
    Status::failed_precondition(format!("{error:#}"))
}

async fn init(host: &Arc<Host>, message: &v1::InitRequest) -> anyhow::Result<v1::InitReply> {
    if host.is_broken() {
        bail!("this host was a node of a cluster; come back with `clusterctl join --replace NAME`");
    }
    let advertise = advertised(&message.advertise)?;
    // A joiner's address is dialled back; a founder has nobody yet who would notice.
    crate::addresses::own(advertise)?;
    let name = node_name(&message.name)?;
    let mesh = crate::mesh::chosen(&message.mesh, &message.pool).await?;
    let cluster = identity::random::cluster_id();
    let authority = Authority::create(&cluster, clock::system())?;
    let cluster_key = ClusterKey::generate();
    let sealer = Sealer::new(&cluster_key);
    let tokens =
        [Role::Manager, Role::Worker].map(|role| Token::generate(role, authority.digest()));
    let key = KeyRequest::generate()?;
    let engine = docker::Engine::open(&host.config.docker_socket, cluster.clone());
    let node =
        join_of(host, name.clone(), Role::Manager, advertise, &key, gathered(host, &engine).await)?;
    let found = Found {
        cluster: cluster.clone(),
        authority: authority.certificate_pem().to_owned(),
        sealed_key: sealer.seal(authority.key_pem().as_bytes(), SEAL_AUTHORITY),
        manager_token: join_token(&tokens[0], &sealer),
        worker_token: join_token(&tokens[1], &sealer),
        node,
        mesh,
    };
    let id = consensus::FOUNDER;
    let certificate = authority.sign_node(&key.csr_der, id, Role::Manager, clock::system())?;
    let file = NodeFile {
        cluster: cluster.clone(),
        node: id,
        name: name.clone(),
        role: Role::Manager,
        advertise,
        managers: vec![(id, SocketAddr::new(advertise, host.config.listen.port()))],
    };
    let identity = Written {
        key: &key.key_pem,
        certificate: &certificate,
        authority: authority.certificate_pem(),
    };
    identity.write(host)?;
    folder::write(&host.folder.cluster_key(), cluster_key.encode().as_bytes(), 0o600)?;
    // Remains of a founding that was cut short.
    if host.folder.raft().exists() {
        std::fs::remove_dir_all(host.folder.raft()).context("cannot remove an unfinished log")?;
    }
    start(host, file.clone(), Some(found)).await?;
    // Last: a host that is interrupted before this belongs to no cluster and can try again.
    host.folder.write_node(&file)?;
    info!(%cluster, "cluster founded");
    Ok(v1::InitReply {
        cluster: cluster.to_string(),
        node: id.0,
        name: name.to_string(),
        address: SocketAddr::new(advertise, host.config.listen.port()).to_string(),
        manager_token: tokens[0].to_string(),
        worker_token: tokens[1].to_string(),
    })
}

/// Becomes the member that the data folder says this host is.
pub(crate) async fn start(
    host: &Arc<Host>,
    file: NodeFile,
    found: Option<Found>,
) -> anyhow::Result<()> {
    let config = Arc::clone(&host.config);
    // Found out before anything is written: the port may be taken.
    std::net::TcpListener::bind(config.listen).with_context(|| {
        format!("cannot listen on {}; is another daemon running?", config.listen)
    })?;
    let member = Arc::new(Member::start(config, host.folder.clone(), file, found).await?);
    if let Err(why) = control::serve(host, &member).await {
        member.shut().await;
        return Err(why);
    }
    let (watching, node) = (Arc::clone(host), Arc::clone(&member.node));
    host.set_member(Some(Arc::clone(&member)));
    member.node.tasks.spawn(async move {
        node.removed().await;
        // Not one of the member's tasks, which it ends.
        tokio::spawn(crate::leave::removed(watching, node.id()));
    });
    Ok(())
}

async fn join(
    host: &Arc<Host>,
    message: &v1::JoinClusterRequest,
) -> Result<v1::JoinClusterReply, Status> {
    let token: Token = api::parse("token", message.token.trim())?;
    let name = node_name(&message.name).map_err(|e| failed(&e))?;
    let advertise = advertised(&message.advertise).map_err(|e| failed(&e))?;
    if host.is_broken() && !message.replace {
        return Err(Status::failed_precondition(
            "this host was a node of the cluster; come back with --replace NAME",
        ));
    }
    if message.members.is_empty() {
        return Err(Status::invalid_argument(
            "name a member of the cluster, as in `clusterctl join --token T HOST:7070`",
        ));
    }
    if host.is_broken() {
        host.folder.set_aside("damaged", clock::wall()).map_err(|e| failed(&e))?;
        host.set_broken(None);
    }
    // The key is kept before anything is sent: a retry shows the same key and gets the same identity.
    let key = kept_key(host).map_err(|e| failed(&e))?;
    let engine = docker::Engine::open(&host.config.docker_socket, model::ClusterId::default());
    let facts = gathered(host, &engine).await;
    let request = v1::JoinRequest {
        token: token.to_string(),
        csr: key.csr_der.clone(),
        name: name.to_string(),
        address: advertise.to_string(),
        control_port: host.config.listen.port().into(),
        edge_port: host.config.edge_listen.port().into(),
        facts: Some((&facts).into()),
        replace: message.replace,
        wall_ms: clock::wall().0,
    };
    let reply = ask_members(&token, &message.members, request).await?;
    admitted(host, &reply, name, advertise, &key).await.map_err(|e| failed(&e))?;
    let role = if reply.cluster_key.is_empty() { Role::Worker } else { Role::Manager };
    let file = host.member()?.node.file();
    Ok(v1::JoinClusterReply {
        node: reply.node,
        name: file.name.to_string(),
        role: role.to_string(),
    })
}

/// Asks one member after the other; a refusal ends it, silence does not.
async fn ask_members(
    token: &Token,
    members: &[String],
    request: v1::JoinRequest,
) -> Result<v1::JoinReply, Status> {
    let mut last = Status::unavailable("no member was asked");
    for member in members {
        let address = resolve(member).await?;
        let config =
            joiner_config(token.authority()).map_err(|e| Status::internal(e.to_string()))?;
        let channel =
            crate::dial::lazy(address, server_name(NodeId(1)), move || Arc::clone(&config));
        let mut client = MembersClient::new(channel);
        match tokio::time::timeout(JOIN, client.join(request.clone())).await {
            Ok(Ok(reply)) => return Ok(reply.into_inner()),
            Ok(Err(status)) if status.code() == Code::Unavailable => {
                last = unreachable(member, &status);
            }
            // A right that the joiner lacks there is not one that the caller lacks here.
            Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                return Err(Status::failed_precondition(status.message()));
            }
            Ok(Err(status)) => return Err(status),
            Err(_) => {
                last = Status::unavailable(format!(
                    "{member} did not answer within {} s",
                    JOIN.as_secs()
                ));
            }
        }
    }
    Err(last)
}

fn unreachable(member: &str, status: &Status) -> Status {
    let why = std::error::Error::source(status).and_then(|e| identity::explain(e, member));
    Status::unavailable(format!("{member}: {}", why.unwrap_or_else(|| status.message().to_owned())))
}

async fn resolve(member: &str) -> Result<SocketAddr, Status> {
    let with_port = if member.contains(':') {
        member.to_owned()
    } else {
        format!("{member}:{}", limits::CONTROL_PORT)
    };
    let mut found = tokio::net::lookup_host(&with_port)
        .await
        .map_err(|e| Status::invalid_argument(format!("{member} is not an address: {e}")))?;
    found.next().ok_or_else(|| Status::invalid_argument(format!("{member} has no address")))
}

async fn admitted(
    host: &Arc<Host>,
    reply: &v1::JoinReply,
    name: NodeName,
    advertise: IpAddr,
    key: &KeyRequest,
) -> anyhow::Result<()> {
    let role = if reply.cluster_key.is_empty() { Role::Worker } else { Role::Manager };
    if role == Role::Manager {
        folder::write(&host.folder.cluster_key(), &reply.cluster_key, 0o600)?;
    }
    let identity =
        Written { key: &key.key_pem, certificate: &reply.certificate, authority: &reply.authority };
    identity.write(host)?;
    let mut managers = Vec::new();
    for manager in &reply.managers {
        managers
            .push((NodeId(manager.node), manager.address.parse().context("a manager's address")?));
    }
    let cluster = model::ClusterId(reply.cluster.clone());
    let file = NodeFile { cluster, node: NodeId(reply.node), name, role, advertise, managers };
    host.folder.write_node(&file)?;
    start(host, file, None).await
}

/// The identity files of a node.
struct Written<'a> {
    key: &'a str,
    certificate: &'a str,
    authority: &'a str,
}

impl Written<'_> {
    fn write(&self, host: &Host) -> anyhow::Result<()> {
        folder::write(&host.folder.key(), self.key.as_bytes(), 0o600)?;
        folder::write(&host.folder.certificate(), self.certificate.as_bytes(), 0o644)?;
        folder::write(&host.folder.authority(), self.authority.as_bytes(), 0o644)
    }
}

fn kept_key(host: &Host) -> anyhow::Result<KeyRequest> {
    if let Some(pem) = folder::read_if_there(&host.folder.key())? {
        return Ok(KeyRequest::from_pem(std::str::from_utf8(&pem)?)?);
    }
    let key = KeyRequest::generate()?;
    folder::write(&host.folder.key(), key.key_pem.as_bytes(), 0o600)?;
    Ok(key)
}

async fn gathered(host: &Host, engine: &docker::Engine) -> Facts {
    facts::gather(&host.config, &host.folder, engine, []).await
}

fn join_of(
    host: &Host,
    name: NodeName,
    role: Role,
    address: IpAddr,
    key: &KeyRequest,
    facts: Facts,
) -> anyhow::Result<Join> {
    Ok(Join {
        name,
        role,
        address,
        control_port: host.config.listen.port(),
        edge_port: host.config.edge_listen.port(),
        key_digest: identity::key_digest(&key.csr_der)?,
        facts,
        replace: false,
    })
}

fn node_name(text: &str) -> anyhow::Result<NodeName> {
    if !text.is_empty() {
        return Ok(text.parse()?);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.parse().with_context(|| {
        format!("the host name \"{}\" cannot name a node; use --name", host.escape_debug())
    })
}

/// The address the others are to use: as told, or the only one there is.
fn advertised(text: &str) -> anyhow::Result<IpAddr> {
    if !text.is_empty() {
        return text
            .parse()
            .with_context(|| format!("--advertise {}: not an IP address", text.escape_debug()));
    }
    let found = crate::addresses::qualifying()?;
    match found.as_slice() {
        [only] => Ok(*only),
        [] => {
            bail!("this host has no address that others could use; say which with --advertise ADDR")
        }
        several => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            bail!(
                "this host has several addresses; say which with --advertise ADDR: {}",
                list.join(", ")
            )
        }
    }
}
