//! Scenarios in plain text: a script of commands with what came of each printed below it. The same text
//! is the input and the expected output.
//!
//! ```text
//! # What this shows.
//! > hosts 3
//! > deploy shop
//! >   services:
//! >     web: {image: web, deploy: {replicas: 2}}
//!    0.1s  shop deployed, release 1
//! > wait 5s
//! ```
//!
//! Lines that start with `>` are the script, `#` starts a comment, the rest is rewritten. The commands are
//! listed at `perform` in `perform.rs`; a duration is `3s`, `250ms` or `24h`; a host is its name or `leader`.

pub(crate) use player::{Line, Player};

mod amend;
mod ends;
mod faults;
mod perform;
mod player;
mod show;
mod stage;

use stage::Stage;

/// Plays a scenario and returns it with what came of it. `Err` names the line that cannot be understood,
/// or the invariant that broke.
pub fn replay(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut stage: Option<Stage> = None;
    for block in blocks(text) {
        for line in &block.lines {
            out.push_str(line);
            out.push('\n');
        }
        let Some(command) = &block.command else { continue };
        let said = perform::perform(&mut stage, command, &block.document)
            .map_err(|e| format!("`{command}`: {e}"))?;
        for line in said {
            out.push_str("  ");
            out.push_str(line.trim_end());
            out.push('\n');
        }
        if let Some(broken) = stage.as_ref().and_then(Stage::broken) {
            return Err(format!("after `{command}`: {broken}\n{out}"));
        }
    }
    Ok(out)
}

/// A command with its document, or lines without a command.
#[derive(Default)]
struct Block {
    lines: Vec<String>,
    command: Option<String>,
    document: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(">   ") {
            if let Some(block) = blocks.last_mut().filter(|b| b.command.is_some()) {
                block.lines.push(line.to_owned());
                block.document.push_str(rest);
                block.document.push('\n');
            }
        } else if let Some(command) = line.strip_prefix('>') {
            let command = Some(command.trim().to_owned());
            blocks.push(Block { lines: vec![line.to_owned()], command, document: String::new() });
        } else if line.starts_with('#') || line.is_empty() {
            blocks.push(Block { lines: vec![line.to_owned()], ..Block::default() });
        }
    }
    blocks
}
