//! The encoding of model values that travel as bytes: a format version, a checksum, and the value with
//! its fields named, so that a reader of another release ignores what it does not know.

use serde::{Serialize, de::DeserializeOwned};

const FORMAT: u8 = 1;
const HEADER: usize = 5;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("the bytes are cut off")]
    Short,
    /// Written by a release with another format.
    #[error("format {0} is not understood by this release")]
    Format(u8),
    /// Damaged.
    #[error("the checksum does not match")]
    Checksum,
    /// Not the value that was expected.
    #[error("the value does not decode")]
    Value(#[source] rmp_serde::decode::Error),
}

/// Encodes a value of the model.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(value).expect("values of the model always encode");
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Decodes a value of the model.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (header, body) = bytes.split_at_checked(HEADER).ok_or(DecodeError::Short)?;
    if header[0] != FORMAT {
        return Err(DecodeError::Format(header[0]));
    }
    if header[1..] != crc32fast::hash(body).to_be_bytes() {
        return Err(DecodeError::Checksum);
    }
    rmp_serde::from_slice(body).map_err(DecodeError::Value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::State;

    #[test]
    fn a_state_survives_and_damage_is_seen() {
        let mut state = State::default();
        state.skip(7);
        let bytes = encode(&state);
        assert_eq!(decode::<State>(&bytes).unwrap().reindexed(), state);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode::<State>(&damaged).is_err(), "a flipped bit at {at} went unseen");
        }
        assert!(matches!(decode::<State>(&bytes[..3]), Err(DecodeError::Short)));
    }
}
