//! The encoding of everything this crate stores or sends: a format version, a CRC-32, then `MessagePack`
//! with named fields. A golden file per released version proves that it can still be read.

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Version of the encoding that this build writes. It reads all up to this one.
pub(crate) const FORMAT: u8 = 1;

const HEADER: usize = 5;

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// They end too early.
    #[error("it is cut off")]
    Short,
    /// They were written by a newer build.
    #[error("it has format {0}, and this build reads up to {FORMAT}")]
    Newer(u8),
    /// They are not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// They are whole, but say something this build does not know.
    #[error("it holds what this build does not understand ({0})")]
    Unknown(String),
}

/// Encodes a value.
pub(crate) fn seal(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    rmp_serde::encode::write_named(&mut bytes, value).expect("our own types can be encoded");
    let crc = crc32fast::hash(&bytes[HEADER..]);
    bytes[0] = FORMAT;
    bytes[1..HEADER].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Checks and decodes a value.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let body = verified(bytes)?;
    rmp_serde::from_slice(body).map_err(|e| Unreadable::Unknown(e.to_string()))
}

/// Checks version and checksum; the body is left undecoded.
pub(crate) fn verified(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    let (head, body) = bytes.split_at_checked(HEADER).ok_or(Unreadable::Short)?;
    let crc = u32::from_le_bytes(head[1..].try_into().expect("the header has four bytes left"));
    if head[0] > FORMAT && crc32fast::hash(body) == crc {
        return Err(Unreadable::Newer(head[0]));
    }
    if head[0] != FORMAT || crc32fast::hash(body) != crc {
        return Err(Unreadable::Checksum);
    }
    Ok(body)
}

/// Bytes that are opaque here: an encoded command. Cheap to clone; never printed, for it may hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Arc<[u8]>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_24_every_flipped_bit_is_noticed() {
        let sealed = seal(&("a value", 7_u64, Blob(Arc::from(&b"bytes"[..]))));
        assert!(open::<(String, u64, Blob)>(&sealed).is_ok());
        for at in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[at / 8] ^= 1 << (at % 8);
            assert!(open::<(String, u64, Blob)>(&bent).is_err(), "bit {at}");
        }
        for cut in 0..sealed.len() {
            assert!(open::<(String, u64, Blob)>(&sealed[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn fault_36_a_newer_format_is_told_from_damage() {
        let mut sealed = seal(&1_u8);
        sealed[0] = FORMAT + 1;
        assert!(matches!(verified(&sealed), Err(Unreadable::Newer(_))));
    }
}
