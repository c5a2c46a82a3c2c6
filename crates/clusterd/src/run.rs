//! The daemon's life: start, serve, stop on a signal.

use crate::config::Config;
use crate::folder::Folder;
use crate::host::Host;
use crate::member::BadIdentity;
use crate::serve::local;
use crate::{control, metrics};
use consensus::{Fatal, OpenError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// Between two looks at whether this host is a manager.
const LOOK: Duration = Duration::from_millis(200);
/// Longest a planned stop may take.
const STOP: Duration = Duration::from_secs(8);

/// Runs until a signal, or until something is wrong that only a person can mend.
pub(crate) async fn daemon(mut config: Config, file: Option<PathBuf>) -> anyhow::Result<()> {
    config.file = file;
    let config = Arc::new(config);
    let folder = Folder::open(&config.data_dir)?;
    let _lock = folder.lock()?;
    let host = Host::new(Arc::clone(&config), folder);
    if let Some(file) = host.folder.read_node()?
        && let Err(why) = local::start(&host, file, None).await
    {
        stand_by(&host, why)?;
    }
    // After the log was opened: what a damaged file does to its reader is caught there.
    crate::logging::end_on_panic();
    control::serve_local(&host)?;
    metrics::serve(Arc::clone(&host), config.metrics).await?;
    // Without systemd there is nobody to notify.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    info!(socket = %config.socket.display(), "clusterd {} serves", env!("CARGO_PKG_VERSION"));
    let (mut term, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        why = fatal(&host) => return Err(why),
    }
    info!("stopping; containers and open connections are left alone");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    if let Ok(member) = host.member()
        && tokio::time::timeout(STOP, member.stop()).await.is_err()
    {
        warn!("stopping took too long and was cut short");
    }
    let _ = std::fs::remove_file(&config.socket);
    Ok(())
}

/// A member whose log or identity is damaged must not take part with it; its host stays to be told to come
/// back under a new identity. Anything else ends the process.
fn stand_by(host: &Host, why: anyhow::Error) -> anyhow::Result<()> {
    let log = why.downcast_ref::<OpenError>();
    let log = matches!(log, Some(OpenError::Damaged { .. } | OpenError::Foreign { .. }));
    if !log && why.downcast_ref::<BadIdentity>().is_none() {
        return Err(why);
    }
    error!(why = format!("{why:#}"), "this node does not take part");
    host.set_broken(Some(format!("{why:#}")));
    Ok(())
}

/// Waits until the log cannot go on. A stopped member is safer than a diverged one; one whose disk was
/// replaced stands by to come back under a new identity.
async fn fatal(host: &Host) -> anyhow::Error {
    loop {
        if let Ok(member) = host.member()
            && let Ok(managing) = member.node.managing()
            && let Ok(why) = tokio::time::timeout(LOOK, managing.log.fatal()).await
        {
            match (&why, host.member()) {
                (Fatal::DiskReplaced, Ok(_)) => {
                    error!(%why, "this node does not take part");
                    host.set_member(None);
                    host.set_broken(Some(why.to_string()));
                    member.shut().await;
                }
                (_, Ok(_)) => return why.into(),
                // A member that leaves stops its log too.
                (_, Err(_)) => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
