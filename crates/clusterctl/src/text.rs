//! Text for people: escaping of what others wrote, sizes, ages, durations. Pure.

use std::fmt::Write as _;
use std::time::Duration;

/// Whether a character could move a terminal's cursor, hide, or turn the reading direction.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{061C}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// One line of somebody else's text, with everything escaped that is not plainly visible.
pub(crate) fn safe(text: &str) -> String {
    escaped(text, |_| false)
}

/// As [`safe`], but line breaks stay.
pub(crate) fn safe_lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

fn escaped(text: &str, keep: fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if unprintable(c) && !keep(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Columns that a text takes, colours not counted. Every character counts as one column.
pub(crate) fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut in_escape = false;
    for c in text.chars() {
        match (in_escape, c) {
            (false, '\x1b') => in_escape = true,
            (true, 'm') => in_escape = false,
            (true, _) => {}
            (false, _) => columns += 1,
        }
    }
    columns
}

/// The text in at most that many columns; when cut, it ends with an ellipsis. Not for coloured text.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns > 0 {
        out.push('…');
    }
    out
}

/// Bytes as `512MiB`, `1.5GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && amount < 9.95 && (amount * 10.0).round() % 10.0 != 0.0);
    format!("{amount:.digits$}{}", UNITS[unit])
}

/// Thousandths of a core as `0.25`, `4`.
pub(crate) fn cores(milli: u64) -> String {
    let mut text = (milli / 1000).to_string();
    let rest = milli % 1000;
    if rest > 0 {
        let _ = write!(text, ".{rest:03}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// How long ago, in its largest unit: `4s`, `12m`, `3h`, `9d`.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long something took: `1.2s`, `2m 5s`.
pub(crate) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    format!("{}m {}s", seconds / 60, seconds % 60)
}

/// Reads `90s`, `5m`, `1h30m`, `250ms`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{}\" is no duration; write 30s, 5m or 1h30m", safe(text));
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let amount: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = amount.checked_mul(millis).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(part)).ok_or_else(wrong)?;
        rest = &rest[unit..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_shown_and_not_obeyed() {
        assert_eq!(safe("a\x1b[31mb\nc\u{202e}d\u{9b}"), "a\\u{1b}[31mb\\u{a}c\\u{202e}d\\u{9b}");
        assert_eq!(safe_lines("a\nb\r"), "a\nb\\u{d}");
        assert_eq!(safe("shöp – ok"), "shöp – ok");
    }

    #[test]
    fn sizes_and_cores_are_short() {
        let sizes = [0, 1023, 1024, 1536, 512 << 20, 10 << 30, (1 << 30) - 1];
        let shown: Vec<String> = sizes.into_iter().map(size).collect();
        assert_eq!(shown, ["0B", "1023B", "1KiB", "1.5KiB", "512MiB", "10GiB", "1GiB"]);
        assert_eq!([250, 4_000, 1_500, 10].map(cores), ["0.25", "4", "1.5", "0.01"]);
    }

    #[test]
    fn ages_have_one_unit() {
        let shown = [5, 59, 61, 3_700, 90_000, 200_000].map(|s| age(Duration::from_secs(s)));
        assert_eq!(shown, ["5s", "59s", "1m", "1h", "25h", "2d"]);
        assert_eq!(took(Duration::from_millis(1_234)), "1.2s");
        assert_eq!(took(Duration::from_secs(125)), "2m 5s");
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text: &str| duration(text).map(|d| d.as_millis());
        assert_eq!(read("90"), Ok(90_000));
        assert_eq!(read("5m"), Ok(300_000));
        assert_eq!(read("1h30m"), Ok(5_400_000));
        assert_eq!(read("250ms"), Ok(250));
        for wrong in ["", "5x", "m", "-3s", "5m3", "99999999999999999999s", "ß"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn widths_ignore_colours_and_cuts_are_marked() {
        assert_eq!(width("\x1b[32m ✔\x1b[0m web"), 6);
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("abcd", 0), "");
    }
}
