//! Everything that this program prints goes through here: data to standard output, everything said about
//! it (progress, remarks, banners, errors) to standard error. Never decides what to say.

use crate::failure::Failure;
use crate::text;
use anstyle::{AnsiColor, Style};
use api::v1::ReadInfo;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Where to print, and how. Also the right to print: all of it goes through a value of this type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// Data as JSON.
    pub(crate) json: bool,
    /// Colours on standard output.
    pub(crate) colour: bool,
    /// Colours on standard error.
    colour_said: bool,
}

#[expect(clippy::unused_self, reason = "printing goes through the value that says how")]
impl Out {
    /// Colours only on terminals that want them (`NO_COLOR`, `CLICOLOR_FORCE` and `TERM` are heeded).
    pub(crate) fn new(json: bool) -> Self {
        let wants = |choice| choice != anstream::ColorChoice::Never;
        Self {
            json,
            colour: wants(anstream::AutoStream::choice(&io::stdout())),
            colour_said: wants(anstream::AutoStream::choice(&io::stderr())),
        }
    }

    /// Prints a text that ends with a line break.
    pub(crate) fn data(self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Prints bytes as they are: what a container wrote.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// As [`Out::bytes`], to standard error.
    pub(crate) fn error_bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stderr().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Prints a document, indented.
    pub(crate) fn document(self, value: &Value) -> Result<(), Failure> {
        self.data(&format!("{value:#}\n"))
    }

    /// Prints a document on one line, for streams.
    pub(crate) fn record(self, value: &Value) -> Result<(), Failure> {
        self.data(&format!("{value}\n"))
    }

    /// Prints either a table (made only when wanted) or a document.
    pub(crate) fn either(
        self,
        table: impl FnOnce() -> String,
        document: impl FnOnce() -> Value,
    ) -> Result<(), Failure> {
        if self.json { self.document(&document()) } else { self.data(&table()) }
    }

    /// A line about what happens. Left out with `--json`, where only the outcome counts.
    pub(crate) fn say(self, line: &str) {
        if !self.json {
            self.said(line);
        }
    }

    /// A line that a person should not miss, with `--json` too.
    pub(crate) fn warn(self, line: &str) {
        let label = self.paint(Style::new().fg_color(Some(AnsiColor::Yellow.into())), "warning:");
        self.said(&format!("{label} {line}"));
    }

    /// Says how old the data is, when it is not the cluster's latest.
    pub(crate) fn banner(self, read: Option<&ReadInfo>) {
        if let Some(text) = read.and_then(banner) {
            let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
            self.said(&self.paint(style, &text));
        }
    }

    /// Why the command failed, and what to do next.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        self.said(&format!("{} {}", self.paint(red, "error:"), failure.message));
        if let Some(next) = &failure.next {
            self.said(&format!("{} {next}", self.paint(Style::new().bold(), "next:")));
        }
    }

    fn said(self, line: &str) {
        // Nobody reads the standard error: there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    fn paint(self, style: Style, text: &str) -> String {
        paint(self.colour_said, style, text)
    }

    /// Columns and rows of the terminal that data goes to, if it does.
    pub(crate) fn screen(self) -> Option<(usize, usize)> {
        io::stdout().is_terminal().then(|| size(io::stdout()))
    }

    /// Whether progress can be redrawn in place, and in which colours.
    pub(crate) fn live(self) -> Option<bool> {
        (!self.json && io::stderr().is_terminal()).then_some(self.colour_said)
    }
}

/// The text in that style, when colours are wanted.
pub(crate) fn paint(colour: bool, style: Style, text: &str) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Columns and rows of the terminal on standard error.
pub(crate) fn terminal_size() -> (usize, usize) {
    size(io::stderr())
}

fn size(of: impl std::os::fd::AsFd) -> (usize, usize) {
    match rustix::termios::tcgetwinsize(of) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    }
}

/// What to say of a read that is not linearizable.
fn banner(read: &ReadInfo) -> Option<String> {
    if !read.stale {
        return None;
    }
    let age = match read.age_ms {
        u64::MAX => "of unknown age".to_owned(),
        millis => format!("{} old", text::age(Duration::from_millis(millis))),
    };
    let mut banner = format!("*** {age}: what {} knows by itself", text::safe(&read.served_by));
    if !read.why_stale.is_empty() {
        let _ = write!(banner, ", because: {}", text::safe(&read.why_stale));
    }
    banner.push_str(" ***");
    Some(banner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_says_age_place_and_reason() {
        let fresh = ReadInfo { served_by: "node1".into(), ..ReadInfo::default() };
        assert_eq!(banner(&fresh), None);
        let stale = ReadInfo {
            stale: true,
            age_ms: 12_345,
            why_stale: "no quorum (1/3)".into(),
            ..fresh.clone()
        };
        let text = "*** 12s old: what node1 knows by itself, because: no quorum (1/3) ***";
        assert_eq!(banner(&stale).as_deref(), Some(text));
        let asked = ReadInfo { why_stale: String::new(), ..stale };
        assert_eq!(banner(&asked).as_deref(), Some("*** 12s old: what node1 knows by itself ***"));
    }
}
