//! Members in one process over real sockets on loopback. A connection says who calls in its first eight
//! bytes, which stands for the certificate; a member can be cut off, so that its bytes stop flowing.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use consensus::{Config, Connector, FOUNDER, Log, OpenError, PeerCheck};
use hyper_util::rt::TokioIo;
use model::{
    ClusterId, Command, Facts, Found, Join, JoinToken, NodeId, Outcome, RequestId, Role, SetNode,
    Time, Timers,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server, Uri};

/// Long enough for anything that is to happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Who is cut off.
pub(crate) type Cuts = Arc<Mutex<BTreeSet<NodeId>>>;

struct Conn {
    stream: TcpStream,
    ends: (NodeId, NodeId),
    cuts: Cuts,
    again: Pin<Box<tokio::time::Sleep>>,
}

impl Conn {
    fn new(stream: TcpStream, ends: (NodeId, NodeId), cuts: &Cuts) -> Self {
        let again = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { stream, ends, cuts: Arc::clone(cuts), again }
    }

    /// Whether bytes flow; if not, looks again soon.
    fn flows(&mut self, cx: &mut Context<'_>) -> bool {
        let cuts = self.cuts.lock().unwrap();
        let cut = cuts.contains(&self.ends.0) || cuts.contains(&self.ends.1);
        drop(cuts);
        loop {
            if !cut {
                return true;
            }
            self.again.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(10));
            if self.again.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.flows(cx) { Pin::new(&mut self.stream).poll_read(cx, buf) } else { Poll::Pending }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.flows(cx) { Pin::new(&mut self.stream).poll_write(cx, buf) } else { Poll::Pending }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Conn {
    type ConnectInfo = NodeId;

    fn connect_info(&self) -> NodeId {
        self.ends.0
    }
}

fn connector(me: NodeId, cuts: &Cuts) -> Connector {
    let cuts = Arc::clone(cuts);
    Arc::new(move |to, address| channel(me, to, address, Arc::clone(&cuts)))
}

fn channel(me: NodeId, to: NodeId, address: SocketAddr, cuts: Cuts) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let cuts = Arc::clone(&cuts);
        async move {
            while cuts.lock().unwrap().contains(&me) || cuts.lock().unwrap().contains(&to) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&me.0.to_be_bytes()).await?;
            io::Result::Ok(TokioIo::new(Conn::new(stream, (me, to), &cuts)))
        }
    }))
}

async fn accept(listener: &TcpListener, me: NodeId, cuts: &Cuts) -> io::Result<Conn> {
    let (mut stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let caller = NodeId(stream.read_u64().await?);
    Ok(Conn::new(stream, (caller, me), cuts))
}

/// One member.
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) log: Log,
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Member {
    /// Stops as a process does that is killed: nothing is handed on, connections break.
    pub(crate) async fn kill(&self) {
        self.server.abort();
        self.log.shutdown().await;
    }
}

/// Members of one cluster, and what lies on their disks.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) id: ClusterId,
    pub(crate) cuts: Cuts,
    pub(crate) timers: Timers,
    pub(crate) snapshot_every: u64,
    pub(crate) keep: u64,
    pub(crate) members: BTreeMap<NodeId, Member>,
    addresses: BTreeMap<NodeId, SocketAddr>,
}

pub(crate) fn join(name: &str) -> Join {
    Join {
        name: name.parse().unwrap(),
        role: Role::Manager,
        address: [127, 0, 0, 1].into(),
        control_port: 7070,
        edge_port: 7071,
        key_digest: name.to_owned(),
        facts: Facts { level: 1, ..Facts::default() },
        replace: false,
    }
}

pub(crate) fn founding(cluster: &ClusterId) -> Found {
    let token = JoinToken { digest: "d".into(), sealed: vec![1] };
    Found {
        cluster: cluster.clone(),
        authority: "authority".into(),
        sealed_key: vec![1, 2, 3],
        manager_token: token.clone(),
        worker_token: token,
        mesh: None,
        node: join("node1"),
    }
}

/// A write that can be told from others in the state: a label on the founder.
pub(crate) fn label(key: &str, value: &str) -> Command {
    Command::SetNode(SetNode {
        node: FOUNDER,
        availability: None,
        role: None,
        labels: [(key.to_owned(), Some(value.to_owned()))].into(),
    })
}

pub(crate) fn labelled(log: &Log, key: &str) -> Option<String> {
    log.state().nodes.get(&FOUNDER)?.labels.get(key).cloned()
}

