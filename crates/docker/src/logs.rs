//! Logs of one container: lines with their time, as they come.

use crate::hooks::keep_end;
use crate::{Engine, Failure};
use agent::ContainerId;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A stream that is silent for this long is asked whether its engine still answers.
const IDLE: Duration = Duration::from_secs(30);
/// Lines that may wait for their reader.
const WAITING: usize = 256;

/// What is wanted of a container's logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Go on with what comes, until the container ends.
    pub follow: bool,
    /// Only lines at or after this moment, in nanoseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only the last so many lines before what comes.
    pub tail: Option<u32>,
}

/// One line of a log; a very long one comes in several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where the container wrote it.
    pub source: LogSource,
    /// When, in nanoseconds since the Unix epoch, by the engine's clock.
    pub at: i64,
    /// The line, with its newline where it has one.
    pub line: Bytes,
}

/// Where a container wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// Standard output, or its terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Engine {
    /// Lines of a container's log. The stream ends with the container, with an error when the engine
    /// stops answering, or when it is dropped.
    pub async fn logs(
        &self,
        container: &ContainerId,
        request: LogRequest,
    ) -> Result<impl Stream<Item = Result<LogLine, Failure>> + Send + use<>, Failure> {
        let since = request.since.map_or(0, |ns| ns.div_euclid(1_000_000_000));
        let tail = request.tail.map_or_else(|| "all".to_owned(), |n| n.to_string());
        let options = LogsOptionsBuilder::default()
            .follow(request.follow)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .tail(&tail)
            .build();
        let client = self.client().await?;
        let lines = client.logs(&container.0, Some(options)).boxed();
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(forward(self.clone(), lines, request, sender));
        Ok(ReceiverStream::new(receiver))
    }
}

impl Engine {
    /// The last lines of a container that has ended, as far as they can be read and fit into a reason.
    pub(crate) async fn last_lines(&self, container: &ContainerId, lines: usize) -> String {
        let request = LogRequest { tail: u32::try_from(lines).ok(), ..LogRequest::default() };
        let Ok(mut found) = self.logs(container, request).await else { return String::new() };
        let mut end = Vec::new();
        while let Some(Ok(line)) = found.next().await {
            keep_end(&mut end, &line.line);
            keep_end(&mut end, b"\n");
        }
        String::from_utf8_lossy(&end).into_owned()
    }
}

async fn forward(
    engine: Engine,
    mut lines: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    request: LogRequest,
    sender: mpsc::Sender<Result<LogLine, Failure>>,
) {
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(IDLE, lines.next()) => next,
            () = sender.closed() => return,
        };
        let item = match next {
            Ok(None) => return,
            Ok(Some(Ok(output))) => {
                let line = read(output);
                // The engine takes whole seconds only.
                if request.since.is_some_and(|since| line.at < since) {
                    continue;
                }
                Ok(line)
            }
            Ok(Some(Err(error))) => Err(Failure::from(error)),
            Err(_) => match engine.ping().await {
                Ok(()) => continue,
                Err(failure) => Err(failure),
            },
        };
        let ended = item.is_err();
        if sender.send(item).await.is_err() || ended {
            return;
        }
    }
}

fn read(output: LogOutput) -> LogLine {
    let source = match output {
        LogOutput::StdErr { .. } => LogSource::Stderr,
        _ => LogSource::Stdout,
    };
    let bytes = output.into_bytes();
    let (at, line) = stamped(&bytes);
    LogLine { source, at, line }
}

/// Splits `2024-01-02T03:04:05.678901234Z text`. What does not begin with a time has none.
fn stamped(bytes: &Bytes) -> (i64, Bytes) {
    let space = bytes.iter().take(40).position(|b| *b == b' ').unwrap_or(0);
    let stamp = std::str::from_utf8(&bytes[..space]).ok();
    match stamp.and_then(|s| s.parse::<jiff::Timestamp>().ok()) {
        Some(at) => {
            (i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX), bytes.slice(space + 1..))
        }
        None => (0, bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_from_its_time() {
        let (at, line) = stamped(&Bytes::from_static(b"1970-01-01T00:00:01.000000002Z hello\n"));
        assert_eq!((at, line.as_ref()), (1_000_000_002, b"hello\n".as_slice()));
    }

    #[test]
    fn a_line_without_a_time_stays_whole() {
        let (at, line) = stamped(&Bytes::from_static(b"hello world"));
        assert_eq!((at, line.as_ref()), (0, b"hello world".as_slice()));
    }
}
