//! How log lines look and where they go: standard error, as text or JSON.
#![expect(
    clippy::print_stderr,
    reason = "the last word of a process that ends before or without its log"
)]

use crate::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts logging.
pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!(
        "{},openraft=off,h2=off,hyper=off,rustls=off,boringtun=off",
        config.log_level
    ))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = match config.log {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| anyhow::anyhow!("logging cannot start: {e}"))
}

/// Makes a panic of any task end the process: a stopped member is safer than one that lives on without a
/// part, and its supervisor starts it again.
pub(crate) fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
}

/// The last word: why the process ends.
pub(crate) fn fatal(why: &anyhow::Error) {
    eprintln!("clusterd: {why:#}");
}
