//! A test runner for tests that need a machine of their own: root, Docker, minutes.
//!
//! Reports like the standard runner (so `cargo test` output reads as one), but can *ignore at run time*:
//! without `E2E=1` in the environment each lab test is reported as ignored, and counted. With `E2E=1` they are
//! mandatory: lacking root or packages is then a failure.

use crate::{LabError, clock, packages};
use std::{
    error::Error,
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

/// What a test says: nothing, or why it failed. Panics count as failures too.
pub type Verdict = Result<(), Box<dyn Error + Send + Sync>>;

/// What a test needs beyond a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    Minutes,
    Lab,
}

/// One named test.
pub struct Trial {
    name: String,
    needs: Needs,
    run: Box<dyn FnOnce() -> Verdict>,
}

impl Trial {
    /// A test that runs everywhere.
    pub fn plain(name: &str, run: impl FnOnce() -> Verdict + 'static) -> Self {
        Self { name: name.to_owned(), needs: Needs::Nothing, run: Box::new(run) }
    }

    /// A test that runs everywhere and takes minutes: with `E2E=1`, or when ignored ones are asked for.
    pub fn long(name: &str, run: impl FnOnce() -> Verdict + 'static) -> Self {
        Self { name: name.to_owned(), needs: Needs::Minutes, run: Box::new(run) }
    }

    /// A test that needs root and Docker, and `E2E=1`.
    pub fn lab(name: &str, run: impl FnOnce() -> Verdict + 'static) -> Self {
        Self { name: name.to_owned(), needs: Needs::Lab, run: Box::new(run) }
    }
}

/// The arguments of the standard runner that mean something here; all others are accepted and ignored.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Wishes {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
    only_ignored: bool,
    with_ignored: bool,
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    ignored: usize,
    filtered: usize,
}

/// Runs the trials one after the other, as the process's arguments wish. Call it from `main` of a test target
/// with `harness = false`.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let wishes = Wishes::read(std::env::args().skip(1));
    let wanted = std::env::var("E2E").is_ok_and(|value| value == "1");
    perform(trials, &wishes, wanted, &mut io::stdout())
}

