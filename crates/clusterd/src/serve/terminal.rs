//! Ties what runs in a container to the two streams of a call: what it prints goes to the person, what the person
//! types goes to it.

use agent::ContainerId;
use api::v1::{self, exec_reply::Part as Reply, exec_request::Part};
use docker::{Attached, Engine, Exec, ExecOutput, Failure};
use std::pin::Pin;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

/// Replies of a call.
pub(crate) type Replies = Pin<Box<dyn Stream<Item = Result<v1::ExecReply, Status>> + Send>>;

/// Pieces of output on their way.
const WINDOW: usize = 64;

/// What runs, by the name that the engine knows it by.
#[derive(Clone)]
enum Process {
    /// A command beside a container's own.
    Command(String),
    /// A container's own.
    Main(ContainerId),
}

/// A command that was started, until it ends; its exit code comes last.
pub(crate) fn command(engine: Engine, running: Exec, input: Streaming<v1::ExecRequest>) -> Replies {
    let process = Process::Command(running.id);
    tie(engine, process, running.output, running.input, input)
}

/// A container's main process, until it ends; how it ended is for the state of its task to say.
pub(crate) fn main_process(
    engine: Engine,
    container: ContainerId,
    attached: Attached,
    input: Streaming<v1::ExecRequest>,
) -> Replies {
    tie(engine, Process::Main(container), attached.output, attached.input, input)
}

fn tie(
    engine: Engine,
    process: Process,
    mut output: Pin<Box<dyn Stream<Item = Result<ExecOutput, Failure>> + Send>>,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    input: Streaming<v1::ExecRequest>,
) -> Replies {
    let (sender, receiver) = mpsc::channel(WINDOW);
    let typing = tokio::spawn(type_into(engine.clone(), process.clone(), stdin, input));
    tokio::spawn(async move {
        // Also while the process is silent it must be noticed that nobody listens any more.
        tokio::select! {
            () = sender.closed() => {}
            () = tell(&engine, &process, &mut output, &sender) => {}
        }
        typing.abort();
    });
    Box::pin(ReceiverStream::new(receiver))
}

/// Passes on what a process prints, then how it ended.
async fn tell(
    engine: &Engine,
    process: &Process,
    output: &mut (impl Stream<Item = Result<ExecOutput, Failure>> + Unpin),
    sender: &mpsc::Sender<Result<v1::ExecReply, Status>>,
) {
    let reply = |part| Ok(v1::ExecReply { part: Some(part) });
    while let Some(piece) = output.next().await {
        let piece = match piece {
            Ok(piece) if piece.stderr => reply(Reply::Error(piece.bytes.to_vec())),
            Ok(piece) => reply(Reply::Output(piece.bytes.to_vec())),
            Err(why) => Err(super::containers::failed(&why)),
        };
        if sender.send(piece).await.is_err() {
            return;
        }
    }
    let Process::Command(id) = process else { return };
    let end = match engine.exec_exit(id).await {
        Ok(code) => reply(Reply::ExitCode(code.unwrap_or(0))),
        Err(why) => Err(super::containers::failed(&why)),
    };
    let _ = sender.send(end).await;
}

async fn type_into(
    engine: Engine,
    process: Process,
    mut stdin: Pin<Box<dyn AsyncWrite + Send>>,
    mut input: Streaming<v1::ExecRequest>,
) {
    while let Ok(Some(message)) = input.message().await {
        let written = match message.part {
            Some(Part::Input(bytes)) => stdin.write_all(&bytes).await,
            Some(Part::EndOfInput(_)) => stdin.shutdown().await,
            Some(Part::Size(size)) => {
                let (width, height) = (size.columns as u16, size.rows as u16);
                // A process that ended has no terminal any more.
                let _ = match &process {
                    Process::Command(id) => engine.exec_resize(id, width, height).await,
                    Process::Main(container) => engine.resize(container, width, height).await,
                };
                Ok(())
            }
            Some(Part::Start(_)) | None => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
    let _ = stdin.shutdown().await;
}
