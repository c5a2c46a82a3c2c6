//! What a step around a container printed last, in the words of a reason: a few lines, no longer than a reason
//! has room for, and nothing in them that could move a terminal's cursor.

use model::limits::{HOOK_TOLD_BYTES, HOOK_TOLD_LINES};

/// What went wrong, with the end of the output where there is any.
pub(crate) fn with_output(what: String, output: &str) -> String {
    let end = end(output);
    if end.is_empty() { what } else { format!("{what}: {end}") }
}

fn end(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(HOOK_TOLD_LINES)..];
    let told: String = last.join(" | ").chars().map(escaped).collect();
    let over = told.len().saturating_sub(HOOK_TOLD_BYTES);
    if over == 0 {
        return told;
    }
    // The end is what tells why.
    let start = (over..told.len()).find(|i| told.is_char_boundary(*i)).unwrap_or(told.len());
    format!("...{}", &told[start..])
}

fn escaped(c: char) -> String {
    match c {
        '\t' => " ".to_owned(),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::limits::REASON_BYTES;

    #[test]
    fn the_last_lines_are_told() {
        let told = |output| with_output("it failed".into(), output);
        assert_eq!(told(""), "it failed");
        assert_eq!(told(" \n\n"), "it failed");
        assert_eq!(told("a\r\n\n  b\tc \n"), "it failed: a | b c");
        assert_eq!(told("1\n2\n3\n4\n5\n6\n7\n"), "it failed: 3 | 4 | 5 | 6 | 7");
        assert_eq!(told("\x1b[2Jgone"), "it failed: \\u{1b}[2Jgone");
    }

    #[test]
    fn what_is_long_keeps_its_end_within_a_reason() {
        for filler in ["x", "\u{e9}", "\x1b"] {
            let told = with_output("it failed".into(), &format!("{} the end", filler.repeat(999)));
            assert!(told.starts_with("it failed: ...") && told.ends_with(" the end"), "{told}");
            assert!(told.len() < REASON_BYTES, "{}", told.len());
        }
    }
}
