//! What of a host a project asks for or was granted: a power, or a single value of one.

use crate::Power;
use crate::limits::PERMIT_BYTES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A power with one of its values, as `cap_add=SYS_ADMIN`, or the whole of it, as `cap_add`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permit {
    power: Power,
    value: Option<String>,
}

impl Permit {
    /// The whole of a power: of what asks for it nothing less is enough, and whoever is granted it is granted
    /// each of its values.
    pub fn whole(power: Power) -> Self {
        Self { power, value: None }
    }

    /// One value of a power, or the whole of it where it has no values, or none that can be kept.
    pub fn of(power: Power, value: &str) -> Self {
        Self::checked(power, value).unwrap_or(Self::whole(power))
    }

    fn checked(power: Power, value: &str) -> Result<Self, String> {
        if !power.has_values() {
            return Err(format!("`{power}` has no values; write it alone"));
        }
        if value.is_empty() || value.len() > PERMIT_BYTES || value.contains(char::is_control) {
            return Err(format!(
                "expected 1 to {PERMIT_BYTES} bytes without control characters after `{power}=`"
            ));
        }
        let value = if power == Power::CapAdd { capability(value) } else { value.to_owned() };
        Ok(Self { power, value: Some(value) })
    }

    /// The power.
    pub fn power(&self) -> Power {
        self.power
    }

    /// Whether it is the whole of its power.
    pub fn is_whole(&self) -> bool {
        self.value.is_none()
    }

    /// Whether it is granted: itself, or the whole of its power.
    pub fn is_among(&self, granted: &BTreeSet<Self>) -> bool {
        granted.contains(self) || granted.contains(&Self::whole(self.power))
    }
}

/// Capabilities are named in one way: `cap_sys_admin` is `SYS_ADMIN`.
fn capability(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.power),
            None => self.power.fmt(f),
        }
    }
}

impl FromStr for Permit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((power, value)) => Self::checked(power.parse()?, value),
            None => text.parse().map(Self::whole),
        }
    }
}

impl TryFrom<String> for Permit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Permit> for String {
    fn from(permit: Permit) -> Self {
        permit.to_string()
    }
}

/// Permits as a command line takes them: `pid 'volumes=/srv/a b'`.
pub fn listed<'a>(permits: impl IntoIterator<Item = &'a Permit>) -> String {
    permits.into_iter().map(|permit| quoted(&permit.to_string())).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(text: &str) -> Permit {
        text.parse().expect("it is written as it should be")
    }

    #[test]
    fn they_are_kept_as_they_are_written() {
        for text in [
            "pid",
            "cap_add",
            "cap_add=SYS_ADMIN",
            "volumes=/a b",
            "security_opt=seccomp=unconfined",
        ] {
            assert_eq!(permit(text).to_string(), text);
            let kept = serde_json::to_string(&permit(text)).expect("it is a word");
            assert_eq!(kept, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Permit>(&kept).expect("our own"), permit(text));
        }
        assert_eq!(permit("cap_add=cap_sys_admin"), permit("cap_add=SYS_ADMIN"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let long = format!("volumes=/{}", "x".repeat(PERMIT_BYTES));
        for text in ["root", "root=1", "pid=host", "cap_add=", "volumes=/a\u{1b}", &long] {
            assert!(text.parse::<Permit>().is_err(), "{text:?}");
        }
        assert!(Permit::of(Power::Volumes, &long[8..]).is_whole());
        assert!(Permit::of(Power::Pid, "host").is_whole());
    }

    #[test]
    fn the_whole_covers_each_value_and_no_value_the_whole() {
        let granted = |words: &[&str]| words.iter().map(|w| permit(w)).collect::<BTreeSet<_>>();
        let one = permit("devices=/dev/fuse");
        assert!(
            one.is_among(&granted(&["devices"])) && one.is_among(&granted(&["devices=/dev/fuse"]))
        );
        assert!(!one.is_among(&granted(&["devices=/dev/sda", "volumes"])));
        assert!(!permit("devices").is_among(&granted(&["devices=/dev/fuse"])));
    }

    #[test]
    fn lists_can_be_pasted_into_a_shell() {
        let all = [permit("pid"), permit("volumes=/a b"), permit("volumes=/it's")];
        assert_eq!(listed(&all), r"pid 'volumes=/a b' 'volumes=/it'\''s'");
    }
}
