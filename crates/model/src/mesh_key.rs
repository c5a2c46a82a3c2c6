//! How a node is known to the others on an encrypted mesh.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The public half of a node's key for the mesh (X25519, RFC 7748). As text: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MeshKey(pub [u8; 32]);

impl fmt::Display for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeshKey({self})")
    }
}

/// Text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMeshKey;

impl fmt::Display for InvalidMeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of the mesh is written with 64 hexadecimal digits")
    }
}

impl std::error::Error for InvalidMeshKey {}

impl FromStr for MeshKey {
    type Err = InvalidMeshKey;

    fn from_str(text: &str) -> Result<Self, InvalidMeshKey> {
        let mut key = [0; 32];
        let digits = text.len() == 2 * key.len() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            return Err(InvalidMeshKey);
        }
        for (at, byte) in key.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| InvalidMeshKey)?;
        }
        Ok(Self(key))
    }
}

impl TryFrom<String> for MeshKey {
    type Error = InvalidMeshKey;

    fn try_from(text: String) -> Result<Self, InvalidMeshKey> {
        text.parse()
    }
}

impl From<MeshKey> for String {
    fn from(key: MeshKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_is_written() {
        let key = MeshKey(std::array::from_fn(|n| n as u8 * 7));
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in ["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(text.parse::<MeshKey>(), Err(InvalidMeshKey), "{text}");
        }
    }
}
