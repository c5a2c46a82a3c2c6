//! `run`: a command in a container of its own that is as a service's, wherever the cluster has room for it. What it
//! prints is shown as it comes, what is typed goes to it where that is asked for, and its exit code is that of this program.

use crate::args::Run;
use crate::command::exec::{converse, needs_terminal, variable};
use crate::command::logs::{bare, show};
use crate::failure::Failure;
use crate::retry;
use crate::session::{Chosen, Session};
use api::v1::{EndRunRequest, ExecStart, LogsQuery, ReplicaSummary, RunRequest};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks at what became of it.
const LOOK: Duration = Duration::from_millis(250);
/// Exit code of one who was interrupted, as shells have it.
const INTERRUPTED: i64 = 130;
/// Conditions of what has a container, or had one.
const RUNS: [&str; 4] = ["running", "unhealthy", "stopping", "ended"];
/// How long its output may go on after it was seen to have ended.
const OVERDUE: Duration = Duration::from_secs(10);

pub(crate) async fn run(session: &Session, words: Run) -> Result<(), Failure> {
    if !words.detach {
        needs_terminal(words.tty, words.interactive)?;
    }
    let (mut names, project) = bare(vec![words.service.clone()], session.global.project.clone())?;
    let service = names.pop().unwrap_or_default();
    let chosen = match project {
        Some(name) => Chosen::of(name, session.fresh().await?),
        None => session.project().await?,
    };
    let name = words.name.clone().unwrap_or_else(|| made_up(&service));
    let run = RunRequest {
        project: chosen.name.clone(),
        service,
        name: name.clone(),
        command: words.command,
        entrypoint: words.entrypoint.into_iter().collect(),
        environment: environment(words.env),
        user: words.user.unwrap_or_default(),
        working_dir: words.workdir.unwrap_or_default(),
        no_deps: words.no_deps,
        tty: words.tty,
        interactive: words.interactive,
        request: None,
    };
    retry::write(&session.cluster, chosen.stamp, async |mut client, id| {
        client.run(RunRequest { request: Some(id), ..run.clone() }).await
    })
    .await?;
    if words.detach {
        return session.out.data(&format!("{name}\n"));
    }
    let (tty, interactive) = (words.tty, words.interactive);
    let one = OneOff { session, project: chosen.name, name, tty, interactive };
    let ended = tokio::select! {
        ended = one.to_its_end() => ended,
        _ = tokio::signal::ctrl_c() => {
            one.take_away().await?;
            return Err(Failure::passed(INTERRUPTED));
        }
    };
    if words.rm {
        one.take_away().await?;
    }
    match ended? {
        0 => Ok(()),
        code => Err(Failure::passed(code)),
    }
}

/// `web-run-5f2c9a11`
fn made_up(service: &str) -> String {
    format!("{service}-run-{:08x}", identity::random::request_bits().0 as u32)
}

fn environment(said: Vec<String>) -> BTreeMap<String, String> {
    let pairs = said.into_iter().map(variable);
    pairs.filter_map(|p| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect()
}

struct OneOff<'a> {
    session: &'a Session,
    project: String,
    name: String,
    tty: bool,
    interactive: bool,
}

impl OneOff<'_> {
    /// Shows what it prints; returns its exit code.
    async fn to_its_end(&self) -> Result<i64, Failure> {
        self.started().await?;
        if self.tty || self.interactive {
            self.attached().await?;
        } else {
            self.logs(true).await?;
        }
        let ended = self.until(&["ended"]).await?;
        ended.exit_code.ok_or_else(|| Failure::refused(&ended.state))
    }

    /// What it prints, and with `follow` what it will.
    async fn logs(&self, follow: bool) -> Result<(), Failure> {
        let (project, names) = (self.project.clone(), vec![self.name.clone()]);
        let query = LogsQuery { project, names, follow, tail: -1, ..LogsQuery::default() };
        show(self.session, query, true).await
    }

    /// Ties this terminal to it, from its start to its end.
    async fn attached(&self) -> Result<(), Failure> {
        if self.until(&RUNS).await?.condition == "ended" {
            return self.logs(false).await;
        }
        let start = ExecStart {
            attach: true,
            tty: self.tty,
            interactive: self.interactive,
            project: self.project.clone(),
            replica: self.name.clone(),
            ..ExecStart::default()
        };
        let talked = tokio::select! {
            talked = converse(self.session, start) => talked.map(drop),
            ended = self.overdue() => ended,
        };
        if talked.is_err() && self.look().await?.is_some_and(|r| r.condition == "ended") {
            // It ended just before: what it printed is all there is.
            return self.logs(false).await;
        }
        talked
    }

    /// Returns when it has ended, and its output should long have.
    async fn overdue(&self) -> Result<(), Failure> {
        self.until(&["ended"]).await?;
        tokio::time::sleep(OVERDUE).await;
        Ok(())
    }

    /// Waits until it is in one of these conditions.
    async fn until(&self, conditions: &[&str]) -> Result<ReplicaSummary, Failure> {
        loop {
            if let Some(replica) = self.look().await?
                && conditions.contains(&replica.condition.as_str())
            {
                return Ok(replica);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until it has a place, and says why it has none yet.
    async fn started(&self) -> Result<(), Failure> {
        let mut said = String::new();
        loop {
            match self.look().await? {
                Some(replica) if !replica.node.is_empty() => return Ok(()),
                Some(replica) if replica.reason != said => {
                    said = replica.reason;
                    self.session.out.say(&format!("{} waits: {said}", self.name));
                }
                _ => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The newest of its replicas, of which there is one at a time.
    async fn look(&self) -> Result<Option<ReplicaSummary>, Failure> {
        let names = [self.name.clone()];
        let reply = self.session.replicas(&self.project, &names, true).await?;
        let placed = |r: &&ReplicaSummary| !r.node.is_empty();
        let newest = reply.replicas.iter().filter(placed).min_by_key(|r| r.age_ms);
        Ok(newest.or(reply.replicas.first()).cloned())
    }

    async fn take_away(&self) -> Result<(), Failure> {
        let stamp = self.session.stamp().await?;
        retry::write(&self.session.cluster, stamp, async |mut client, id| {
            let (project, name) = (self.project.clone(), self.name.clone());
            client.end_run(EndRunRequest { request: Some(id), project, name }).await
        })
        .await
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_what_follows_the_first_sign() {
        let all = environment(vec!["A=1=2".into(), "B=".into()]);
        assert_eq!((all["A"].as_str(), all["B"].as_str()), ("1=2", ""));
    }

    #[test]
    fn names_are_made_of_the_service() {
        assert!(made_up("web").starts_with("web-run-") && made_up("web").len() == 16);
    }
}
