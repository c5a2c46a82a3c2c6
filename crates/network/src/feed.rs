//! The daemon's side: keeps an edge fed, whichever of the two was started first or again.

use crate::control::{self, FromEdge, ToEdge};
use crate::limits::{EDGE_AGAIN, STATUS_EVERY, STATUS_LATE};
use crate::picture::Picture;
use crate::security::{CertificatePair, IdentityFiles};
use crate::status::Status;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The daemon's connection to its edge. It is made anew whenever it breaks, and then all that the edge
/// should know is said again. Dropping it leaves the edge as it is.
#[derive(Debug)]
pub struct Feed {
    picture: watch::Sender<Option<Arc<Picture>>>,
    identity: watch::Sender<Option<IdentityFiles>>,
    certificates: watch::Sender<Option<Vec<CertificatePair>>>,
    state: watch::Receiver<EdgeState>,
    task: JoinHandle<()>,
}

/// What is known of the edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeState {
    /// Its last status; `None` while no edge answers.
    pub status: Option<Status>,
    /// Why it did not load the identity it was last told of.
    pub identity_refused: Option<String>,
}

impl Feed {
    /// Starts feeding the edge whose control socket is `socket`, on the current tokio runtime.
    pub fn start(socket: PathBuf) -> Self {
        let picture = watch::Sender::new(None);
        let identity = watch::Sender::new(None);
        let certificates = watch::Sender::new(None);
        let (sender, state) = watch::channel(EdgeState::default());
        let feeder = Feeder {
            socket,
            picture: picture.subscribe(),
            identity: identity.subscribe(),
            certificates: certificates.subscribe(),
            state: sender,
        };
        Self { picture, identity, certificates, state, task: tokio::spawn(feeder.run()) }
    }

    /// What the edge is to serve from. Of several in quick succession only the last is sent.
    pub fn serve(&self, picture: Picture) {
        self.picture.send_replace(Some(Arc::new(picture)));
    }

    /// The identity was exchanged and lies in these files.
    pub fn identity(&self, files: IdentityFiles) {
        self.identity.send_replace(Some(files));
    }

    /// The certificates of services.
    pub fn certificates(&self, pairs: Vec<CertificatePair>) {
        self.certificates.send_replace(Some(pairs));
    }

    /// What is known of the edge; changes about once a second.
    pub fn state(&self) -> watch::Receiver<EdgeState> {
        self.state.clone()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Feeder {
    socket: PathBuf,
    picture: watch::Receiver<Option<Arc<Picture>>>,
    identity: watch::Receiver<Option<IdentityFiles>>,
    certificates: watch::Receiver<Option<Vec<CertificatePair>>>,
    state: watch::Sender<EdgeState>,
}

impl Feeder {
    async fn run(mut self) {
        let mut wait = EDGE_AGAIN;
        loop {
            if let Ok(edge) = UnixStream::connect(&self.socket).await {
                // However it ended, the answer is to begin again.
                let _ = self.feed(edge).await;
                wait = EDGE_AGAIN;
            }
            self.state.send_if_modified(|state| state.status.take().is_some());
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(STATUS_EVERY);
        }
    }

    async fn feed(&mut self, mut edge: UnixStream) -> io::Result<()> {
        self.identity.mark_changed();
        self.certificates.mark_changed();
        self.picture.mark_changed();
        let mut every = tokio::time::interval(STATUS_EVERY);
        loop {
            let message = tokio::select! {
                biased;
                Ok(()) = self.identity.changed() => {
                    self.identity.borrow_and_update().clone().map(ToEdge::Identity)
                }
                Ok(()) = self.certificates.changed() => {
                    self.certificates.borrow_and_update().clone().map(ToEdge::Certificates)
                }
                Ok(()) = self.picture.changed() => {
                    let picture = self.picture.borrow_and_update().clone();
                    picture.map(|p| ToEdge::Serve(Arc::unwrap_or_clone(p)))
                }
                _ = every.tick() => Some(ToEdge::Status),
            };
            if let Some(message) = message {
                let reply = async {
                    control::send(&mut edge, &message).await?;
                    control::receive::<_, FromEdge>(&mut edge).await
                };
                // A reply that a newer edge words differently is passed over.
                if let Ok(reply) = tokio::time::timeout(STATUS_LATE, reply).await?? {
                    self.heard(reply);
                }
            }
        }
    }

    fn heard(&self, reply: FromEdge) {
        match reply {
            FromEdge::Status(status) => {
                self.state.send_modify(|state| state.status = Some(*status));
            }
            FromEdge::Identity { refused } => {
                self.state.send_modify(|state| state.identity_refused = refused);
            }
            FromEdge::Serving { .. } | FromEdge::Certified | FromEdge::NotUnderstood => {}
        }
    }
}
