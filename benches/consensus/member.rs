//! A member of ours, as a process: the log on disk, its transport over loopback, and the write of `kv.rs`.
//!
//! Members know each other by the loopback address that they dial from, `127.0.0.N`, which stands for the
//! certificate of the daemon.

use crate::kv::Store;
use crate::sides::peer_port;
use anyhow::Context;
use consensus::{Config, Connector, FOUNDER, Log, PeerCheck};
use hyper_util::rt::TokioIo;
use model::{ClusterId, Command, NodeId, Outcome, Role, Timers};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Endpoint, Server, Uri};

/// The three members. The founding command gives the first identity, two joins right behind it the others.
const MEMBERS: [NodeId; 3] = [FOUNDER, NodeId(FOUNDER.0 + 1), NodeId(FOUNDER.0 + 2)];

/// Runs member `number` (1 to 3) on its folder until it is killed.
pub(crate) fn run(number: &str, folder: &Path) -> anyhow::Result<()> {
    let number: usize = number.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(number, folder))
}

async fn serve(number: usize, folder: &Path) -> anyhow::Result<()> {
    let me = MEMBERS[number - 1];
    let cluster = ClusterId("00112233445566778899aabbccddeeff".into());
    let config = Config::new(cluster.clone(), me, folder, Timers::LAN);
    let log = Log::open(config, connector(me)).await?;
    let listener = tokio::net::TcpListener::bind(address(me)).await?;
    let check: PeerCheck = Arc::new(caller);
    let raft = Server::builder()
        .add_service(log.service(check))
        .add_service(Store::new(log.clone(), u64::from(std::process::id())))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    let raft = tokio::spawn(raft);
    if me == FOUNDER && log.metrics().last_index == 0 {
        found(&log, cluster).await?;
    }
    tokio::select! {
        ended = raft => ended?.context("the server ended"),
        why = log.fatal() => anyhow::bail!("{why}"),
    }
}

async fn found(log: &Log, cluster: ClusterId) -> anyhow::Result<()> {
    let founder = benches::large::join(1, Role::Manager);
    log.found(address(FOUNDER), benches::large::founding(cluster, founder)).await?;
    for (number, wanted) in [(2, MEMBERS[1]), (3, MEMBERS[2])] {
        let join = Command::Join(benches::large::join(number, Role::Manager));
        let (_, outcome) = log.propose(join, None).await?;
        anyhow::ensure!(outcome == Outcome::Joined { node: wanted }, "{outcome:?}");
    }
    let addresses: BTreeMap<_, _> = MEMBERS.map(|member| (member, address(member))).into();
    let voters = BTreeSet::from(MEMBERS);
    while log.reconcile(&voters, &BTreeSet::new(), &addresses).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn ip(member: NodeId) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, member.0 as u8)
}

fn address(member: NodeId) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, peer_port((member.0 - FOUNDER.0 + 1) as u16)))
}

fn caller(extensions: &tonic::Extensions) -> Result<NodeId, tonic::Status> {
    let remote = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let member = MEMBERS.into_iter().find(|member| remote.is_some_and(|r| r.ip() == ip(*member)));
    member.ok_or_else(|| tonic::Status::unauthenticated("no member dials from there"))
}

fn connector(me: NodeId) -> Connector {
    Arc::new(move |_, address| channel(me, address))
}

fn channel(me: NodeId, address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.expect("an address makes a valid URI");
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| async move {
        dial(me, address).await.map(TokioIo::new)
    }))
}

async fn dial(me: NodeId, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ip(me), 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
