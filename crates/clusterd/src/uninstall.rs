//! Removing everything of the cluster from this host. The daemon must not be running.

use crate::config::Config;
use crate::files;
use crate::folder::Folder;
use agent::{Action, ActionResult, Container};
use anyhow::bail;
use futures::future::join_all;
use std::time::Duration;
use tracing::{info, warn};

/// How long a container may take to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Stops and removes the cluster's containers and networks, its rules and routes, then the data folder. Volumes stay, with their
/// data.
pub(crate) async fn uninstall(config: &Config) -> anyhow::Result<()> {
    if tokio::net::UnixStream::connect(&config.socket).await.is_ok() {
        bail!(
            "the daemon is running; `clusterctl leave` and stop it first (`systemctl stop clusterd`)"
        );
    }
    let folder = Folder::open(&config.data_dir)?;
    if let Some(file) = folder.read_node()? {
        let engine = docker::Engine::open(&config.docker_socket, file.cluster);
        remove_containers(&engine).await?;
    }
    stop_edge(&folder);
    files::clear(config)?;
    clear_mesh().await;
    std::fs::remove_dir_all(&config.data_dir)?;
    info!("removed {}", config.data_dir.display());
    Ok(())
}

pub(crate) async fn remove_containers(engine: &docker::Engine) -> anyhow::Result<()> {
    let found = engine.observe().await?;
    // Side by side: each may take its time to stop.
    join_all(found.containers.iter().map(|container| remove(engine, container))).await;
    for project in found.networks {
        let cluster = engine.cluster().clone();
        engine.execute(&Action::RemoveNetworks { project, cluster }).await;
    }
    Ok(())
}

async fn remove(engine: &docker::Engine, container: &Container) {
    let (task, id) = (container.task, container.id.clone());
    let stop = Action::Stop { task, container: id.clone(), grace: GRACE };
    let stopped = engine.execute(&stop).await;
    let removed = engine.execute(&Action::Remove { task, container: id }).await;
    for result in [stopped, removed] {
        if let ActionResult::Again(why) | ActionResult::Never(why) | ActionResult::Unanswered(why) =
            result
        {
            warn!(%why, "container of task {task}");
        }
    }
}

/// Takes the mesh out of the kernel. A host without the programs for it never had one.
pub(crate) async fn clear_mesh() {
    match network::mesh::remove().await {
        Ok(()) | Err(network::mesh::Trouble::Missing { .. }) => {}
        Err(why) => warn!(%why, "rules or routes of the mesh were left behind"),
    }
}

/// Ends the edge by the process number that its status told the daemon.
pub(crate) fn stop_edge(folder: &Folder) {
    let Ok(text) = std::fs::read_to_string(folder.edge().join("edge.pid")) else { return };
    let command = std::fs::read(format!("/proc/{}/cmdline", text.trim())).unwrap_or_default();
    // The number may long be another process's.
    if !command.split(|b| *b == 0).any(|word| word == b"edge") {
        return;
    }
    let process = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    if let Some(process) = process {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
}
