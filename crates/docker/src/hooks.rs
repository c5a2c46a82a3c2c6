//! Commands around the life of a container, run inside of it: each once, however often it is asked for.

use crate::engine::SHORT;
use crate::exec::ExecRequest;
use crate::failure::within;
use crate::{Engine, Failure};
use agent::{ActionResult, ContainerId};
use futures::StreamExt;
use model::{Hook, limits::HOOK_OUTPUT_BYTES};
use std::time::Duration;

/// Between two questions whether a command that others began has ended.
const ASK_EVERY: Duration = Duration::from_millis(250);

impl Engine {
    pub(crate) async fn prepare_hook(&self, container: &ContainerId, hook: &Hook) -> ActionResult {
        let request = ExecRequest {
            command: hook.command.clone(),
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            environment: hook.environment.clone(),
            privileged: hook.privileged,
            ..ExecRequest::default()
        };
        match self.exec_create(container, request).await {
            Ok(exec) => ActionResult::Prepared(exec),
            Err(failure) => failure.into_result(),
        }
    }

    /// Runs a command that was got ready, or waits for one that runs, for `limit` at most. The container is
    /// the answer when the command's end is its own.
    pub(crate) async fn run_hook(
        &self,
        container: &ContainerId,
        exec: &str,
        limit: Duration,
    ) -> ActionResult {
        let mut tail = Vec::new();
        let ran = tokio::time::timeout(limit, self.run_to_end(exec, &mut tail)).await;
        let code = match ran {
            Ok(Ok(code)) => code,
            Ok(Err(failure)) => return failure.into_result(),
            Err(_) => None,
        };
        if code != Some(0) {
            match self.inspect(container).await {
                Ok(found) if !found.as_ref().is_some_and(agent::Container::running) => {
                    return ActionResult::Done(found);
                }
                Ok(_) => {}
                Err(failure) => return failure.into_result(),
            }
        }
        ActionResult::Ended { code, output: String::from_utf8_lossy(&tail).into_owned() }
    }

    /// Exit code of a command, once it has ended; `None` when the engine does not know it any more.
    async fn run_to_end(&self, exec: &str, tail: &mut Vec<u8>) -> Result<Option<i64>, Failure> {
        match self.exec_start(exec.to_owned(), false).await {
            Ok(mut running) => {
                while let Some(piece) = running.output.next().await {
                    keep_end(tail, &piece?.bytes);
                }
            }
            Err(failure) if failure.not_found() => return Ok(None),
            // It was begun before, by a daemon that is no more.
            Err(failure) if failure.conflict() => {}
            // One that cannot be begun has ended, with what the engine says as its output.
            Err(failure @ Failure::Refused { .. }) => {
                keep_end(tail, failure.to_string().as_bytes());
            }
            Err(failure) => return Err(failure),
        }
        self.exec_code(exec).await
    }

    async fn exec_code(&self, exec: &str) -> Result<Option<i64>, Failure> {
        let client = self.client().await?;
        loop {
            match within(SHORT, client.inspect_exec(exec)).await {
                Ok(found) if found.running != Some(true) && found.exit_code.is_some() => {
                    return Ok(found.exit_code);
                }
                Ok(_) => {}
                Err(failure) if failure.not_found() => return Ok(None),
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// Appends, and forgets what is too far from the end.
pub(crate) fn keep_end(tail: &mut Vec<u8>, more: &[u8]) {
    tail.extend_from_slice(&more[more.len().saturating_sub(HOOK_OUTPUT_BYTES)..]);
    tail.drain(..tail.len().saturating_sub(HOOK_OUTPUT_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_output_is_kept() {
        let mut tail = Vec::new();
        keep_end(&mut tail, b"first ");
        keep_end(&mut tail, &[b'x'; HOOK_OUTPUT_BYTES - 1]);
        assert_eq!((tail.len(), tail[0]), (HOOK_OUTPUT_BYTES, b' '));
        keep_end(&mut tail, &[b'y'; 3 * HOOK_OUTPUT_BYTES]);
        assert_eq!(tail, [b'y'; HOOK_OUTPUT_BYTES]);
    }
}
