//! Attaching to the main process of a container, with or without a terminal.

use crate::engine::SHORT;
use crate::exec::read;
use crate::failure::within;
use crate::{Engine, ExecOutput, Failure};
use agent::ContainerId;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use futures::{Stream, StreamExt};
use std::fmt;
use std::pin::Pin;
use tokio::io::AsyncWrite;

/// The streams of a container's main process. Dropping it closes its input where that is open once, and
/// leaves the container to itself.
pub struct Attached {
    /// What it wrote since its start, then what it writes, until it ends.
    pub output: Pin<Box<dyn Stream<Item = Result<ExecOutput, Failure>> + Send>>,
    /// Its standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

impl Engine {
    /// Attaches to what a container runs; of one that has ended comes what it wrote. What it wrote before is
    /// missing where its log is kept nowhere.
    ///
    /// # Errors
    /// When the engine does not answer or has no such container.
    pub async fn attach(&self, container: &ContainerId, stdin: bool) -> Result<Attached, Failure> {
        let client = self.client().await?;
        let found = within(SHORT, client.inspect_container(&container.0, None)).await?;
        let options = AttachContainerOptionsBuilder::default()
            .logs(keeps_log(&found))
            // Of one that has ended nothing more comes, and the engine would not say so.
            .stream(!has_ended(&found))
            .stdin(stdin)
            .stdout(true)
            .stderr(true)
            .build();
        let attached = within(SHORT, client.attach_container(&container.0, Some(options))).await?;
        let output = attached.output.map(|piece| piece.map(read).map_err(Failure::from));
        Ok(Attached { output: Box::pin(output), input: attached.input })
    }

    /// Tells the terminal of a container's main process its size, in characters.
    ///
    /// # Errors
    /// When the engine does not answer, or the container does not run.
    pub async fn resize(
        &self,
        container: &ContainerId,
        width: u16,
        height: u16,
    ) -> Result<(), Failure> {
        let options =
            ResizeContainerTTYOptionsBuilder::default().w(width.into()).h(height.into()).build();
        within(SHORT, self.client().await?.resize_container_tty(&container.0, options)).await
    }
}

fn keeps_log(found: &ContainerInspectResponse) -> bool {
    let log = found.host_config.as_ref().and_then(|host| host.log_config.as_ref());
    log.and_then(|log| log.typ.as_deref()) != Some("none")
}

fn has_ended(found: &ContainerInspectResponse) -> bool {
    let status = found.state.as_ref().and_then(|state| state.status);
    matches!(status, Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD))
}
