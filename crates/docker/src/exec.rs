//! Running a command inside a container, with or without a terminal.

use crate::engine::SHORT;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::ContainerId;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Deadline of starting a command.
const START: Duration = Duration::from_secs(30);
/// Between two questions for an exit code, which comes a moment after the end of the output.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Questions for an exit code.
const ASK_TIMES: u32 = 250;

/// A command to run inside a container. Its `Debug` form shows no environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// With standard input.
    pub stdin: bool,
    /// As this user instead of the container's.
    pub user: Option<String>,
    /// In this folder instead of the container's.
    pub working_dir: Option<String>,
    /// More environment.
    pub environment: BTreeMap<String, String>,
    /// With everything that the host's root may do.
    pub privileged: bool,
}

impl fmt::Debug for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecRequest").field("command", &self.command).finish_non_exhaustive()
    }
}

/// A piece of what the command wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// It came from standard error; never with a terminal.
    pub stderr: bool,
    /// The piece.
    pub bytes: Bytes,
}

/// A running command. Dropping it closes its input and leaves it to itself.
pub struct Exec {
    /// Its identity, for [`Engine::exec_resize`] and [`Engine::exec_exit`].
    pub id: String,
    /// What it writes, until it ends.
    pub output: Pin<Box<dyn Stream<Item = Result<ExecOutput, Failure>> + Send>>,
    /// Its standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs a command inside a running container.
    pub async fn exec(
        &self,
        container: &ContainerId,
        request: ExecRequest,
    ) -> Result<Exec, Failure> {
        let tty = request.tty;
        let id = self.exec_create(container, request).await?;
        self.exec_start(id, tty).await
    }

    /// Gets a command ready to be run inside a running container. Returns its identity.
    pub(crate) async fn exec_create(
        &self,
        container: &ContainerId,
        request: ExecRequest,
    ) -> Result<String, Failure> {
        let environment = request.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let options = CreateExecOptions {
            attach_stdin: Some(request.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(request.tty),
            env: Some(environment),
            cmd: Some(request.command),
            user: request.user,
            working_dir: request.working_dir,
            privileged: Some(request.privileged),
            ..CreateExecOptions::default()
        };
        let client = self.client().await?;
        Ok(within(SHORT, client.create_exec(&container.0, options)).await?.id)
    }

    /// Runs a command that was got ready; refused when it runs already, or ran.
    pub(crate) async fn exec_start(&self, id: String, tty: bool) -> Result<Exec, Failure> {
        let client = self.client().await?;
        let start = StartExecOptions { tty, ..StartExecOptions::default() };
        match within(START, client.start_exec(&id, Some(start))).await? {
            StartExecResults::Attached { output, input } => {
                let output = output.map(|piece| piece.map(read).map_err(Failure::from));
                Ok(Exec { id, output: Box::pin(output), input })
            }
            StartExecResults::Detached => {
                Err(Failure::Unreadable("it detached a command that was to be attached".into()))
            }
        }
    }

    /// Tells a command's terminal its size, in characters.
    pub async fn exec_resize(&self, id: &str, width: u16, height: u16) -> Result<(), Failure> {
        let options = ResizeExecOptions { height, width };
        within(SHORT, self.client().await?.resize_exec(id, options)).await
    }

    /// Exit code of a command whose output has ended; `None` while it still runs, as one does that closed
    /// its output and went on.
    pub async fn exec_exit(&self, id: &str) -> Result<Option<i64>, Failure> {
        let client = self.client().await?;
        for _ in 0..ASK_TIMES {
            let found = within(SHORT, client.inspect_exec(id)).await?;
            if found.running == Some(false) {
                return Ok(found.exit_code);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(None)
    }
}

pub(crate) fn read(piece: LogOutput) -> ExecOutput {
    let stderr = matches!(piece, LogOutput::StdErr { .. });
    ExecOutput { stderr, bytes: piece.into_bytes() }
}
