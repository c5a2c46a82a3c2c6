//! Reaching a replica: on this host at its bridge address, on another one through that node's edge.

use crate::core::Core;
use crate::peer::{Peer, within};
use crate::route::Target;
use crate::security::Security;
use crate::socket;
use crate::stream::Stream;
use crate::wire::{self, Answer, Connect, Greeting, Question};
use model::Protocol;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};
use tokio_util::sync::CancellationToken;

/// Why a replica did not take a connection, and so what is to be avoided.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The replica.
    Replica(String),
    /// Its whole node: the edge there does not answer.
    Node(String),
    /// Nobody, as far as is known: no connection to its node was ready in time.
    Slow,
}

/// A connection that a replica has taken.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) stream: Stream,
    /// Cancelled when the link to the replica's node is given up; `None` on this host.
    pub(crate) link: Option<CancellationToken>,
}

/// Connects to a replica within `patience`.
pub(crate) async fn reach(
    core: &Arc<Core>,
    lane: usize,
    target: &Target,
    patience: Duration,
) -> Result<Reached, Miss> {
    if !target.remote {
        let address = SocketAddr::new(target.address, target.port);
        return match local(address, patience).await {
            Ok(tcp) => Ok(Reached { stream: Stream::Plain(tcp), link: None }),
            Err(error) => Err(Miss::Replica(format!("{address}: {error}"))),
        };
    }
    match over_mesh(core, target, patience / 2).await {
        Some(Ok(tcp)) => {
            let link = core.lanes[lane].peer(target.node).map(|peer| peer.carried());
            Ok(Reached { stream: Stream::Plain(tcp), link })
        }
        Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(Miss::Replica(format!("{}:{}: {error}", target.address, target.port)))
        }
        // Whatever is wrong with the mesh, there is another way.
        _ => remote(core, lane, target, Protocol::Tcp, patience).await,
    }
}

/// Connects to a replica of another host at its own address. `None` where that is no way, or a worse one: the mesh
/// encrypts nothing, and what edges would protect on its way is not to travel in the clear.
async fn over_mesh(
    core: &Core,
    target: &Target,
    patience: Duration,
) -> Option<io::Result<TcpStream>> {
    if !matches!(core.config.security, Security::Plain) {
        return None;
    }
    let doorway = core.picture.borrow().doorway(target.node, target.address)?;
    let connect = async {
        let socket = TcpSocket::new_v4()?;
        // Let through by the other host as one of its network; see the rules of the mesh.
        socket.bind(SocketAddr::from((doorway, 0)))?;
        let tcp = socket.connect(SocketAddr::new(target.address, target.port)).await?;
        socket::tune(&tcp);
        Ok(tcp)
    };
    Some(within(patience, connect).await)
}

/// Connects to an address of this host's bridge.
pub(crate) async fn local(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let tcp = within(patience, TcpStream::connect(address)).await?;
    socket::tune(&tcp);
    Ok(tcp)
}

/// Has the edge of the replica's node connect to it.
pub(crate) async fn remote(
    core: &Arc<Core>,
    lane: usize,
    target: &Target,
    protocol: Protocol,
    patience: Duration,
) -> Result<Reached, Miss> {
    let Some(peer) = core.lanes[lane].peer(target.node) else {
        return Err(Miss::Node("its node has no edge".into()));
    };
    let connect = Connect {
        task: target.task,
        target: target.port,
        protocol,
        index: core.picture.borrow().index(),
        // Less than ours: that the replica is silent is to be told apart from silence of its node.
        patience: patience * 4 / 5,
    };
    let asked = tokio::time::timeout(patience, ask(core, &peer, connect, patience)).await;
    let (stream, answer) = match asked {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => {
            peer.suspect();
            return Err(Miss::Node(error.to_string()));
        }
        Err(_) => return Err(Miss::Slow),
    };
    if answer == Answer::Connected {
        return Ok(Reached { stream, link: Some(peer.carried()) });
    }
    peer.put(stream);
    Err(Miss::Replica(format!("the edge of node {} says: {}", peer.node, words(answer))))
}

/// Asks over an idle connection, or over the next one that is dialled when there is none that lives.
async fn ask(
    core: &Arc<Core>,
    peer: &Arc<Peer>,
    connect: Connect,
    patience: Duration,
) -> io::Result<(Stream, Answer)> {
    loop {
        if let Some(answered) = ask_idle(peer, connect, patience * 9 / 10).await? {
            return Ok(answered);
        }
        peer.arrival(core).await;
    }
}

/// Goes through the idle connections until one answers. One that has ended was closed while it was idle;
/// one that is silent says that the link is broken.
async fn ask_idle(
    peer: &Peer,
    connect: Connect,
    patience: Duration,
) -> io::Result<Option<(Stream, Answer)>> {
    while let Some(mut stream) = peer.take() {
        let answered = async {
            wire::ask(&mut stream, Question::Connect(connect)).await?;
            wire::answered(&mut stream).await
        };
        match within(patience, answered).await {
            Ok(answer) => return Ok(Some((stream, answer))),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Dials another edge and greets it. Its welcome is yet to be read.
pub(crate) async fn greeted(core: &Core, peer: &Peer) -> io::Result<Stream> {
    let greeting = {
        let current = core.picture.borrow();
        let picture = current.picture.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Greeting { cluster: picture.cluster.clone(), node: picture.node }
    };
    let tcp = TcpStream::connect(peer.address).await?;
    socket::tune(&tcp);
    let mut stream = match &core.config.security {
        Security::Plain => Stream::Plain(tcp),
        Security::Tls(tls) => {
            let config = (tls.client)().ok_or_else(|| io::Error::other("no identity yet"))?;
            let connector = TlsConnector::from(Arc::clone(&config));
            let stream = connector.connect((tls.name)(peer.node), tcp).await?;
            Stream::Tls(Box::new(TlsStream::Client(stream)))
        }
    };
    wire::greet(&mut stream, &greeting).await?;
    Ok(stream)
}

fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::Here | Answer::Connected => "an answer to another question",
        Answer::Refused => "the replica refused",
        Answer::Silent => "the replica did not answer",
        Answer::Unknown => "no such replica",
        Answer::Leaving => "the replica is stopping",
        Answer::Full => "too many connections",
    }
}
