//! Randomness, all of it from the kernel's generator by way of the TLS provider.

use crate::text;
use model::ClusterId;

/// Fills `bytes` with random ones.
///
/// # Panics
/// When the kernel has no random generator. Nothing that this crate makes could be trusted then.
pub fn fill(bytes: &mut [u8]) {
    crate::tls::provider().secure_random.fill(bytes).expect("the kernel hands out random bytes");
}

/// The id of a new cluster: 128 random bits as 32 hexadecimal digits.
pub fn cluster_id() -> ClusterId {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    ClusterId(text::hex(&bytes))
}

/// The random part of a [`model::RequestId`], high half first.
pub fn request_bits() -> (u64, u64) {
    let (mut high, mut low) = ([0; 8], [0; 8]);
    fill(&mut high);
    fill(&mut low);
    (u64::from_be_bytes(high), u64::from_be_bytes(low))
}