fn perform(trials: Vec<Trial>, wishes: &Wishes, e2e: bool, output: &mut dyn Write) -> ExitCode {
    let all = trials.len();
    let mut chosen: Vec<Trial> = trials.into_iter().filter(|t| wishes.name(&t.name)).collect();
    let e2e = e2e || wishes.with_ignored || wishes.only_ignored;
    if wishes.only_ignored {
        chosen.retain(|trial| trial.needs != Needs::Nothing);
    }
    if wishes.list {
        for trial in &chosen {
            say(output, &format!("{}: test", trial.name));
        }
        return ExitCode::SUCCESS;
    }
    let started = clock::now();
    say(output, &format!("\nrunning {} tests", chosen.len()));
    let mut tally = Tally { filtered: all - chosen.len(), ..Tally::default() };
    let lab = e2e && chosen.iter().any(|t| t.needs == Needs::Lab);
    let prepared = if lab { packages::install(output) } else { Ok(()) };
    for trial in chosen {
        tally.one(trial, e2e, &prepared, output);
    }
    tally.sum_up(started.elapsed(), output);
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

impl Tally {
    fn one(
        &mut self,
        trial: Trial,
        e2e: bool,
        prepared: &Result<(), LabError>,
        output: &mut dyn Write,
    ) {
        let name = trial.name;
        let _ = write!(output, "test {name} ... ");
        let _ = output.flush();
        let lacks = match trial.needs {
            Needs::Nothing => None,
            Needs::Minutes => Some("takes minutes"),
            Needs::Lab => Some("needs root and Docker"),
        };
        if let Some(lacks) = lacks.filter(|_| !e2e) {
            self.ignored += 1;
            return say(output, &format!("ignored, {lacks}: set E2E=1"));
        }
        let verdict = match prepared {
            Err(error) if trial.needs == Needs::Lab => Err(chain(error)),
            _ => judge(trial.run),
        };
        match verdict {
            Ok(()) => {
                self.passed += 1;
                say(output, "ok");
            }
            Err(reason) => {
                say(output, "FAILED");
                self.failed.push(format!("---- {name} ----\n{reason}\n"));
            }
        }
    }

    fn sum_up(&self, took: std::time::Duration, output: &mut dyn Write) {
        if !self.failed.is_empty() {
            say(output, "\nfailures:\n");
            for failure in &self.failed {
                say(output, failure);
            }
        }
        let result = if self.failed.is_empty() { "ok" } else { "FAILED" };
        let (passed, failed) = (self.passed, self.failed.len());
        let (ignored, filtered) = (self.ignored, self.filtered);
        say(
            output,
            &format!(
                "\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored; \
                 0 measured; {filtered} filtered out; finished in {:.2}s\n",
                took.as_secs_f64()
            ),
        );
    }
}

fn judge(run: Box<dyn FnOnce() -> Verdict>) -> Result<(), String> {
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(chain(error.as_ref())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Wishes {
    fn read(args: impl Iterator<Item = String>) -> Self {
        let mut wishes = Self::default();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => wishes.list = true,
                "--exact" => wishes.exact = true,
                "--ignored" => wishes.only_ignored = true,
                "--include-ignored" => wishes.with_ignored = true,
                "--skip" => wishes.skips.extend(args.next()),
                "--test-threads" | "--color" | "--format" | "--logfile" | "-Z" => {
                    args.next();
                }
                flag if flag.starts_with('-') => {
                    wishes.skips.extend(flag.strip_prefix("--skip=").map(str::to_owned));
                }
                _ => wishes.filters.push(arg),
            }
        }
        wishes
    }

    fn name(&self, name: &str) -> bool {
        let hits =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter) };
        (self.filters.is_empty() || self.filters.iter().any(hits)) && !self.skips.iter().any(hits)
    }
}

fn say(output: &mut dyn Write, line: &str) {
    // A closed pipe must not turn into a failed test.
    let _ = writeln!(output, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Vec<Trial> {
        vec![
            Trial::plain("fine", || Ok(())),
            Trial::plain("refuses", || Err("because".into())),
            Trial::plain("panics", || panic!("at the disco")),
            Trial::lab("needs_a_lab", || Ok(())),
            Trial::long("takes_long", || Err("at last".into())),
        ]
    }

    fn output(args: &[&str]) -> (String, bool) {
        let wishes = Wishes::read(args.iter().map(|&arg| arg.to_owned()));
        let mut output = Vec::new();
        let code = perform(trials(), &wishes, false, &mut output);
        (String::from_utf8(output).unwrap(), code == ExitCode::SUCCESS)
    }

    #[test]
    fn goes_on_after_failures_and_counts() {
        let (text, good) = output(&[]);
        assert!(!good);
        assert!(text.contains("1 passed; 2 failed; 2 ignored; 0 measured; 0 filtered"), "{text}");
        assert!(text.contains("---- refuses ----\nbecause"), "{text}");
        assert!(text.contains("test needs_a_lab ... ignored, needs root"), "{text}");
        assert!(text.contains("test takes_long ... ignored, takes minutes"), "{text}");
        let (text, good) = output(&["--include-ignored", "takes_long"]);
        assert!(!good && text.contains("---- takes_long ----\nat last"), "{text}");
    }

    #[test]
    fn obeys_filters_and_swallows_unknown_flags() {
        let (text, good) =
            output(&["--test-threads", "1", "--nocapture", "-q", "--skip", "panics", "fi", "pan"]);
        assert!(
            good && text.contains("1 passed; 0 failed; 0 ignored; 0 measured; 4 filtered"),
            "{text}"
        );
        let (text, good) = output(&["--list"]);
        assert!(good && text.contains("needs_a_lab: test"), "{text}");
    }
}
