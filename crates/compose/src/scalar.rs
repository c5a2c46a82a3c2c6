//! Typed scalars of the Compose Specification: durations, sizes, processor time, numbers, booleans; to and
//! from text. An `Err` says what was expected, to be put after the word "expected".

use std::time::Duration;

const DURATION: &str = "a duration such as `1m30s`, with units h, m, s, ms, us or ns";
const SIZE: &str = "a size such as `512m`, with units b, k, m or g";
const CPUS: &str = "a number of cores such as `0.5`";

/// `1h5m30s20ms` as the specification has it; a bare `0` too.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest == "0" {
        return Ok(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(DURATION)?;
        let (number, after) = rest.split_at(digits);
        let units = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(units);
        total = total.checked_add(span(number, unit).ok_or(DURATION)?).ok_or(DURATION)?;
        rest = after;
    }
    if text.is_empty() || total > Duration::from_secs(366 * 24 * 3600) {
        return Err(DURATION.into());
    }
    Ok(total)
}

fn span(number: &str, unit: &str) -> Option<Duration> {
    let nanos: u128 = match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let total = scaled(number, nanos)?;
    u64::try_from(total).ok().map(Duration::from_nanos)
}

/// A decimal number times a whole one, cut to a whole one.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.len() <= 18 && s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let value = |s: &str| if s.is_empty() { Some(0) } else { s.parse::<u128>().ok() };
    let part = value(part)? * factor / 10u128.pow(u32::try_from(part.len()).ok()?);
    value(whole)?.checked_mul(factor)?.checked_add(part)
}

/// The shortest text that reads back as the same duration.
pub(crate) fn duration_text(d: Duration) -> String {
    let mut rest = d.as_nanos();
    if rest == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    let units =
        [(3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms")];
    for (nanos, unit) in units.into_iter().chain([(1_000, "us"), (1, "ns")]) {
        if rest >= nanos {
            out.push_str(&(rest / nanos).to_string());
            out.push_str(unit);
            rest %= nanos;
        }
    }
    out
}

/// Bytes from `64m`, `1.5gb`, `1048576`; units count in 1024s, as Docker's do.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(SIZE.into()),
    };
    let total = scaled(number, 1u128 << shift).ok_or(SIZE)?;
    if total > u128::from(model::limits::NODE_MEMORY) {
        return Err(format!("{SIZE}, at most {} TiB", model::limits::NODE_MEMORY >> 40));
    }
    u64::try_from(total).map_err(|_| SIZE.into())
}

/// Thousandths of a core from `0.5`; less than one thousandth counts as one.
pub(crate) fn milli_cpus(text: &str) -> Result<u64, String> {
    let total = scaled(text.trim(), 1_000_000_000).ok_or(CPUS)?;
    let milli = (total + 500_000) / 1_000_000;
    let milli = if total > 0 { milli.max(1) } else { 0 };
    if milli > u128::from(model::limits::NODE_MILLI_CPUS) {
        return Err(format!("{CPUS}, at most {}", model::limits::NODE_MILLI_CPUS / 1000));
    }
    u64::try_from(milli).map_err(|_| CPUS.into())
}

/// Thousandths of a core as the file has them.
pub(crate) fn milli_cpus_text(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number from 0 to `most`.
pub(crate) fn count(most: u32) -> impl Fn(&str) -> Result<u32, String> {
    move |text| match text.trim().parse::<u32>() {
        Ok(n) if n <= most => Ok(n),
        _ => Err(format!("a whole number from 0 to {most}")),
    }
}

/// A whole number within bounds.
pub(crate) fn integer<T>(least: i64, most: i64) -> impl Fn(&str) -> Result<T, String>
where
    T: TryFrom<i64>,
{
    move |text| {
        let number = text.trim().parse::<i64>().ok().filter(|n| (least..=most).contains(n));
        number.and_then(|n| T::try_from(n).ok()).ok_or_else(|| match most {
            i64::MAX => format!("a whole number, at least {least}"),
            _ => format!("a whole number from {least} to {most}"),
        })
    }
}

/// Microseconds, as a bare number or as a duration.
pub(crate) fn micros(text: &str) -> Result<u64, String> {
    let number = text.trim().parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok());
    let span = || duration(text).ok().and_then(|d| u64::try_from(d.as_micros()).ok());
    number.or_else(span).ok_or_else(|| "microseconds, or a duration such as `50ms`".to_owned())
}

/// A number of any size that is not negative.
pub(crate) fn decimal(text: &str) -> Result<(), String> {
    scaled(text.trim(), 1).map(|_| ()).ok_or_else(|| "a number".to_owned())
}

/// A part of a whole, from 0 to 1, in millionths.
pub(crate) fn ratio(text: &str) -> Result<u32, String> {
    scaled(text.trim(), 1_000_000)
        .and_then(|n| u32::try_from(n).ok())
        .filter(|n| *n <= 1_000_000)
        .ok_or_else(|| "a number from 0 to 1".to_owned())
}

/// The mode of a file in octal. Without a leading zero YAML makes it a decimal number, which nobody means.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.trim().strip_prefix('0').map(|d| d.trim_start_matches('o'));
    digits
        .and_then(|d| if d.is_empty() { Some(0) } else { u32::from_str_radix(d, 8).ok() })
        .filter(|m| *m <= 0o7777)
        .ok_or_else(|| "the mode of a file in octal with a leading zero, such as `0440`".to_owned())
}

/// A port number.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse::<u16>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("a port from 1 to 65535".into()),
    }
}

/// The spellings that Docker Compose takes for a boolean.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" | "1" => Ok(true),
        "false" | "n" | "no" | "off" | "0" => Ok(false),
        _ => Err("`true` or `false`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ok = |s: &str| duration(s).map(duration_text);
        assert_eq!(ok("1h5m30s20ms"), Ok("1h5m30s20ms".into()));
        assert_eq!(ok("90s"), Ok("1m30s".into()));
        assert_eq!(ok("1.5s"), Ok("1s500ms".into()));
        assert_eq!(ok("0"), Ok("0s".into()));
        assert_eq!(ok("10us7ns"), Ok("10us7ns".into()));
        for wrong in
            ["", "10", "s", "1x", "-1s", "1..5s", "99999999999999999999h", "1e3s", "9999999h"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        let table =
            [("64m", 64 << 20), ("1.5gb", 3 << 29), ("2K", 2048), ("10", 10), ("1 MiB", 1 << 20)];
        for (text, expected) in table {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for wrong in ["", "m", "-1", "1x", "1e9", "99999999999999999999", "9000t"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn processor_time() {
        let table =
            [("0.5", 500), ("2", 2000), (".25", 250), ("0.0001", 1), ("1.0006", 1001), ("0", 0)];
        for (text, expected) in table {
            assert_eq!(milli_cpus(text), Ok(expected), "{text}");
            assert_eq!(milli_cpus(&milli_cpus_text(expected)), Ok(expected), "{text}");
        }
        for wrong in ["", ".", "-1", "many", "1e3", "100000"] {
            assert!(milli_cpus(wrong).is_err(), "{wrong}");
        }
    }
}
