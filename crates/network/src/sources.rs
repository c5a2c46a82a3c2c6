//! Addresses that are trusted with something: single ones and ranges, of both families.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, `192.0.2.0/24` or `2001:db8::/32`; a single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    first: IpAddr,
    prefix: u8,
}

impl Source {
    /// Whether `address` is one of them. An IPv4 address in IPv6 form is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, true),
            IpAddr::V6(ip) => (ip.to_bits(), false),
        };
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        let (ours, its) = (bits(self.first), bits(address));
        ours.1 == its.1 && (ours.0 ^ its.0) & mask == 0
    }
}

/// Text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSource(String);

impl fmt::Display for InvalidSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(60).flat_map(char::escape_default).collect();
        write!(f, "\"{shown}\" is neither an address nor a range such as 192.0.2.0/24")
    }
}

impl std::error::Error for InvalidSource {}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let read = || {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
                None => (text, None),
            };
            let first: IpAddr = address.parse().ok()?;
            let all = if first.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(all);
            (prefix <= all).then_some(Self { first, prefix })
        };
        read().ok_or_else(|| InvalidSource(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        for (range, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::c000:207"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("::/0", "::1", "0.0.0.1"),
            ("::1", "::1", "::"),
        ] {
            let range: Source = range.parse().expect("a range");
            assert!(range.contains(inside.parse().expect("an address")), "{range:?} {inside}");
            assert!(!range.contains(outside.parse().expect("an address")), "{range:?} {outside}");
        }
        for text in ["", "a", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1", "/8"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
