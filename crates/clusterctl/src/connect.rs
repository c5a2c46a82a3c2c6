//! Reaching a cluster: over the Unix socket of this host's daemon, or with a client certificate over the
//! control port of any manager. Owns which way is taken and the connection; never repeats a call (see
//! `retry`).

use crate::contexts::{Context, Contexts, LOCAL};
use crate::failure::{Failure, chain};
use api::v1::admin_client::AdminClient;
use api::v1::local_client::LocalClient;
use hyper_util::rt::TokioIo;
use identity::{Tls, server_name};
use model::NodeId;
use model::limits::{CONTROL_PORT, MESSAGE_BYTES};
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// Where the daemon listens unless told otherwise.
const SOCKET: &str = "/run/clusterd.sock";
/// Deadline for connecting to one member, handshake included.
const CONNECT: Duration = Duration::from_secs(3);
/// Pings on a silent connection, and how long one may go unanswered.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Which way to take, before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The daemon of this host.
    Socket(PathBuf),
    /// A context, by name.
    Context(String),
}

/// What was said about the way, from the strongest to the weakest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) socket_flag: Option<PathBuf>,
    pub(crate) context_flag: Option<String>,
    pub(crate) socket_variable: Option<String>,
    pub(crate) context_variable: Option<String>,
    /// The context chosen with `context use`.
    pub(crate) current: Option<String>,
}

/// The way that all that was said amounts to.
pub(crate) fn way(said: Said) -> Way {
    let named =
        |name: String| if name == LOCAL { Way::Socket(SOCKET.into()) } else { Way::Context(name) };
    let context_variable = said.context_variable.filter(|name| !name.is_empty());
    let socket_variable = said.socket_variable.filter(|path| !path.is_empty());
    if let Some(path) = said.socket_flag {
        return Way::Socket(path);
    }
    if let Some(name) = said.context_flag.or(context_variable) {
        return named(name);
    }
    match (socket_variable, said.current) {
        (Some(path), _) => Way::Socket(path.into()),
        (None, Some(name)) => named(name),
        (None, None) => Way::Socket(SOCKET.into()),
    }
}

/// The way for what is about this host: always its socket.
pub(crate) fn local_way(said: Said) -> Result<Way, Failure> {
    if said.context_flag.is_some() {
        return Err(Failure::usage("this command is about the host it runs on")
            .next("run it on that host, without --context"));
    }
    Ok(way(Said { context_variable: None, current: None, ..said }))
}

enum Target {
    Socket(PathBuf),
    Members { tls: Arc<Tls>, members: Vec<String> },
}

/// A cluster to be asked. Connects when first asked, and again after [`Cluster::forget`].
pub(crate) struct Cluster {
    target: Target,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    channel: Option<Channel>,
    /// The member to try next.
    next: usize,
}

impl Cluster {
    /// Prepares the way; opens nothing yet.
    pub(crate) fn new(
        way: Way,
        contexts: impl FnOnce() -> Result<Contexts, Failure>,
    ) -> Result<Self, Failure> {
        let target = match way {
            Way::Socket(path) => Target::Socket(path),
            Way::Context(name) => {
                let context = contexts()?.load(&name)?;
                Target::Members { tls: tls(&context, &name)?, members: context.members }
            }
        };
        Ok(Self { target, open: Mutex::default() })
    }

    /// For what people ask of the cluster.
    pub(crate) async fn admin(&self) -> Result<AdminClient<Channel>, Failure> {
        let client = AdminClient::new(self.channel().await?);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES))
    }

    /// For what is about the daemon itself.
    pub(crate) async fn local(&self) -> Result<LocalClient<Channel>, Failure> {
        Ok(LocalClient::new(self.channel().await?))
    }

    /// Drops the connection; the next call tries the next member.
    pub(crate) fn forget(&self) {
        let mut open = self.open.lock().expect("no panic while held");
        open.channel = None;
        open.next += 1;
    }

    async fn channel(&self) -> Result<Channel, Failure> {
        let (kept, next) = {
            let open = self.open.lock().expect("no panic while held");
            (open.channel.clone(), open.next)
        };
        if let Some(channel) = kept {
            return Ok(channel);
        }
        let channel = match &self.target {
            Target::Socket(path) => to_socket(path).await?,
            Target::Members { tls, members } => to_any(tls, members, next).await?,
        };
        self.open.lock().expect("no panic while held").channel = Some(channel.clone());
        Ok(channel)
    }
}

