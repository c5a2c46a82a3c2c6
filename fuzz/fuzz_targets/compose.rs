//! Any bytes as a Compose file: no panic, no refusal without an error, and what loads reads the same from its
//! canonical document. For ten minutes, from the golden cases on:
//!
//! `cargo +nightly fuzz run compose fuzz/corpus/compose crates/compose/tests/cases -- -max_total_time=600`
#![no_main]

#[path = "../../crates/compose/tests/exercise/mod.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::exercise(&String::from_utf8_lossy(bytes)));
