//! Says the commands of a scenario one after the other, as they are made up, and keeps what was said.

use super::perform::perform;
use super::stage::Stage;
use crate::cluster::Cluster;

/// A command of a scenario, with the document below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) command: String,
    pub(crate) document: String,
}

impl Line {
    /// A command without a document.
    pub(crate) fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), document: String::new() }
    }

    /// As it is written in a scenario.
    pub(crate) fn written(&self) -> String {
        let mut text = format!("> {}\n", self.command);
        for line in self.document.lines() {
            text.push_str(format!(">   {line}").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A scenario that is being made up.
#[derive(Default)]
pub(crate) struct Player {
    stage: Option<Stage>,
    /// Everything that was said.
    pub(crate) said: Vec<Line>,
}

impl Player {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The cluster, once `hosts` was said.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.stage.as_ref().expect("`hosts` is said first").cluster
    }

    /// Says one command. `Err` is what broke.
    pub(crate) fn say(&mut self, command: &str) -> Result<(), String> {
        self.say_line(Line::new(command))
    }

    /// Says several.
    pub(crate) fn say_all(&mut self, lines: Vec<Line>) -> Result<(), String> {
        lines.into_iter().try_for_each(|line| self.say_line(line))
    }

    pub(crate) fn say_line(&mut self, line: Line) -> Result<(), String> {
        let done = perform(&mut self.stage, &line.command, &line.document);
        self.said.push(line);
        done.map_err(|e| format!("`{}`: {e}", self.said[self.said.len() - 1].command))?;
        let stage = self.stage.as_mut().ok_or("`hosts` comes first")?;
        stage.shut_eyes();
        stage.broken().map_or(Ok(()), Err)
    }
}
