//! One daemon as a process of its own, without an engine, a founded cluster of one node; and what is needed to
//! call it as anybody: channels from any source, certificates of every kind, the calls there are.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

pub(crate) mod calls;
pub(crate) mod certificates;

use api::v1;
use api::v1::admin_client::AdminClient;
use api::v1::local_client::LocalClient;
use hyper_util::rt::TokioIo;
use identity::server_name;
use model::NodeId;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint, Uri};

/// Long enough for anything that is to happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Started with the most careless mask there is: what protects a file is the daemon's own doing.
const SCRIPT: &str = "umask 000; exec \"$0\" --config \"$1\"";

/// The daemon, and where it lives.
pub(crate) struct Daemon {
    child: Child,
    folder: TempDir,
    control: SocketAddr,
    /// The cluster's words when it was founded.
    pub(crate) founded: v1::InitReply,
}

impl Daemon {
    /// A founded cluster of one node.
    pub(crate) async fn founded() -> Self {
        let folder = TempDir::new().unwrap();
        let control = configure(&folder);
        let child = spawn(&folder);
        let mut daemon = Self { child, folder, control, founded: v1::InitReply::default() };
        let request = v1::InitRequest {
            advertise: "127.0.0.1".into(),
            name: "one".into(),
            mesh: "none".into(),
            ..v1::InitRequest::default()
        };
        let mut local = LocalClient::new(daemon.local().await);
        daemon.founded = local.init(request).await.unwrap().into_inner();
        daemon.leads().await;
        daemon
    }

    /// Kills it and starts it again on what it left.
    pub(crate) async fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.folder);
        self.leads().await;
    }

    async fn leads(&self) {
        let fresh = async {
            loop {
                let mut admin = AdminClient::new(self.local().await);
                let status = admin.status(v1::ReadRequest::default()).await;
                if status.is_ok_and(|s| s.into_inner().read.is_some_and(|read| !read.stale)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, fresh).await.expect("it leads in the end");
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("clusterd.sock")
    }

    /// A channel over the Unix socket, once it is there.
    pub(crate) async fn local(&self) -> Channel {
        let path = self.socket();
        let connected = async {
            loop {
                let path = path.clone();
                let connector = tower::service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                match endpoint().connect_with_connector(connector).await {
                    Ok(channel) => return channel,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.expect("the socket is served in the end")
    }

    /// An administrator at the Unix socket.
    pub(crate) async fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.local().await)
    }

    /// A connection to the control port from 127.0.0.`source`, with nothing said yet.
    pub(crate) async fn connect(&self, source: u8) -> io::Result<TcpStream> {
        connect(self.control, source).await
    }

    /// The same after the handshake, as whoever has that side of TLS.
    pub(crate) async fn shake(
        &self,
        config: &Arc<ClientConfig>,
        source: u8,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.connect(source).await?;
        TlsConnector::from(Arc::clone(config)).connect(server_name(NodeId(1)), stream).await
    }

    /// A channel over the control port.
    pub(crate) async fn channel(
        &self,
        config: &Arc<ClientConfig>,
        source: u8,
    ) -> Result<Channel, tonic::transport::Error> {
        let (config, control) = (Arc::clone(config), self.control);
        let connector = tower::service_fn(move |_: Uri| {
            let config = Arc::clone(&config);
            async move {
                let stream = connect(control, source).await?;
                let name = server_name(NodeId(1));
                TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
            }
        });
        endpoint().connect_with_connector(connector).await
    }

    /// The most memory that the daemon ever had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kilobytes.parse::<u64>().unwrap() << 10
    }

    /// How many nodes the cluster has.
    pub(crate) async fn nodes(&self) -> usize {
        let read = v1::ReadRequest::default();
        self.admin().await.nodes(read).await.unwrap().into_inner().nodes.len()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The edge is a child of the daemon, and outlives it on purpose.
        let config = self.folder.path().join("clusterd.toml").display().to_string();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let ours = words.split(|byte| *byte == 0).any(|word| word == config.as_bytes());
            if let Some(id) = id.and_then(rustix::process::Pid::from_raw)
                && ours
            {
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
        }
    }
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://cluster").connect_timeout(Duration::from_secs(20))
}

async fn connect(control: SocketAddr, source: u8) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, source), 0).into())?;
    socket.connect(control).await
}

fn configure(folder: &TempDir) -> SocketAddr {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [free(), free(), free()];
    let [control, edge, metrics] = ports.each_ref().map(|port| port.local_addr().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "data_dir = {:?}\nsecrets_dir = {:?}\nsocket = {:?}\ndocker_socket = {:?}\n\
         listen = \"{control}\"\nedge_listen = \"{edge}\"\nmetrics = \"{metrics}\"\nlog_level = \"error\"\n",
        at("data"),
        at("secrets"),
        at("clusterd.sock"),
        at("no-engine.sock"),
    );
    fs::write(folder.path().join("clusterd.toml"), text).unwrap();
    control
}

fn spawn(folder: &TempDir) -> Child {
    let config = folder.path().join("clusterd.toml");
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, env!("CARGO_BIN_EXE_clusterd")]).arg(config);
    command.env_remove("CLUSTERD_CONFIG").env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}
