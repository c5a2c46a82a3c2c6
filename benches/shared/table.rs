//! The table at the end of each bench: what, ours, the other side's, the ratio, the aim, and whether it is met.

use std::fmt::Write as _;
use std::io::Write as _;

/// What a row is held against.
#[derive(Clone, Debug)]
pub enum Aim {
    /// Nothing: the figure stands for itself.
    None,
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is at least this.
    AtLeast(f64),
    /// Ours, divided by the other side's, is at least this.
    RatioAtLeast(f64),
    /// Ours, divided by the other side's, is at most this.
    RatioAtMost(f64),
    /// All of them.
    All(Vec<Aim>),
}

impl Aim {
    /// Whether it is met; `None` when nothing can be said.
    fn met(&self, ours: f64, other: Option<f64>) -> Option<bool> {
        let ratio = other.map(|other| ours / other);
        match self {
            Self::None => None,
            Self::AtMost(limit) => Some(ours <= *limit),
            Self::AtLeast(limit) => Some(ours >= *limit),
            Self::RatioAtLeast(limit) => ratio.map(|ratio| ratio >= *limit),
            Self::RatioAtMost(limit) => ratio.map(|ratio| ratio <= *limit),
            Self::All(aims) => {
                let met: Vec<_> = aims.iter().map(|aim| aim.met(ours, other)).collect();
                if met.contains(&Some(false)) {
                    return Some(false);
                }
                met.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Self::None => "-".into(),
            Self::AtMost(limit) => format!("<= {}", number(*limit)),
            Self::AtLeast(limit) => format!(">= {}", number(*limit)),
            Self::RatioAtLeast(limit) => format!(">= {}x", number(*limit)),
            Self::RatioAtMost(limit) => format!("<= {}x", number(*limit)),
            Self::All(aims) => aims.iter().map(Self::words).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Rows that are shown at the end.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 6]>);

impl Table {
    /// Adds a figure with its unit, and the other side's with a name for it.
    pub fn row(
        &mut self,
        what: &str,
        ours: f64,
        unit: &str,
        other: Option<(f64, &str)>,
        aim: &Aim,
    ) {
        let value = other.map(|(value, _)| value).filter(|value| value.is_finite());
        let met = if ours.is_finite() { aim.met(ours, value) } else { Some(false) };
        let met = match met {
            Some(true) => "yes",
            Some(false) if matches!(aim, Aim::None) => "not measured",
            Some(false) => "NO",
            None if matches!(aim, Aim::None) => "",
            None => "?",
        };
        let other = other.map_or("-".into(), |(v, who)| format!("{} {unit} ({who})", number(v)));
        let ratio = value.map_or("-".into(), |value| format!("{:.2}x", ours / value));
        let ours = format!("{} {unit}", number(ours));
        self.0.push([what.into(), ours, other, ratio, aim.words(), met.into()]);
    }

    /// Shows the rows as a Markdown table.
    pub fn show(&self) {
        say("");
        say("| what | ours | other side | ratio | aim | met? |");
        say("|---|--:|--:|--:|---|---|");
        for row in &self.0 {
            let line = row.iter().fold(String::from("|"), |mut line, cell| {
                let _ = write!(line, " {cell} |");
                line
            });
            say(&line);
        }
    }
}

/// Three digits that matter, and separators in what is large.
fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "none".into(),
        size if size >= 10_000.0 => format!("{:.0} k", value / 1e3),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A line for whoever reads the bench.
pub fn say(line: &str) {
    // A closed pipe must not end the measurement before it has cleaned up.
    let mut output = std::io::stdout();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}

/// Says what is measured, on which machine and beside how much other work.
pub fn heading(what: &str) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    say(&format!("\n# {what} ({cores} cores, load average before it began: {load})"));
    if cfg!(debug_assertions) {
        say("built without optimisation: these figures say nothing; use `cargo bench`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_without_its_other_side_is_not_met_by_luck() {
        let both = Aim::All(vec![Aim::AtMost(6.0), Aim::RatioAtMost(0.5)]);
        assert_eq!(both.met(5.0, Some(20.0)), Some(true));
        assert_eq!(both.met(5.0, Some(6.0)), Some(false));
        assert_eq!(both.met(5.0, None), None);
        assert_eq!(both.met(7.0, None), Some(false));
    }
}