pub(crate) fn request(log: &Log, low: u64) -> RequestId {
    RequestId { stamp: log.state().now, high: 7, low }
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let timers = Timers {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(800),
            ..Timers::LAN
        };
        Self {
            dir: TempDir::new().unwrap(),
            id: ClusterId("00112233445566778899aabbccddeeff".into()),
            cuts: Cuts::default(),
            timers,
            snapshot_every: 4_000,
            keep: 1_000,
            members: BTreeMap::new(),
            addresses: BTreeMap::new(),
        }
    }

    /// Three members, one of which is down and can only catch up by a snapshot.
    pub(crate) async fn with_one_far_behind() -> (Self, NodeId) {
        let mut cluster = Self::new();
        (cluster.snapshot_every, cluster.keep) = (50, 5);
        let mut cluster = cluster.of(3).await;
        let late = cluster.followers().await[0];
        cluster.kill(late).await;
        let leader = cluster.leader().await;
        for n in 0..200 {
            cluster.log(leader).propose(label("k", &n.to_string()), None).await.unwrap();
        }
        let metrics = cluster.log(leader).metrics();
        assert!(metrics.snapshot > 100, "the log it would need is gone: {metrics:?}");
        (cluster, late)
    }

    pub(crate) fn folder(&self, id: NodeId) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    pub(crate) fn config(&self, id: NodeId, dir: &Path) -> Config {
        let mut config = Config::new(self.id.clone(), id, dir, self.timers.clone());
        config.snapshot_every = self.snapshot_every;
        config.keep = self.keep;
        config.patience = Duration::from_secs(10);
        config
    }

    pub(crate) async fn open(&self, id: NodeId, dir: &Path) -> Result<Log, OpenError> {
        Log::open(self.config(id, dir), connector(id, &self.cuts)).await
    }

    /// Starts a member, on the address it had.
    pub(crate) async fn start(&mut self, id: NodeId) -> Result<(), OpenError> {
        let log = self.open(id, &self.folder(id)).await?;
        let wanted = self.addresses.get(&id).copied().unwrap_or(([127, 0, 0, 1], 0).into());
        let listener = TcpListener::bind(wanted).await.unwrap();
        let address = listener.local_addr().unwrap();
        self.addresses.insert(id, address);
        let check: PeerCheck = Arc::new(|extensions| {
            extensions
                .get::<NodeId>()
                .copied()
                .ok_or_else(|| tonic::Status::unauthenticated("who?"))
        });
        let (service, cuts) = (log.service(check), Arc::clone(&self.cuts));
        let incoming = async_stream(listener, id, cuts);
        let server = tokio::spawn(async move {
            let _ = Server::builder().add_service(service).serve_with_incoming(incoming).await;
        });
        self.members.insert(id, Member { id, log, address, server });
        Ok(())
    }

    /// Kills a member; its disk stays.
    pub(crate) async fn kill(&mut self, id: NodeId) {
        self.members.remove(&id).unwrap().kill().await;
    }

    pub(crate) fn log(&self, id: NodeId) -> &Log {
        &self.members[&id].log
    }

    /// A founded cluster of `count` voters.
    pub(crate) async fn of(mut self, count: usize) -> Self {
        self.start(FOUNDER).await.unwrap();
        let address = self.members[&FOUNDER].address;
        self.log(FOUNDER).found(address, founding(&self.id)).await.unwrap();
        for n in 2..=count {
            self.admit(&format!("node{n}")).await;
        }
        if count > 1 {
            let all: BTreeSet<NodeId> = self.members.keys().copied().collect();
            self.reconcile(&all, &BTreeSet::new()).await;
        }
        self
    }

    /// Admits a node to the state and starts its member, which is not in the log yet.
    pub(crate) async fn admit(&mut self, name: &str) -> NodeId {
        let any = self.members.values().next().unwrap();
        let joined = any.log.propose(Command::Join(join(name)), None).await.unwrap();
        let (_, Outcome::Joined { node }) = joined else { panic!("{joined:?}") };
        self.start(node).await.unwrap();
        node
    }

    /// Reconciles until it is done.
    pub(crate) async fn reconcile(&self, voters: &BTreeSet<NodeId>, learners: &BTreeSet<NodeId>) {
        let done = async {
            loop {
                let leader = self.leader().await;
                match self.log(leader).reconcile(voters, learners, &self.addresses).await {
                    Ok(()) => return,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, done).await.expect("the members are as wished in the end");
    }

    /// The member that leads and may decide, among those that are not cut off.
    pub(crate) async fn leader(&self) -> NodeId {
        let found = async {
            loop {
                let cut = self.cuts.lock().unwrap().clone();
                let leads = |m: &&Member| m.log.leads().borrow().is_some() && !cut.contains(&m.id);
                if let Some(leader) = self.members.values().find(leads) {
                    return leader.id;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("somebody leads in the end")
    }

    pub(crate) async fn followers(&self) -> Vec<NodeId> {
        let leader = self.leader().await;
        self.members.keys().copied().filter(|id| *id != leader).collect()
    }

    pub(crate) fn cut(&self, id: NodeId) {
        self.cuts.lock().unwrap().insert(id);
    }

    pub(crate) fn heal(&self) {
        self.cuts.lock().unwrap().clear();
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let reached = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

fn async_stream(
    listener: TcpListener,
    me: NodeId,
    cuts: Cuts,
) -> impl futures::Stream<Item = io::Result<Conn>> {
    futures::stream::unfold((listener, cuts), move |(listener, cuts)| async move {
        // A caller that gave up before it said who it is must not end the server.
        loop {
            if let Ok(conn) = accept(&listener, me, &cuts).await {
                return Some((Ok(conn), (listener, cuts)));
            }
        }
    })
}

/// Cluster time zero, for what needs a stamp.
pub(crate) const START: Time = Time::ZERO;