fn tls(context: &Context, name: &str) -> Result<Arc<Tls>, Failure> {
    let tls = Tls::new(&context.certificate, &context.key, &context.authority);
    tls.map(Arc::new).map_err(|e| {
        Failure::refused(format!("the context {name} cannot be used: {}", chain(&e)))
            .next("make a new one on a node: `clusterctl context new NAME --out FILE`")
    })
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://cluster")
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

async fn to_socket(path: &Path) -> Result<Channel, Failure> {
    let open = path.to_path_buf();
    let connector = tower::service_fn(move |_: Uri| {
        let path = open.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let connected = endpoint().connect_with_connector(connector).await;
    connected.map_err(|e| socket_failure(path, &e))
}

fn socket_failure(path: &Path, error: &(dyn StdError + 'static)) -> Failure {
    let cause = find_io(error);
    let why = cause.map_or_else(|| chain(error), ToString::to_string);
    let failure =
        Failure::unreachable(format!("cannot reach clusterd at {}: {why}", path.display()));
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => {
            failure.next("run this as root, or as a member of the socket's group")
        }
        _ => failure.next("is clusterd running on this host? `systemctl status clusterd`"),
    }
}

/// Tries the members one after the other, beginning with the one whose turn it is.
async fn to_any(tls: &Arc<Tls>, members: &[String], first: usize) -> Result<Channel, Failure> {
    let mut problems = Vec::new();
    for turn in 0..members.len() {
        let member = with_port(&members[(first + turn) % members.len()]);
        match to_member(tls, &member).await {
            Ok(channel) => return Ok(channel),
            Err(e) => problems.push(member_problem(&member, &e)),
        }
    }
    Err(Failure::unreachable(format!(
        "no member of the cluster answers:\n  {}",
        problems.join("\n  ")
    ))
    .next("is this host allowed to reach their control port, and does clusterd run there?"))
}

fn member_problem(member: &str, error: &(dyn StdError + 'static)) -> String {
    if let Some(why) = identity::explain(error, member) {
        return why;
    }
    let why = find_io(error).map_or_else(|| chain(error), ToString::to_string);
    format!("{member}: {why}")
}

/// The member with the default control port, when it names none.
fn with_port(member: &str) -> String {
    let bare_v6 = member.parse::<std::net::Ipv6Addr>().is_ok();
    match member.rsplit_once(':') {
        _ if bare_v6 => format!("[{member}]:{CONTROL_PORT}"),
        Some((_, port)) if port.parse::<u16>().is_ok() => member.to_owned(),
        _ => format!("{member}:{CONTROL_PORT}"),
    }
}

async fn to_member(tls: &Arc<Tls>, member: &str) -> Result<Channel, tonic::transport::Error> {
    let (tls, member) = (Arc::clone(tls), member.to_owned());
    let connector = tower::service_fn(move |_: Uri| {
        let (config, member) = (tls.any_manager_config(), member.clone());
        async move {
            let stream = TcpStream::connect(member).await?;
            stream.set_nodelay(true)?;
            // Any manager will do, so the name is not looked at.
            let name = server_name(NodeId(1));
            TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
        }
    });
    endpoint().connect_with_connector(connector).await
}

fn find_io<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut current: Option<&'a (dyn StdError + 'static)> = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(path: &str) -> Way {
        Way::Socket(path.into())
    }

    #[test]
    fn flags_win_over_variables_and_those_over_the_current_context() {
        assert_eq!(way(Said::default()), socket(SOCKET));
        let current = Said { current: Some("prod".into()), ..Said::default() };
        assert_eq!(way(current.clone()), Way::Context("prod".into()));
        let variable = Said { socket_variable: Some("/a".into()), ..current };
        assert_eq!(way(variable.clone()), socket("/a"));
        let both = Said { context_variable: Some("test".into()), ..variable };
        assert_eq!(way(both.clone()), Way::Context("test".into()));
        let flag = Said { socket_flag: Some("/b".into()), ..both.clone() };
        assert_eq!(way(flag), socket("/b"));
        let local = Said { context_flag: Some(LOCAL.into()), ..both };
        assert_eq!(way(local), socket(SOCKET));
    }

    #[test]
    fn what_is_about_this_host_never_goes_elsewhere() {
        let said = Said {
            current: Some("prod".into()),
            context_variable: Some("prod".into()),
            socket_variable: Some("/a".into()),
            ..Said::default()
        };
        assert_eq!(local_way(said.clone()), Ok(socket("/a")));
        let flag = Said { context_flag: Some("prod".into()), ..said };
        assert_eq!(local_way(flag).unwrap_err().exit.code(), 2);
    }

    #[test]
    fn members_get_the_default_port() {
        assert_eq!(with_port("10.0.0.1"), "10.0.0.1:7070");
        assert_eq!(with_port("10.0.0.1:7171"), "10.0.0.1:7171");
        assert_eq!(with_port("fd00::1"), "[fd00::1]:7070");
        assert_eq!(with_port("[fd00::1]:7"), "[fd00::1]:7");
        assert_eq!(with_port("node1.example"), "node1.example:7070");
    }
}
