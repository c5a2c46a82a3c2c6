//! The daemon's life: start, serve, stop on a signal.

use crate::config::Config;
use crate::folder::Folder;
use crate::host::Host;
use crate::serve::local;
use crate::{control, metrics};
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
    crate::logging::end_on_panic();
    let config = Arc::new(config);
    let folder = Folder::open(&config.data_dir)?;
    let host = Host::new(Arc::clone(&config), folder);
    if let Some(file) = host.folder.read_node()?
        && let Err(why) = local::start(&host, file, None).await
    {
        stand_by(&host, why)?;
    }
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

/// A member whose log is damaged must not take part with it; its host stays to be told to come back under
/// a new identity. Anything else ends the process.
fn stand_by(host: &Host, why: anyhow::Error) -> anyhow::Result<()> {
    use consensus::OpenError;
    match why.downcast_ref::<OpenError>() {
        Some(OpenError::Damaged { .. } | OpenError::Foreign { .. }) => {
            error!(why = format!("{why:#}"), "this node does not take part");
            host.set_broken(Some(format!("{why:#}")));
            Ok(())
        }
        _ => Err(why),
    }
}

/// Waits until the log cannot go on. A stopped member is safer than a diverged one.
async fn fatal(host: &Host) -> anyhow::Error {
    loop {
        if let Ok(managing) = host.member().and_then(|m| m.node.managing()) {
            let fatal = tokio::time::timeout(LOOK, managing.log.fatal()).await;
            // A member that leaves stops its log too.
            if let (Ok(why), Ok(_)) = (fatal, host.member()) {
                return why.into();
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
