//! `exec`: a command in a running replica, as if it were here: standard streams, the terminal and its size, the
//! exit code.

use crate::args::Exec;
use crate::command::logs::bare;
use crate::failure::Failure;
use crate::session::Session;
use api::v1::exec_reply::Part as Reply;
use api::v1::exec_request::Part;
use api::v1::{ExecRequest, ExecStart, Size};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, IsTerminal};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes read from standard input at once.
const PIECE: usize = 16 * 1024;

pub(crate) async fn run(session: &Session, words: Exec) -> Result<(), Failure> {
    needs_terminal(words.tty, words.interactive)?;
    let start = start(session, words).await?;
    match converse(session, start).await? {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::passed(code)),
        None => {
            Err(Failure::unreachable("the connection to the replica ended before the command did")
                .next("`clusterctl ps` shows whether the replica still runs"))
        }
    }
}

/// Refuses a terminal at the other end where there is none at this one.
pub(crate) fn needs_terminal(tty: bool, interactive: bool) -> Result<(), Failure> {
    if tty && interactive && !io::stdin().is_terminal() {
        return Err(Failure::usage("the standard input is no terminal")
            .next("leave out -t, or run this from a terminal"));
    }
    Ok(())
}

/// Ties what is to be started to this program's streams and terminal, until it ends. Returns its exit code, if
/// that was told.
pub(crate) async fn converse(session: &Session, start: ExecStart) -> Result<Option<i64>, Failure> {
    let (tty, interactive) = (start.tty, start.interactive);
    let (sender, receiver) = mpsc::channel(16);
    let send = |part| ExecRequest { part: Some(part) };
    let mut first = vec![send(Part::Start(start))];
    if tty {
        first.extend(size().map(|s| send(Part::Size(s))));
    }
    for request in first {
        sender.try_send(request).expect("the channel is empty and holds more than two");
    }
    let mut client = session.cluster.admin().await?;
    let raw = if tty && interactive { Some(Raw::enter()?) } else { None };
    if interactive {
        tokio::spawn(pass_input(sender.clone()));
    }
    if tty {
        tokio::spawn(pass_size(sender.clone()));
    }
    // Without a standard input the stream stays open: its end would be the end of the call.
    let held = sender;
    let outcome = talk(session, &mut client, receiver).await;
    drop((raw, held));
    outcome
}

async fn start(session: &Session, words: Exec) -> Result<ExecStart, Failure> {
    let (mut names, project) = bare(vec![words.replica], session.global.project.clone())?;
    let project = match project {
        Some(project) => project,
        None => session.project_name().await?,
    };
    Ok(ExecStart {
        command: words.command,
        tty: words.tty,
        interactive: words.interactive,
        user: words.user.unwrap_or_default(),
        workdir: words.workdir.unwrap_or_default(),
        environment: words.env.into_iter().map(variable).collect(),
        project,
        replica: names.pop().unwrap_or_default(),
        ..ExecStart::default()
    })
}

/// `KEY=VALUE`; a bare `KEY` takes the value it has here, as with Docker.
pub(crate) fn variable(text: String) -> String {
    if text.contains('=') {
        return text;
    }
    let value = crate::session::variable(&text).unwrap_or_default();
    format!("{text}={value}")
}

/// Prints what comes until the command ends; returns its exit code, if it was told.
async fn talk(
    session: &Session,
    client: &mut api::v1::admin_client::AdminClient<tonic::transport::Channel>,
    receiver: mpsc::Receiver<ExecRequest>,
) -> Result<Option<i64>, Failure> {
    let failed = |status: tonic::Status| Failure::from_status(&status);
    let reply = client.exec(ReceiverStream::new(receiver)).await.map_err(failed)?;
    let mut stream = reply.into_inner();
    while let Some(reply) = stream.message().await.map_err(failed)? {
        match reply.part {
            Some(Reply::Output(bytes)) => session.out.bytes(&bytes)?,
            Some(Reply::Error(bytes)) => session.out.error_bytes(&bytes)?,
            Some(Reply::ExitCode(code)) => return Ok(Some(code)),
            None => {}
        }
    }
    Ok(None)
}

async fn pass_input(sender: mpsc::Sender<ExecRequest>) {
    let mut input = tokio::io::stdin();
    loop {
        let mut piece = vec![0; PIECE];
        let part = match input.read(&mut piece).await {
            Ok(0) | Err(_) => Part::EndOfInput(true),
            Ok(read) => {
                piece.truncate(read);
                Part::Input(piece)
            }
        };
        let last = matches!(part, Part::EndOfInput(_));
        if sender.send(ExecRequest { part: Some(part) }).await.is_err() || last {
            return;
        }
    }
}

/// Passes on the size of the terminal whenever it changes.
async fn pass_size(sender: mpsc::Sender<ExecRequest>) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
    while changed.recv().await.is_some() {
        let Some(size) = size() else { continue };
        if sender.send(ExecRequest { part: Some(Part::Size(size)) }).await.is_err() {
            return;
        }
    }
}

fn size() -> Option<Size> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    Some(Size { rows: size.ws_row.into(), columns: size.ws_col.into() })
}

/// The terminal passes every key on untouched, until this is dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> Result<Self, Failure> {
        let failed = |e: rustix::io::Errno| {
            Failure::refused(format!("cannot set up the terminal: {e}")).next("leave out -t")
        };
        let before = termios::tcgetattr(io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody left to tell that the terminal cannot be set back.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
