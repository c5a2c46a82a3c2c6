//! Running something once beside a service, and taking it away.

use crate::admin::write::{propose, reply};
use crate::managing::Managing;
use api::v1;
use model::limits::{COMPOSE_BYTES, LABEL_BYTES};
use model::{Command, EndRun, Run};
use tonic::Status;

pub(crate) async fn run(
    managing: &Managing,
    message: v1::RunRequest,
) -> Result<v1::WriteReply, Status> {
    let words = message.command.iter().chain(&message.entrypoint);
    let pairs = message.environment.iter().flat_map(|(key, value)| [key, value]);
    if words.chain(pairs).map(String::len).sum::<usize>() > COMPOSE_BYTES {
        return Err(Status::resource_exhausted("command and environment are larger than 1 MiB"));
    }
    let run = Run {
        project: api::parse("project", &message.project)?,
        service: api::parse("service", &message.service)?,
        name: api::parse("name", &message.name)?,
        command: (!message.command.is_empty()).then_some(message.command),
        entrypoint: (!message.entrypoint.is_empty()).then_some(message.entrypoint),
        environment: message.environment.into_iter().collect(),
        user: said("user", message.user)?,
        working_dir: said("working_dir", message.working_dir)?,
        depends: !message.no_deps,
        tty: message.tty,
        interactive: message.interactive,
    };
    let (index, outcome) = propose(managing, Command::Run(run), message.request).await?;
    Ok(reply(index, &outcome))
}

fn said(field: &str, text: String) -> Result<Option<String>, Status> {
    if text.len() > LABEL_BYTES || text.contains(char::is_control) {
        return Err(Status::invalid_argument(format!(
            "{field}: expected at most {LABEL_BYTES} bytes without control characters"
        )));
    }
    Ok((!text.is_empty()).then_some(text))
}

pub(crate) async fn end(
    managing: &Managing,
    message: v1::EndRunRequest,
) -> Result<v1::WriteReply, Status> {
    let project = api::parse("project", &message.project)?;
    let name = api::parse("name", &message.name)?;
    let command = Command::EndRun(EndRun { project, name });
    let (index, outcome) = propose(managing, command, message.request).await?;
    Ok(reply(index, &outcome))
}
