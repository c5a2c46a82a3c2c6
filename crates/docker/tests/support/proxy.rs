//! A way to an engine that can be frozen (it accepts and never answers) and cut.

use std::path::PathBuf;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    Frozen,
    Cut,
}

/// A socket that leads to another.
pub(crate) struct Proxy {
    pub(crate) socket: PathBuf,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// A socket in the temporary folder that leads to `target`, or nowhere.
    pub(crate) fn new(name: &str, target: Option<PathBuf>) -> Self {
        let file = format!("docker-test-{name}-{}.sock", std::process::id());
        let socket = std::env::temp_dir().join(file);
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let way = watch::Sender::new(if target.is_some() { Way::Open } else { Way::Frozen });
        let ways = way.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(lead(client, target.clone(), ways.clone()));
            }
        });
        Self { socket, way }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn lead(mut client: UnixStream, target: Option<PathBuf>, mut ways: watch::Receiver<Way>) {
    let Some(target) = target else { return std::future::pending().await };
    let mut engine = UnixStream::connect(target).await.unwrap();
    loop {
        let way = *ways.borrow_and_update();
        match way {
            Way::Cut => return,
            Way::Frozen => drop(ways.changed().await),
            Way::Open => tokio::select! {
                _ = copy_bidirectional(&mut client, &mut engine) => return,
                _ = ways.changed() => {}
            },
        }
    }
}
