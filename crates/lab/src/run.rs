//! Runs programs and waits for them, with a deadline; never leaves one behind.

use crate::{LabError, clock};
use std::{
    io::Read,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

/// Longest that an ordinary system program (`ip`, `nft`, ...) may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, as text.
    pub stdout: String,
    /// Its standard error, as text.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Finished {
    /// Whether it said yes.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Turns a failure into an error.
    ///
    /// # Errors
    /// [`LabError::Command`] unless the exit code is 0.
    pub fn ok(self) -> Result<Self, LabError> {
        if self.success() {
            return Ok(self);
        }
        let status =
            self.code.map_or("ended by a signal".to_owned(), |code| format!("exit {code}"));
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let message = text.trim().to_owned();
        Err(LabError::Command { command: self.command, status, message })
    }
}

/// Runs to the end, at most two minutes.
pub(crate) fn finish(command: &mut Command) -> Result<Finished, LabError> {
    finish_within(command, LIMIT)
}

/// Runs to the end; kills it at the deadline.
pub(crate) fn finish_within(command: &mut Command, limit: Duration) -> Result<Finished, LabError> {
    let text = words(command);
    let started = clock::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(LabError::io("start", command.get_program()))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let waited = clock::wait_until(
        &format!("the end of `{text}`"),
        "its output above, or run it by hand",
        limit,
        Duration::from_millis(2),
        || child.try_wait().map_err(LabError::io("wait for", command.get_program())),
    );
    if waited.is_err() {
        // It may have ended in between; then there is nothing to kill.
        let _ = child.kill();
        let _ = child.wait();
    }
    let status: ExitStatus = waited?;
    let join = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Finished {
        command: text,
        code: status.code(),
        stdout: join(stdout),
        stderr: join(stderr),
        took: started.elapsed(),
    })
}

/// Runs a system program and insists on success: `sys("ip", &["link", "show"])`.
pub(crate) fn sys(program: &str, args: &[&str]) -> Result<Finished, LabError> {
    finish(Command::new(program).args(args))?.ok()
}

/// Runs a system program whose failure is as good as its success (removing what may not be there).
pub(crate) fn try_sys(program: &str, args: &[&str]) {
    let _ = finish(Command::new(program).args(args));
}

/// The command line as a person would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = std::iter::once(command.get_program());
    let all: Vec<_> = program.chain(command.get_args()).map(|w| w.to_string_lossy()).collect();
    all.join(" ")
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe leaves what arrived before it.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
